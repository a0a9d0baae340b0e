"""How rows get into a table so that it is known which of them were new, which had changed and which were there.

A row that is there with the same JSON is left alone: a list that is walked again costs reading, not writing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import sqlalchemy as sa

from amili_async.sync._sql.columns import text
from amili_async.sync._sql.statements import Statement, Upsert, among, listed, replacing, unnested

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.engine import Dialect

    from amili_async.sync._sql.columns import Columns
    from amili_async.sync._store import Row

    ColumnsOf = Callable[[Row, str], Columns]


class Put(Protocol):
    """Puts rows of one organization into a table, no id twice."""

    def run(
        self, connection: sa.Connection, organization_id: str, rows: Sequence[Row], columns_of: ColumnsOf
    ) -> tuple[list[Row], list[Row]]:
        """Return the rows that were new, and those that had changed."""
        ...


def put_into(table: sa.Table, dialect: Dialect) -> Put:
    """Return what suits the database."""
    return _SingleUpsert(table, dialect) if dialect.name == "postgresql" else _SelectThenUpsert(table, dialect)


class _SelectThenUpsert:
    """For a database in the same process, where looking up costs next to nothing."""

    def __init__(self, table: sa.Table, dialect: Dialect) -> None:
        self._dialect = dialect
        self._upsert = Upsert(table, dialect)
        self._look = Statement(
            sa.select(table.c.id, sa.cast(table.c.raw, sa.Text)).where(
                table.c.organization_id == sa.bindparam("organization_id"), among(table.c.id, "ids", dialect)
            ),
            dialect,
        )

    def run(
        self, connection: sa.Connection, organization_id: str, rows: Sequence[Row], columns_of: ColumnsOf
    ) -> tuple[list[Row], list[Row]]:
        ids = listed([row.id for row in rows], self._dialect)
        known = {str(key): raw for key, raw in self._look.rows(connection, organization_id=organization_id, ids=ids)}
        new: list[Row] = []
        changed: list[Row] = []
        columns: list[Columns] = []
        for row in rows:
            raw = text(row.raw)
            before = known.get(row.id)
            if before != raw:
                (new if before is None else changed).append(row)
                columns.append(columns_of(row, raw))
        self._upsert.run(connection, columns)
        return new, changed


class _SingleUpsert:
    """For a database that is a network away: one statement, which tells what it did."""

    def __init__(self, table: sa.Table, dialect: Dialect) -> None:
        insert = unnested(table)
        differs = sa.cast(table.c.raw, sa.Text) != sa.cast(insert.excluded.raw, sa.Text)
        # A row version that no transaction has superseded is one that this statement inserted.
        inserted = sa.literal_column("xmax = 0", sa.Boolean)
        put = replacing(table, insert, where=differs).returning(table.c.id, inserted)
        self._text = str(put.compile(dialect=dialect))

    def run(
        self, connection: sa.Connection, organization_id: str, rows: Sequence[Row], columns_of: ColumnsOf
    ) -> tuple[list[Row], list[Row]]:
        del organization_id  # it is among the columns
        columns = zip(*(columns_of(row, text(row.raw)) for row in rows), strict=True)
        written = connection.exec_driver_sql(self._text, tuple(list(column) for column in columns))
        inserted = {str(row[0]): bool(row[1]) for row in written}
        new = [row for row in rows if inserted.get(row.id) is True]
        changed = [row for row in rows if inserted.get(row.id) is False]
        return new, changed
