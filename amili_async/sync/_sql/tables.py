"""The tables of a resource's rows: what is new, what has changed, and what need not be written at all.

A row that is there with the same JSON is left alone: a list that is walked again costs reading, not writing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import sqlalchemy as sa

from amili_async.events import QuarantinedRow
from amili_async.sync._sql import schema
from amili_async.sync._sql.columns import (
    batch_columns,
    case_columns,
    case_invoice_columns,
    debtor_columns,
    entry_columns,
    invoice_columns,
    settlement_columns,
    text,
    values_for,
)
from amili_async.sync._sql.statements import Statement, Upsert, among, listed, replacing, unnested, written_columns
from amili_async.sync._store import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.engine import Dialect

    from amili_async.models._base import Model
    from amili_async.sync._sql.columns import Columns, Values

    RowColumns = Callable[[Model, Values], Columns]
    MemberColumns = Callable[[object, Model, Values], Iterator[Columns]]


class Stamp(NamedTuple):
    """What a write puts on its rows."""

    synced_at: object
    revision: int


class Put(NamedTuple):
    """What became of rows; those that are in none of the three were there already."""

    new: Sequence[Row]
    changed: Sequence[Row]
    refused: Sequence[QuarantinedRow] = ()


class _Found(NamedTuple):
    """A row that was written, and its number in the store."""

    key: object
    row: Row


class _Putting(Protocol):
    """Puts rows of one list into a table, no id twice."""

    def run(
        self, connection: sa.Connection, list_key: int, rows: Sequence[Row], stamp: Stamp
    ) -> tuple[list[_Found], list[_Found]]:
        """Return the rows that were new, and those that had changed."""
        ...


class _SelectThenUpsert:
    """For a database in the same process that one writes to at a time: looking up costs next to nothing there."""

    def __init__(self, table: sa.Table, columns: RowColumns, dialect: Dialect) -> None:
        self._columns = columns
        self._values = values_for(dialect)
        self._dialect = dialect
        self._upsert = Upsert(table, dialect)
        mine = (table.c.list_key == sa.bindparam("list_key"), among(table.c.id, "ids", dialect))
        self._look = Statement(sa.select(table.c.id, table.c.key, table.c.raw).where(*mine), dialect)
        self._last = Statement(sa.select(sa.func.coalesce(sa.func.max(table.c.key), 0)), dialect)

    def run(
        self, connection: sa.Connection, list_key: int, rows: Sequence[Row], stamp: Stamp
    ) -> tuple[list[_Found], list[_Found]]:
        ids = listed([row.id for row in rows], self._dialect)
        known = {found[0]: found[1:] for found in self._look.rows(connection, list_key=list_key, ids=ids)}
        [(last,)] = self._last.rows(connection)
        key = int(str(last))
        new: list[_Found] = []
        changed: list[_Found] = []
        written: list[Columns] = []
        for row in rows:
            raw = text(row.raw)
            before = known.get(row.id)
            if before is None:
                key += 1
                found = _Found(key, row)
                new.append(found)
            elif before[1] != raw:
                found = _Found(before[0], row)
                changed.append(found)
            else:
                continue
            columns = self._columns(row.value, self._values)
            written.append((found.key, list_key, row.id, *columns, *stamp, raw))
        self._upsert.run(connection, written)
        return new, changed


class _SingleUpsert:
    """For a database that is a network away: one statement, which tells what it did."""

    def __init__(self, table: sa.Table, columns: RowColumns, dialect: Dialect) -> None:
        self._columns = columns
        self._values = values_for(dialect)
        insert = unnested(table, [column for column in written_columns(table) if column.name != "key"])
        differs = sa.cast(table.c.raw, sa.Text) != sa.cast(insert.excluded.raw, sa.Text)
        # A row version that no transaction has superseded is one that this statement inserted.
        inserted = sa.literal_column("xmax = 0", sa.Boolean)
        put = replacing(table, insert, by=("list_key", "id"), where=differs)
        self._text = str(put.returning(table.c.id, table.c.key, inserted).compile(dialect=dialect))

    def run(
        self, connection: sa.Connection, list_key: int, rows: Sequence[Row], stamp: Stamp
    ) -> tuple[list[_Found], list[_Found]]:
        written = ((list_key, row.id, *self._columns(row.value, self._values), *stamp, text(row.raw)) for row in rows)
        arrays = tuple(list(column) for column in zip(*written, strict=True))
        known = {found[0]: found[1:] for found in connection.exec_driver_sql(self._text, arrays)}
        new: list[_Found] = []
        changed: list[_Found] = []
        for row in rows:
            after = known.get(row.id)
            if after is not None:
                (new if after[1] else changed).append(_Found(after[0], row))
        return new, changed


class _Members:
    """A table of what rows consist of: written with the row, and anew where it changed."""

    def __init__(self, table: sa.Table, columns: MemberColumns, dialect: Dialect) -> None:
        self._columns = columns
        self._values = values_for(dialect)
        self._dialect = dialect
        self._upsert = Upsert(table, dialect)
        owner = next(iter(table.primary_key.columns))
        self._delete = Statement(sa.delete(table).where(among(owner, "keys", dialect)), dialect)

    def write(self, connection: sa.Connection, new: Sequence[_Found], changed: Sequence[_Found]) -> None:
        """Write what rows consist of; one that changed may have fewer members than it had."""
        if changed:
            self._delete.run(connection, keys=listed([found.key for found in changed], self._dialect))
        members = [
            columns for found in (*new, *changed) for columns in self._columns(found.key, found.row.value, self._values)
        ]
        self._upsert.run(connection, members)


class RowTable:
    """Rows of one resource, by list and id, with the tables of what they consist of."""

    def __init__(
        self, table: sa.Table, columns: RowColumns, dialect: Dialect, members: Sequence[_Members] = ()
    ) -> None:
        self.table = table
        self._members = members
        put = _SingleUpsert if dialect.name == "postgresql" else _SelectThenUpsert
        self._put: _Putting = put(table, columns, dialect)

    def write(self, connection: sa.Connection, list_key: int, rows: Sequence[Row], stamp: Stamp) -> Put:
        """Put rows in; those that are there with the same JSON are left alone.

        Raises:
            ValueError, OverflowError: a value has no place in its column, such as a moment past the calendar's end.
        """
        if not rows:
            return Put((), ())
        new, changed = self._put.run(connection, list_key, rows, stamp)
        for members in self._members:
            members.write(connection, new, changed)
        return Put([found.row for found in new], [found.row for found in changed])


def row_tables(dialect: Dialect) -> dict[str, RowTable]:
    """Return the table of each resource."""
    return {
        "batches": RowTable(
            schema.batches, batch_columns, dialect, [_Members(schema.batch_entries, entry_columns, dialect)]
        ),
        "invoices": RowTable(schema.invoices, invoice_columns, dialect),
        "cases": RowTable(
            schema.cases,
            case_columns,
            dialect,
            [
                _Members(schema.case_invoices, case_invoice_columns, dialect),
                _Members(schema.debtors, debtor_columns, dialect),
            ],
        ),
        "settlements": RowTable(schema.settlements, settlement_columns, dialect),
    }
