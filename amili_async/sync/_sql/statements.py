"""Statements written in SQLAlchemy Core, compiled once, and run by the driver itself.

Rows go as plain tuples past SQLAlchemy's own handling of statements, which costs more for each of them than the
database does: on SQLite to ``executemany``, on PostgreSQL as one array for each column, unnested there, or by ``COPY``.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.util import await_only

from amili_async.sync._sql.schema import MARKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy.engine import Dialect

    from amili_async.sync._sql.columns import Columns


class Statement:
    """A statement with named values, compiled when it is first run."""

    def __init__(self, statement: sa.ClauseElement, dialect: Dialect) -> None:
        self._statement = statement
        self._dialect = dialect
        self._run = _on_sqlite if dialect.name == "sqlite" else _on_postgresql

    def run(self, connection: sa.Connection, **values: object) -> int:
        """Execute it; return how many rows it wrote."""
        count: int = self._run(connection, self._text, self._parameters(values)).rowcount
        return count

    def rows(self, connection: sa.Connection, **values: object) -> list[tuple[Any, ...]]:
        """Return what it reads."""
        return [tuple(row) for row in self._run(connection, self._text, self._parameters(values))]

    @cached_property
    def _compiled(self) -> SQLCompiler:
        compiled = self._statement.compile(dialect=self._dialect)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101  # only DDL compiles to anything else
        return compiled

    @cached_property
    def _text(self) -> str:
        return str(self._compiled)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(self._compiled.positiontup or ())

    @cached_property
    def _constants(self) -> dict[str, object]:
        return {name: value for name, value in self._compiled.params.items() if value is not None}

    def _parameters(self, values: dict[str, object]) -> tuple[object, ...]:
        values.update(self._constants)
        return tuple([values[name] for name in self._names])


def _on_sqlite(connection: sa.Connection, text: str, parameters: tuple[object, ...]) -> Any:
    return connection.connection.driver_connection.execute(text, parameters)  # type: ignore[union-attr]  # it is open


def _on_postgresql(connection: sa.Connection, text: str, parameters: tuple[object, ...]) -> Any:
    return connection.exec_driver_sql(text, parameters)


class Upsert:
    """Puts rows into a table; a row whose key is there takes its place."""

    def __init__(self, table: sa.Table, dialect: Dialect) -> None:
        self._table = table
        self._dialect = dialect
        self._unnested = dialect.name == "postgresql"

    @cached_property
    def _text(self) -> str:
        table = self._table
        insert = unnested(table, written_columns(table)) if self._unnested else _one_by_one(table)
        key = [column.name for column in table.primary_key.columns]
        return str(replacing(table, insert, by=key).compile(dialect=self._dialect))

    def run(self, connection: sa.Connection, rows: Iterable[Columns]) -> None:
        """Write the rows, at least one and no key twice."""
        if self._unnested:
            connection.exec_driver_sql(self._text, tuple(map(list, zip(*rows, strict=True))))
        else:
            _executemany(connection, self._text, rows)


class Append:
    """Adds rows to a table, with these columns of it in this order.

    On SQLite those whose ``unless`` columns are there with the same values are left out.
    """

    def __init__(
        self, table: sa.Table, dialect: Dialect, columns: Sequence[str], *, unless: Sequence[str] = ()
    ) -> None:
        self._table = table
        self._dialect = dialect
        self._columns = columns
        names, places = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
        self._text = f"INSERT INTO {table.name} ({names}) VALUES ({places})"  # noqa: S608  # our own names
        if unless:
            self._text += f" ON CONFLICT ({', '.join(unless)}) DO NOTHING"

    def run(self, connection: sa.Connection, rows: Iterable[Columns]) -> int:
        """Write the rows, or none at all; return how many were written."""
        if self._dialect.name == "sqlite":
            return _executemany(connection, self._text, rows)
        driver: Any = connection.connection.driver_connection
        rows = list(rows)
        if not rows:
            return 0
        try:
            await_only(driver.copy_records_to_table(self._table.name, records=rows, columns=self._columns))
        except Exception as error:
            # As SQLAlchemy would have it, had it run this.
            lost = driver.is_closed()
            if lost:
                connection.invalidate(error)
            raise DBAPIError("COPY", None, error, connection_invalidated=lost) from error
        return len(rows)


class Rewrite:
    """Writes rows of a SQLite table anew: these columns of them, in this order, and then the one that they go by."""

    def __init__(self, table: sa.Table, columns: Sequence[str], *, by: str) -> None:
        places = ", ".join(f'"{name}" = ?' for name in columns)
        self._text = f'UPDATE {table.name} SET {places} WHERE "{by}" = ?'  # noqa: S608  # our own names

    def run(self, connection: sa.Connection, rows: Iterable[Columns]) -> None:
        """Write the rows; none at all is fine."""
        _executemany(connection, self._text, rows)


def _executemany(connection: sa.Connection, text: str, rows: Iterable[Columns]) -> int:
    driver: Any = connection.connection.driver_connection
    count: int = driver.executemany(text, rows).rowcount
    return count


def _one_by_one(table: sa.Table) -> sqlite.Insert:
    return sqlite.insert(table).values({column.name: sa.bindparam(column.name) for column in written_columns(table)})


def written_columns(table: sa.Table) -> list[sa.Column[Any]]:
    """Return the columns that are written with a row, in their order."""
    return [column for column in table.columns if column.name not in MARKS]


def unnested(
    table: sa.Table, columns: Sequence[sa.Column[Any]], common: Mapping[str, sa.ColumnElement[Any]] | None = None
) -> postgresql.Insert:
    """Return an insert of many rows that come as one array for each of these columns, named ``rows_`` and its name.

    ``common`` is what all rows have in common.
    """
    same = common or {}
    arrays = [sa.bindparam(f"rows_{column.name}", type_=postgresql.ARRAY(column.type)) for column in columns]
    given = sa.func.unnest(*arrays).table_valued(*(column.name for column in columns)).render_derived(name="given")
    rows = sa.select(*same.values(), *(given.c[column.name] for column in columns))
    return postgresql.insert(table).from_select([*same, *(column.name for column in columns)], rows)


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
    return sa.literal_column("(julianday('now') - 2440587.5) * 86400.0", sa.Float)


def moment_now(dialect: Dialect) -> sa.ColumnElement[Any]:
    """Return the same as a moment, in the form that moments have in this database."""
    if dialect.name == "postgresql":
        return sa.func.clock_timestamp()
    return sa.literal_column("strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')", sa.Text)


def without_nul(text: str) -> str:
    """Return a text without the character that PostgreSQL has no place for."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def insert_into(table: sa.Table, dialect: Dialect) -> sqlite.Insert | postgresql.Insert:
    """Return an insert that can say what to do where a row is there already."""
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)
