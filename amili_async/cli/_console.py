"""What a command writes: results to standard output, notes and errors to standard error, a line each."""

from __future__ import annotations

import logging
import os
import sys
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec
from rich.console import Console
from rich.text import Text

from amili_async.errors import APIError, TokenError, UnauthorizedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from amili_async.errors import AmiliError

SHOWN = 20
"""How many notes of one kind are printed one by one."""


def describe(error: AmiliError) -> str:
    """Return an error as one line, with what to do about it where that is known.

    What the server itself wrote may quote personal data: a person at a terminal sees it, a log does not.
    """
    line = without_hint(str(error))
    if isinstance(error, TokenError) and error.retry_after is None:
        line += "; check AMILI_CLIENT_ID and AMILI_CLIENT_SECRET"
    elif isinstance(error, UnauthorizedError) and os.environ.get("AMILI_TOKEN"):
        line += "; check AMILI_TOKEN"
    if isinstance(error, APIError) and error.detail and sys.stderr.isatty():
        line += f"; the server says: {printable(error.detail)}"
    return line


def without_hint(line: str) -> str:
    """Return an error's line without where a program finds the body: that is no use to a person."""
    return line.replace(", kept in .body", "")


def say(message: str) -> None:
    """Print to standard error, where notes go, as standard output holds results alone."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(message))


class Saying(logging.Handler):
    """Prints what is logged as a note."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        say(f"Note: {printable(record.getMessage())}")


def say_each(lines: Iterable[str]) -> None:
    """Print notes that belong to the one before, a line each, but no more than a screen takes."""
    every = list(lines)
    for line in every[:SHOWN]:
        say(f"  {printable(line)}")
    if len(every) > SHOWN:
        say(f"  … and {len(every) - SHOWN:,} more")


def fail(message: str) -> None:
    """Print an error as one line."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text.assemble(("Error: ", "bold red"), message))


def printable(text: str) -> str:
    """Return a server's text without what would steer the terminal or break the line."""
    return "".join(character if character.isprintable() else "�" for character in text)


def without_password(text: str) -> str:
    """Return a store's URL as it may be printed: who started the line knows the password, and a log need not.

    All that may be part of a password is hidden: where the URL is not quite one, more than need be.
    """
    scheme, colons, rest = text.partition("://")
    colon, first, last = rest.find(":"), rest.find("@"), rest.rfind("@")
    if colons and 0 <= colon < first:
        text = f"{scheme}://{rest[:colon]}:***{rest[last:]}"
    address, mark, query = text.partition("?")
    return "".join((_masked(address), mark, "&".join(map(_masked, query.split("&")))))


def _masked(setting: str) -> str:
    """Return ``name=value`` without the value of a password, however the name is written."""
    parts = setting.split("=")
    for index, name in enumerate(parts[:-1]):
        if unquote(name).rstrip().lower().endswith("password"):
            return "=".join((*parts[: index + 1], "***"))
    return setting


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
        from amili_async.models._inputs import in_utc  # noqa: PLC0415  # only where there is a moment

        value = in_utc(value)
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
