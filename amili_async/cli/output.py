"""Writes results: a table for a person, tab-separated lines for a shell, JSON lines for a program."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from amili_async.cli.running import printable

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


def cell(value: object) -> str:
    """Return a value as the text that a table or a line shows."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return printable(str(value))
