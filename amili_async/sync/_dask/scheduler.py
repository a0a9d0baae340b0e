"""sync_on_dask(): the same sync on more than one machine, its organizations in shards on a Dask cluster.

Dask places shards, watches workers and gives a lost one's shard to another; the engine on each worker is that of
`sync`, the checkpoints are in PostgreSQL, and a lease on every list keeps two runs from scanning it at once. So a
worker, the scheduler or this process may die at any moment: what is taken up again goes on from the checkpoints.
"""

from __future__ import annotations

import asyncio
import pickle
import uuid
from collections import deque
from collections.abc import AsyncIterable, Mapping
from contextlib import AsyncExitStack, suppress
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from msgspec.structs import replace

from amili_async._protocol.requests import identifier
from amili_async.errors import (
    AmiliError,
    ClusterError,
    ConfigurationError,
    StoreError,
    TokenError,
    UnauthorizedError,
)
from amili_async.sync._arguments import at_least_one, beginning, checked_resources, part, span
from amili_async.sync._dask.cluster import LOST, Cluster, connected
from amili_async.sync._dask.shards import shards as cut
from amili_async.sync._dask.signals import Signals
from amili_async.sync._dask.worker import Shard, pickle_errors_our_way, topic, work
from amili_async.sync._engine import INTERVAL, WEEK
from amili_async.sync._reconciliation import MAX_GONE
from amili_async.sync._report import Failure, Progress, SyncReport
from amili_async.sync._run_record import outcome_of
from amili_async.sync._sql.schema import lists
from amili_async.sync._sql.store import SqlStore
from amili_async.sync._sql.urls import parsed_url
from amili_async.sync._store import RunSummary

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from datetime import date, datetime, timedelta
    from pathlib import Path

    from amili_async.sync._engine import OnProgress, OrganizationIds

TRIES = 3
"""How often a shard that raises is tried; one that kills its worker is tried as often as Dask's `allowed-failures`."""

PATIENCE_TO_STOP = 15.0
"""Seconds that workers get to end their pages in when the run is interrupted."""

# Typed in parts only; what is used of it here are two errors.
_distributed: Any = import_module("distributed")
_KilledWorkerError: type[Exception] = _distributed.KilledWorker
_LostError: type[Exception] = _distributed.CancelledError

pickle_errors_our_way()

_MADE_ON_THE_WORKER = frozenset({"session", "hooks", "concurrency"})

NO_WORKER = 300.0
"""Seconds that a cluster with work may be without any worker: some start none before, others may have lost all."""


async def sync_on_dask(
    cluster_or_address: object,
    organization_ids: OrganizationIds,
    store_url: str | Path,
    *,
    client_options: Mapping[str, object] | None = None,
    resources: Iterable[str] = ("batches",),
    shards: int | None = None,
    concurrency: int = 8,
    full: bool = False,
    since: datetime | date | None = None,
    reconcile: timedelta | None = WEEK,
    refresh: timedelta | None = None,
    max_gone: float = MAX_GONE,
    max_failures: int | None = None,
    on_progress: OnProgress | None = None,
) -> SyncReport:
    """Sync organizations on a Dask cluster into PostgreSQL, and return what came of it.

    Credentials are read from the environment of each worker (``AMILI_CLIENT_ID`` …, and ``PGPASSWORD``), so that none
    stands in the task graph, on the dashboard or in a log. A worker that is lost has its shard taken up by another,
    from where the checkpoints are; a shard that fails again and again is in the report, and the rest goes on. A 429
    that one worker meets holds all of them back. Interrupted, it tells the workers to stop after their page.

    Args:
        cluster_or_address: a Dask cluster, a scheduler's address such as ``tcp://scheduler:8786``, or ``local:4`` for
            four processes of this machine.
        organization_ids: whose lists.
        store_url: ``postgresql://user@host/database``, without a password.
        client_options: keywords of `AmiliClient` for the workers' clients; they must pickle.
        resources: which lists: ``batches``, ``invoices``, ``cases``, ``settlements``.
        shards: into how many shards to cut; without it as many as keep each small by what earlier runs took.
        concurrency: requests under way at most, of all workers together.
        full: read every page, whatever is known.
        since: leave out what came to be before this moment, or before this day in UTC.
        reconcile: read each list from end to end when the last time is longer ago, as in `sync`; ``None``: never.
        refresh: read known invoices and cases again when that is longer ago, as in `sync`; ``None``: in each run.
        max_gone: the part of an organization's rows that may be gone at once.
        max_failures: stop when so many organizations have failed.
        on_progress: called about four times a second with the progress of the whole cluster.

    Raises:
        ConfigurationError: an argument that cannot be right.
        ClusterError: the cluster cannot be reached, has no workers for five minutes, or was lost.
        StoreError: the store failed.
        TokenError: the credentials of a worker were refused.
    """
    store_url = _checked_store(store_url)
    at_least_one(concurrency, "concurrency")
    at_least_one(1 if shards is None else shards, "shards")
    at_least_one(1 if max_failures is None else max_failures, "max_failures")
    if isinstance(organization_ids, str | bytes):
        raise ConfigurationError("organization_ids must be several ids, such as a list, not one text")
    pattern = Shard(
        number=0,
        run=uuid.uuid4().hex,
        organization_ids=(),
        store_url=store_url,
        client_options=_checked_options(client_options or {}),
        resources=checked_resources(resources),
        concurrency=concurrency,
        full=full,
        since=beginning(since),
        reconcile=span(reconcile, "reconcile"),
        refresh=span(refresh, "refresh"),
        max_gone=part(max_gone, "max_gone"),
        max_failures=max_failures,
    )
    names = list(dict.fromkeys([name async for name in _each(organization_ids)]))
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(SqlStore(store_url, run=pattern.run))
        cluster = await stack.enter_async_context(connected(cluster_or_address))
        worker_slots = min(await cluster.worker_slots(), concurrency)
        groups = cut(names, await _seconds(store, pattern.resources), worker_slots=worker_slots, count=shards)
        run = _Run(cluster, pattern, groups, Signals(store, pattern.run))
        record = await store.database.run(lambda connection: store.runs.begin(connection, pattern.resources))
        try:
            report = await run.run(on_progress)
        except BaseException as error:
            with suppress(StoreError):
                await _keep(store, record, run.report(), error)
            raise
        await _keep(store, record, report, None)
        return replace(report, run=record)


