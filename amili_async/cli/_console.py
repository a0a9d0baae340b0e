"""What is told on standard error: notes and errors, a line each, without secrets and without what steers a terminal."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from amili_async.errors import APIError, TokenError

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
    if isinstance(error, APIError) and error.detail and sys.stderr.isatty():
        line += f"; the server says: {printable(error.detail)}"
    return line


def without_hint(line: str) -> str:
    """Return an error's line without where a program finds the body: that is no use to a person."""
    return line.replace(", kept in .body", "")


def say(message: str) -> None:
    """Print to standard error, where notes go, as standard output holds results alone."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(message))


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
    """Return a store's URL as it may be printed: who started the line knows the password, and a log need not."""
    return re.sub(
        r"(://[^:/@\s]*):\S+@|(?<=password=)[^&\s]+", lambda found: f"{found[1]}:***@" if found[1] else "***", text
    )
