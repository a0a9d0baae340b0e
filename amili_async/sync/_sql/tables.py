"""The tables of a resource's rows: what is new, what has changed, and what need not be written at all.

A row that is there with the same JSON is left alone: a list that is scanned again costs reading, not writing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec
import sqlalchemy as sa

from amili_async.events import QuarantinedRow
from amili_async.sync._sql import schema
from amili_async.sync._sql.checkpoints import Checkpoints, Stamp
from amili_async.sync._sql.columns import (
    Columns,
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
from amili_async.sync._sql.database import blames_a_value
from amili_async.sync._sql.statements import (
    Append,
    Rewrite,
    Statement,
    among,
    listed,
    replacing,
    unnested,
    written_columns,
)
from amili_async.sync._store import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy.engine import Dialect

    from amili_async.models import Model
    from amili_async.sync._checkpoint import Checkpoint
    from amili_async.sync._sql.columns import Values
    from amili_async.sync._sql.leases import Lease

    RowColumns = Callable[[Model, Values], Columns]
    MemberColumns = Callable[[Model, Values], Sequence[Columns]]


class PreparedRow(msgspec.Struct, frozen=True, gc=False):
    """A row on its way into the tables. Such as this are many: the garbage collector need not look at them."""

    row: Row
    columns: Columns
    """What its table says of it, between its id and its JSON."""
    text: str
    """Its JSON."""
    members: Sequence[Sequence[Columns]]
    """What it consists of, for each table of that, without the row's number."""


WrittenRow: TypeAlias = tuple[int, PreparedRow]
"""The number in the store of a row that was written, and the row."""


class Put(NamedTuple):
    """What became of rows; those that are in none of the three were there already."""

    stamp: Stamp
    new: Sequence[Row] = ()
    changed: Sequence[Row] = ()
    refused: Sequence[QuarantinedRow] = ()


class _Members:
    """A table of what rows consist of: written with the row, and anew where it changed."""

    def __init__(self, table: sa.Table, columns: MemberColumns, dialect: Dialect) -> None:
        self.columns = columns
        self._dialect = dialect
        owner, *own = table.columns
        self._append = Append(table, dialect, [*(column.name for column in own), owner.name])
        self._delete = Statement(sa.delete(table).where(among(owner, "keys", dialect)), dialect)

    def write(
        self, connection: sa.Connection, number: int, new: Sequence[WrittenRow], changed: Sequence[WrittenRow]
    ) -> None:
        """Write what rows consist of; one that changed may have fewer members than it had."""
        if changed:
            self._delete.run(connection, keys=listed([key for key, _ in changed], self._dialect))
        written = (*new, *changed)
        # A number is made a tuple once a row, and not once for each of its members.
        keyed = [((key,), prepared.members[number]) for key, prepared in written]
        self._append.run(connection, [columns + key for key, members in keyed for columns in members])


