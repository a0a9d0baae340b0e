"""ListSync: one list of one organization, scanned from its checkpoint to its end, a page in one transaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from amili_async._clock import Clock
from amili_async._cursor import Cursor
from amili_async.errors import (
    AmiliError,
    APIError,
    ClientClosedError,
    ConfigurationError,
    PaginationLoopError,
    RateLimitedError,
    ReconciliationError,
    StoreError,
    TokenError,
    WrongLoopError,
)
from amili_async.events import QuarantinedRow
from amili_async.sync._progress import Counter
from amili_async.sync._reconciliation import AT_ONCE, MAX_GONE, check, due, sort_out
from amili_async.sync._report import Restart
from amili_async.sync._scan import (
    Reread,
    Wanted,
    advance,
    after_rereading,
    after_write,
    completed,
    done,
    leaves_unread,
    new_scan,
    paused,
    resumable,
    resumed,
    wanted_rows,
)
from amili_async.sync._sources import NotRead
from amili_async.sync._store import LeaseConflict, PageWrite, ReconcilingStore, Row, Store, WriteResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from amili_async.sync._checkpoint import Checkpoint, Scan
    from amili_async.sync._sources import Refetched, Source, SourcePage

logger = logging.getLogger("amili_async.sync")

_REFUSED = frozenset({400, 404, 409, 410, 412, 416, 422})
"""What a server may say to a page token of this run that it does not know any more."""

_MALFORMED = frozenset({400, 422})
"""What a server may say to a query that it does not understand."""

_NOT_OF_THE_LIST = (StoreError, ClientClosedError, WrongLoopError, RateLimitedError, TokenError)
"""Errors that say nothing of the page asked for."""

_AT_ONCE = 50
"""How many rows that were read by id are written in one transaction."""

_KEPT = 60.0
"""Seconds from which on a page token counts as one that was kept, and not as one just handed out."""

_IDS_A_LINE = 50


class LeaseLostError(Exception):
    """Another run has taken the list over, and holds it for a while at least."""

    def __init__(self, conflict: LeaseConflict) -> None:
        super().__init__()
        self.conflict = conflict


class Request(NamedTuple):
    """What a run asks of every list."""

    full: bool = False
    since: datetime | None = None
    reconcile: timedelta | None = None
    """How old the last scan of everything may be; ``None``: as old as it likes."""
    refresh: timedelta | None = None
    """How old the last look at rows may be that may still change, where there are many; ``None``: each run looks."""
    max_gone: float = MAX_GONE


class Surroundings(NamedTuple):
    """What a list is synced with."""

    store: Store
    counter: Counter
    clock: Clock
    reads: asyncio.Semaphore
    """What reads by id go through: queued at the client, where its deadline runs, many of them would never be sent."""
    server_time: Callable[[float], datetime | None] = lambda _: None
    """Returns the server's own time of a moment of the clock's monotonic time, as far as it said what time it is."""
    read_cost: Callable[[], float] = lambda: 1.0
    """Returns what reading a row by its id costs at this moment, measured in list pages."""


class ListSync:
    """The scan over one list of one organization, from where its checkpoint says to where nothing is left to read.

    `run` can be left and called again. What was written is kept whatever happens.
    """

    def __init__(self, source: Source, checkpoint: Checkpoint, request: Request, around: Surroundings) -> None:
        self.restart: Restart | None = None
        self._source = source
        self._traits = source.traits
        self._request = request
        self._store = around.store
        self._reconciler = around.store if isinstance(around.store, ReconcilingStore) else None
        self._counter = around.counter
        self._clock = around.clock
        self._around = around
        self._checkpoint = checkpoint
        self._page_at = self._clock.monotonic()
        scan = checkpoint.scan
        self._behind = scan is not None and resumable(checkpoint, full=request.full, since=request.since)
        """Whether the scan was begun by an earlier run, so that rows may have come since."""
        self._kept = self._behind
        """Whether the cursor was not handed out just now, so that the server may not know it any more."""
        if scan is not None and self._behind:
            self._scan = resumed(scan)
        else:
            self._scan = self._anew(full=request.full, broken_off=scan is not None)

    @property
    def cursor(self) -> Cursor | None:
        """Where the list goes on; ``None`` for the first page."""
        return None if self._scan.cursor is None else Cursor.decode(self._scan.cursor)

    async def run(self, should_continue: Callable[[], bool]) -> bool:
        """Scan on until ``should_continue`` says no, after a page; return whether nothing is left to read.

        Raises:
            LeaseLostError: another run has taken the list over.
            StoreError: the store failed.
            ReconciliationError: more rows are gone than can be taken for a fact; all others are written.
            AmiliError: the API did not answer.
        """
        while True:
            before = self._checkpoint.watermark
            if not self._scan.listed and not await self._read_list(should_continue):
                return False
            if self._scan.reread and not await self._read_again(should_continue):
                return False
            if self._checkpoint.scan is not None:
                await self._conclude()
            if not self._behind and not leaves_unread(before, self._checkpoint.watermark):
                return True
            self._behind = self._kept = False
            self._scan = self._anew(full=False)

    def _anew(self, *, full: bool, broken_off: bool = False) -> Scan:
        request, checkpoint, watermark = self._request, self._checkpoint, self._checkpoint.watermark
        now = self._now()
        reconciles = False
        if self._reconciler is not None and request.reconcile is not None and watermark is not None:
            name = f"{self._source.organization_id} {self._source.resource}"
            reconciles = full or watermark.doubtful or due(name, checkpoint.reconciled_at, now, request.reconcile)
        refreshed_at = None if watermark is None else watermark.refreshed_at
        fresh = (
            self._traits.refreshable
            and request.refresh is not None
            and refreshed_at is not None
            and now - refreshed_at < request.refresh
        )
        wanted = Wanted(
            full=full,
            since=request.since,
            reconciles=reconciles,
            refreshes=not fresh,
            sort=self._source.sort,
            now=now,
        )
        return new_scan(watermark, wanted, self._traits, broken_off=broken_off)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.time(), UTC)

    # The list

    async def _read_list(self, should_continue: Callable[[], bool]) -> bool:
        while True:
            try:
                return await self._follow(should_continue)
            except AmiliError as error:
                if isinstance(error, _NOT_OF_THE_LIST) or not self._begins_anew(error):
                    raise

    def _begins_anew(self, error: AmiliError) -> bool:
        """Return whether to scan again from the first page, and see to it."""
        status = error.status if isinstance(error, APIError) else None
        if self._scan.cursor is None:
            if self._scan.sort is None or status not in _MALFORMED:
                return False
            # The direction's values are inferred (I). Without it the server's own order is looked at.
            self._source.disable_sort()
            self._restart_scan()
            return True
        old = self._kept or (self._behind and isinstance(error, PaginationLoopError))
        if not old and status not in _REFUSED and not isinstance(error, ConfigurationError):
            return False
        if isinstance(error, ConfigurationError):
            return self._restarts("its page token is not of this list")
        said = type(error).__name__ if status is None else str(status)
        return self._restarts(f"its page token was refused ({said})")

    def _restarts(self, reason: str) -> bool:
        """Begin anew, once in a run; return whether it is the first time."""
        if self.restart is not None:
            return False
        source = self._source
        self.restart = Restart(organization_id=source.organization_id, resource=source.resource, reason=reason)
        self._restart_scan()
        return True

    def _restart_scan(self) -> None:
        self._kept = False
        self._scan = self._anew(full=self._scan.full, broken_off=self._scan.pages > 0)

    async def _follow(self, should_continue: Callable[[], bool]) -> bool:
        begun = self._clock.monotonic()
        scan, watermark = self._scan, self._checkpoint.watermark
        if scan.pages and begun - self._page_at > _KEPT:
            self._kept = True
        if scan.pages:
            self._scan = scan = paused(scan)
        # Where only a few new rows are expected, the page after them would be asked for in vain.
        brief = watermark is not None and scan.stop is not None and scan.stop == watermark.known_until
        async with aclosing(self._source.pages(self.cursor, scan.sort, ahead=not brief)) as pages:
            async for page in pages:
                if self._ends_emptily(page):
                    break
                self._kept = False
                begun = await self._take(page, begun)
                if self._scan.listed or not should_continue():
                    return self._scan.listed
        # Only the empty last page leads here: every other page says whether the list is done.
        return await self._follow(should_continue)

    def _ends_emptily(self, page: SourcePage) -> bool:
        """Return whether to ask once more, as an empty last page says less than it seems.

        It may be the answer to a page token that the server does not know any more; and a list that is empty, though
        rows of it are known, is rather a failure of the server's than a fact.
        """
        if page.rows or page.quarantined or page.following is not None:
            return False
        if self._scan.pages:
            return self._kept and self._restarts("its page token led to an empty last page")
        watermark = self._checkpoint.watermark
        return (
            watermark is not None and not watermark.empty and self._restarts("it was empty, and rows of it are known")
        )

    async def _take(self, page: SourcePage, since: float) -> float:
        """Write a page; return the moment up to which its time is accounted for."""
        before, now = self._scan, self._clock.monotonic()
        scan = advance(
            replace(before, seconds=before.seconds + now - since),
            page,
            self._traits,
            watermark=self._checkpoint.watermark,
            as_of=self._around.server_time(since),
            read_cost=self._around.read_cost(),
        )
        rows = tuple(wanted_rows(scan, page.rows))
        met: tuple[str, ...] = ()
        if scan.reconciles:
            met = (*(row.id for row in page.rows), *(row for row in page.unread if row is not None))
        result = await self._write(
            scan, rows, page.quarantined, met=met, forget_met=scan.reconciles and not before.pages
        )
        if not self._traits.moments:
            self._scan = after_write(self._scan, len(rows), result)
        if before.passed:
            self._tell_found(before, result)
        self._counter.pages += 1
        self._page_at = now
        return now

    # Rows by their ids

    async def _read_again(self, should_continue: Callable[[], bool]) -> bool:
        while self._scan.reread:
            begun = self._clock.monotonic()
            asked = list(self._scan.reread)[:_AT_ONCE]
            found, error = await self._refetched(asked)
            reread = Reread(
                rows=_rows(found),
                unread=_unread(found),
                missing=[name for name, row in found.items() if isinstance(row, NotRead)],
            )
            scan = replace(self._scan, seconds=self._scan.seconds + self._clock.monotonic() - begun)
            if found:
                await self._write(after_rereading(scan, reread, self._traits), tuple(reread.rows), _unreadable(found))
                self._counter.reread += len(reread.rows)
            if error is not None:
                raise error
            if self._scan.reread and not should_continue():
                return False
        return True

    async def _refetched(self, asked: Sequence[str]) -> tuple[dict[str, Refetched], AmiliError | None]:
        """Return rows as they are at this moment, side by side within the client's concurrency, and what failed first.

        What could be read counts, whatever became of the rest.
        """
        found = await asyncio.gather(*(self._refetch(row_id) for row_id in asked))
        # Load is the least of what can be wrong: it passes.
        errors = sorted((row for row in found if isinstance(row, AmiliError)), key=_is_load)
        rows = {name: row for name, row in zip(asked, found, strict=True) if not isinstance(row, AmiliError)}
        return rows, errors[0] if errors else None

    async def _refetch(self, row_id: str) -> Refetched | AmiliError:
        try:
            async with self._around.reads:
                return await self._source.refetch(row_id)
        except AmiliError as error:
            return error

    # The end

    async def _conclude(self) -> None:
        """End a scan that is done, and say which rows are gone.

        Raises:
            ReconciliationError: there are more of them than can be taken for a fact.
        """
        if not self._scan.reconciles:
            await self._complete(settled=self._settles(self._scan))
            return
        try:
            gone, absent = await self._absent()
        except ReconciliationError:
            await self._complete(settled=False)
            raise
        await self._complete(settled=not absent, gone=gone, absent=absent)
        self._tell_ids(logging.INFO, "gone from the server", gone)

    async def _absent(self) -> tuple[list[str], list[str]]:
        """Return the rows that are gone, and those of which that is not proven.

        Raises:
            ReconciliationError: there are more of them than can be taken for a fact.
        """
        assert self._reconciler is not None  # noqa: S101  # without one no scan reconciles
        source = self._source
        found = await self._reconciler.absences(source.organization_id, source.resource, self._scan.since, AT_ONCE)
        if isinstance(found, LeaseConflict):
            raise LeaseLostError(found)
        check(found, self._request.max_gone)
        asked, gone, absent = sort_out(found.rows, source.readable_by_id)
        for start in range(0, len(asked), _AT_ONCE):
            rows, error = await self._refetched(asked[start : start + _AT_ONCE])
            there = {name: row for name, row in rows.items() if not isinstance(row, NotRead)}
            if there:
                reread = Reread(rows=_rows(there), unread=_unread(there))
                scan = after_rereading(self._scan, reread, self._traits)
                await self._write(scan, tuple(reread.rows), _unreadable(there), met=tuple(there))
                self._tell_ids(logging.INFO, "there, and not in the list", list(there))
            if error is not None:
                raise error
            gone += [name for name, row in rows.items() if row is NotRead.ABSENT]
            absent += [name for name, row in rows.items() if row is NotRead.NO_ROUTE]
        return gone, absent

    async def _complete(self, *, settled: bool, gone: Sequence[str] = (), absent: Sequence[str] = ()) -> None:
        checkpoint = completed(self._checkpoint, self._scan, self._traits, self._now(), settled=settled)
        await self._keep(checkpoint, gone=tuple(gone), absent=tuple(absent))
        self._count_gone(self._scan, checkpoint, gone)

    def _settles(self, scan: Scan) -> bool:
        """Return whether a scan that does not reconcile leaves nothing to one that does."""
        return not scan.missing or self._reconciler is None or self._request.reconcile is None

    # What is written

    async def _write(
        self,
        scan: Scan,
        rows: tuple[Row, ...],
        aside: tuple[QuarantinedRow, ...],
        *,
        met: tuple[str, ...] = (),
        forget_met: bool = False,
    ) -> WriteResult:
        """Keep rows and where the scan stands after them; where that ends it, what is known moves on."""
        checkpoint = replace(self._checkpoint, scan=scan)
        if done(scan) and self._traits.moments and not scan.reconciles:
            checkpoint = completed(checkpoint, scan, self._traits, self._now(), settled=self._settles(scan))
        result = await self._keep(checkpoint, rows=rows, quarantined=aside, met=met, forget_met=forget_met)
        self._scan = scan
        if checkpoint.scan is None:
            self._count_gone(scan, checkpoint)
        counter = self._counter
        counter.rows += len(rows)
        counter.new += result.new
        counter.changed += result.changed
        counter.quarantined += len(aside) + result.quarantined
        counter.returned += result.returned
        return result

    async def _keep(
        self,
        checkpoint: Checkpoint,
        *,
        rows: tuple[Row, ...] = (),
        quarantined: tuple[QuarantinedRow, ...] = (),
        met: tuple[str, ...] = (),
        forget_met: bool = False,
        gone: tuple[str, ...] = (),
        absent: tuple[str, ...] = (),
    ) -> WriteResult:
        result = await self._store.write(
            PageWrite(
                organization_id=self._source.organization_id,
                resource=self._source.resource,
                rows=rows,
                quarantined=quarantined,
                checkpoint=checkpoint,
                met=met,
                forget_met=forget_met,
                gone=gone,
                absent=absent,
            )
        )
        if isinstance(result, LeaseConflict):
            raise LeaseLostError(result)
        self._checkpoint = checkpoint
        return result

    # What is told

    def _count_gone(self, scan: Scan, checkpoint: Checkpoint, gone: Sequence[str] = ()) -> None:
        """Count rows that are gone; where nothing marks them, those that are not asked for any more."""
        kept = checkpoint.watermark.missing if checkpoint.watermark else ()
        forgotten = () if scan.reconciles else scan.missing
        self._counter.gone += len(gone) + sum(row not in kept for row in forgotten)

    def _tell_found(self, before: Scan, result: WriteResult) -> None:
        """Count and log what only a scan of everything finds: rows that others had missed, or had as they once were."""
        expected = {*before.reread, *before.unread, *before.missing}
        stale = [name for name in result.changed_ids if name not in expected]
        missed = [name for name in result.new_ids if name not in expected]
        self._counter.missed += len(missed)
        self._counter.stale += len(stale)
        self._tell_ids(logging.WARNING, "missed before", missed)
        self._tell_ids(logging.WARNING, "changed unseen", stale)

    def _tell_ids(self, level: int, what: str, ids: Sequence[str]) -> None:
        source = self._source
        for start in range(0, len(ids), _IDS_A_LINE):
            some = ids[start : start + _IDS_A_LINE]
            logger.log(
                level,
                "reconciled %s of organization %s: %s: %s",
                source.resource,
                source.organization_id,
                what,
                " ".join(some),
                extra={
                    "amili_event": "reconciliation",
                    "amili_organization_id": source.organization_id,
                    "amili_resource": source.resource,
                    "amili_found": what,
                    "amili_ids": tuple(some),
                },
            )


def _is_load(error: AmiliError) -> bool:
    return isinstance(error, RateLimitedError)


def _rows(found: Mapping[str, Refetched]) -> list[Row]:
    return [row for row in found.values() if isinstance(row, Row)]


def _unread(found: Mapping[str, Refetched]) -> list[str]:
    return [name for name, row in found.items() if isinstance(row, QuarantinedRow)]


def _unreadable(found: Mapping[str, Refetched]) -> tuple[QuarantinedRow, ...]:
    return tuple(row for row in found.values() if isinstance(row, QuarantinedRow))
