"""The tables of a resource's rows: what is new, what has changed, and what need not be written at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from amili_async.sync._sql import schema
from amili_async.sync._sql.columns import (
    batch_columns,
    case_columns,
    entry_columns,
    invoice_columns,
    settlement_columns,
)
from amili_async.sync._sql.statements import Statement, Upsert, among, listed
from amili_async.sync._sql.upserts import put_into
from amili_async.sync._store import WriteResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy.engine import Dialect

    from amili_async.sync._sql.columns import Columns, Values
    from amili_async.sync._store import Row

    RowColumns = Callable[[str, Row, str, object, Values], Columns]
    PartColumns = Callable[[str, Row], Iterator[Columns]]


class RowTable:
    """Rows of one resource, by organization and id."""

    def __init__(self, table: sa.Table, columns: RowColumns, *, dialect: Dialect, values: Values) -> None:
        self.table = table
        self._columns = columns
        self._values = values
        self._dialect = dialect
        self._put = put_into(table, dialect)

    def write(
        self, connection: sa.Connection, organization_id: str, rows: Sequence[Row], synced_at: object
    ) -> WriteResult:
        """Put rows in; those that are there with the same JSON are left alone."""
        if not rows:
            return WriteResult(0, 0)

        def columns_of(row: Row, raw: str) -> Columns:
            return self._columns(organization_id, row, raw, synced_at, self._values)

        new, changed = self._put.run(connection, organization_id, rows, columns_of)
        self._write_parts(connection, organization_id, new, changed)
        return WriteResult(len(new), len(changed))

    def _write_parts(
        self, connection: sa.Connection, organization_id: str, new: Sequence[Row], changed: Sequence[Row]
    ) -> None:
        """Write what rows consist of, where that has a table of its own."""


class BatchTable(RowTable):
    """Batches, with their entries in a table of their own."""

    def __init__(self, dialect: Dialect, values: Values) -> None:
        super().__init__(schema.batches, batch_columns, dialect=dialect, values=values)
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


def row_tables(dialect: Dialect, values: Values) -> dict[str, RowTable]:
    """Return the table of each resource."""
    return {
        "batches": BatchTable(dialect, values),
        "invoices": RowTable(schema.invoices, invoice_columns, dialect=dialect, values=values),
        "cases": RowTable(schema.cases, case_columns, dialect=dialect, values=values),
        "settlements": RowTable(schema.settlements, settlement_columns, dialect=dialect, values=values),
    }
