"""SqlDeduplicationStore: which webhook deliveries were handled, in a table of the sync's database.

It keeps the protocol `DeduplicationStore` for any number of processes. A delivery is claimed by one of them; a
process killed while it handles one leaves its claim, which another may take over once it has expired.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from amili_async.sync._sql.database import Database, database
from amili_async.sync._sql.schema import prepare, webhook_seen
from amili_async.sync._sql.statements import Statement
from amili_async.sync._sql.store import PATIENCE, SqlStore

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

Claim = Literal["claimed", "busy", "seen"]

LEASE = 300.0
"""Seconds for which a claim is good."""

KEEP = 30 * 86_400.0
"""Seconds for which a handled delivery is remembered."""

_SWEEP = 100
"""How many deliveries are confirmed between two clearings of what is no longer kept."""


class SqlDeduplicationStore:
    """Remembers webhook deliveries by their keys, of at most 255 characters.

    Args:
        store: an open `SqlStore`, whose database is then shared, or a URL as `SqlStore` takes it; then close this one.
        lease: seconds after which another process may take over a delivery that was claimed and neither confirmed nor
            released.
        keep: seconds for which a handled delivery is remembered.

    Raises:
        ConfigurationError: the URL names no known database.
        StoreError: (from the methods) the database cannot be used.
    """

    def __init__(self, store: SqlStore | str, *, lease: float = LEASE, keep: float = KEEP) -> None:
        self._own = isinstance(store, str)
        self._database: Database = store.database if isinstance(store, SqlStore) else database(store, patience=PATIENCE)
        self.lease = lease
        self.keep = keep
        self._claimed_at: dict[tuple[str, str], float] = {}
        """The moments of the claims of this process, which tell them from those that took them over."""
        self._prepared = False
        self._preparing = asyncio.Lock()
        self._confirmed = 0
        dialect = self._database.dialect
        key = webhook_seen.c.key == sa.bindparam("this")
        insert = (postgresql if dialect.name == "postgresql" else sqlite).insert(webhook_seen)
        claimed = insert.values(key=sa.bindparam("this"), confirmed=sa.false(), at=sa.bindparam("now"))
        expired = (webhook_seen.c.confirmed.is_(sa.false()), webhook_seen.c.at < sa.bindparam("before"))
        self._claim = Statement(claimed.on_conflict_do_nothing(), dialect)
        self._take_over = Statement(
            sa.update(webhook_seen).where(key, *expired).values(at=sa.bindparam("now")), dialect
        )
        self._look = Statement(sa.select(webhook_seen.c.confirmed).where(key), dialect)
        self._confirm = Statement(
            sa.update(webhook_seen).where(key).values(confirmed=sa.true(), at=sa.bindparam("now")), dialect
        )
        own = (webhook_seen.c.confirmed.is_(sa.false()), webhook_seen.c.at == sa.bindparam("at"))
        self._release = Statement(sa.delete(webhook_seen).where(key, *own), dialect)
        self._sweep = Statement(sa.delete(webhook_seen).where(webhook_seen.c.at < sa.bindparam("before")), dialect)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the database, unless it is a store's."""
        if self._own:
            await self._database.close()

    async def claim(self, key: str, owner: str, /) -> Claim:
        """Take a delivery on: ``claimed`` for this owner alone, ``busy`` if another has it, ``seen`` if handled."""
        now = time.time()

        def work(connection: sa.Connection) -> Claim:
            if self._claim.run(connection, this=key, now=now):
                return "claimed"
            if self._take_over.run(connection, this=key, now=now, before=now - self.lease):
                return "claimed"
            found = self._look.rows(connection, this=key)
            return "seen" if found and found[0][0] else "busy"

        await self._prepare()
        claim = await self._database.run(work)
        if claim == "claimed":
            self._claimed_at[key, owner] = now
        return claim

    async def confirm(self, key: str, owner: str, /) -> None:
        """Remember that a claimed delivery was handled; now and then, forget those handled long ago."""
        self._claimed_at.pop((key, owner), None)
        now = time.time()
        sweep = self._confirmed % _SWEEP == 0
        self._confirmed += 1

        def work(connection: sa.Connection) -> None:
            self._confirm.run(connection, this=key, now=now)
            if sweep:
                self._sweep.run(connection, before=now - max(self.keep, self.lease))

        await self._prepare()
        await self._database.run(work)

    async def release(self, key: str, owner: str, /) -> None:
        """Give a claim up, if it still is this owner's: whoever claims next gets it. What was handled stays so."""
        at = self._claimed_at.pop((key, owner), None)
        if at is not None:
            await self._prepare()
            await self._database.run(lambda connection: self._release.run(connection, this=key, at=at))

    async def _prepare(self) -> None:
        """Make the tables at the first use: an app makes this store before its event loop runs."""
        async with self._preparing:
            if not self._prepared and self._own:
                await self._database.run(prepare)
            self._prepared = True
