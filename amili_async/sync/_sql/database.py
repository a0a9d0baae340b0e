"""A database in which transactions are run.

Work is a plain function of a connection, the same for SQLite and PostgreSQL; where and how it runs is theirs.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from amili_async import _clock as clock
from amili_async.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import sqlalchemy as sa
    from sqlalchemy.engine import Dialect

    Work: TypeAlias = Callable[[sa.Connection], object]

T = TypeVar("T")

logger = logging.getLogger("amili_async.store")

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0

TELL_AFTER = 3.0
"""Seconds after which it is told that a transaction waits."""


class UnavailableError(StoreError):
    """The database is away, and may be back in a moment."""


class Database(ABC):
    """Runs work in transactions."""

    dialect: Dialect

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._clock = clock.current()

    async def run(self, work: Callable[[sa.Connection], T], /, *, undo: Callable[[T], Work] | None = None) -> T:
        """Return what the work returns, after it is committed. Work that raises leaves nothing behind.

        Cancelled or not, a transaction that has begun is run to its end. A database that went away is waited for, and
        the work is then run again from its beginning.

        Args:
            work: what to run.
            undo: what to run after it where the caller was cancelled meanwhile, and so does not learn of its result.

        Raises:
            InvalidValueError: the database can do with the work but not with a value in it.
            StoreError: the database cannot be used, or refuses the work.
        """
        return await self._repeated(work, undo, reading=False)

    async def read(self, work: Callable[[sa.Connection], T], /) -> T:
        """Return what work returns that only reads: it sees one moment, and stands in no writer's way."""
        return await self._repeated(work, None, reading=True)

    async def _repeated(
        self, work: Callable[[sa.Connection], T], undo: Callable[[T], Work] | None, *, reading: bool
    ) -> T:
        deadline = self._clock.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self._attempt(work, undo, reading=reading)
            except UnavailableError as error:
                if self._clock.monotonic() + pause > deadline:
                    raise StoreError(error.message) from None
            await self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _attempt(
        self, work: Callable[[sa.Connection], T], undo: Callable[[T], Work] | None, *, reading: bool
    ) -> T:
        attempt = asyncio.ensure_future(self._transaction(work, reading=reading))
        telling = asyncio.get_running_loop().call_later(TELL_AFTER, self._tell_waiting)
        try:
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            await _ended(attempt)
            if undo is not None and not attempt.cancelled() and attempt.exception() is None:
                await _ended(asyncio.ensure_future(self._transaction(undo(attempt.result()), reading=False)))
            raise
        finally:
            telling.cancel()

    @abstractmethod
    def _transaction(self, work: Callable[[sa.Connection], T], /, *, reading: bool) -> Awaitable[T]:
        """Run the work in a transaction, once.

        Raises:
            UnavailableError: trying again may help.
            StoreError: it does not.
        """

    def _tell_waiting(self) -> None:
        if why := self._waits_for():
            logger.warning("%s; waiting for up to %g seconds", why, self._patience)

    @abstractmethod
    def _waits_for(self) -> str | None:
        """Return what a transaction waits for that has not ended, where it waits at all."""

    @abstractmethod
    async def clear(self, tables: Sequence[str], /) -> None:
        """Leave nothing of deleted rows where this can be had: in the file of SQLite and its log."""

    @abstractmethod
    async def close(self) -> None:
        """Give back all connections, after what is under way."""


async def _ended(attempt: asyncio.Future[T]) -> None:
    """Wait until something has ended, however often the caller is cancelled; it takes milliseconds.

    A driver that is cancelled between a statement and its answer has to throw the connection away.
    """
    while not attempt.done():
        try:
            await asyncio.wait({attempt})
        except asyncio.CancelledError:
            continue  # the caller raises the first one
    _ = attempt.cancelled() or attempt.exception()  # looked at, or asyncio reports it as never retrieved


_UNFIT = frozenset({"22", "23", "54"})
"""The classes of SQLSTATE that blame a value: data, constraints, limits."""


_REFUSALS = (ValueError, OverflowError, sqlite3.DataError, sqlite3.IntegrityError)


def sqlstate(error: Exception) -> str:
    """Return the five letters by which a database says what is wrong; empty where it has none."""
    return str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")


def blames_a_value(error: Exception) -> bool:
    """Return whether a value was refused, by the database or on the way there, and not the work as such."""
    return isinstance(error, _REFUSALS) or sqlstate(error)[:2] in _UNFIT
