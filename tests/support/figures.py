"""Figures that runs write themselves: ``pytest -m soak --figures benchmarks/reliability.md``.

Each run replaces the rows that it has measured anew, and leaves the others as they are.
"""

from __future__ import annotations

import platform
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

FILE = pytest.StashKey["dict[str, str]"]()


class Figures:
    """Takes what a test has measured."""

    def __init__(self, rows: dict[str, str]) -> None:
        self._rows = rows

    def write(self, what: str, result: str) -> None:
        """Keep a line for the table: what was tried, and what came out."""
        self._rows[what] = result


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("reliability")
    group.addoption("--figures", type=Path, metavar="FILE", help="write what was measured into the table of this page")
    group.addoption("--soak-seconds", type=float, default=60.0, help="how long each soak test makes calls (60)")


def configure(config: pytest.Config) -> None:
    config.stash[FILE] = {}


def finish(config: pytest.Config) -> None:
    """Put the rows of this run into the page's table."""
    page: Path | None = config.getoption("--figures")
    rows = config.stash[FILE]
    if page is not None and rows:
        text = page.read_text("utf-8")
        for what, result in rows.items():
            text = with_row(text, what, result, f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}")
        page.write_text(text, "utf-8")


def with_row(text: str, what: str, result: str, when: str) -> str:
    """Return the page with this row in its table: in the place of the one about the same, else as the last."""
    row = f"| {what} | {result} | {when} |"
    changed, count = re.subn(rf"^\| {re.escape(what)} \|.*$", lambda _: row, text, flags=re.MULTILINE)
    return changed if count else f"{text.rstrip()}\n{row}\n"
