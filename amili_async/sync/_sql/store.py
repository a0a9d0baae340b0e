"""SqlStore: rows and bookmarks in a SQLite file or a PostgreSQL database."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from amili_async.errors import ConfigurationError, StoreError
from amili_async.events import QuarantinedRow
from amili_async.sync._sql.columns import values_for
from amili_async.sync._sql.database import InvalidValueError, blames_a_value, database
from amili_async.sync._sql.lease_owner import LeaseOwner
from amili_async.sync._sql.leases import Key, Leases
from amili_async.sync._sql.quarantine import Quarantine
from amili_async.sync._sql.schema import prepare
from amili_async.sync._sql.tables import row_tables
from amili_async.sync._store import LeaseConflict, PageWrite, Row, WriteResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from amili_async.sync._checkpoint import Checkpoint

T = TypeVar("T")

LEASE = 60.0
"""Seconds after which a list may be taken over from a run that is not heard of any more."""

PATIENCE = 30.0
"""Seconds for which a locked SQLite file, or a PostgreSQL server that restarts, is waited for."""

_RENEWALS = 4
"""How often a lease is renewed before it would end."""


class SqlStore:
    """Keeps what a sync reads in a database: ``sqlite:///amili.db``, or ``postgresql://user@host/database``.

    Use it with ``async with``: entering makes the tables, or brings those of an older version up to date. A SQLite file
    takes any number of tasks and readers, and the processes of one machine; several machines need PostgreSQL.

    Args:
        url: which database.
        lease: seconds after which another run may take over a list whose run is not heard of any more. A process that
            ended on this machine is not waited for.
        run: a name shared by stores that work on the same run, which take over each other's lists at once.
        patience: seconds for which a locked file, or a server that restarts, is waited for.

    Raises:
        ConfigurationError: the URL names no known database.
        StoreError: entering: the database cannot be used, is of a newer version, or has tables that are not ours.
    """

    def __init__(self, url: str, *, lease: float = LEASE, run: str | None = None, patience: float = PATIENCE) -> None:
        for name, seconds in (("lease", lease), ("patience", patience)):
            if not seconds > 0:
                raise ConfigurationError(f"{name} must be a number of seconds above 0, not {seconds!r}")
        self.database = database(url, patience=patience)
        """Where transactions are run: for this package's own parts that keep something beside the rows."""
        dialect = self.database.dialect
        self._values = values_for(dialect)
        self._lease = lease
        self._leases = Leases(dialect, LeaseOwner.here(run), seconds=lease, values=self._values)
        self._tables = row_tables(dialect, self._values)
        self._quarantine = Quarantine(dialect)
        self._held: dict[Key, int] = {}
        self._quarantined: set[Key] = set()
        self._ahead = 0.0
        self._renewing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"SqlStore({self.database.dialect.name})"

    async def __aenter__(self) -> Self:
        try:
            await self.database.run(prepare)
            if self.database.dialect.name == "postgresql":
                # Several machines share its leases, so they go by its clock.
                self._ahead = await self.database.run(_server_time) - time.time()
        except BaseException:
            await self.database.close()
            raise
        self._renewing = asyncio.create_task(self._renew(), name="amili leases")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give back the leases that are left, and close the database."""
        renewing, self._renewing = self._renewing, None
        if renewing is not None:
            renewing.cancel()
            await asyncio.wait({renewing})
        held, self._held = self._held, {}
        if held:
            with suppress(StoreError):  # they end by themselves
                await self.database.run(lambda connection: self._give_back(connection, held))
        await self.database.close()

    async def begin(self, organization_id: str, resource: str, /) -> Checkpoint | LeaseConflict:
        """Lease a list and return its bookmark, or for how long another run has it."""
        if resource not in self._tables:
            raise ConfigurationError(f"resource {resource!r} is not one of {', '.join(self._tables)}")
        key = (organization_id, resource)
        now = self._now()
        lease = await self._run(lambda connection: self._leases.take(connection, key, now))
        if isinstance(lease, LeaseConflict):
            return lease
        self._held[key] = lease.number
        if lease.quarantined:
            self._quarantined.add(key)
        return lease.bookmark

    async def write(self, portion: PageWrite, /) -> WriteResult | LeaseConflict:
        """Keep rows, quarantined rows and the bookmark in one transaction.

        A row with a value that the database refuses goes into quarantine, and the others are kept.
        """
        key = (portion.organization_id, portion.resource)
        number = self._number(key)
        try:
            written = await self._run(lambda connection: self._write(connection, portion, number, portion.rows))
        except InvalidValueError:
            written = await self._run(lambda connection: self._write_singly(connection, portion, number))
        if isinstance(written, LeaseConflict):
            del self._held[key]
        return written

    async def finish(self, organization_id: str, resource: str, error: str | None, /) -> None:
        """Give a list back."""
        key = (organization_id, resource)
        number = self._number(key)
        del self._held[key]
        self._quarantined.discard(key)
        await self._run(lambda connection: self._leases.finish(connection, key, number, error))

    async def count(self, resource: str) -> int:
        """Return how many rows of a resource the store holds, of all organizations."""
        table = self._tables[resource].table
        statement = sa.select(sa.func.count()).select_from(table)
        return await self._run(lambda connection: connection.execute(statement).scalar_one())

    def _number(self, key: Key) -> int:
        number = self._held.get(key)
        if number is None:
            raise StoreError("a list is written and finished between begin() and finish()")
        return number

    async def _run(self, work: Callable[[sa.Connection], T]) -> T:
        if self._renewing is None:
            raise StoreError("the store is not open; use `async with SqlStore(...) as store`")
        return await self.database.run(work)

    def _now(self) -> float:
        return time.time() + self._ahead

    def _write(
        self, connection: sa.Connection, portion: PageWrite, number: int, rows: Sequence[Row]
    ) -> WriteResult | LeaseConflict:
        key = (portion.organization_id, portion.resource)
        now = self._now()
        if not self._leases.save(connection, key, number, portion.checkpoint, now):
            return LeaseConflict(self._lease)
        synced_at = self._values.moment(datetime.fromtimestamp(now, UTC))
        written = self._tables[portion.resource].write(connection, portion.organization_id, rows, synced_at)
        if key in self._quarantined:
            self._quarantine.forget(connection, key, [row.id for row in rows])
        if portion.quarantined:
            self._quarantined.add(key)
            self._quarantine.write(connection, key, portion.quarantined, synced_at)
        return written

    def _write_singly(self, connection: sa.Connection, portion: PageWrite, number: int) -> WriteResult | LeaseConflict:
        """Write a portion row by row, after the database refused a value in it without saying where."""
        total = self._write(connection, portion, number, ())
        if isinstance(total, LeaseConflict):
            return total
        key = (portion.organization_id, portion.resource)
        synced_at = self._values.moment(datetime.fromtimestamp(self._now(), UTC))
        table = self._tables[portion.resource]
        for index, row in enumerate(portion.rows):
            try:
                with connection.begin_nested():
                    written = table.write(connection, portion.organization_id, (row,), synced_at)
            except DBAPIError as error:
                if not blames_a_value(error):
                    raise
                refused = QuarantinedRow(index=index, path="$", reason="a value that the database refuses", raw=row.raw)
                self._quarantined.add(key)
                self._quarantine.write(connection, key, (refused,), synced_at)
            else:
                total = WriteResult(total.new + written.new, total.changed + written.changed)
        return total

    async def _renew(self) -> None:
        """Hold the leases for as long as the store is open, however long a page takes."""
        while True:
            # The event loop's own time, not the package's clock: leases run out in real time, whatever a test does.
            await asyncio.sleep(self._lease / _RENEWALS)
            if self._held:
                with suppress(StoreError):  # whoever writes next learns what is wrong
                    await self.database.run(self._hold_longer)

    def _hold_longer(self, connection: sa.Connection) -> None:
        self._leases.renew(connection, tuple(self._held.items()), self._now())

    def _give_back(self, connection: sa.Connection, held: dict[Key, int]) -> None:
        for key, number in held.items():
            self._leases.finish(connection, key, number, None)


def _server_time(connection: sa.Connection) -> float:
    now = connection.execute(sa.select(sa.extract("epoch", sa.func.clock_timestamp()))).scalar_one()
    return float(now)
