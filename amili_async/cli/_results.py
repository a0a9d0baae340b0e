"""Shows what a read answers with: a list as it streams in and how to go on from there, or one object."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from amili_async._cursor import Cursor
from amili_async.cli._client_context import opened
from amili_async.cli._console import cell, on_terminal, say, write_fields, write_json, write_row
from amili_async.cli._running import DONE, FAILED, command_line, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from amili_async import AmiliClient, Page, Pager
    from amili_async.models import Received

T = TypeVar("T")

TABLE_ROWS = 200
"""How many rows are measured together to set the widths of a table."""

GAP = 1
"""Blanks between two columns."""


class Bounds(NamedTuple):
    """Where a list begins and after how many rows it ends."""

    limit: int | None
    cursor: Cursor | None


class Listing(Generic[T]):
    """One ``amili … list``: which list, what is shown of its rows, and in which form.

    A row that cannot be read stands among the JSON lines as received; elsewhere it is left out, and that is a failure.
    """

    def __init__(
        self,
        start: Callable[[AmiliClient, Bounds], Pager[T]],
        columns: Mapping[str, Callable[[T], object]],
        *,
        as_json: bool,
        limit: int | None,
        cursor: str | None,
    ) -> None:
        self._start = start
        self._columns = columns
        self._as_json = as_json
        self._limit = limit
        self._cursor = cursor
        self._pager: Pager[T] | None = None
        self._waiting: list[T] = []
        self._table = not as_json and on_terminal()
        self._left_out: set[str] = set()

    def run(self) -> None:
        """Show the list and leave with its exit status."""
        run(self._show, resume=self._resume)

    async def _show(self) -> int:
        cursor = None if self._cursor is None else Cursor.decode(self._cursor)
        shown = left_out = 0
        async with opened() as amili:
            self._pager = self._start(amili, Bounds(self._limit, cursor))
            try:
                async for page in self._pager.pages():
                    self._write(page)
                    shown += len(page.items)
                    left_out += len(page.quarantined)
            finally:
                self._write_table()
        if not shown and not left_out and not self._as_json and on_terminal():
            say("Nothing found.")
        if self._left_out:
            names = ", ".join(name for name in self._columns if name in self._left_out)
            say(f"Not shown, as the terminal is too narrow: {names}. A wider one shows them, and so does --json.")
        if shown == self._limit:
            say(
                f"These are the first {shown:,}; --all shows every one, and this goes on from here:\n  {self._resume()}"
            )
        return FAILED if left_out and not self._as_json else DONE

    def _write(self, page: Page[T]) -> None:
        if self._as_json:
            for raw in page.raw_items():
                write_json(raw)
        elif self._table:
            self._waiting += page.items
            if len(self._waiting) >= TABLE_ROWS:
                self._write_table()
        else:
            for item in page.items:
                write_row(self._values(item))
        sys.stdout.flush()

    def _write_table(self) -> None:
        if not self._waiting:
            return
        console = Console(highlight=False)
        rows = [[cell(value, short=True) for value in self._values(item)] for item in self._waiting]
        self._waiting = []
        names = fitting([*self._columns], rows, console.width)
        self._left_out |= {*self._columns} - {*names}
        # An id is there to be copied: where even the first column is too wide, it is folded, never cut.
        table = Table(*(Column(name, overflow="fold") for name in names), box=None, pad_edge=False)
        for row in rows:
            table.add_row(*map(Text, row[: len(names)]))
        console.print(table)

    def _values(self, item: T) -> Sequence[object]:
        return [value(item) for value in self._columns.values()]

    def _resume(self) -> str | None:
        cursor = None if self._pager is None else self._pager.cursor
        begun = cursor is not None and (cursor.token is not None or cursor.row > 0)
        return command_line(cursor=cursor) if begun else None


def fitting(names: list[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the columns of a table that a terminal shows whole: the first always, the last ones first to go."""
    used = 0
    for index, name in enumerate(names):
        used += max(cell_len(text) for text in (name, *(row[index] for row in rows))) + (GAP if index else 0)
        if index and used > width:
            return names[:index]
    return names


def show_one(
    operation: str,
    *ids: str,
    row_type: type[T],
    fields: Callable[[T], Iterable[tuple[str, object]]],
    as_json: bool,
) -> None:
    """Write the one object that a read answers with, and leave with the exit status."""

    async def work() -> int:
        async with opened() as amili:
            if as_json:
                write_json(await amili.caller.get(operation, *ids, type=msgspec.Raw))
            else:
                write_fields(fields(await amili.caller.get(operation, *ids, type=row_type)))
        return DONE

    run(work)


def members(model: Received) -> Iterator[tuple[str, object]]:
    """Yield the members of an object by their names on the wire, those without a field last; objects as JSON."""
    from amili_async import encode  # noqa: PLC0415  # only where there is an object
    from amili_async.models import Model  # noqa: PLC0415  # the same

    for field in msgspec.structs.fields(type(model).plain):
        value: object = getattr(model, field.name)
        if field.name != "extra":
            yield field.encode_name, encode(value).decode() if isinstance(value, Model) else value
    yield from further_members(model)


def further_members(model: Received) -> Iterator[tuple[str, object]]:
    """Yield the members of an object that no field names."""
    encoder = msgspec.json.Encoder(decimal_format="number")
    for name, value in model.extra.items():
        yield name, encoder.encode(value).decode() if isinstance(value, dict | list | Decimal) else value
