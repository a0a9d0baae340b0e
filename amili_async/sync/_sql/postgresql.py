"""PostgreSQL through asyncpg: a pool of connections, and patience with a server that restarts."""

from __future__ import annotations

from ssl import SSLError
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import create_async_engine

from amili_async.errors import StoreError
from amili_async.sync._sql.database import (
    TELL_AFTER,
    Database,
    UnavailableError,
    blames_a_value,
    sqlstate,
)
from amili_async.sync._store import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import sqlalchemy as sa
    from sqlalchemy.engine import URL, Dialect

T = TypeVar("T")

_CONNECTIONS = 8

_PASSING = frozenset({"57P01", "57P02", "57P03", "53300", "40001", "40P01", "55P03"})
"""Going down, crashed, starting up; too many connections; what two transactions may do to each other, a lock that one
holds for longer than another waits included."""

_NOT_PREPARED_HERE = frozenset({"26000", "42P05"})
"""A prepared statement is on another connection, or another one of its name is on this."""

_SENTENCES = {
    "28": "PostgreSQL refused the user or the password",
    "3D": "the PostgreSQL database does not exist; create it first",
    "42": "the PostgreSQL user may not do what the store needs, or its tables were changed",
    "25": "the PostgreSQL database is read-only",
    "55": "another session holds a lock on the store's PostgreSQL database; try again",
    "53": "PostgreSQL has run out of disk, memory or connections",
}


class PostgreSQL(Database):
    """A PostgreSQL database."""

    def __init__(self, url: URL, arguments: Mapping[str, object], *, pgbouncer: bool, patience: float) -> None:
        super().__init__(patience)
        arguments = dict(arguments)
        if pgbouncer:
            # What is prepared on one connection is looked for on another: nothing is kept, and nothing has a name.
            arguments |= {
                "statement_cache_size": 0,
                "prepared_statement_cache_size": 0,
                "prepared_statement_name_func": str,
            }
        # A transaction waits for a free connection as long as it takes: those before it are bounded themselves.
        self._engine = create_async_engine(
            url,
            connect_args=arguments,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=3600,
            hide_parameters=True,
        )
        self.dialect: Dialect = self._engine.dialect
        self._reached = False

    async def _transaction(self, work: Callable[[sa.Connection], T], /, *, reading: bool) -> T:
        del reading  # writers are not waited for
        try:
            async with self._engine.begin() as connection:
                result = await connection.run_sync(work)
        except (DBAPIError, PoolTimeoutError, OSError) as error:
            raise self._failure(error) from None
        self._reached = True
        return result

    def _failure(self, error: Exception) -> StoreError:
        """Return the error to raise."""
        # Nobody waits for a server that was never there: more likely the URL is wrong.
        kind = UnavailableError if self._reached and _passing(error) else StoreError
        if not isinstance(error, DBAPIError):
            return kind(_unreachable(error))
        if blames_a_value(error):
            return InvalidValueError(f"PostgreSQL refused a value (SQLSTATE {sqlstate(error)})")
        return kind(_sentence(error))

    def _waits_for(self) -> str:
        return f"PostgreSQL has not answered for {TELL_AFTER:g} seconds: it is busy, or another session holds a lock"

    async def clear(self, tables: Sequence[str], /) -> None:
        """Give the space of deleted rows to new ones."""
        try:
            async with self._engine.connect() as connection:
                alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
                for table in tables:
                    await alone.exec_driver_sql(f"VACUUM {table}")
        except (DBAPIError, OSError) as error:
            raise self._failure(error) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()


def _passing(error: Exception) -> bool:
    """Return whether the database may be there again in a moment."""
    if isinstance(error, DBAPIError):
        state = sqlstate(error)
        return error.connection_invalidated or state in _PASSING or state.startswith("08")
    return True


def _unreachable(error: Exception) -> str:
    if "rejected SSL upgrade" in str(error):
        return (
            "the PostgreSQL server speaks no TLS: sslmode=disable in the store's URL would send password and rows in "
            "the clear, which is for networks of your own"
        )
    if isinstance(error, SSLError):
        return f"the PostgreSQL server's certificate does not verify, or TLS failed ({type(error).__name__})"
    return f"PostgreSQL cannot be reached ({type(error).__name__})"


def _sentence(error: DBAPIError) -> str:
    """Return what went wrong. PostgreSQL's own messages quote values, so they are left out."""
    state = sqlstate(error)
    if state in _NOT_PREPARED_HERE:
        sentence = "a pooler such as PgBouncer stands between: write pgbouncer=true into the store's URL"
    else:
        otherwise = "PostgreSQL ended the connection" if error.connection_invalidated else "PostgreSQL failed"
        sentence = _SENTENCES.get(state[:2], otherwise)
    return f"{sentence} (SQLSTATE {state})" if state else sentence
