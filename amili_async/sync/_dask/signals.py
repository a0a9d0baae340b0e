"""Signals: what workers tell each other through the store: wait, the server said so; I am at work; or stop.

The store and not Dask carries them: it is there when a scheduler is not, it survives one that is lost, and runs that
share a database but no cluster are polite together too.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from amili_async.errors import StoreError
from amili_async.sync._sql.schema import gates

if TYPE_CHECKING:
    from amili_async._call.limits import Limits
    from amili_async.events import GateClosed
    from amili_async.sync._sql.store import SqlStore

API = "api"
"""The name of the moment before which nobody sends anything to the API."""

INTERVAL = 0.5
"""Seconds between two looks at what others said."""

AT_WORK = "at work "
"""What the name of a moment begins with up to which a worker is taken to send requests."""

SILENCE = 5.0
"""Seconds after which a worker that says nothing is no longer taken to be at work."""


class Signals:
    """Says to all workers of a run what one of them learned, and hears what the others said.

    Add it to the client's hooks, and let `listen` run beside the work. The workers share the server's limit, and each
    learns the part that the others leave it: where one has done its work, the others take its part at once.

    Args:
        store: that all share.
        run: whose workers are to stop together.
        limits: of the client that is to wait; ``None`` for one that sends nothing.
        shard: what the client works on.
    """

    def __init__(self, store: SqlStore, run: str, limits: Limits | None = None, *, shard: int = 0) -> None:
        self._database = store.database
        self._stop = f"stop {run}"
        self._limits = limits
        self._of_this_run = f"{AT_WORK}{run} "
        self._name = f"{self._of_this_run}{shard}"
        self.at_work = 1
        """How many workers share the limit, as far as is known."""
        self._seen = 1
        """How many were seen at the last look."""
        self._said = 0.0
        self._unsaid = 0.0

    def on_gate(self, record: GateClosed, /) -> None:
        """Remember that the server told this worker to wait; `listen` passes it on."""
        self._unsaid = max(self._unsaid, time.monotonic() + record.seconds)

    async def listen(self) -> None:
        """Pass on and hear, until somebody says stop or this is cancelled: then the work is done."""
        try:
            await self._listen()
        finally:
            if self._limits is not None:
                await self._leave()

    async def _leave(self) -> None:
        """Let the others know that this one shares the limit no longer."""
        with suppress(StoreError, TimeoutError):  # they will know by its silence
            async with asyncio.timeout(SILENCE):
                await self._database.run(lambda connection: _delete(connection, gates.c.name == self._name))

    async def _listen(self) -> None:
        while True:
            try:
                if await self._exchange():
                    return
            except StoreError:
                # Whoever writes rows next learns what is wrong with the store; manners are no reason to end a run.
                pass
            await asyncio.sleep(INTERVAL)

    async def stop(self) -> None:
        """Tell every worker of the run to end where it stands."""
        await self._database.run(lambda connection: _put(connection, self._stop, 0.0))

    async def forget(self) -> None:
        """Take back that the run is to stop, which all have heard, and what those said who were lost.

        Of other runs too, as far as it holds no more: a scheduler that was lost could not take it back.
        """
        of_this_run = gates.c.name.startswith(self._of_this_run, autoescape=True)
        silent = gates.c.name.startswith(AT_WORK, autoescape=True) & (gates.c.opens_at < _NOW)
        which = sa.or_(gates.c.name == self._stop, of_this_run, silent)
        await self._database.run(lambda connection: _delete(connection, which))

    async def _exchange(self) -> bool:
        """Pass on what is unsaid, close the gate for as long as others say, and return whether to stop."""
        unsaid = self._unsaid
        if unsaid > self._said:
            seconds = unsaid - time.monotonic()
            await self._database.run(lambda connection: _put(connection, API, seconds))
            self._said = unsaid
        heard = await self._database.run(self.hear)
        if self._limits is not None:
            if heard.get(API, 0.0) > 0:
                self._limits.gate.close(heard[API])
            self._share(sum(left > 0 for name, left in heard.items() if name.startswith(AT_WORK)))
        return self._stop in heard

    def _share(self, at_work: int) -> None:
        """Take the part of those that are gone, at the second look: between two shards a worker is not at work."""
        fewer = max(1, at_work, self._seen)
        if fewer < self.at_work and self._limits is not None:
            self._limits.share(self.at_work, fewer)
        self.at_work, self._seen = max(fewer, at_work), at_work

    def hear(self, connection: sa.Connection) -> dict[str, float]:
        """Say that this one is at work; return the seconds that are left of what was said, by the database's clock."""
        if self._limits is not None:
            _put(connection, self._name, SILENCE)
        left = gates.c.opens_at - _NOW
        said = sa.or_(gates.c.name.in_((API, self._stop)), gates.c.name.startswith(AT_WORK, autoescape=True))
        rows = connection.execute(sa.select(gates.c.name, left).where(said))
        return {str(name): float(seconds) for name, seconds in rows}


_NOW = sa.extract("epoch", sa.func.clock_timestamp())


def _put(connection: sa.Connection, name: str, seconds: float) -> None:
    """Say that something holds for so many seconds; a moment only ever moves later."""
    insert = postgresql.insert(gates)
    said = insert.from_select(["name", "opens_at"], sa.select(sa.literal(name), _NOW + seconds))
    later = sa.func.greatest(gates.c.opens_at, insert.excluded.opens_at)
    connection.execute(said.on_conflict_do_update(index_elements=[gates.c.name], set_={"opens_at": later}))


def _delete(connection: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    connection.execute(sa.delete(gates).where(which))
