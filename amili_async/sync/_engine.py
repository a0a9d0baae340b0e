"""sync(): the lists of many organizations into a store, some at once, each in turns, one's failure its own.

What is read of a list, and when reading stops, is decided in `walk`; here it is decided who is next, what a failure
ends, and who is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Sized
from contextlib import suppress
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, TypeAlias

from amili_async._protocol.requests import identifier
from amili_async.errors import (
    AmiliError,
    ClientClosedError,
    ConfigurationError,
    StoreError,
    TokenError,
    UnauthorizedError,
    WrongLoopError,
)
from amili_async.sync._fair_queue import FairQueue
from amili_async.sync._list_sync import LeaseLostError, ListSync
from amili_async.sync._lists import LISTS, Lists, ListSource
from amili_async.sync._progress import ProgressTracker
from amili_async.sync._report import Failure, Progress, Restart, SyncReport
from amili_async.sync._store import InvalidValueError, LeaseConflict

if TYPE_CHECKING:
    from amili_async._client import AmiliClient
    from amili_async._protocol.requests import Identifier
    from amili_async.sync._store import Store

OrganizationIds: TypeAlias = "Iterable[Identifier] | AsyncIterable[Identifier]"
OnProgress: TypeAlias = Callable[[Progress], None]

TURN = 50
"""Pages after which an organization makes way for those that wait for a turn."""

INTERVAL = 0.25
"""Seconds between two reports of progress."""

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
"""Seconds after which an organization is asked about again that another run has."""


async def sync(
    client: AmiliClient,
    organization_ids: OrganizationIds,
    store: Store,
    *,
    resources: Iterable[str] = ("batches",),
    concurrency: int = 8,
    full: bool = False,
    since: datetime | date | None = None,
    max_failures: int | None = None,
    on_progress: OnProgress | None = None,
) -> SyncReport:
    """Read the lists of organizations into a store, and return what came of it.

    Run again, it reads what is new and what was not final; interrupted, failed or killed at any moment, the next run
    goes on where this one stood, with nothing lost and nothing twice. An organization that fails is in the report, with
    the `Cursor` where it goes on, and the others are read all the same. How a list is walked, and why nothing of it is
    lost, is told in `amili_async.sync._scan`.

    Cancelling it leaves no half page. What is in flight is bounded by ``concurrency`` and by the client's own limits,
    whichever is lower; memory does not grow with the number of organizations.

    Args:
        client: reads. Its retries, deadlines and rate-limit gate hold for all organizations together.
        organization_ids: whose lists. Taken as they are needed, so it may be an endless or asynchronous iterable.
        store: keeps. It stays open.
        resources: which lists: ``batches``, ``invoices``, ``cases``, ``settlements``.
        concurrency: how many organizations at once.
        full: read every page, whatever is known.
        since: leave out what came to be before this moment, or before this day in UTC.
        max_failures: stop when so many organizations have failed.
        on_progress: called about four times a second, at the beginning and at the end, in this task's event loop.

    Raises:
        ConfigurationError: an argument that cannot be right.
        StoreError: the store failed; what it holds is whole.
        TokenError: the credentials were refused; `UnauthorizedError` where the API refuses a new token.
    """
    names = checked_resources(resources)
    if isinstance(organization_ids, str | bytes):
        raise ConfigurationError("organization_ids must be several ids, such as a list, not one text")
    at_least_one(concurrency, "concurrency")
    at_least_one(1 if max_failures is None else max_failures, "max_failures")
    total = len(organization_ids) if isinstance(organization_ids, Sized) else None
    meter = ProgressTracker(names, total, client.caller.transport.clock)
    run = _Run(client, store, meter, full=full, since=beginning(since), max_failures=max_failures)
    with client.caller.transport.hooks.with_one_more(meter):
        return await run.run(organization_ids, concurrency, on_progress)


def checked_resources(resources: Iterable[str]) -> tuple[str, ...]:
    """Return the names of lists, each once.

    Raises:
        ConfigurationError: there is none, or one that is not known.
    """
    names = () if isinstance(resources, str) else tuple(dict.fromkeys(resources))
    if not names or any(name not in LISTS for name in names):
        raise ConfigurationError(f"resources must be a list of some of {', '.join(LISTS)}")
    return names


def at_least_one(value: int, name: str) -> None:
    """Check a count that a caller gave.

    Raises:
        ConfigurationError: it is no whole number, or below 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError(f"{name} must be a whole number of at least 1, not {value!r}")


