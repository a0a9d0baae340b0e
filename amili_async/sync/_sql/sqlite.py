"""SQLite: one connection, in a thread of its own, one transaction after the other.

SQLite takes one writer at a time. Many tasks that write to it at once would wait for its lock, and some in vain; here
they stand in line before one thread. Each transaction is run there whole. Statement by statement, as aiosqlite does it,
the thread would wait for Python's interpreter three times a statement, which behind a busy event loop takes far longer
than the statements themselves.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from amili_async.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import URL, Dialect

T = TypeVar("T")

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",  # those who read the file meanwhile neither wait nor are waited for
    "PRAGMA synchronous=NORMAL",  # a killed process loses nothing; a power cut may undo the last pages, whole ones
    "PRAGMA wal_autocheckpoint=8000",  # pages of 4 kB: fewer, larger checkpoints take a fifth off a first sync
    "PRAGMA cache_size=-32000",
)
_BREATH = 0.01
_HINTS = {
    "database is locked": "another program is writing to it",
    "unable to open database file": "is its folder there, and may it be written to?",
    "file is not a database": "is it the right file?",
}


class SQLite:
    """A SQLite file, or one in memory."""

    def __init__(self, url: URL, patience: float) -> None:
        self._patience = patience
        # Transactions are begun below: left to itself the driver takes the writer's lock at the first write, and fails
        # where another process has written since the transaction's first read.
        arguments = {"check_same_thread": False, "isolation_level": None, "timeout": patience}
        self._engine = sa.create_engine(
            url.set(drivername="sqlite"), connect_args=arguments, poolclass=sa.StaticPool, hide_parameters=True
        )
        event.listen(self._engine, "connect", self._connected)
        event.listen(self._engine, "begin", _begin_at_once)
        self.dialect: Dialect = self._engine.dialect
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="amili store")

    def _connected(self, connection: sqlite3.Connection, _record: object) -> None:
        set_up(connection, self._patience)

    async def run(self, work: Callable[[sa.Connection], T], /) -> T:
        """Return what the work returns, after it is committed."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._transaction, work)

    async def close(self) -> None:
        """Close the connection, after what is under way."""
        await asyncio.get_running_loop().run_in_executor(self._writer, self._engine.dispose)
        self._writer.shutdown()

    def _transaction(self, work: Callable[[sa.Connection], T]) -> T:
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except DBAPIError as error:
            raise StoreError(_sentence(error)) from None


def set_up(connection: sqlite3.Connection, patience: float) -> None:
    """Make the settings of a new connection.

    Two that open a new file at once both change its journal, and for that SQLite's own waiting does not hold.
    """
    ends = time.monotonic() + patience
    for pragma in _PRAGMAS:
        while True:
            try:
                connection.execute(pragma).close()
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() >= ends:
                    raise
                time.sleep(_BREATH)


def _begin_at_once(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _sentence(error: DBAPIError) -> str:
    """Return what went wrong. SQLite's own messages name tables and columns, never values."""
    message = str(error.orig)
    hint = _HINTS.get(message)
    return f"the SQLite store: {message}{f' ({hint})' if hint else ''}"
