"""ListSync: one list of one organization, walked from its bookmark to its end, a page in one transaction."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from amili_async._cursor import Cursor
from amili_async.errors import APIError, ConfigurationError
from amili_async.events import QuarantinedRow
from amili_async.sync._report import Restart
from amili_async.sync._scan import (
    advance,
    after_rereading,
    completed,
    done,
    new_walk,
    resumable,
    resumed,
    wanted,
)
from amili_async.sync._store import LeaseConflict, PageWrite, Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from amili_async._clock import Clock
    from amili_async.sync._checkpoint import Checkpoint, Scan
    from amili_async.sync._progress import Counter
    from amili_async.sync._source import Source, SourcePage
    from amili_async.sync._store import Store

_REFUSED = frozenset({400, 404, 409, 410, 412, 416, 422})
"""What a server may say to a page token that it does not know, or no longer."""

_MALFORMED = frozenset({400, 422})
"""What a server may say to a query that it does not understand."""

_AT_ONCE = 20
"""How many rows that were read by id are written in one transaction."""


class LeaseLostError(Exception):
    """Another run has taken the list over, and holds it for so many seconds at least."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class ListSync:
    """The walk over one list of one organization, from where its bookmark says to where nothing is left to read.

    `go` can be left and called again. What was written is kept whatever happens.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        bookmark: Checkpoint,
        *,
        full: bool,
        since: datetime | None,
        tally: Counter,
        clock: Clock,
    ) -> None:
        self.restart: Restart | None = None
        self._source = source
        self._store = store
        self._tally = tally
        self._clock = clock
        self._bookmark = bookmark
        self._since = since
        walk = bookmark.walk
        self._behind = walk is not None and resumable(bookmark, full=full, since=since)
        """Whether the walk was begun by an earlier run, so that rows may have come since."""
        self._walk = resumed(walk) if walk is not None and self._behind else self._anew(full=full)

    @property
    def cursor(self) -> Cursor | None:
        """Where the list goes on; ``None`` for the first page."""
        return None if self._walk.cursor is None else Cursor.decode(self._walk.cursor)

    async def run(self, should_continue: Callable[[], bool]) -> bool:
        """Walk on until ``should_continue`` says no, after a page; return whether nothing is left to read.

        Raises:
            LeaseLostError: another run has taken the list over.
            StoreError: the store failed.
            AmiliError: the API did.
        """
        while True:
            if not self._walk.listed and not await self._read_list(should_continue):
                return False
            if self._walk.reread and not await self._read_again(should_continue):
                return False
            if not self._behind:
                return True
            self._behind = False
            self._walk = self._anew(full=False)

    def _anew(self, *, full: bool) -> Scan:
        return new_walk(self._bookmark.coverage, full=full, since=self._since, sort=self._source.sort)

    async def _read_list(self, should_continue: Callable[[], bool]) -> bool:
        while True:
            try:
                return await self._follow(should_continue)
            except (APIError, ConfigurationError) as error:
                if not self._begins_anew(error):
                    raise

    def _begins_anew(self, error: APIError | ConfigurationError) -> bool:
        """Return whether to walk again from the first page, and see to it."""
        status = error.status if isinstance(error, APIError) else None
        if self._walk.cursor is None:
            if self._walk.sort is None or status not in _MALFORMED:
                return False
            # The direction's values are inferred (I). Without it the server's own order is looked at.
            self._source.disable_sort()
        else:
            if self.restart is not None or (status is not None and status not in _REFUSED):
                return False
            reason = (
                "its page token is not of this list" if status is None else f"its page token was refused ({status})"
            )
            self.restart = Restart(
                organization_id=self._source.organization_id, resource=self._source.resource, reason=reason
            )
        self._walk = self._anew(full=self._walk.full)
        return True

    async def _follow(self, should_continue: Callable[[], bool]) -> bool:
        since = self._clock.monotonic()
        walk, coverage = self._walk, self._bookmark.coverage
        # Where only a few new rows are expected, the page after them would be asked for in vain.
        brief = coverage is not None and walk.stop is not None and walk.stop == coverage.newest
        async with aclosing(self._source.sheets(self.cursor, walk.sort, ahead=not brief)) as sheets:
            async for sheet in sheets:
                since = await self._take(sheet, since)
                if self._walk.listed or not should_continue():
                    break
        return self._walk.listed

    async def _take(self, sheet: SourcePage, since: float) -> float:
        """Write a page; return the moment up to which its time is accounted for."""
        coverage, max_tracked_open = self._bookmark.coverage, self._source.max_tracked_open
        now = self._clock.monotonic()
        walk = replace(self._walk, seconds=self._walk.seconds + now - since)
        rows = tuple(wanted(walk, sheet.rows))
        walk = advance(walk, sheet.rows, sheet.following, coverage=coverage, max_tracked_open=max_tracked_open)
        await self._write(walk, rows, sheet.quarantined)
        self._tally.pages += 1
        return now

    async def _read_again(self, should_continue: Callable[[], bool]) -> bool:
        while self._walk.reread:
            since = self._clock.monotonic()
            asked = list(self._walk.reread)[:_AT_ONCE]
            found = [await self._source.refetch(row_id) for row_id in asked]
            rows = tuple(row for row in found if isinstance(row, Row))
            aside = tuple(row for row in found if isinstance(row, QuarantinedRow))
            walk = replace(self._walk, seconds=self._walk.seconds + self._clock.monotonic() - since)
            await self._write(
                after_rereading(walk, asked, rows, max_tracked_open=self._source.max_tracked_open), rows, aside
            )
            self._tally.reread += len(rows)
            self._tally.gone += found.count(None)
            if self._walk.reread and not should_continue():
                return False
        return True

    async def _write(self, walk: Scan, rows: tuple[Row, ...], aside: tuple[QuarantinedRow, ...]) -> None:
        """Keep rows and where the walk stands after them; the last write of a walk moves what is covered on."""
        bookmark = replace(self._bookmark, walk=walk)
        if done(walk):
            bookmark = completed(
                bookmark,
                walk,
                datetime.fromtimestamp(self._clock.time(), UTC),
                max_tracked_open=self._source.max_tracked_open,
            )
        written = await self._store.write(
            PageWrite(
                organization_id=self._source.organization_id,
                resource=self._source.resource,
                rows=rows,
                quarantined=aside,
                checkpoint=bookmark,
            )
        )
        if isinstance(written, LeaseConflict):
            raise LeaseLostError(written.seconds)
        self._bookmark, self._walk = bookmark, walk
        tally = self._tally
        tally.rows += len(rows)
        tally.new += written.new
        tally.changed += written.changed
        tally.quarantined += len(aside) + written.quarantined
