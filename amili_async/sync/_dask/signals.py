"""Signals: what the workers of one run tell each other through the store: wait, the server said so; or stop.

The store and not Dask carries them: it is there when a scheduler is not, it survives one that is lost, and runs that
share a database but no cluster are polite together too.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from amili_async.errors import StoreError
from amili_async.sync._sql.schema import gates

if TYPE_CHECKING:
    from amili_async._call.limits import Gate
    from amili_async.events import GateClosed
    from amili_async.sync._sql.store import SqlStore

API = "api"
"""The name of the moment before which nobody sends anything to the API."""

INTERVAL = 0.5
"""Seconds between two looks at what others said."""


class Signals:
    """Says to all workers of a run what one of them learned, and hears what the others said.

    Add it to the client's hooks, and let `listen` run beside the work.
    """

    def __init__(self, store: SqlStore, run: str, gate: Gate | None = None) -> None:
        self._database = store.database
        self._stop = f"stop {run}"
        self._gate = gate
        self._said = 0.0
        self._unsaid = 0.0

    def on_gate(self, record: GateClosed, /) -> None:
        """Remember that the server told this worker to wait; `listen` passes it on."""
        self._unsaid = max(self._unsaid, time.monotonic() + record.seconds)

    async def listen(self) -> None:
        """Pass on and hear, until somebody says stop."""
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
        """Take back that the run is to stop: all have heard it."""
        await self._database.run(
            lambda connection: connection.execute(sa.delete(gates).where(gates.c.name == self._stop))
        )

    async def _exchange(self) -> bool:
        """Pass on what is unsaid, close the gate for as long as others say, and return whether to stop."""
        unsaid = self._unsaid
        if unsaid > self._said:
            seconds = unsaid - time.monotonic()
            await self._database.run(lambda connection: _put(connection, API, seconds))
            self._said = unsaid
        heard = await self._database.run(self._hear)
        if heard.get(API, 0.0) > 0 and self._gate is not None:
            self._gate.close(heard[API])
        return self._stop in heard

    def _hear(self, connection: sa.Connection) -> dict[str, float]:
        """Return the seconds that are left of what was said, by the database's clock."""
        left = gates.c.opens_at - _NOW
        rows = connection.execute(sa.select(gates.c.name, left).where(gates.c.name.in_((API, self._stop))))
        return {str(name): float(seconds) for name, seconds in rows}


_NOW = sa.extract("epoch", sa.func.clock_timestamp())


def _put(connection: sa.Connection, name: str, seconds: float) -> None:
    """Say that something holds for so many seconds; a moment only ever moves later."""
    insert = postgresql.insert(gates)
    said = insert.from_select(["name", "opens_at"], sa.select(sa.literal(name), _NOW + seconds))
    later = sa.func.greatest(gates.c.opens_at, insert.excluded.opens_at)
    connection.execute(said.on_conflict_do_update(index_elements=[gates.c.name], set_={"opens_at": later}))