class RowTable(ABC):
    """Rows of one resource, by list and id, with the tables of what they consist of and the list's checkpoint."""

    def __init__(
        self, table: sa.Table, columns: RowColumns, dialect: Dialect, checkpoints: Checkpoints, *members: _Members
    ) -> None:
        self.table = table
        self._columns = columns
        self._members = members
        self._values = values_for(dialect)
        self._checkpoints = checkpoints

    def prepare(self, rows: Iterable[Row]) -> list[PreparedRow]:
        """Return rows as their columns: what can be done before the transaction, and on SQLite in another thread.

        Raises:
            ValueError, OverflowError: a value has no place in its column, such as a moment past the calendar's end.
        """
        columns_of, values = self._columns, self._values
        members_of = [members.columns for members in self._members]
        return [
            PreparedRow(
                row,
                columns_of(row.value, values),
                text(row.raw),
                [members(row.value, values) for members in members_of],
            )
            for row in rows
        ]

    def write(
        self, connection: sa.Connection, lease: Lease, checkpoint: Checkpoint, rows: Sequence[PreparedRow]
    ) -> Put | None:
        """Keep rows and a checkpoint; those that are there with the same JSON are left alone.

        Nothing is kept, and nothing returned, where the list is not ours any more.
        """
        stamp = self._checkpoints.save(connection, lease, checkpoint)
        if stamp is None or not rows:
            return None if stamp is None else Put(stamp)
        return self._finished(connection, stamp, *self.put(connection, lease, rows, stamp))

    def write_singly(
        self, connection: sa.Connection, lease: Lease, checkpoint: Checkpoint, rows: Sequence[Row]
    ) -> Put | None:
        """Do the same row by row, after a value was refused without a word on where; set that row aside."""
        stamp = self._checkpoints.save(connection, lease, checkpoint)
        if stamp is None:
            return None
        new: list[Row] = []
        changed: list[Row] = []
        refused: list[QuarantinedRow] = []
        for index, row in enumerate(rows):
            try:
                with connection.begin_nested():
                    written = self.put(connection, lease, self.prepare((row,)), stamp)
                    put = self._finished(connection, stamp, *written)
            except Exception as error:
                if not blames_a_value(error):
                    raise
                reason = "a value that the database refuses"
                refused.append(QuarantinedRow(index=index, path="$", reason=reason, raw=row.raw))
            else:
                new += put.new
                changed += put.changed
        return Put(stamp, new, changed, refused)

    @abstractmethod
    def put(
        self, connection: sa.Connection, lease: Lease, rows: Sequence[PreparedRow], stamp: Stamp
    ) -> tuple[list[WrittenRow], list[WrittenRow]]:
        """Put rows in, at least one and no id twice; return those that were new, and those that had changed."""

    def _finished(
        self, connection: sa.Connection, stamp: Stamp, new: Sequence[WrittenRow], changed: Sequence[WrittenRow]
    ) -> Put:
        """Write what the rows consist of."""
        for number, members in enumerate(self._members):
            members.write(connection, number, new, changed)
        return Put(stamp, [prepared.row for _, prepared in new], [prepared.row for _, prepared in changed])


class SQLiteRowTable(RowTable):
    """For a database in the same process that one writes to at a time: looking up costs little there."""

    def __init__(
        self, table: sa.Table, columns: RowColumns, dialect: Dialect, checkpoints: Checkpoints, *members: _Members
    ) -> None:
        super().__init__(table, columns, dialect, checkpoints, *members)
        self._dialect = dialect
        names = [column.name for column in written_columns(table) if column.name not in {"id", "raw", *_STAMPED, "key"}]
        own = ["id", "raw", *names, *_STAMPED]
        self._append = Append(table, dialect, [*own, "key"], unless=("list_key", "id"))
        self._rewrite = Rewrite(table, own, by="key")
        mine = (table.c.list_key == sa.bindparam("list_key"), among(table.c.id, "ids", dialect))
        self._look = Statement(sa.select(table.c.id, table.c.key, table.c.raw).where(*mine), dialect)
        self._last = Statement(sa.select(sa.func.coalesce(sa.func.max(table.c.key), 0)), dialect)

    def put(
        self, connection: sa.Connection, lease: Lease, rows: Sequence[PreparedRow], stamp: Stamp
    ) -> tuple[list[WrittenRow], list[WrittenRow]]:
        [(last,)] = self._last.rows(connection)
        numbered = list(enumerate(rows, last + 1))
        stamped = (lease.list_key, *stamp)
        # A list that is scanned for the first time has no row of a page, most likely.
        if not lease.scanned and self._append.run(connection, _as_written(numbered, stamped)) == len(rows):
            return numbered, []
        ids = listed([prepared.row.id for prepared in rows], self._dialect)
        found = self._look.rows(connection, list_key=lease.list_key, ids=ids)
        known = {row_id: (key, raw) for row_id, key, raw in found if key <= last}
        new = [(key, prepared) for key, prepared in numbered if prepared.row.id not in known]
        changed = [
            (known[prepared.row.id][0], prepared)
            for prepared in rows
            if prepared.row.id in known and known[prepared.row.id][1] != prepared.text
        ]
        if lease.scanned:
            self._append.run(connection, _as_written(new, stamped))
        self._rewrite.run(connection, _as_written(changed, stamped))
        return new, changed


def _as_written(rows: Iterable[WrittenRow], stamped: Columns) -> list[Columns]:
    """Return rows as they are written."""
    return [(row.row.id, row.text, *row.columns, *stamped, key) for key, row in rows]


_STAMPED = ("list_key", "synced_at", "revision")
"""What all rows of a write have in common."""


