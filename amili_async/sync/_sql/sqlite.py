"""SQLite: one connection, in a thread of its own, one transaction after the other.

SQLite takes one writer at a time. Many tasks that write to it at once would wait for its lock, and some in vain; here
they stand in line before one thread. Each transaction is run there whole. Statement by statement, as aiosqlite does it,
the thread would wait for Python's interpreter three times a statement, which behind a busy event loop takes far longer
than the statements themselves.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from amili_async.errors import StoreError
from amili_async.sync._sql.database import TELL_AFTER, Database, blames_a_value, logger
from amili_async.sync._store import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.engine import URL, Dialect

T = TypeVar("T")

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",  # those who read the file meanwhile neither wait nor are waited for
    "PRAGMA synchronous=NORMAL",  # a killed process loses nothing; a power cut may undo the last pages, whole ones
    "PRAGMA wal_autocheckpoint=8000",  # pages of 4 kB: fewer, larger checkpoints take a fifth off a first sync
    "PRAGMA cache_size=-12000",  # kB: with 32 MB a sync took 39 MB above the start, with these 17, at the same CPU
)
_BREATH = 0.01
_HINTS = {
    "database is locked": "another program is writing to it",
    "unable to open database file": "is its folder there, and may it be written to?",
    "file is not a database": "is it the right file?",
}


class SQLite(Database):
    """A SQLite file, or one in memory."""

    def __init__(self, url: URL, patience: float) -> None:
        super().__init__(patience)
        self._file = url.database if url.database and url.database != ":memory:" else None
        # Transactions are begun below: left to itself the driver takes the writer's lock at the first write, and fails
        # where another process has written since the transaction's first read.
        arguments = {"check_same_thread": False, "isolation_level": None, "timeout": patience}
        self._engine = sa.create_engine(
            url.set(drivername="sqlite"), connect_args=arguments, poolclass=sa.StaticPool, hide_parameters=True
        )
        event.listen(self._engine, "do_connect", self._connecting)
        event.listen(self._engine, "connect", self._connected)
        event.listen(self._engine, "begin", self._begin_at_once)
        self.dialect: Dialect = self._engine.dialect
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="amili store")
        self._reading = False
        """Whether the transaction that is begun only reads: it waits for nobody, and nobody for it."""
        self._waiting_since: float | None = None
        """Since when the thread has waited for the writer's lock, while it does."""

    def _connecting(self, *_: object) -> None:
        if self._file is not None:
            with suppress(OSError):  # it is there, or cannot be made, which SQLite finds out too
                os.close(os.open(self._file, os.O_CREAT | os.O_EXCL, 0o600))

    def _connected(self, connection: sqlite3.Connection, _record: object) -> None:
        set_up(connection, self._patience)

    def _begin_at_once(self, connection: sa.Connection) -> None:
        if self._reading:
            connection.exec_driver_sql("BEGIN")
            return
        self._waiting_since = time.monotonic()
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        finally:
            self._waiting_since = None

    def _transaction(self, work: Callable[[sa.Connection], T], /, *, reading: bool) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._writer, self._run, work, reading)

    def _run(self, work: Callable[[sa.Connection], T], reading: bool = False) -> T:  # noqa: FBT001, FBT002  # handed on
        self._reading = reading
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except (DBAPIError, sqlite3.Error) as error:
            cause = (error.orig or error) if isinstance(error, DBAPIError) else error
            raise (InvalidValueError if blames_a_value(cause) else StoreError)(_sentence(str(cause))) from None

    def _waits_for(self) -> str | None:
        since = self._waiting_since
        if since is None or time.monotonic() - since < TELL_AFTER / 2:
            return None  # in line behind a transaction of ours, or in the middle of its own
        return f"another program is writing to {self._file}"

    async def clear(self, tables: Sequence[str], /) -> None:
        """Write the file anew without free pages, and empty its log."""
        del tables  # all of the file is written anew
        await asyncio.get_running_loop().run_in_executor(self._writer, self._vacuum)

    def _vacuum(self) -> None:
        try:
            with self._engine.connect() as connection:
                driver: Any = connection.connection.driver_connection
                driver.rollback()  # connecting has begun a transaction, and none may be open
                driver.execute("VACUUM").close()
                [(busy, *_)] = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except (DBAPIError, sqlite3.Error) as error:
            raise StoreError(f"what was erased is still in free pages: {_sentence(str(error))}") from None
        if busy:
            logger.warning("another program reads %s, so its log still holds what was erased; purge again", self._file)

    async def close(self) -> None:
        """Close the connection, after what is under way."""
        await asyncio.get_running_loop().run_in_executor(self._writer, self._engine.dispose)
        self._writer.shutdown()


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


def make_private(connection: sa.Connection) -> None:
    """Let nobody but its owner read a file that an older version made, and what belongs to it."""
    for _, name, file in connection.exec_driver_sql("PRAGMA database_list").all():
        if name == "main" and file:
            for ending in ("", "-wal", "-shm"):
                with suppress(OSError):  # somebody else's, or not there
                    os.chmod(f"{file}{ending}", 0o600)  # noqa: PTH101  # a path with an ending is a text


def _sentence(message: str) -> str:
    """Return what went wrong. SQLite's own messages name tables and columns, never values."""
    hint = _HINTS.get(message)
    return f"the SQLite store: {message}{f' ({hint})' if hint else ''}"
