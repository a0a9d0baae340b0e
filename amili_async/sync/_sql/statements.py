"""Statements written in SQLAlchemy Core and compiled once for the database that they go to.

Rows go as plain tuples past SQLAlchemy's own handling of parameters, which costs more for each value than the database
does: on SQLite to ``executemany``, on PostgreSQL as one array for each column, unnested there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Dialect

    from amili_async.sync._sql.columns import Columns


class Statement:
    """A statement with named values."""

    def __init__(self, statement: sa.ClauseElement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101  # only DDL compiles to anything else
        self._text = str(compiled)
        self._names = tuple(compiled.positiontup or ())

    def run(self, connection: sa.Connection, **values: object) -> int:
        """Execute it; return how many rows it wrote."""
        return connection.exec_driver_sql(self._text, self._parameters(values)).rowcount

    def rows(self, connection: sa.Connection, **values: object) -> list[tuple[object, ...]]:
        """Return what it reads."""
        return [tuple(row) for row in connection.exec_driver_sql(self._text, self._parameters(values))]

    def _parameters(self, values: dict[str, object]) -> tuple[object, ...]:
        return tuple(values[name] for name in self._names)


class Upsert:
    """Puts rows into a table; a row whose key is there takes its place."""

    def __init__(self, table: sa.Table, dialect: Dialect) -> None:
        self._unnested = dialect.name == "postgresql"
        insert = unnested(table) if self._unnested else _one_by_one(table)
        self._text = str(replacing(table, insert).compile(dialect=dialect))

    def run(self, connection: sa.Connection, rows: Sequence[Columns]) -> None:
        """Write the rows, no key twice; none at all is fine."""
        if not rows:
            return
        if self._unnested:
            connection.exec_driver_sql(self._text, tuple(list(column) for column in zip(*rows, strict=True)))
        else:
            connection.exec_driver_sql(self._text, list(rows))


def _one_by_one(table: sa.Table) -> sqlite.Insert:
    return sqlite.insert(table).values({column.name: sa.bindparam(column.name) for column in table.columns})


def unnested(table: sa.Table) -> postgresql.Insert:
    """Return an insert of many rows that come as one array for each column, in the order of the columns."""
    names = [column.name for column in table.columns]
    arrays = [sa.bindparam(column.name, type_=postgresql.ARRAY(column.type)) for column in table.columns]
    given = sa.func.unnest(*arrays).table_valued(*names).render_derived(name="given")
    return postgresql.insert(table).from_select(names, sa.select(*(given.c[name] for name in names)))


def replacing(
    table: sa.Table, insert: sqlite.Insert | postgresql.Insert, where: sa.ColumnElement[bool] | None = None
) -> sqlite.Insert | postgresql.Insert:
    """Return an insert whose rows take the place of those with the same key, all of them or where a condition holds."""
    key = [column.name for column in table.primary_key.columns]
    rest = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in key}
    return insert.on_conflict_do_update(index_elements=key, set_=rest, where=where)


def among(column: sa.ColumnElement[str], name: str, dialect: Dialect) -> sa.ColumnElement[bool]:
    """Return a condition on one of several values, whose text does not depend on how many there are.

    So it is prepared once. `listed` makes the values what goes in its place.
    """
    if dialect.name == "postgresql":
        return column == sa.func.any(sa.bindparam(name, type_=postgresql.ARRAY(sa.Text)))
    return column.in_(sa.select(sa.func.json_each(sa.bindparam(name)).table_valued("value").c.value))


def listed(values: Sequence[str], dialect: Dialect) -> object:
    """Return several values as the one parameter of `among`."""
    return list(values) if dialect.name == "postgresql" else msgspec.json.encode(values).decode()
