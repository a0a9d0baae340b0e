"""sync(): the lists of many organizations into a store, concurrent, fair, failures isolated.

What is read of a list, and when reading stops, is decided in `_scan`; here it is decided who is next, what a failure
ends, and who is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Callable, Iterable, Sized
from contextlib import nullcontext, suppress
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from amili_async._clock import current
from amili_async._protocol.requests import identifier
from amili_async.errors import (
    AmiliError,
    ClientClosedError,
    ConfigurationError,
    DeadlineExceededError,
    RateLimitedError,
    StoreError,
    TokenError,
    UnauthorizedError,
    WrongLoopError,
)
from amili_async.sync._arguments import (
    at_least_one,
    beginning,
    check_given,
    checked_resources,
    part,
    several,
    span,
)
from amili_async.sync._clients import Readings
from amili_async.sync._fair_queue import FairQueue
from amili_async.sync._job import LIMITED_PAUSE, Job, to_its_end
from amili_async.sync._list_sync import LeaseLostError, ListSync, Request, Surroundings
from amili_async.sync._progress import ProgressTracker
from amili_async.sync._reconciliation import MAX_GONE
from amili_async.sync._report import Failure, HeldOrganization, Progress, Restart, SyncReport
from amili_async.sync._run_record import RunRecord
from amili_async.sync._store import InvalidValueError, LeaseConflict, RunKeepingStore

if TYPE_CHECKING:
    from amili_async._client import AmiliClient
    from amili_async._protocol.requests import Identifier
    from amili_async.sync._clients import Clients, Reading
    from amili_async.sync._store import Store

OrganizationIds: TypeAlias = "Iterable[Identifier] | AsyncIterable[Identifier]"
"""Which organizations a sync reads."""

OnProgress: TypeAlias = Callable[[Progress], None]
"""What is told how far a sync is."""

logger = logging.getLogger("amili_async.sync")

TURN = 50
"""Pages after which an organization makes way for those that wait for a turn."""

INTERVAL = 0.25
"""Seconds between two reports of progress."""

LONGEST_PAUSE = 2.0
"""Seconds after which an organization is asked about again that another run has, at most."""

LONGEST_LIMITED_PAUSE = 30.0
"""Seconds that an organization whose requests are refused for load makes way for others, at most."""

LIMITED_TIMEOUT = 600.0
"""Seconds without an answer to anybody from which on a refusal for load is a failure."""

NOBODY = 100
"""Organizations that must be answered 401, and none otherwise, for a run over more than these to end."""

WEEK = timedelta(days=7)


async def sync(
    client: AmiliClient | None,
    organization_ids: OrganizationIds,
    store: Store,
    *,
    resources: Iterable[str] = ("batches",),
    concurrency: int = 8,
    full: bool = False,
    since: datetime | date | None = None,
    reconcile: timedelta | None = WEEK,
    refresh: timedelta | None = None,
    max_gone: float = MAX_GONE,
    max_failures: int | None = None,
    clients: Clients | None = None,
    on_progress: OnProgress | None = None,
) -> SyncReport:
    """Read the lists of organizations into a store, and return what came of it.

    Run again, it reads what is new and what was not final; interrupted, failed or killed at any moment, the next run
    goes on where this one stood, with nothing lost and nothing twice. An organization that fails is in the report, with
    the `Cursor` where it goes on, and the others are read all the same. How a list is scanned, and why nothing of it is
    lost, is told in `amili_async.sync._scan`.

    Cancelling it leaves no half page and no lease. What is in flight is bounded by ``concurrency`` and by the client's
    own limits, whichever is lower; memory does not grow with the number of organizations. Where the server refuses
    requests for load, the run slows down.

    Args:
        client: reads. Its retries, deadlines and rate limit hold for all organizations together. ``None`` where
            ``clients`` has one for each.
        organization_ids: whose lists. Taken as they are needed, so it may be an endless or asynchronous iterable.
        store: keeps. It stays open.
        resources: which lists: ``batches``, ``invoices``, ``cases``, ``settlements``.
        concurrency: how many organizations at once, and no more than the client has requests in flight.
        full: read every page, whatever is known.
        since: leave out what came to be before this moment, or before this day in UTC.
        reconcile: read each list from end to end when the last time is longer ago, spread over the runs, and mark what
            the server no longer has; ``None``: never. Takes a `ReconcilingStore`, such as `SqlStore`.
        refresh: read invoices and cases that may still change again when they were last read longer ago; ``None``: in
            each run. New ones are read in each run.
        max_gone: the part of an organization's rows that may be gone at once; more is a failure of that organization.
        max_failures: stop when so many organizations have failed.
        clients: which client reads which organization, by id, where one does not read all of them: a mapping such as
            `ClientPool`, or a function.
        on_progress: called about four times a second, at the beginning and at the end, in this task's event loop. Where
            it raises, that is logged once.

    Raises:
        ConfigurationError: an argument that cannot be right.
        StoreError: the store failed; what it holds is whole.
        TokenError: the credentials were refused; `UnauthorizedError` where the API refuses new tokens and answered
            nobody.
    """
    names = checked_resources(resources)
    several(organization_ids)
    check_given(client, store, clients, on_progress)
    at_least_one(concurrency, "concurrency")
    at_least_one(1 if max_failures is None else max_failures, "max_failures")
    request = Request(
        full=full,
        since=beginning(since),
        reconcile=span(reconcile, "reconcile"),
        refresh=span(refresh, "refresh"),
        max_gone=part(max_gone, "max_gone"),
    )
    if client is None and clients is None:
        raise ConfigurationError("give a client, or clients with one for each organization")
    total = len(organization_ids) if isinstance(organization_ids, Sized) else None
    tracker = ProgressTracker(names, total, current() if client is None else client.caller.transport.clock)
    record = RunRecord(store, names) if isinstance(store, RunKeepingStore) else None
    readings = Readings(client, clients, tracker, *(() if record is None else (record,)))
    if client is not None:
        # More than it sends at once would wait in its line, where the deadline of each page runs.
        concurrency = min(concurrency, client.caller.transport.limits.concurrency)
    run = _Run(readings, store, tracker, request, max_failures=max_failures)
    try:
        async with nullcontext() if record is None else record.keeping(run.report) as name:
            report = await run.run(organization_ids, concurrency, on_progress)
        return replace(report, run=name)
    finally:
        readings.close()


class _StoppedError(Exception):
    """So many organizations have failed that the run ends."""


class _Run:
    """One call of `sync`."""

    def __init__(
        self,
        readings: Readings,
        store: Store,
        tracker: ProgressTracker,
        request: Request,
        *,
        max_failures: int | None,
    ) -> None:
        self._readings = readings
        self._store = store
        self._tracker = tracker
        self._request = request
        self._max_failures = max_failures
        self._resources = tuple(tracker.counters)
        self._active: set[str] = set()
        self._working = 0
        self._finished = 0
        self._held: list[HeldOrganization] = []
        self._failures: list[Failure] = []
        self._restarts: list[Restart] = []
        self._unauthorized: UnauthorizedError | None = None
        self._progress_failed = False
        self._stopped = False

    async def run(
        self, organization_ids: OrganizationIds, concurrency: int, on_progress: OnProgress | None
    ) -> SyncReport:
        """Work on all organizations and return the report."""
        queue = FairQueue(organization_ids, self._job, ahead=concurrency)
        fatal: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                telling = group.create_task(self._keep_telling(on_progress)) if on_progress else None
                async with asyncio.TaskGroup() as workers:
                    workers.create_task(self._feed(queue))
                    for _ in range(concurrency):
                        workers.create_task(self._work(queue))
                if telling:
                    telling.cancel()
        except BaseExceptionGroup as errors:
            others = errors.split(_StoppedError)[1]
            self._stopped = others is None
            fatal = None if others is None else _first(others)
        finally:
            for job in await queue.left():
                await self._let_go(job)
        fatal = fatal or self._nobody_answered()
        if fatal is not None:
            # Out here, or its context would be the group that holds it: a circle, which Dask cannot pickle.
            raise fatal
        if on_progress:
            self._tell(on_progress)
        return self.report()

    def _job(self, organization_id: Identifier) -> Job | None:
        """Return the job of an organization; none where one is under way."""
        name = identifier(organization_id, "organization_ids")
        if name in self._active:
            return None
        self._active.add(name)
        return Job(name, self._resources, self._readings.of(name))

    async def _feed(self, queue: FairQueue[Identifier, Job]) -> None:
        await queue.feed()
        self._tracker.total = queue.taken

    async def _keep_telling(self, on_progress: OnProgress) -> None:
        while True:
            self._tell(on_progress)
            # The event loop's own time: a clock on which waiting takes none would tell without end.
            await asyncio.sleep(INTERVAL)

    def _tell(self, on_progress: OnProgress) -> None:
        try:
            on_progress(self._tracker.progress())
        except Exception:  # a caller's function may raise anything, and the run goes on
            if not self._progress_failed:
                self._progress_failed = True
                logger.exception("on_progress failed; its further failures are not logged")

    async def _work(self, queue: FairQueue[Identifier, Job]) -> None:
        while (job := await queue.next()) is not None:
            self._working += 1
            try:
                await self._go_on(job, queue)
            except BaseException:
                await self._let_go(job)
                raise
            finally:
                self._working -= 1

    async def _go_on(self, job: Job, queue: FairQueue[Identifier, Job]) -> None:
        """Scan an organization's lists until all are done or its turn has ended."""
        pages = TURN

        def should_continue() -> bool:
            nonlocal pages
            pages -= 1
            return pages > 0 or not queue.others

        while job.resources:
            if job.reading.account.refused is not None:
                self._fail(job, job.reading.account.refused)
                break
            try:
                list_sync = job.list_sync or await self._begin(job, queue)
            except InvalidValueError as error:
                # Nothing but this organization's id: the others are kept all the same.
                self._fail(job, error)
                break
            if list_sync is None:
                return
            try:
                finished = await list_sync.run(should_continue)
            except LeaseLostError as lost:
                self._hold_back(job, lost.conflict, asyncio.get_running_loop().time(), queue)
                return
            except AmiliError as error:
                if self._is_load(job, error) and self._waits_for_its_rate(job, error, queue):
                    return
                self._look_at(job, error)
                await self._end_list(job, list_sync, error)
                continue
            job.limited_since, job.limited_pause = None, LIMITED_PAUSE
            if not finished:
                queue.put_back(job)
                return
            await self._end_list(job, list_sync, None)
        self._end(job)

    async def _begin(self, job: Job, queue: FairQueue[Identifier, Job]) -> ListSync | None:
        """Take on the next list of an organization; nothing where another run has it."""
        resource, reading = job.resources[0], job.reading
        asked = asyncio.get_running_loop().time()
        taking = self._store.begin(job.organization_id, resource)
        checkpoint, cancelled = await to_its_end(taking)
        if isinstance(checkpoint, LeaseConflict):
            if cancelled is None:
                self._hold_back(job, checkpoint, asked, queue)
                return None
        else:
            around = Surroundings(
                store=self._store,
                counter=self._tracker.counters[resource],
                clock=reading.clock,
                reads=reading.reads,
                server_time=reading.account.server_time,
                read_cost=lambda: self._read_cost(reading),
            )
            source = reading.source(resource, job.organization_id)
            job.list_sync = ListSync(source, checkpoint, self._request, around)
        if cancelled is not None:
            raise cancelled
        return job.list_sync

    def _read_cost(self, reading: Reading) -> float:
        """Return what a read by id costs in pages: its share of a round trip, or a request where these are scarce."""
        return 1.0 if reading.account.limited else min(1.0, self._working / reading.concurrency)

    # What a failure ends

    def _look_at(self, job: Job, error: AmiliError) -> None:
        """Raise an error that would meet every organization alike.

        Refused credentials end all organizations that are read with them. A 401 that survives a new token is one
        organization's own affair as long as the server answers others; whether it does is known at the end.
        """
        account = job.reading.account
        if isinstance(error, ConfigurationError | StoreError | ClientClosedError | WrongLoopError):
            raise error
        if isinstance(error, TokenError) and error.retry_after is None:
            account.refused = error
            if self._readings.single:
                raise error
        if isinstance(error, UnauthorizedError) and account.answered_at is None:
            self._unauthorized = self._unauthorized or error
            account.unauthorized.add(job.organization_id)
            if len(account.unauthorized) >= NOBODY:
                account.refused = error
                if self._readings.single and (nobody := self._nobody_answered()) is not None:
                    raise nobody

    def _nobody_answered(self) -> AmiliError | None:
        """Return the error of a run in which nobody was let in."""
        accounts = [reading.account for reading in self._readings.all]
        if any(account.answered_at is not None for account in accounts):
            return None
        names = sorted({name for account in accounts for name in account.unauthorized})
        if self._unauthorized is not None:
            error = self._unauthorized
            rest = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
            return UnauthorizedError(
                f"no organization was answered: 401 for {names[0]}{rest}",
                operation=error.operation,
                method=error.method,
                route=error.route,
                status=error.status,
                request_id=error.request_id,
                attempts=error.attempts,
                body=error.body,
            )
        refused = [account.refused for account in accounts if account.refused is not None]
        return refused[0] if refused else None

    @staticmethod
    def _is_load(job: Job, error: AmiliError) -> bool:
        """Return whether an error says that too much is asked at once: of the server, or of our own limits."""
        if isinstance(error, DeadlineExceededError):
            return not error.attempts or job.reading.account.limited
        return isinstance(error, RateLimitedError)

    def _waits_for_its_rate(self, job: Job, error: AmiliError, queue: FairQueue[Identifier, Job]) -> bool:
        """Let an organization wait that is refused for load; return whether there is hope.

        There is as long as the server answers anybody.
        """
        clock, answered_at = job.reading.clock, job.reading.account.answered_at
        now = clock.monotonic()
        if job.limited_since is None:
            job.limited_since = now
        since = job.limited_since if answered_at is None else max(answered_at, job.limited_since)
        told = error.retry_after if isinstance(error, RateLimitedError) else None
        pause = max(job.limited_pause, told or 0.0)
        if now + pause - since > LIMITED_TIMEOUT and now > since:
            return False
        job.limited_pause = min(2 * job.limited_pause, LONGEST_LIMITED_PAUSE)
        queue.put_back_after(partial(clock.sleep, min(pause, LIMITED_TIMEOUT)), job)
        return True

    def _hold_back(self, job: Job, conflict: LeaseConflict, asked: float, queue: FairQueue[Identifier, Job]) -> None:
        """Wait for the run that has an organization, until its lease would have run out; then leave it to that run."""
        job.list_sync = None
        if job.given_up_at is None:
            job.given_up_at = asyncio.get_running_loop().time() + conflict.seconds
        # By when it was asked for: an answer that was long on its way may tell of a lease that has run out meanwhile.
        if asked <= job.given_up_at:
            # Real time, whatever the client's clock is: leases end by it.
            queue.put_back_after(partial(asyncio.sleep, job.pause), job)
            job.pause = min(2 * job.pause, LONGEST_PAUSE)
            return
        job.left = True
        self._held.append(
            HeldOrganization(
                organization_id=job.organization_id,
                owner=conflict.owner,
                since=conflict.since,
                until=conflict.until,
            )
        )
        self._end(job)

    async def _end_list(self, job: Job, list_sync: ListSync, error: AmiliError | None) -> None:
        resource = job.resources[0]
        await job.give_back(self._store, None if error is None else str(error))
        job.resources.popleft()
        if list_sync.restart:
            self._restarts.append(list_sync.restart)
        if error is not None:
            job.failed = True
            self._failures.append(Failure.of(job.organization_id, resource, error, list_sync.cursor))

    def _fail(self, job: Job, error: AmiliError) -> None:
        """Fail an organization before it was begun: nobody would let it in."""
        job.failed = True
        self._failures.append(Failure.of(job.organization_id, job.resources[0], error, None))

    def _end(self, job: Job) -> None:
        self._active.discard(job.organization_id)
        self._tracker.done += 1
        if job.failed:
            self._tracker.failed += 1
            if self._tracker.failed == self._max_failures:
                raise _StoppedError
        elif not job.left:
            self._finished += 1

    async def _let_go(self, job: Job) -> None:
        """Give back the list that an organization was at, when the run ends before it."""
        with suppress(StoreError):  # the reason why the run ends, most likely
            await job.give_back(self._store, None)

    def report(self) -> SyncReport:
        """Return what the run has done so far."""
        tracker = self._tracker
        return SyncReport(
            organizations=self._finished,
            failures=tuple(self._failures),
            held=tuple(self._held),
            restarts=tuple(self._restarts),
            stopped=self._stopped,
            resources=tracker.counts(),
            requests=tracker.requests,
            retries=tracker.retries,
            waited=tracker.waited,
            seconds=tracker.seconds,
        )


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group, and of the groups in it."""
    first = errors.exceptions[0]
    if isinstance(first, BaseExceptionGroup):
        return _first(first)  # pyright: ignore[reportUnknownArgumentType]  # isinstance forgets what the group holds
    return first