class PostgreSQLRowTable(RowTable):
    """For a database that is a network away: one statement keeps checkpoint and rows, and tells what it did."""

    def __init__(
        self, table: sa.Table, columns: RowColumns, dialect: Dialect, checkpoints: Checkpoints, *members: _Members
    ) -> None:
        super().__init__(table, columns, dialect, checkpoints, *members)
        common = {name: sa.bindparam(name, type_=table.c[name].type) for name in _STAMPED}
        arrays = {column.name: column for column in written_columns(table) if column.name not in {"key", *common}}
        self._arrays = [arrays.pop("id"), arrays.pop("raw"), *arrays.values()]
        self._upsert = Statement(self._upserting(common), dialect)
        saved = checkpoints.saving.cte("saved")
        stamped = {
            "list_key": saved.c.key,
            "synced_at": saved.c.synced_at,
            "revision": saved.c.revision,
        }
        put = self._upserting(stamped).cte("put")
        # One row of arrays: a row for each that was written, with the stamp on it, takes three times as long to read.
        stamp, written = (saved.c.synced_at, saved.c.revision), map(sa.func.array_agg, put.c)
        told = sa.select(*stamp, *written).select_from(saved.outerjoin(put, sa.true())).group_by(*stamp)
        self._save_and_upsert = Statement(told, dialect)

    def _upserting(self, common: dict[str, Any]) -> Any:
        insert = unnested(self.table, self._arrays, common)
        differs = sa.cast(self.table.c.raw, sa.Text) != sa.cast(insert.excluded.raw, sa.Text)
        # A row version that no transaction has superseded is one that this statement inserted.
        inserted = sa.literal_column("xmax = 0", sa.Boolean).label("inserted")
        put = replacing(self.table, insert, by=("list_key", "id"), where=differs)
        return put.returning(self.table.c.id, self.table.c.key, inserted)

    def write(
        self, connection: sa.Connection, lease: Lease, checkpoint: Checkpoint, rows: Sequence[PreparedRow]
    ) -> Put | None:
        """Keep rows and a checkpoint."""
        if not rows:
            return super().write(connection, lease, checkpoint, rows)
        parameters = self._checkpoints.parameters(lease, checkpoint)
        found = self._save_and_upsert.rows(connection, **parameters, **self._given(rows))
        if not found:
            return None
        [(synced_at, revision, *written)] = found
        # Where nothing was written each of the arrays holds one null.
        told_apart = _told_apart(rows, zip(*written, strict=True))
        return self._finished(connection, Stamp(synced_at, revision), *told_apart)

    def put(
        self, connection: sa.Connection, lease: Lease, rows: Sequence[PreparedRow], stamp: Stamp
    ) -> tuple[list[WrittenRow], list[WrittenRow]]:
        stamped = {"list_key": lease.list_key, "synced_at": stamp.synced_at, "revision": stamp.revision}
        return _told_apart(rows, self._upsert.rows(connection, **stamped, **self._given(rows)))

    def _given(self, rows: Sequence[PreparedRow]) -> dict[str, object]:
        columns = map(list, zip(*[prepared.columns for prepared in rows], strict=True))
        values = ([prepared.row.id for prepared in rows], [prepared.text for prepared in rows], *columns)
        return {f"rows_{column.name}": value for column, value in zip(self._arrays, values, strict=True)}


def _told_apart(
    rows: Sequence[PreparedRow], found: Iterable[tuple[Any, ...]]
) -> tuple[list[WrittenRow], list[WrittenRow]]:
    """Return the rows that were new and those that had changed, of what a statement tells of those it wrote."""
    known = {row_id: (key, inserted) for row_id, key, inserted in found}
    new: list[WrittenRow] = []
    changed: list[WrittenRow] = []
    for prepared in rows:
        after = known.get(prepared.row.id)
        if after is not None:
            (new if after[1] else changed).append((after[0], prepared))
    return new, changed


def row_tables(dialect: Dialect, checkpoints: Checkpoints) -> dict[str, RowTable]:
    """Return the table of each resource."""
    made = PostgreSQLRowTable if dialect.name == "postgresql" else SQLiteRowTable
    entries = _Members(schema.batch_entries, entry_columns, dialect)
    members = _Members(schema.case_invoices, case_invoice_columns, dialect)
    debtors = _Members(schema.debtors, debtor_columns, dialect)
    return {
        "batches": made(schema.batches, batch_columns, dialect, checkpoints, entries),
        "invoices": made(schema.invoices, invoice_columns, dialect, checkpoints),
        "cases": made(schema.cases, case_columns, dialect, checkpoints, members, debtors),
        "settlements": made(schema.settlements, settlement_columns, dialect, checkpoints),
    }
