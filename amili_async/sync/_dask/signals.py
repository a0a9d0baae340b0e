"""Signals: what workers tell each other through the store: to wait, who is at work, and when to stop.

The store and not Dask carries them: it is there when a scheduler is not, it survives one that is lost, and runs that
share a database but no cluster are polite together too.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from statistics import fmean
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from amili_async.errors import StoreError
from amili_async.sync._dask.slots import WorkerSlot
from amili_async.sync._sql.schema import gates

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from amili_async._call.limits import Limits
    from amili_async.events import GateClosed
    from amili_async.sync._sql.store import SqlStore

API = "api"
"""The name of the moment before which nobody sends anything to the API."""

INTERVAL = 0.5
"""Seconds between two looks at what others said."""

AT_WORK = "at work "
"""What the name of a moment begins with up to which a worker is taken to send requests."""

LAST = "last "
"""What the name of a moment begins with up to which no shard of a run waits any more."""

LONGEST = 86_400.0
"""Seconds that the last shards of a run may take."""

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
        slot: where the client works.
    """

    def __init__(
        self, store: SqlStore, run: str, limits: Limits | None = None, *, slot: WorkerSlot | None = None
    ) -> None:
        self._database = store.database
        self._run = run
        self._stop, self._last = f"stop {run}", f"{LAST}{run}"
        self._limits = limits
        self.slot = slot or WorkerSlot(run)
        self._of_this_run = f"{AT_WORK}{run} "
        self._who = f"{self._of_this_run}{self.slot.name}"
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
        """Let the others know that this one shares the limit no longer, where no other shard waits for it."""
        over = sa.exists().where(gates.c.name == self._last)
        with suppress(StoreError, TimeoutError):  # they will know by its silence
            async with asyncio.timeout(SILENCE):
                await self._database.run(lambda connection: _delete(connection, _said_by(self._who) & over))

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

    async def last(self) -> None:
        """Tell every worker of the run that there is no other shard for it."""
        await self._database.run(lambda connection: _put(connection, self._last, LONGEST))

    async def forget(self) -> None:
        """Take back that the run is to stop, which all have heard, and what those said who were lost.

        Of other runs too, as far as it holds no more: a scheduler that was lost could not take it back.
        """
        of_this_run = gates.c.name.startswith(self._of_this_run, autoescape=True)
        of_others = [gates.c.name.startswith(said, autoescape=True) for said in (AT_WORK, LAST)]
        silent = sa.or_(*of_others) & (gates.c.opens_at < _NOW)
        which = sa.or_(gates.c.name.in_((self._stop, self._last)), of_this_run, silent)
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
            before, self.slot.told = self.slot.told, self._at_work(heard)
            self._limits.share(*taken_over(before, self.slot.told), alone=len(self.slot.told) == 1)
        return self._stop in heard

    def _at_work(self, heard: Mapping[str, float]) -> dict[str, float | None]:
        """Return who is at work, and the requests a second that each worker of this run has learnt to send.

        Another run may ask another server, so its rates say nothing here.
        """
        said = [
            name.removeprefix(AT_WORK).split() for name, left in heard.items() if name.startswith(AT_WORK) and left > 0
        ]
        return {who: float(rate[0]) if rate and run == self._run else None for run, who, *rate in said}

    def hear(self, connection: sa.Connection) -> dict[str, float]:
        """Say that this one is at work; return the seconds that are left of what was said, by the database's clock."""
        if self._limits is not None:
            rate = None if self._limits.learned is None else self._limits.learned.sustained
            name = self._who if rate is None else f"{self._who} {rate:.4g}"
            _delete(connection, _said_by(self._who) & (gates.c.name != name))
            _put(connection, name, SILENCE)
        left = gates.c.opens_at - _NOW
        said = sa.or_(gates.c.name.in_((API, self._stop)), gates.c.name.startswith(AT_WORK, autoescape=True))
        rows = connection.execute(sa.select(gates.c.name, left).where(said))
        return {str(name): float(seconds) for name, seconds in rows}


def taken_over(before: Mapping[str, float | None], now: Collection[str]) -> tuple[float, float]:
    """Return the requests a second of all who were at work, and of those among them who still are.

    Of whom it is not known counts as one of the others.
    """
    known = [rate for rate in before.values() if rate is not None]
    mean = fmean(known) if known else 1.0
    rates = {who: mean if rate is None else rate for who, rate in before.items()}
    return sum(rates.values()), sum(rate for who, rate in rates.items() if who in now)


def _said_by(who: str) -> sa.ColumnElement[bool]:
    """Return what names the row in which one says that it is at work, at whatever rate."""
    return sa.or_(gates.c.name == who, gates.c.name.startswith(f"{who} ", autoescape=True))


_NOW = sa.extract("epoch", sa.func.clock_timestamp())


def _put(connection: sa.Connection, name: str, seconds: float) -> None:
    """Say that something holds for so many seconds; a moment only ever moves later."""
    insert = postgresql.insert(gates)
    said = insert.from_select(["name", "opens_at"], sa.select(sa.literal(name), _NOW + seconds))
    later = sa.func.greatest(gates.c.opens_at, insert.excluded.opens_at)
    connection.execute(said.on_conflict_do_update(index_elements=[gates.c.name], set_={"opens_at": later}))


def _delete(connection: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    connection.execute(sa.delete(gates).where(which))
