"""Statements written in SQLAlchemy Core and compiled once for the database that they go to.

Rows go as plain tuples past SQLAlchemy's own handling of parameters, which costs more for each value than the database
does: on SQLite to ``executemany``, on PostgreSQL as one array for each column, unnested there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from amili_async.sync._sql.schema import MARKS

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
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}

    def run(self, connection: sa.Connection, **values: object) -> int:
        """Execute it; return how many rows it wrote."""
        return connection.exec_driver_sql(self._text, self._parameters(values)).rowcount

    def rows(self, connection: sa.Connection, **values: object) -> list[tuple[object, ...]]:
        """Return what it reads."""
        return [tuple(row) for row in connection.exec_driver_sql(self._text, self._parameters(values))]

    def _parameters(self, values: dict[str, object]) -> tuple[object, ...]:
        given = self._constants | values if self._constants else values
        return tuple(given[name] for name in self._names)


class Upsert:
    """Puts rows into a table; a row whose key is there takes its place."""

    def __init__(self, table: sa.Table, dialect: Dialect) -> None:
        self._unnested = dialect.name == "postgresql"
        insert = unnested(table, written_columns(table)) if self._unnested else _one_by_one(table)
        key = [column.name for column in table.primary_key.columns]
        self._text = str(replacing(table, insert, by=key).compile(dialect=dialect))

    def run(self, connection: sa.Connection, rows: Sequence[Columns]) -> None:
        """Write the rows, no key twice; none at all is fine."""
        if not rows:
            return
        if self._unnested:
            connection.exec_driver_sql(self._text, tuple(list(column) for column in zip(*rows, strict=True)))
        else:
            connection.exec_driver_sql(self._text, list(rows))


def _one_by_one(table: sa.Table) -> sqlite.Insert:
    return sqlite.insert(table).values({column.name: sa.bindparam(column.name) for column in written_columns(table)})


def written_columns(table: sa.Table) -> list[sa.Column[Any]]:
    """Return the columns that are written with a row, in their order."""
    return [column for column in table.columns if column.name not in MARKS]


def unnested(table: sa.Table, columns: Sequence[sa.Column[Any]]) -> postgresql.Insert:
    """Return an insert of many rows that come as one array for each of these columns."""
    names = [column.name for column in columns]
    arrays = [sa.bindparam(column.name, type_=postgresql.ARRAY(column.type)) for column in columns]
    given = sa.func.unnest(*arrays).table_valued(*names).render_derived(name="given")
    return postgresql.insert(table).from_select(names, sa.select(*(given.c[name] for name in names)))


def replacing(
    table: sa.Table,
    insert: sqlite.Insert | postgresql.Insert,
    *,
    by: Sequence[str],
    where: sa.ColumnElement[bool] | None = None,
) -> sqlite.Insert | postgresql.Insert:
    """Return an insert whose rows take the place of those with the same values of some columns.

    All of them, or where a condition holds. A row's number stays what it is.
    """
    kept = {*by, "key"}
    names = [column.name for column in written_columns(table) if column.name not in kept]
    rest = {name: insert.excluded[name] for name in names}
    return insert.on_conflict_do_update(index_elements=by, set_=rest, where=where)


def among(column: sa.ColumnElement[object], name: str, dialect: Dialect) -> sa.ColumnElement[bool]:
    """Return a condition on one of several values, whose text does not depend on how many there are.

    So it is prepared once. `listed` makes the values what goes in its place.
    """
    if dialect.name == "postgresql":
        return column == sa.func.any(sa.bindparam(name, type_=postgresql.ARRAY(column.type)))
    return column.in_(sa.select(sa.func.json_each(sa.bindparam(name)).table_valued("value").c.value))


def listed(values: Sequence[object], dialect: Dialect) -> object:
    """Return several values as the one parameter of `among`."""
    return list(values) if dialect.name == "postgresql" else msgspec.json.encode(values).decode()


def epoch(dialect: Dialect) -> sa.ColumnElement[float]:
    """Return this moment by the database's own clock, in Unix time: machines that share it need not agree on theirs."""
    if dialect.name == "postgresql":
        return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Float)
    return (sa.func.julianday("now", type_=sa.Float) - 2440587.5) * 86_400.0


def moment_now(dialect: Dialect) -> sa.ColumnElement[Any]:
    """Return the same as a moment, in the form that moments have in this database."""
    if dialect.name == "postgresql":
        return sa.func.clock_timestamp()
    return sa.func.strftime("%Y-%m-%dT%H:%M:%f000+00:00", "now")


def without_nul(text: str) -> str:
    """Return a text without the character that PostgreSQL has no place for."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def insert_into(table: sa.Table, dialect: Dialect) -> sqlite.Insert | postgresql.Insert:
    """Return an insert that can say what to do where a row is there already."""
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)
