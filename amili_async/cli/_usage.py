"""Usage: what is wrong with the words that were typed, in one line that says what would be right and where help is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from typer.core import TyperGroup

from amili_async.cli._console import fail
from amili_async.cli._running import USAGE

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_SAID_BY_TYPER = (
    (re.compile(r"\AInvalid value: "), ""),
    (re.compile(r"\AInvalid value for '([^']+)': Input should be (.*?)(?:, unable to .*)?\Z"), r"\1 must be \2"),
    (re.compile(r"\AInvalid value for '([^']+)': (?:Value error, )?"), r"\1: "),
    (re.compile(r"\bgreater than or equal to\b"), "at least"),
    (re.compile(r"\bless than or equal to\b"), "at most"),
    (re.compile(r"\ba valid integer\b"), "a whole number"),
    (re.compile(r"\ba valid number\b"), "a number"),
    (re.compile(r"\.\Z"), ""),
)
"""What typer and what it checks values with say, and how it reads beside the lines of this package."""


_UsageError: Any = typer.BadParameter.__base__
"""Click's, which typer brings along, but under no name of its own."""


class OneLineGroup(TyperGroup):
    """The commands, whose mistakes of usage are one line each; typer draws a box of six around it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words before the command."""
        return _in_one_line(lambda: super(OneLineGroup, self).parse_args(ctx, args))

    def invoke(self, ctx: Any) -> Any:
        """Read the words of the command, and run it."""
        return _in_one_line(lambda: super(OneLineGroup, self).invoke(ctx))


def _in_one_line(work: Callable[[], T]) -> T:
    try:
        return work()
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise  # no words at all: what is shown then is the help
        message: str = error.format_message()
        for pattern, said in _SAID_BY_TYPER:
            message = pattern.sub(said, message)
        path = "amili" if error.ctx is None else error.ctx.command_path
        fail(f"{message} (see {path} --help)")
        raise typer.Exit(USAGE) from None
