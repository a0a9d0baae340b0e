"""SqlStore: rows and checkpoints in a SQLite file or a PostgreSQL database."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from amili_async._redaction import redacted
from amili_async.errors import ConfigurationError, StoreError
from amili_async.sync._sql.checkpoints import Checkpoints
from amili_async.sync._sql.columns import values_for
from amili_async.sync._sql.lease_owner import LeaseOwner
from amili_async.sync._sql.leases import Lease, Leases, ListName
from amili_async.sync._sql.migrations import prepare
from amili_async.sync._sql.quarantine import Quarantine
from amili_async.sync._sql.reconciliation import Reconciliation
from amili_async.sync._sql.runs import Runs
from amili_async.sync._sql.tables import row_tables
from amili_async.sync._sql.urls import database
from amili_async.sync._store import Absences, InvalidValueError, LeaseConflict, PageWrite, RunSummary, WriteResult

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable
    from datetime import date, datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from amili_async.sync._checkpoint import Checkpoint
    from amili_async.sync._sql.checkpoints import Stamp
    from amili_async.sync._sql.database import Database, Work
    from amili_async.sync._sql.tables import Put, RowTable

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
        url: which database; a `pathlib.Path` is a SQLite file. PostgreSQL takes libpq's options, and ``pgbouncer=true``
            behind such a pooler. Other machines are reached over TLS, unless ``sslmode`` says otherwise.
        lease: seconds after which another run may take over a list whose run is not heard of any more. A process that
            ended on this machine is not waited for.
        run: a name shared by stores that work on the same run, which take over each other's lists at once.
        patience: seconds for which a locked file, a server that restarts, or another run's long write is waited for.

    Raises:
        ConfigurationError: the URL names no known database.
        StoreError: entering: the database cannot be used, is of a newer version, or has tables that are not ours; from
            the methods: it cannot be used any more.
    """

    __module__ = "amili_async.sync"  # where it is imported from

    @redacted
    def __init__(
        self, url: str | Path, *, lease: float = LEASE, run: str | None = None, patience: float = PATIENCE
    ) -> None:
        for name, seconds in (("lease", lease), ("patience", patience)):
            if not seconds > 0:
                raise ConfigurationError(f"{name} must be a number of seconds above 0, not {seconds!r}")
        self.database: Database = database(url, patience=patience)
        """Where transactions are run: for this package's own parts that keep something beside the rows."""
        dialect = self.database.dialect
        values = values_for(dialect)
        self._lease = lease
        self._leases = Leases(dialect, LeaseOwner.here(run), seconds=lease)
        self._tables = row_tables(dialect, Checkpoints(dialect, values, lease))
        self._reconciliations = {resource: Reconciliation(resource, dialect, values) for resource in self._tables}
        self._quarantine = Quarantine(dialect)
        self._shared_run = run
        self.runs: Runs = Runs(dialect)
        """What keeps runs, for the part of this package that runs a sync on many machines."""
        self._held: dict[ListName, Lease] = {}
        self._renewing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"SqlStore({self.database.dialect.name})"

    async def __aenter__(self) -> Self:
        try:
            await self.database.run(prepare)
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
                await self.database.run(lambda connection: self._give_back(connection, held.values()))
        await self.database.close()

    def check_open(self) -> None:
        """Do nothing where the store is open.

        Raises:
            StoreError: it is not open yet, or no more.
        """
        if self._renewing is None:
            raise StoreError("the store is not open; use `async with SqlStore(...) as store`")

    async def begin(self, organization_id: str, resource: str, /) -> Checkpoint | LeaseConflict:
        """Lease a list and return its checkpoint, or for how long another run has it."""
        self._table(resource)
        name = (organization_id, resource)
        lease = await self._run(lambda connection: self._leases.take(connection, name), undo=self._untake)
        if isinstance(lease, LeaseConflict):
            return lease
        self._held[name] = lease
        return lease.checkpoint

    async def write(self, page: PageWrite, /) -> WriteResult | LeaseConflict:
        """Keep rows, quarantined rows and the checkpoint in one transaction.

        A row with a value that the database refuses goes into quarantine, and the others are kept.
        """
        name = (page.organization_id, page.resource)
        lease = self._leased(name)
        table = self._tables[page.resource]
        try:
            rows = table.prepare(page.rows)
            written = await self._run(
                lambda connection: self._write(
                    connection, page, lease, table.write(connection, lease, page.checkpoint, rows)
                )
            )
        except (InvalidValueError, ValueError, OverflowError):
            written = await self._run(
                lambda connection: self._write(
                    connection, page, lease, table.write_singly(connection, lease, page.checkpoint, page.rows)
                )
            )
        if isinstance(written, LeaseConflict):
            del self._held[name]
        elif page.checkpoint.scan is None:
            lease.sighted = False
        return written

    async def absences(
        self, organization_id: str, resource: str, since: datetime | None, limit: int, /
    ) -> Absences | LeaseConflict:
        """Return which rows of a list are kept, are not gone, and were not met by the walk that is under way."""
        name = (organization_id, resource)
        lease = self._leased(name)
        reconciliation = self._reconciliations[resource]

        def look(connection: sa.Connection) -> Absences | LeaseConflict:
            if not self._leases.holds(connection, lease):
                return self._leases.conflict()
            return reconciliation.absences(connection, lease.list_key, since, limit)

        found = await self._run(look)
        if isinstance(found, LeaseConflict):
            del self._held[name]
        return found

    async def finish(self, organization_id: str, resource: str, error: str | None, /) -> None:
        """Give a list back."""
        name = (organization_id, resource)
        lease = self._leased(name)
        await self._run(lambda connection: self._leases.finish(connection, lease, error))
        del self._held[name]

    async def begin_run(self, resources: tuple[str, ...], /) -> str:
        """Keep that a run begins, and return its name. A run that several stores share is kept by whoever began it."""
        if self._shared_run is not None:
            return self._shared_run
        return await self._run(lambda connection: self.runs.begin(connection, resources))

    async def end_run(self, run: str, summary: RunSummary, /) -> None:
        """Keep how a run ended, and where answers were not as documented."""

        def work(connection: sa.Connection) -> None:
            self.runs.note(connection, summary.drift)
            if self._shared_run is None:
                self.runs.end(connection, run, summary)

        await self._run(work)

    async def arrow(
        self, table: str, *, organization_id: str | None = None, since: datetime | date | None = None
    ) -> AsyncGenerator[Any, None]:
        """Iterate over a table as ``pyarrow.RecordBatch`` es, typed: moments in UTC, days, amounts as decimal numbers.

        Tables and filters are those of `export`. Needs the extra ``arrow``.

        Raises:
            ConfigurationError: there is no such table.
            StoreError: it was never synced, or the store cannot be read.
        """
        from amili_async.sync._sql.arrow import arrow_schema, record_batch  # noqa: PLC0415  # of an extra
        from amili_async.sync._sql.exports import Export, Filter  # noqa: PLC0415  # a circle otherwise

        self.check_open()
        exported = Export(self.database, table, Filter(organization_id, since))
        await exported.check_synced()
        arrow = arrow_schema(exported.columns)
        yield record_batch((), exported.columns, arrow)
        async for _, rows in exported.chunks():
            yield record_batch(rows, exported.columns, arrow)

    async def count(self, resource: str) -> int:
        """Return how many rows of a resource the store holds, of all organizations.

        Raises:
            ConfigurationError: there is no such resource.
            StoreError: the database cannot be used.
        """
        table = self._table(resource).table
        statement = sa.select(sa.func.count()).select_from(table)
        return await self._run(lambda connection: connection.execute(statement).scalar_one())

    def _table(self, resource: str) -> RowTable:
        found = self._tables.get(resource)
        if found is None:
            raise ConfigurationError(f"resource {resource!r} is not one of {', '.join(self._tables)}")
        return found

    def _leased(self, name: ListName) -> Lease:
        lease = self._held.get(name)
        if lease is None:
            raise StoreError("a list is written and finished between begin() and finish()")
        return lease

    def _untake(self, lease: Lease | LeaseConflict) -> Work:
        """Return what gives a list back that was taken on for a caller who was cancelled meanwhile."""
        return lambda connection: self._give_back(connection, () if isinstance(lease, LeaseConflict) else (lease,))

    async def _run(self, work: Callable[[sa.Connection], T], *, undo: Callable[[T], Work] | None = None) -> T:
        self.check_open()
        return await self.database.run(work, undo=undo)

    def _write(
        self, connection: sa.Connection, page: PageWrite, lease: Lease, written: Put | None
    ) -> WriteResult | LeaseConflict:
        """Write what stands beside a page's rows, once these are written."""
        if written is None:
            return self._leases.conflict()
        stamp = written.stamp
        if lease.quarantined:
            self._quarantine.forget(connection, lease.list_key, [row.id for row in page.rows])
        if aside := (*page.quarantined, *written.refused):
            lease.quarantined = True
            self._quarantine.write(connection, lease.list_key, aside, stamp.synced_at)
        return WriteResult(
            len(written.new),
            len(written.changed),
            new_ids=tuple(row.id for row in written.new) if page.met else (),
            changed_ids=tuple(row.id for row in written.changed) if page.met else (),
            returned=self._reconcile(connection, page, lease, stamp),
            quarantined=len(written.refused),
        )

    def _reconcile(self, connection: sa.Connection, page: PageWrite, lease: Lease, stamp: Stamp) -> int:
        """Note what a write says of rows that were met and that were not; return how many are no longer gone."""
        reconciliation, list_key = self._reconciliations[page.resource], lease.list_key
        returned = 0
        if page.forget_met:
            reconciliation.forget_sightings(connection, list_key)
        if page.met or lease.sighted or lease.missing:
            met = [*{*page.met, *(row.id for row in page.rows)}]
            if page.met or lease.sighted:
                lease.sighted = True
                reconciliation.see(connection, list_key, met)
            if lease.missing:
                returned = reconciliation.unmark(connection, list_key, met, stamp)
        if page.absent or page.gone:
            lease.missing = True
            reconciliation.mark(connection, list_key, page.absent, page.gone, stamp)
        if lease.sighted and page.checkpoint.scan is None:
            reconciliation.forget_sightings(connection, list_key)
        return returned

    async def _renew(self) -> None:
        """Hold the leases for as long as the store is open, however long a page takes."""
        while True:
            # The event loop's own time, not the package's clock: leases run out in real time, whatever a test does.
            await asyncio.sleep(self._lease / _RENEWALS)
            if self._held:
                with suppress(StoreError):  # whoever writes next learns what is wrong
                    await self.database.run(self._hold_longer)

    def _hold_longer(self, connection: sa.Connection) -> None:
        self._leases.renew(connection, tuple(self._held.values()))

    def _give_back(self, connection: sa.Connection, leases: Iterable[Lease]) -> None:
        for lease in leases:
            self._leases.finish(connection, lease, None)
