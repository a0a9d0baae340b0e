"""PostgreSQL through asyncpg: a pool of connections, and patience with a server that restarts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import create_async_engine

from amili_async import _clock as clock
from amili_async.errors import StoreError
from amili_async.sync._sql.database import InvalidValueError, blames_a_value, sqlstate

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import sqlalchemy as sa
    from sqlalchemy.engine import URL, Dialect

T = TypeVar("T")

_CONNECTIONS = 8
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0

_PASSING = frozenset({"57P01", "57P02", "57P03", "53300", "40001", "40P01"})
"""Going down, crashed, starting up; too many connections; what two transactions may do to each other."""

_SENTENCES = {
    "28": "PostgreSQL refused the user or the password",
    "3D": "the PostgreSQL database does not exist; create it first",
    "42": "the PostgreSQL user may not do what the store needs, or its tables were changed",
    "25": "the PostgreSQL database is read-only",
    "53": "PostgreSQL has run out of disk, memory or connections",
}


class PostgreSQL:
    """A PostgreSQL database."""

    def __init__(self, url: URL, patience: float) -> None:
        mode = url.query.get("sslmode")
        if mode is not None:
            # libpq's name, as providers write it, for what asyncpg calls ssl; the values are the same.
            url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
        # A transaction waits for a free connection as long as it takes: those before it are bounded themselves.
        self._engine = create_async_engine(
            url.set(drivername="postgresql+asyncpg"),
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=3600,
            hide_parameters=True,
        )
        self.dialect: Dialect = self._engine.dialect
        self._patience = patience
        self._reached = False
        self._clock = clock.current()

    async def run(self, work: Callable[[sa.Connection], T], /) -> T:
        """Return what the work returns, after it is committed; a server that went away is waited for."""
        deadline = self._clock.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return await _uninterrupted(self._transaction(work))
            except (DBAPIError, PoolTimeoutError, OSError) as error:
                failure = _failure(error)
                # Nobody waits for a server that was never there: more likely the URL is wrong.
                if not self._reached or not _passing(error) or self._clock.monotonic() + pause > deadline:
                    raise failure from None
            await self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    async def _transaction(self, work: Callable[[sa.Connection], T]) -> T:
        async with self._engine.begin() as connection:
            result = await connection.run_sync(work)
        self._reached = True
        return result


async def _uninterrupted(transaction: Coroutine[object, object, T]) -> T:
    """Run a transaction to its end even if the caller is cancelled meanwhile; it takes milliseconds.

    A driver that is cancelled between a statement and its answer has to throw the connection away.
    """
    task = asyncio.ensure_future(transaction)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)  # looked at, or asyncio reports its error as never retrieved
        raise


def _passing(error: Exception) -> bool:
    """Return whether the database may be there again in a moment."""
    if isinstance(error, DBAPIError):
        state = sqlstate(error)
        return error.connection_invalidated or state in _PASSING or state.startswith("08")
    return True


def _failure(error: Exception) -> StoreError:
    """Return the error to raise. PostgreSQL's own messages quote values, so they are left out."""
    if not isinstance(error, DBAPIError):
        return StoreError(f"PostgreSQL cannot be reached ({type(error).__name__})")
    state = sqlstate(error)
    if blames_a_value(error):
        return InvalidValueError(f"PostgreSQL refused a value (SQLSTATE {state})")
    otherwise = "PostgreSQL ended the connection" if error.connection_invalidated else "PostgreSQL failed"
    sentence = _SENTENCES.get(state[:2], otherwise)
    return StoreError(f"{sentence} (SQLSTATE {state})" if state else sentence)
