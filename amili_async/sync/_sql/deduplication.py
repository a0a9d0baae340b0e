"""SqlDeduplicationStore: which webhook deliveries were handled, in a table of the sync's database.

It keeps the protocol `DeduplicationStore` for any number of processes. A delivery is claimed by one of them; a process
killed while it handles one leaves its claim, which another may take over once it has expired by the database's clock.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from amili_async._redaction import redacted
from amili_async.sync._sql.migrations import prepare
from amili_async.sync._sql.schema import webhook_dead_letters as dead_letters
from amili_async.sync._sql.schema import webhook_deliveries as deliveries
from amili_async.sync._sql.statements import Statement, epoch, insert_into, moment_now, without_nul
from amili_async.sync._sql.store import PATIENCE, SqlStore
from amili_async.sync._sql.urls import database

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from amili_async.sync._sql.database import Database

Claim = Literal["claimed", "busy", "seen"]
"""What became of a claim to handle a delivery: it is held now, another holds it, or the delivery was handled."""

LEASE = 300.0
"""Seconds for which a claim is good."""

KEEP = 31 * 86_400.0
"""Seconds for which a handled delivery is remembered: a day longer than the oldest event is taken."""

_SWEEP = 100
"""How many deliveries are confirmed between two clearings of what is no longer kept."""


class SqlDeduplicationStore:
    """Remembers webhook deliveries by their keys, of at most 255 characters, and keeps events that nobody could read.

    Args:
        store: an open `SqlStore`, whose database is then shared, or a URL as `SqlStore` takes it; then close this one.
        lease: seconds after which another process may take over a delivery that was claimed and neither confirmed nor
            released.
        keep: seconds for which a handled delivery is remembered.

    Raises:
        ConfigurationError: the URL names no known database.
        StoreError: (from the methods) the database cannot be used.
    """

    __module__ = "amili_async.sync"  # where it is imported from

    @redacted
    def __init__(self, store: SqlStore | str | Path, *, lease: float = LEASE, keep: float = KEEP) -> None:
        self._own = not isinstance(store, SqlStore)
        self._database: Database = store.database if isinstance(store, SqlStore) else database(store, patience=PATIENCE)
        self.lease = lease
        self.keep = keep
        self._prepared = False
        self._preparing = asyncio.Lock()
        self._confirmed = 0
        dialect = self._database.dialect
        key, owner = sa.bindparam("key", type_=sa.Text), sa.bindparam("owner", type_=sa.Text)
        this, now = deliveries.c.key == key, epoch(dialect)
        unhandled = deliveries.c.confirmed_at.is_(None)
        taken = {"owner": owner, "expires_at": now + lease}
        claim = insert_into(deliveries, dialect).values(key=key, **taken).on_conflict_do_nothing()
        take_over = sa.update(deliveries).where(this, unhandled, deliveries.c.expires_at < now).values(taken)
        handled = {"owner": owner, "confirmed_at": now, "expires_at": now + max(keep, lease)}
        confirm = insert_into(deliveries, dialect).values(key=key, **handled)
        self._claim = Statement(claim, dialect)
        self._take_over = Statement(take_over, dialect)
        self._look = Statement(sa.select(~unhandled).where(this), dialect)
        self._confirm = Statement(confirm.on_conflict_do_update(index_elements=["key"], set_=handled), dialect)
        self._release = Statement(sa.delete(deliveries).where(this, unhandled, deliveries.c.owner == owner), dialect)
        self._sweep = Statement(sa.delete(deliveries).where(~unhandled, deliveries.c.expires_at < now), dialect)
        letter: dict[str, Any] = {name: sa.bindparam(name) for name in ("key", "event", "reason", "body")}
        put = insert_into(dead_letters, dialect).values(received_at=moment_now(dialect), **letter)
        self._put = Statement(put.on_conflict_do_nothing(), dialect)

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

        def work(connection: sa.Connection) -> Claim:
            given = {"key": key, "owner": owner}
            if self._claim.run(connection, **given) or self._take_over.run(connection, **given):
                return "claimed"
            found = self._look.rows(connection, key=key)
            return "seen" if found and found[0][0] else "busy"

        await self._prepare()
        return await self._database.run(work)

    async def confirm(self, key: str, owner: str, /) -> None:
        """Remember that a delivery was handled, whoever has claimed it meanwhile; forget those handled long ago."""
        await self._prepare()
        await self._database.run(lambda connection: self._remember(connection, key, owner))

    async def release(self, key: str, owner: str, /) -> None:
        """Give a claim up, if it still is this owner's: whoever claims next gets it. What was handled stays so."""
        await self._prepare()
        await self._database.run(lambda connection: self._release.run(connection, key=key, owner=owner))

    async def put_aside(self, key: str, owner: str, /, *, event: str, reason: str, body: bytes) -> None:
        """Keep an event's name, why it was not handled, and its bytes, and confirm its claim, in one transaction."""

        def work(connection: sa.Connection) -> None:
            plain = {"event": without_nul(event), "reason": without_nul(reason)}
            self._put.run(connection, key=key, body=body, **plain)
            self._remember(connection, key, owner)

        await self._prepare()
        await self._database.run(work)

    def _remember(self, connection: sa.Connection, key: str, owner: str) -> None:
        self._confirm.run(connection, key=key, owner=owner)
        if self._confirmed % _SWEEP == 0:
            self._sweep.run(connection)
        self._confirmed += 1

    async def _prepare(self) -> None:
        """Make the tables at the first use: an app makes this store before its event loop runs."""
        async with self._preparing:
            if not self._prepared and self._own:
                await self._database.run(prepare)
            self._prepared = True
