"""Decides how a list is walked: where to begin, whether to go on, what to read again, what is known at the end.

Pure functions over `Checkpoint`. The rules, and why nothing is lost by them:

**What is covered.** A finished walk proves that every row up to the newest one of its *first* page was read. That
moment, `Watermark.newest`, moves on in the transaction that ends a walk and at no other time. So a walk that is killed
halfway leaves no gap: the next run goes on from its bookmark, or, where the page it stood at is gone, walks again to
the same boundary. That rows of the upper half are in the store by then stops nothing, as it is the boundary that is
looked at, never whether a row is known.

**Where a walk may stop early.** Only in a list that is newest first, and that is checked, not trusted: the rows of
each page, and the pages among themselves, in the walk that covered the list (with at least `EVIDENCE` rows older than
the one before them, so that a few rows in luck prove nothing) and in this one; and this walk's first row must be as
new as the newest one known. Then it stops behind the boundary, `OVERLAP` or `OVERLAP_ROWS` further back, whichever
comes first, as rows can become visible a little after others that are newer. Anything else is walked to its end.

**Rows that come while a walk runs** stand before its first page, and push others onto a page that is read later: a
row is then met twice, which upserting by id makes harmless. The next walk finds the new ones, as they are newer than
the newest row of this one's first page. Pages are compared by their last rows, so that rows met twice at the head of
a page do not pass for disorder; across a restart of the process pages are not compared at all.

**Rows that may still change** are remembered by id until they are final. Those that a walk does not meet are read by
id at its end. Where that is not possible, or there are more than `MAX_OPEN`, the walk's boundary is the oldest of
them.

**What this cannot see:** a row that appears with a moment further back than that overlap, a final row that changes
all the same, and a row that the server forgets. A full walk sees the first two.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import blake2b
from operator import ge, gt
from typing import TYPE_CHECKING

from msgspec.structs import replace

from amili_async.errors import PaginationLoopError
from amili_async.sync._checkpoint import Checkpoint, Scan, Watermark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from amili_async._cursor import Cursor
    from amili_async.sync._store import Row

OVERLAP = timedelta(minutes=5)
"""How far behind the boundary a walk reads on, at most."""

OVERLAP_ROWS = 50
"""How many rows behind the boundary a walk reads on, at most; the page that they end in is read whole."""

EVIDENCE = 8
"""How many rows must be older than the one before them for a list to count as newest first."""

MAX_OPEN = 200
"""How many rows that may still change are kept by name, and read by id, for one list."""


def resumable(bookmark: Checkpoint, *, full: bool, since: datetime | None) -> bool:
    """Return whether the walk in the bookmark does what is asked for: it may do more, not less."""
    walk = bookmark.walk
    return walk is not None and walk.since == since and (walk.full or not full)


def resumed(walk: Scan) -> Scan:
    """Return a walk as it goes on in another run: what was inserted meanwhile may have moved its pages."""
    return replace(walk, reached=None)


def new_walk(coverage: Watermark | None, *, full: bool, since: datetime | None, sort: str | None) -> Scan:
    """Return a walk from the first page, with the boundary that earlier walks allow."""
    if coverage is None:
        return Scan(full=full, since=since, sort=sort)
    reread = {row: moment for row, moment in coverage.open.items() if since is None or moment >= since}
    return Scan(full=full, since=since, sort=sort, reread=reread, stop=None if full else _boundary(coverage, since))


def _boundary(coverage: Watermark, since: datetime | None) -> datetime | None:
    if not coverage.ordered or coverage.newest is None or not _reaches(coverage.since, since):
        return None
    if coverage.oldest_open is None:
        return coverage.newest
    oldest_open = coverage.oldest_open if since is None else max(coverage.oldest_open, since)
    return min(coverage.newest, oldest_open)


def _reaches(covered: datetime | None, since: datetime | None) -> bool:
    return covered is None or (since is not None and since >= covered)


def wanted(walk: Scan, rows: Sequence[Row]) -> Sequence[Row]:
    """Return the rows that are not left out; one without a moment is not."""
    if walk.since is None:
        return rows
    return [row for row in rows if row.moment is None or row.moment >= walk.since]


def advance(
    walk: Scan,
    rows: Sequence[Row],
    following: Cursor | None,
    *,
    coverage: Watermark | None,
    max_tracked_open: int = MAX_OPEN,
) -> Scan:
    """Return the walk after a page: whether the list is done, and if not, where it goes on.

    Args:
        walk: as it was before the page.
        rows: the page's rows in the order of the wire.
        following: where the next page begins; ``None`` where there is none.
        coverage: what finished walks have read.
        max_tracked_open: how many rows that may still change are kept by name.

    Raises:
        PaginationLoopError: the list handed out a page token that it had handed out before.
    """
    moments = [row.moment for row in rows if row.moment is not None]
    ordered = walk.ordered and len(moments) == len(rows)
    steps, newest, reached = walk.steps, walk.newest, walk.reached
    if moments:
        if ordered:
            older = moments[1:]
            ordered = all(map(ge, moments, older)) and (reached is None or moments[-1] <= reached)
            steps += sum(map(gt, moments, older)) + (reached is not None and moments[-1] < reached)
        newest = newest or max(moments)
        reached = moments[-1]
    pages = walk.pages + 1
    stop = walk.stop
    seen_open, oldest_open = _still_open(walk, wanted(walk, rows), max_tracked_open)
    after = replace(
        walk,
        pages=pages,
        ordered=ordered,
        steps=steps,
        newest=newest,
        reached=reached,
        beyond=walk.beyond + (0 if stop is None else sum(moment < stop for moment in moments)),
        seen_open=seen_open,
        oldest_open=oldest_open,
        reread=_without(walk.reread, rows),
    )
    if following is None or (moments and _may_stop(after, moments, coverage)):
        return replace(after, listed=True, cursor=None, trail=0)
    return replace(after, cursor=following.encode(), trail=_trail(walk.trail, pages, following))


def _may_stop(walk: Scan, moments: Sequence[datetime], coverage: Watermark | None) -> bool:
    if not walk.ordered:
        return False
    if walk.since is not None and walk.steps >= EVIDENCE and moments[-1] < walk.since:
        return True
    if walk.stop is None or coverage is None or coverage.newest is None or walk.newest is None:
        return False
    return walk.newest >= coverage.newest and (walk.beyond >= OVERLAP_ROWS or moments[-1] < walk.stop - OVERLAP)


def _still_open(walk: Scan, rows: Iterable[Row], max_tracked_open: int) -> tuple[dict[str, datetime], datetime | None]:
    """Return the rows that may still change, by name while they are few; later the moment of the oldest one."""
    seen_open = walk.seen_open
    found = {row.id: row.moment for row in rows if not row.final and row.moment is not None}
    if seen_open:
        seen_open = _without(seen_open, rows)
    if found:
        seen_open = {**seen_open, **found}
    if walk.oldest_open is None and len(seen_open) <= max_tracked_open:
        return seen_open, None
    return {}, min((*seen_open.values(), *(() if walk.oldest_open is None else (walk.oldest_open,))))


def _without(open_rows: dict[str, datetime], rows: Iterable[Row]) -> dict[str, datetime]:
    if not open_rows:
        return open_rows
    met = {row.id for row in rows}
    return {row: moment for row, moment in open_rows.items() if row not in met}


def _trail(trail: int, pages: int, following: Cursor) -> int:
    """Return the hash that later tokens are compared with, moved on at every power of two (Brent's way).

    A pager remembers every token, but only its own: a walk has several, after a kill and where organizations take
    turns.
    """
    digest = int.from_bytes(blake2b((following.token or "").encode(), digest_size=7).digest(), "big")
    if trail == digest:
        raise PaginationLoopError(
            "the list handed out a page token that it had handed out before; following it would never end"
        )
    return digest if pages & (pages - 1) == 0 else trail


def after_rereading(walk: Scan, asked: Iterable[str], rows: Sequence[Row], *, max_tracked_open: int = MAX_OPEN) -> Scan:
    """Return the walk after rows were read by id. One that was asked for and is not among ``rows`` is gone."""
    seen_open, oldest_open = _still_open(walk, rows, max_tracked_open)
    gone = set(asked)
    reread = {row: moment for row, moment in walk.reread.items() if row not in gone}
    return replace(walk, reread=reread, seen_open=seen_open, oldest_open=oldest_open)


def done(walk: Scan) -> bool:
    """Return whether nothing is left to read."""
    return walk.listed and not walk.reread


def completed(bookmark: Checkpoint, walk: Scan, now: datetime, *, max_tracked_open: int = MAX_OPEN) -> Checkpoint:
    """Return the bookmark after a walk that is done: this is where what is covered moves on."""
    before = bookmark.coverage or Watermark()
    ordered = walk.ordered and (walk.steps >= EVIDENCE or walk.stop is not None)
    joined = walk.stop is not None and (walk.since is None or before.newest is None or walk.since <= before.newest)
    open_rows, oldest_open = _open_after(before, walk, max_tracked_open) if ordered else ({}, None)
    coverage = Watermark(
        newest=walk.newest,
        since=before.since if joined else walk.since,
        ordered=ordered,
        open=open_rows,
        oldest_open=oldest_open,
    )
    return Checkpoint(coverage=coverage, walks=bookmark.walks + 1, finished_at=now, seconds=walk.seconds)


def _open_after(before: Watermark, walk: Scan, max_tracked_open: int) -> tuple[dict[str, datetime], datetime | None]:
    """Return what may still change: what this walk met, and what it left out because it lies before its ``since``."""
    open_rows: Mapping[str, datetime] = walk.seen_open
    oldest = [] if walk.oldest_open is None else [walk.oldest_open]
    if walk.since is not None:
        open_rows = {**{row: at for row, at in before.open.items() if at < walk.since}, **open_rows}
        if before.oldest_open is not None and before.oldest_open < walk.since:
            oldest.append(before.oldest_open)
    if not oldest and len(open_rows) <= max_tracked_open:
        return dict(open_rows), None
    return {}, min((*oldest, *open_rows.values()))