async def _keep(store: SqlStore, record: str, report: SyncReport, error: BaseException | None) -> None:
    """Keep the run of all workers together; their drift they have kept themselves."""
    summary = RunSummary(outcome=outcome_of(report, error), report=replace(report, run=record))
    await store.database.run(lambda connection: store.runs.end(connection, record, summary))


class _Run:
    """One call of `sync_on_dask`."""

    def __init__(self, cluster: Cluster, pattern: Shard, groups: list[tuple[str, ...]], signals: Signals) -> None:
        self._cluster = cluster
        self._client = cluster.client
        self._workers: dict[int, str] = {}
        """The worker that last told how far each shard is."""
        self._stopped = False
        self._nobody = False
        """Whether there is no worker that could be at any shard, and has been none for long."""
        self._pattern = pattern
        self._signals = signals
        self._waiting = deque(enumerate(groups))
        self._organizations = dict(enumerate(groups))
        self._running: dict[asyncio.Task[SyncReport], int] = {}
        self._shares: dict[int, int] = {}
        self._tries: dict[int, int] = {}
        self._reports: list[SyncReport] = []
        self._unauthorized: UnauthorizedError | None = None
        self._told: dict[int, Progress] = {}
        self._ended: dict[int, Progress] = {}
        self._begun = self._worker_at = monotonic()

    async def run(self, on_progress: OnProgress | None) -> SyncReport:
        """Work on all shards and return the report of all of them."""
        name = topic(self._pattern.run)
        self._client.subscribe_topic(name, self._hear)
        telling = asyncio.create_task(self._tell(on_progress)) if on_progress else None
        try:
            self._stopped = await self._work()
        finally:
            if telling is not None:
                telling.cancel()
            await self._end()
            self._client.unsubscribe_topic(name)
        if on_progress:
            on_progress(self._merged())
        report = self.report()
        if self._unauthorized is not None and not report.total.pages:
            raise self._unauthorized
        return report

    def report(self) -> SyncReport:
        """Return what the shards that have ended did."""
        report = SyncReport.merged(self._reports, monotonic() - self._begun)
        return replace(report, stopped=report.stopped or self._stopped)

    async def _work(self) -> bool:
        """Keep every place busy until no shard is left; return whether too many organizations failed before that."""
        while self._waiting or self._running:
            await self._fill()
            done, _ = await asyncio.wait(self._running, timeout=INTERVAL, return_when=asyncio.FIRST_COMPLETED)
            await self._look_for_workers()
            for task in done:
                number = self._running.pop(task)
                del self._shares[number]
                self._take(number, task)
            if self._enough():
                return True
        return False

    async def _fill(self) -> None:
        """Hand out shards, each with its part of the concurrency that is free.

        As many as there are worker slots; to a cluster that grows with its work as many as it may have, or it would not
        grow.
        """
        if not self._waiting:
            return
        worker_slots = min(await self._cluster.worker_slots(), self._pattern.concurrency)
        while self._waiting and len(self._running) < worker_slots:
            free = self._pattern.concurrency - sum(self._shares.values())
            share = max(1, free // min(worker_slots - len(self._running), len(self._waiting)))
            number, organization_ids = self._waiting.popleft()
            self._shares[number] = share
            self._tries[number] = self._tries.get(number, 0) + 1
            self._running[asyncio.create_task(self._worked(number, organization_ids, share))] = number
        if not self._waiting:
            with suppress(StoreError):  # they will know by its silence that one has ended
                await self._signals.last()

    async def _worked(self, number: int, organization_ids: tuple[str, ...], share: int) -> SyncReport:
        pattern = self._pattern
        shard = replace(
            pattern,
            number=number,
            organization_ids=organization_ids,
            concurrency=share,
            max_failures=None if pattern.max_failures is None else pattern.max_failures - self._failed(),
        )
        key = f"amili-shard-{pattern.run}-{number}-{self._tries[number]}"
        future = self._client.submit(work, shard, key=key, pure=False)
        try:
            report: SyncReport = await future
        except _LostError as error:
            raise ClusterError(LOST) from error
        return report

    def _take(self, number: int, task: asyncio.Task[SyncReport]) -> None:
        """Keep the report of a shard that ended; try again, or report, one that failed."""
        error = task.exception()
        if error is None:
            self._conclude(number, task.result())
        elif isinstance(error, UnauthorizedError):
            # Nobody of this shard was let in; whether that is about the credentials is known when all had their turn.
            self._unauthorized = self._unauthorized or error
            self._fail(number, error)
        elif _ends_all(error):
            raise _with_worker(error, self._workers.get(number))
        elif not isinstance(error, _KilledWorkerError) and self._tries[number] < TRIES:
            self._waiting.append((number, self._organizations[number]))
        else:
            self._fail(number, error)

    def _fail(self, number: int, error: BaseException) -> None:
        worker, resource = self._worker_of(number, error), self._pattern.resources[0]
        failed = tuple(_failure(name, resource, error, worker) for name in self._organizations[number])
        self._conclude(number, SyncReport(failures=failed))

    def _worker_of(self, number: int, error: BaseException) -> str | None:
        """Return the address of the worker that a shard was on when it failed, as far as it is known."""
        last = getattr(error, "last_worker", None)  # Dask's, where a worker was killed
        return getattr(last, "address", None) or self._workers.get(number)

    def _conclude(self, number: int, report: SyncReport) -> None:
        self._reports.append(report)
        self._ended[number] = _concluded(report)

    def _failed(self) -> int:
        return sum(len({failure.organization_id for failure in report.failures}) for report in self._reports)

    def _enough(self) -> bool:
        return self._pattern.max_failures is not None and self._failed() >= self._pattern.max_failures

    async def _end(self) -> None:
        """See to it that no worker is at it any more: those that are stop after their page."""
        if self._running:
            with suppress(StoreError):  # a store that is out of reach stops them by itself
                await self._signals.stop()
            await asyncio.wait(self._running, timeout=0 if self._nobody else PATIENCE_TO_STOP)
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
        with suppress(StoreError):
            await self._signals.forget()

    async def _look_for_workers(self) -> None:
        """Wait for a worker for a while only, be it the first one or one in the place of those that were lost.

        Raises:
            ClusterError: there is none.
        """
        if await self._cluster.workers():
            self._worker_at = monotonic()
        elif monotonic() - self._worker_at > NO_WORKER:
            self._nobody = True
            raise ClusterError(
                f"the Dask cluster has work, and had no worker for {NO_WORKER:g} seconds; run again, and it goes on "
                "from where it stood"
            )

    def _hear(self, event: tuple[float, dict[str, Any]]) -> None:
        """Note how far a worker says it is."""
        _, said = event
        self._told[said["shard"]] = Progress(**said["progress"])
        self._workers[said["shard"]] = said["worker"]

    async def _tell(self, on_progress: OnProgress) -> None:
        while True:
            on_progress(self._merged())
            await asyncio.sleep(INTERVAL)

    def _merged(self) -> Progress:
        """Return how far all shards together are."""
        # What a worker tells may arrive after its shard's end, which counts.
        parts = {**self._told, **self._ended}.values()
        total = sum(len(group) for group in self._organizations.values())
        done = sum(part.organizations_done for part in parts)
        seconds = monotonic() - self._begun
        return Progress(
            organizations_done=done,
            organizations_total=total,
            failed=sum(part.failed for part in parts),
            rows=sum(part.rows for part in parts),
            new=sum(part.new for part in parts),
            changed=sum(part.changed for part in parts),
            rows_per_second=sum(part.rows_per_second for part in parts),
            requests=sum(part.requests for part in parts),
            retries=sum(part.retries for part in parts),
            waiting=max((part.waiting for part in parts), default=0.0),
            seconds=seconds,
            seconds_left=seconds / done * (total - done) if done else None,
        )


def _concluded(report: SyncReport) -> Progress:
    """Return the progress of a shard that has ended."""
    total = report.total
    failed = len({failure.organization_id for failure in report.failures})
    return Progress(
        organizations_done=report.organizations + failed + len(report.held),
        organizations_total=None,
        failed=failed,
        rows=total.rows,
        new=total.new,
        changed=total.changed,
        rows_per_second=0.0,
        requests=report.requests,
        retries=report.retries,
        waiting=0.0,
        seconds=report.seconds,
        seconds_left=None,
    )


def _failure(organization_id: str, resource: str, error: BaseException, worker: str | None) -> Failure:
    """Return the failure of an organization whose shard failed as a whole."""
    told = "its shard killed every worker that took it" if isinstance(error, _KilledWorkerError) else "its shard failed"
    message = str(error) if isinstance(error, AmiliError) else f"{told}, {TRIES} times and more"
    where = f" (last on worker {worker})" if worker else ""
    return Failure(
        organization_id=organization_id, resource=resource, error=type(error).__name__, message=f"{message}{where}"
    )


def _with_worker(error: BaseException, worker: str | None) -> BaseException:
    """Return an error that says on which worker it was raised: its environment is the one to look at."""
    if isinstance(error, AmiliError) and worker and not isinstance(error, ClusterError):
        error.message = f"{error.message} (on worker {worker})"
    return error


def _ends_all(error: BaseException) -> bool:
    """Return whether an error would meet every shard alike."""
    if isinstance(error, TokenError):
        return error.retry_after is None
    return isinstance(error, ConfigurationError | ClusterError) or not isinstance(error, Exception)


def _checked_store(store_url: str | Path) -> str:
    """Return the URL of a store that the workers of a cluster can share, and that may be seen by whoever looks.

    Raises:
        ConfigurationError: it is a file, or holds a password.
    """
    url = parsed_url(store_url)
    if not isinstance(store_url, str) or url.get_backend_name() != "postgresql":
        raise ConfigurationError(
            "the store's URL names a SQLite file, which the workers of a cluster cannot share: they may be on other "
            "machines; use postgresql://user@host/database"
        )
    if url.password or any(name.lower().endswith("password") for name in url.query):
        raise ConfigurationError(
            "the store's URL holds a password, which would stand in the task graph and on the dashboard: leave it out, "
            "and set PGPASSWORD in the environment of the workers and of this process"
        )
    return store_url


def _checked_options(options: Mapping[str, object]) -> dict[str, object]:
    taken = sorted(_MADE_ON_THE_WORKER & options.keys())
    if taken:
        raise ConfigurationError(f"client_options: {', '.join(taken)} cannot be given, each worker makes its own")
    try:
        pickle.dumps(options)
    except Exception as error:
        raise ConfigurationError(
            f"client_options do not pickle ({type(error).__name__}), so no worker can get them"
        ) from error
    return dict(options)


async def _each(organization_ids: OrganizationIds) -> AsyncGenerator[str, None]:
    if isinstance(organization_ids, AsyncIterable):
        async for name in organization_ids:
            yield identifier(name, "organization_ids")
    else:
        for name in organization_ids:
            yield identifier(name, "organization_ids")


async def _seconds(store: SqlStore, resources: tuple[str, ...]) -> dict[str, float]:
    """Return what the last scans of each organization's lists took."""
    took = (
        sa.select(lists.c.organization_id, sa.func.sum(lists.c.seconds))
        .where(lists.c.resource.in_(resources), lists.c.scans > 0)
        .group_by(lists.c.organization_id)
    )
    rows = await store.database.run(lambda connection: list(connection.execute(took)))
    return {str(name): float(seconds) for name, seconds in rows}
