"""Writes results: a table for a person, tab-separated lines for a shell, JSON lines for a program."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from amili_async.cli._console import printable

if TYPE_CHECKING:
    from collections.abc import Iterable


def on_terminal() -> bool:
    """Return whether a person is looking at standard output."""
    return sys.stdout.isatty()


def write_json(line: bytes | msgspec.Raw) -> None:
    """Write one JSON value as one line, its members as they are, in UTF-8 whatever the terminal's encoding."""
    sys.stdout.buffer.write(msgspec.json.format(line, indent=-1) + b"\n")


def write_row(values: Iterable[object]) -> None:
    """Write one row of tab-separated values, whole and without a heading."""
    sys.stdout.write("\t".join(cell(value) for value in values) + "\n")


def cell(value: object, *, short: bool = False) -> str:
    """Return a value as text: whole for a shell, a moment to the minute (``short``) for a table. All times are UTC."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        value = value.astimezone(UTC)
        return f"{value:%Y-%m-%d %H:%M}" if short else value.isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return f"{value:f}"
    return printable(str(value))


def write_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Write names with their values, a line each: aligned for a person, tab-separated for a shell."""
    pairs = list(fields)
    width = max(len(name) for name, _ in pairs) + 2 if on_terminal() else 0
    for name, value in pairs:
        sys.stdout.write(f"{name:{width}}{cell(value)}\n" if width else f"{name}\t{cell(value)}\n")
