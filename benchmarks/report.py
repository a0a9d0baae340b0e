"""The one table: rows with their targets, the machine that made them, and the exit status."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measuring import MIN_ROUNDS, Row, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PACKAGES = (
    "aiohttp",
    "msgspec",
    "yarl",
    "multidict",
    "httpx",
    "httpx2",
    "pydantic",
    "openai",
    "sqlalchemy",
    "aiosqlite",
    "aiolimiter",
)


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return what the command line asked for."""
    return Settings(rounds=3 if arguments.quick else max(MIN_ROUNDS, arguments.rounds), quick=arguments.quick)


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return the options that the whole and each part share."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--rounds", type=int, default=9, help=f"rounds a side, at least {MIN_ROUNDS} (default: 9)")
    options.add_argument("--quick", action="store_true", help="a tenth of the work, 3 rounds: not to be quoted")
    return options


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def lines(rows: Sequence[Row]) -> list[str]:
    """Return the table as Markdown."""
    table = ["| what | measured | target | | figures |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        noise = f" ± {_number(row.noise)}" if row.noise else ""
        table.append(
            f"| {row.what} | {_number(row.value)}{noise} {row.unit} | {row.target} | {row.verdict} | {row.detail} |"
        )
    return table


def machine() -> list[str]:
    """Return what kind of machine and which versions made the numbers, and when."""
    model = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        models = [
            line for line in information.read_text(encoding="utf-8").splitlines() if line.startswith("model name")
        ]
        model = models[0].partition(":")[2].strip() if models else model
    versions: list[str] = []
    for name in _PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} (not installed)")
    return [
        f"- Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"- Machine: {os.cpu_count()} cores, {model}, {platform.system()} {platform.release()}, loopback",
        f"- Load average at the end: {os.getloadavg()[0]:.1f}",
        f"- Python: {platform.python_implementation()} {platform.python_version()}",
        f"- Packages: {', '.join(versions)}",
    ]


def status(rows: Sequence[Row]) -> int:
    """Return 1 where a row falls short by more than its noise, else 0; say which."""
    short = [row for row in rows if row.short]
    for row in short:
        print(f"SHORT: {row.what}: {_number(row.value)} {row.unit}, {row.target}", file=sys.stderr)
    return 1 if short else 0


def main(measure: Callable[[Settings], list[Row]]) -> int:
    """Run one module's workload and print its table; return the exit status."""
    settings = settings_of(parser(sys.modules["__main__"].__doc__).parse_args())
    rows = measure(settings)
    print("\n".join(lines(rows)))
    return status(rows)