def beginning(since: datetime | date | None) -> datetime | None:
    """Return the moment before which rows are left out; of a day, its midnight in UTC.

    Raises:
        ConfigurationError: a moment without a zone.
    """
    if since is None:
        return None
    if not isinstance(since, datetime):
        return datetime.combine(since, time.min, UTC)
    if since.tzinfo is None:
        raise ConfigurationError("since must be a day, or a moment with its time zone")
    return since


class _Job:
    """An organization on its way: which of its lists are left, and the walk over the first of them."""

    __slots__ = ("course", "failed", "given_up_at", "last", "left", "organization_id", "pause", "resources")

    def __init__(self, organization_id: str, resources: tuple[str, ...]) -> None:
        self.organization_id = organization_id
        self.resources = deque(resources)
        self.course: ListSync | None = None
        self.failed = False
        self.left = False
        """Whether it was left to another run."""
        self.given_up_at: float | None = None
        """When another run that has it is no longer waited for, by the event loop's time."""
        self.pause = FIRST_PAUSE


class _StoppedError(Exception):
    """So many organizations have failed that the run ends."""


class _Run:
    """One call of `sync`."""

    def __init__(
        self,
        client: AmiliClient,
        store: Store,
        meter: ProgressTracker,
        *,
        full: bool,
        since: datetime | None,
        max_failures: int | None,
    ) -> None:
        self._store = store
        self._meter = meter
        self._full = full
        self._since = since
        self._max_failures = max_failures
        self._clock = client.caller.transport.clock
        self._lists: dict[str, Lists[Any]] = {name: LISTS[name](client) for name in meter.tallies}
        self._active: set[str] = set()
        self._finished = 0
        self._held: deque[_Job] = deque()
        self._left_to_others: list[str] = []
        self._failures: list[Failure] = []
        self._restarts: list[Restart] = []

    async def run(
        self, organization_ids: OrganizationIds, concurrency: int, on_progress: OnProgress | None
    ) -> SyncReport:
        """Work on all organizations and return the report."""
        turns = self._turns = FairQueue(organization_ids, self._job, ahead=concurrency)
        stopped = False
        fatal: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                telling = group.create_task(self._tell(on_progress)) if on_progress else None
                async with asyncio.TaskGroup() as workers:
                    workers.create_task(self._feed(turns))
                    for _ in range(concurrency):
                        workers.create_task(self._work(turns))
                if telling:
                    telling.cancel()
        except BaseExceptionGroup as errors:
            others = errors.split(_StoppedError)[1]
            stopped = others is None
            fatal = None if others is None else _first(others)
        finally:
            for job in turns.left():
                await self._let_go(job)
        if fatal is not None:
            # Out here, or its context would be the group that holds it: a circle, which Dask cannot pickle.
            raise fatal
        if on_progress:
            on_progress(self._meter.progress())
        return self._report(stopped=stopped)

    def _job(self, organization_id: Identifier) -> _Job | None:
        """Return the job of an organization; none where one is under way."""
        name = identifier(organization_id, "organization_ids")
        if name in self._active:
            return None
        self._active.add(name)
        return _Job(name, tuple(self._lists))

    async def _feed(self, turns: FairQueue[Identifier, _Job]) -> None:
        await turns.feed()
        self._meter.total = turns.taken

    async def _tell(self, on_progress: OnProgress) -> None:
        while True:
            on_progress(self._meter.progress())
            # The event loop's own time: a clock on which waiting takes none would tell without end.
            await asyncio.sleep(INTERVAL)

    async def _work(self, turns: FairQueue[Identifier, _Job]) -> None:
        while (job := await self._next(turns)) is not None:
            try:
                await self._go_on(job, turns)
            except BaseException:
                await self._let_go(job)
                raise

    async def _next(self, turns: FairQueue[Identifier, _Job]) -> _Job | None:
        """Return whose turn it is. When nobody else is left, those are asked about again that another run had."""
        job = await turns.next()
        if job is None and self._held:
            job = self._held.popleft()
            await asyncio.sleep(job.pause)
            job.pause = min(2 * job.pause, LONGEST_PAUSE)
        return job

    async def _go_on(self, job: _Job, turns: FairQueue[Identifier, _Job]) -> None:
        """Walk an organization's lists until all are done or its turn has ended."""
        pages = TURN

        def should_continue() -> bool:
            nonlocal pages
            pages -= 1
            return pages > 0 or not turns.others

        while job.resources:
            try:
                course = job.course or await self._begin(job)
            except InvalidValueError as error:
                # Nothing but this organization's id: the others are kept all the same.
                job.failed = True
                self._failures.append(Failure.of(job.organization_id, job.resources.popleft(), error, None))
                continue
            if course is None:
                return
            try:
                finished = await course.run(should_continue)
            except LeaseLostError as lost:
                self._hold_back(job, lost.seconds)
                return
            except AmiliError as error:
                if _ends_all(error):
                    raise
                await self._end_list(job, course, error)
                continue
            if not finished:
                turns.put_back(job)
                return
            await self._end_list(job, course, None)
        self._end(job)

    async def _begin(self, job: _Job) -> ListSync | None:
        """Take on the next list of an organization; nothing where another run has it."""
        resource = job.resources[0]
        bookmark = await self._store.begin(job.organization_id, resource)
        if isinstance(bookmark, LeaseConflict):
            self._hold_back(job, bookmark.seconds)
            return None
        source: ListSource[Any] = ListSource(self._lists[resource], job.organization_id)
        job.course = ListSync(
            source,
            self._store,
            bookmark,
            full=self._full,
            since=self._since,
            tally=self._meter.tallies[resource],
            clock=self._clock,
        )
        return job.course

    def _hold_back(self, job: _Job, seconds: float) -> None:
        """Wait for the run that has an organization, until its lease would have run out; then leave it to that run."""
        job.course = None
        now = asyncio.get_running_loop().time()
        if job.given_up_at is None:
            job.given_up_at = now + seconds
        if now <= job.given_up_at:
            self._held.append(job)
            return
        job.left = True
        self._left_to_others.append(job.organization_id)
        self._end(job)

    async def _end_list(self, job: _Job, course: ListSync, error: AmiliError | None) -> None:
        resource = job.resources.popleft()
        job.course = None
        if course.restart:
            self._restarts.append(course.restart)
        if error is not None:
            job.failed = True
            self._failures.append(Failure.of(job.organization_id, resource, error, course.cursor))
        await self._store.finish(job.organization_id, resource, None if error is None else str(error))

    def _end(self, job: _Job) -> None:
        self._active.discard(job.organization_id)
        self._meter.done += 1
        if job.failed:
            self._meter.failed += 1
            if self._meter.failed == self._max_failures:
                raise _StoppedError
        elif not job.left:
            self._finished += 1

    async def _let_go(self, job: _Job) -> None:
        """Give back the list that an organization was at, when the run ends before it."""
        if job.course is not None:
            job.course = None
            with suppress(StoreError):  # the reason why the run ends, most likely
                await self._store.finish(job.organization_id, job.resources[0], None)

    def _report(self, *, stopped: bool) -> SyncReport:
        meter = self._meter
        return SyncReport(
            organizations=self._finished,
            failures=tuple(self._failures),
            held=tuple(self._left_to_others),
            restarts=tuple(self._restarts),
            stopped=stopped,
            resources=meter.counts(),
            requests=meter.requests,
            retries=meter.retries,
            waited=meter.waited,
            seconds=meter.seconds,
        )


def _ends_all(error: AmiliError) -> bool:
    """Return whether an error would meet every organization alike.

    A 401 that survives a new token is about the credentials; what an organization refuses is a 403.
    """
    if isinstance(error, TokenError):
        return error.retry_after is None
    return isinstance(error, UnauthorizedError | ConfigurationError | StoreError | ClientClosedError | WrongLoopError)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group, and of the groups in it."""
    first = errors.exceptions[0]
    if isinstance(first, BaseExceptionGroup):
        return _first(first)  # pyright: ignore[reportUnknownArgumentType]  # isinstance forgets what the group holds
    return first
