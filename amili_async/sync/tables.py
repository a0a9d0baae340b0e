"""The tables of a resource's rows: what is new, what has changed, and what need not be written at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from amili_async.sync import schema
from amili_async.sync.columns import batch_columns, entry_columns, text
from amili_async.sync.statements import Statement, Upsert, among, listed
from amili_async.sync.store import Written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy.engine import Dialect

    from amili_async.sync.columns import Columns, Moments
    from amili_async.sync.store import Row

    RowColumns = Callable[[str, Row, str, object, Moments], Columns]
    PartColumns = Callable[[str, Row], Iterator[Columns]]


class RowTable:
    """Rows of one resource, by organization and id."""

    def __init__(self, table: sa.Table, columns: RowColumns, *, dialect: Dialect, moments: Moments) -> None:
        self._columns = columns
        self._moments = moments
        self._dialect = dialect
        self._upsert = Upsert(table, dialect)
        self._known = Statement(
            sa.select(table.c.id, sa.cast(table.c.raw, sa.Text)).where(
                table.c.organization_id == sa.bindparam("organization_id"), among(table.c.id, "ids", dialect)
            ),
            dialect,
        )

    def write(self, connection: sa.Connection, organization_id: str, rows: Sequence[Row], synced_at: object) -> Written:
        """Put rows in; those that are there with the same JSON are left alone."""
        if not rows:
            return Written(0, 0)
        ids = listed([row.id for row in rows], self._dialect)
        known = {str(key): raw for key, raw in self._known.rows(connection, organization_id=organization_id, ids=ids)}
        new: list[Row] = []
        changed: list[Row] = []
        columns: list[Columns] = []
        for row in rows:
            raw = text(row.raw)
            before = known.get(row.id)
            if before == raw:
                continue
            (new if before is None else changed).append(row)
            columns.append(self._columns(organization_id, row, raw, synced_at, self._moments))
        self._upsert.run(connection, columns)
        self._write_parts(connection, organization_id, new, changed)
        return Written(len(new), len(changed))

    def _write_parts(
        self, connection: sa.Connection, organization_id: str, new: Sequence[Row], changed: Sequence[Row]
    ) -> None:
        """Write what rows consist of, where that has a table of its own."""


class BatchTable(RowTable):
    """Batches, with their entries in a table of their own."""

    def __init__(self, dialect: Dialect, moments: Moments) -> None:
        super().__init__(schema.batches, batch_columns, dialect=dialect, moments=moments)
        entries = schema.batch_entries
        self._upsert_entries = Upsert(entries, dialect)
        self._delete_entries = Statement(
            sa.delete(entries).where(
                entries.c.organization_id == sa.bindparam("organization_id"), among(entries.c.batch_id, "ids", dialect)
            ),
            dialect,
        )

    def _write_parts(
        self, connection: sa.Connection, organization_id: str, new: Sequence[Row], changed: Sequence[Row]
    ) -> None:
        if changed:
            # A batch may come to have fewer entries than it had.
            ids = listed([row.id for row in changed], self._dialect)
            self._delete_entries.run(connection, organization_id=organization_id, ids=ids)
        entries = [entry for row in (*new, *changed) for entry in entry_columns(organization_id, row)]
        self._upsert_entries.run(connection, entries)


def row_tables(dialect: Dialect, moments: Moments) -> dict[str, RowTable]:
    """Return the table of each resource."""
    return {"batches": BatchTable(dialect, moments)}
