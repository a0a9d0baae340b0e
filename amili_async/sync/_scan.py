"""Decides how a list is scanned: where to begin, whether to go on, what to read again, what is known at the end.

Pure functions over `Checkpoint`. The rules, and why nothing is lost by them:

**What is known.** A finished scan proves that every row was read that the server listed when the scan began. By then it
was the server's time `Scan.as_of`, so what is known ends there at the latest, and at the newest row before it:
`Watermark.known_until`. It moves on in the transaction that ends a scan and at no other time. So a scan that is killed
halfway leaves no gap: the next run goes on from its checkpoint, or, where the page it stood at is gone, scans again to
the same boundary. A row that says it is of tomorrow moves nothing: it is read again until its time has come. Where the
server does not say what time it is, each scan reads everything.

**Where a scan may stop early.** Only in a list that is newest first, and that is checked, not trusted: the rows of each
page, and the pages among themselves, in the scan that covered the list (with at least `EVIDENCE` rows older than the
one before them, so that a few rows in luck prove nothing) and in this one; and this scan's first page must reach up to
what is known. Then it stops behind the boundary, `OVERLAP` and `OVERLAP_ROWS` further back, whichever reaches further,
as rows can become visible after others that are newer. Anything else is scanned to its end. A scan that came to the end
of the list and met nothing that was known moves nothing on: the next one reads everything.

**A list without moments** shows no order. It may end at a run of `OVERLAP_ROWS` rows that are known and unchanged, once
it was seen often enough (`EVIDENCE_ON_TOP`) that new rows stand above all known ones, by scans that read everything
from end to end, while the rows' value dates show no order that would explain it. One new row below a known one, and it
is read in full ever after.

**Rows that come while a scan runs** stand before its first page, and push others onto a page that is read later: a
row is then met twice, which upserting by id makes harmless. The next scan finds the new ones, as they are newer than
this one's beginning. Pages are compared by their last rows, so that rows met twice at the head of a page do not pass
for disorder; across a pause pages are not compared at all.

**Rows that may still change** are remembered by id until they are final. Those that a scan does not meet are read by
id at its end, or met by reading the list further where that takes fewer requests. Where there are more than `MAX_OPEN`,
or none can be read by id, the scan's boundary is the oldest of them.

**Rows that could not be read, or were not there when asked for**, are asked for again by every scan until they are
read, or until a scan of everything has not met them either. One that is neither in its place in the list nor there by
its id makes the next scan read everything: the next run's, or, where the row was never read, one of the same run.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from math import ceil
from operator import ge, gt
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from amili_async.errors import PaginationLoopError
from amili_async.sync._checkpoint import Checkpoint, Scan, Watermark
from amili_async.sync._sources import MAX_OPEN
from amili_async.sync._store import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from amili_async._cursor import Cursor
    from amili_async.sync._sources import SourcePage, Traits
    from amili_async.sync._store import WriteResult

OVERLAP = timedelta(minutes=15)
"""How far behind the boundary a scan reads on, at least."""

OVERLAP_ROWS = 500
"""How many rows behind the boundary a scan reads on, at least; the page that they end in is read whole."""

EVIDENCE = 8
"""How many rows must be older than the one before them for a list to count as newest first."""

EVIDENCE_ON_TOP = 40
EVIDENCE_AT_ONCE = 16
"""How many new rows must stand above all known ones for a list without moments, and how many of one scan count."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Wanted(NamedTuple):
    """What a run wants of a list."""

    full: bool = False
    since: datetime | None = None
    reconciles: bool = False
    """Whether it is time to find out which rows are gone."""
    refreshes: bool = True
    """Whether it is time to read rows again that may still change."""
    sort: str | None = None
    now: datetime | None = None
    """Our own time."""


def resumable(checkpoint: Checkpoint, *, full: bool, since: datetime | None) -> bool:
    """Return whether the scan in the checkpoint does what is asked for: it may do more, not less."""
    scan = checkpoint.scan
    return scan is not None and scan.since == since and (scan.full or not full)


def paused(scan: Scan) -> Scan:
    """Return a scan as it goes on after a pause: what was inserted meanwhile may have moved its pages."""
    return replace(scan, reached=None, by_known=False, unchanged=0)


def resumed(scan: Scan) -> Scan:
    """Return a scan as it goes on in another run."""
    return replace(paused(scan), whole=False)


def new_scan(watermark: Watermark | None, wanted: Wanted, traits: Traits, *, broken_off: bool = False) -> Scan:
    """Return a scan from the first page, with the boundary that earlier scans allow.

    Args:
        watermark: what is known; ``None`` for nothing.
        wanted: what the run asks for.
        traits: what holds for the list.
        broken_off: whether a scan since then was not finished, so that known rows prove nothing of those below them.
    """
    scan = Scan(
        full=wanted.full,
        refreshes=wanted.refreshes,
        since=wanted.since,
        sort=wanted.sort,
        began_at=wanted.now,
        whole=not broken_off,
    )
    if watermark is None:
        return replace(scan, refreshes=True)
    asked = {**(watermark.open if wanted.refreshes else {}), **watermark.unread, **watermark.missing}
    if wanted.since is not None:
        asked = {row: moment for row, moment in asked.items() if moment >= wanted.since}
    boundary = _boundary(watermark, wanted)
    everything = wanted.full or wanted.reconciles or watermark.doubtful
    return replace(
        scan,
        reconciles=wanted.reconciles,
        refreshes=wanted.refreshes or everything or (boundary is None and traits.moments),
        reread=asked,
        stop=None if everything else boundary,
        usual_stop=boundary,
        by_known=(not (everything or traits.moments or broken_off) and watermark.on_top >= EVIDENCE_ON_TOP),
    )


def _boundary(watermark: Watermark, wanted: Wanted) -> datetime | None:
    since = wanted.since
    if not watermark.ordered or watermark.as_of is None or watermark.known_until is None:
        return None
    if not _reaches(watermark.since, since):
        return None
    deeper = [watermark.oldest_open if wanted.refreshes else None, watermark.oldest_unread, *watermark.missing.values()]
    floor = [moment if since is None else max(moment, since) for moment in deeper if moment is not None]
    return min((watermark.known_until, *floor))


def _reaches(covered: datetime | None, since: datetime | None) -> bool:
    return covered is None or (since is not None and since >= covered)


def wanted_rows(scan: Scan, rows: Sequence[Row]) -> Sequence[Row]:
    """Return the rows that are not left out; one without a moment is not."""
    if scan.since is None:
        return rows
    return [row for row in rows if row.moment is None or row.moment >= scan.since]


def advance(
    scan: Scan,
    page: SourcePage,
    traits: Traits,
    *,
    watermark: Watermark | None,
    as_of: datetime | None = None,
    read_cost: float = 1.0,
) -> Scan:
    """Return the scan after a page: whether the list is done, and if not, where it goes on.

    Args:
        scan: as it was before the page.
        page: with its rows in the order of the wire.
        traits: what holds for the list.
        watermark: what finished scans have read.
        as_of: the server's time when the scan began; of the first page only.
        read_cost: what reading a row by its id costs, measured in list pages.

    Raises:
        PaginationLoopError: the list handed out a page token that it had handed out before.
    """
    rows = page.rows
    moments = [row.moment for row in rows if row.moment is not None]
    as_of = scan.as_of if scan.pages else as_of
    ordered = scan.ordered and len(moments) == len(rows)
    steps, top, newest, reached = scan.steps, scan.top, scan.newest, scan.reached
    if moments:
        if ordered:
            older = moments[1:]
            ordered = all(map(ge, moments, older)) and (reached is None or moments[-1] <= reached)
            steps += sum(map(gt, moments, older)) + (reached is not None and moments[-1] < reached)
        top = top or max(moments)
        if as_of is not None:
            known = [moment for moment in moments if moment <= as_of]
            newest = max(known if newest is None else (*known, newest), default=None)
        reached = moments[-1]
    pages = scan.pages + 1
    boundary = scan.stop or scan.usual_stop
    seen_open, oldest_open = _still_open(scan, wanted_rows(scan, rows), traits.max_open)
    after = replace(
        scan,
        as_of=as_of,
        pages=pages,
        rows=scan.rows + len(rows) + len(page.unread),
        ordered=ordered,
        steps=steps,
        top=top,
        newest=newest,
        reached=reached,
        beyond=scan.beyond + (0 if boundary is None else sum(moment <= boundary for moment in moments)),
        scattered=scan.scattered or page.scattered,
        seen_open=seen_open,
        oldest_open=oldest_open,
        reread=_without(scan.reread, rows),
        unread=_without(scan.unread, rows),
        missing=_without(scan.missing, rows),
    )
    if page.unread:
        after = _with_unread(after, page.unread, moments, traits)
    passes = bool(moments) and _passes(after, moments, watermark)
    if passes and scan.reconciles:
        after = replace(after, passed=True)
    following = page.following
    if following is None:
        return replace(after, listed=True, cursor=None, cycle_hash=0)
    if _ends(after, moments, passes=passes):
        after = _going_deeper(after, read_cost)
        if after.listed:
            return after
    return replace(after, cursor=following.encode(), cycle_hash=_cycle_hash(scan.cycle_hash, pages, following))


def _passes(scan: Scan, moments: Sequence[datetime], watermark: Watermark | None) -> bool:
    """Return whether a page leads so far beyond the boundary that all after it is known."""
    boundary = scan.stop or scan.usual_stop
    if not scan.ordered or boundary is None or scan.top is None or watermark is None or watermark.known_until is None:
        return False
    return scan.top >= watermark.known_until and scan.beyond >= OVERLAP_ROWS and moments[-1] < boundary - OVERLAP


def _ends(scan: Scan, moments: Sequence[datetime], *, passes: bool) -> bool:
    if scan.by_known:
        return not scan.misplaced and scan.unchanged >= OVERLAP_ROWS
    if not scan.ordered or not moments:
        return False
    if scan.since is not None and scan.steps >= EVIDENCE and moments[-1] < scan.since:
        return True
    return scan.stop is not None and passes


def _going_deeper(scan: Scan, read_cost: float) -> Scan:
    """Return a scan that has done what it must: ended, or going on where the list is the cheaper way to open rows.

    How many pages it takes to a row is guessed from the time that a page spanned so far; a guess that was wrong costs
    no more pages than the reads by id would have cost.
    """
    ended = replace(scan, listed=True, cursor=None, cycle_hash=0)
    if not scan.reread or scan.newest is None or scan.reached is None or scan.stop is None:
        return ended
    most = scan.deeper_most or int(read_cost * len(scan.reread))
    span = (scan.newest - scan.reached) / scan.pages
    if scan.deeper >= most or span <= timedelta(0):
        return ended
    depths = sorted(scan.reached - moment for moment in scan.reread.values() if moment < scan.reached)
    if any(number * read_cost > ceil(depth / span) for number, depth in enumerate(depths, 1)):
        return replace(scan, deeper=scan.deeper + 1, deeper_most=most)
    return ended


def _still_open(scan: Scan, rows: Iterable[Row], max_open: int) -> tuple[dict[str, datetime], datetime | None]:
    """Return the rows that may still change, by name while they are few; later the moment of the oldest one."""
    seen_open = scan.seen_open
    found = {row.id: row.moment for row in rows if not row.final and row.moment is not None}
    if seen_open:
        seen_open = _without(seen_open, rows)
    if found:
        seen_open = {**seen_open, **found}
    if scan.oldest_open is None and len(seen_open) <= max_open:
        return seen_open, None
    return {}, min((*seen_open.values(), *(() if scan.oldest_open is None else (scan.oldest_open,))))


def _with_unread(scan: Scan, unread: Sequence[str | None], moments: Sequence[datetime], traits: Traits) -> Scan:
    """Return a scan that remembers rows of its last page that could not be read.

    By id where that can be; else by the place where the list must be looked at again, as far as anything tells it.
    """
    place = min(moments, default=scan.reached)
    names = [row for row in unread if row is not None and traits.by_id]
    scan = replace(scan, missing={row: moment for row, moment in scan.missing.items() if row not in names})
    known = {**scan.unread, **dict.fromkeys(names, place or scan.began_at or _EPOCH)}
    if len(names) == len(unread) and len(known) <= MAX_OPEN:
        return replace(scan, unread=known)
    if place is None:
        return replace(scan, doubtful=True)
    return replace(scan, unread={}, oldest_unread=min((place, *known.values(), *_present(scan.oldest_unread))))


def _present(*moments: datetime | None) -> list[datetime]:
    return [moment for moment in moments if moment is not None]


def _without(kept: dict[str, datetime], rows: Iterable[Row]) -> dict[str, datetime]:
    if not kept:
        return kept
    met = {row.id for row in rows}
    return {row: moment for row, moment in kept.items() if row not in met}


def _cycle_hash(before: int, pages: int, following: Cursor) -> int:
    """Return the hash that later tokens are compared with, moved on at every power of two (Brent's way).

    A pager remembers every token, but only its own: a scan has several, after a kill and where organizations take
    turns.
    """
    digest = int.from_bytes(blake2b((following.token or "").encode(), digest_size=7).digest(), "big")
    if before == digest:
        raise PaginationLoopError(
            "the list handed out a page token that it had handed out before; following it would never end"
        )
    return digest if pages & (pages - 1) == 0 else before


def after_write(scan: Scan, count: int, result: WriteResult) -> Scan:
    """Return the scan of a list without moments after a page of so many rows, by what the store knew of them."""
    known = count - result.new - result.quarantined
    unchanged = known == count and not result.changed
    return replace(
        scan,
        unchanged=scan.unchanged + count if unchanged else 0,
        met_known=scan.met_known or known > 0,
        new_on_top=scan.new_on_top + (0 if scan.met_known else result.new),
        misplaced=scan.misplaced or (scan.met_known and result.new > 0),
    )


class Reread(NamedTuple):
    """What came of rows that were asked for by id."""

    rows: Sequence[Row] = ()
    unread: Sequence[str] = ()
    missing: Sequence[str] = ()


def after_rereading(scan: Scan, reread: Reread, traits: Traits) -> Scan:
    """Return the scan after rows were read by id.

    One that the list has, where it cannot be read, and that is not there by its id is looked for in its place.
    """
    rows, place = reread.rows, scan.began_at or _EPOCH
    asked = {*(row.id for row in rows), *reread.unread, *reread.missing}
    seen_open, oldest_open = _still_open(scan, rows, traits.max_open)
    moments = scan.reread
    listed = [scan.unread[row] for row in reread.missing if row in scan.unread]
    return replace(
        scan,
        reread={row: moment for row, moment in moments.items() if row not in asked},
        seen_open=seen_open,
        oldest_open=oldest_open,
        unread={
            **{row: moment for row, moment in scan.unread.items() if row not in asked},
            **{row: moments.get(row, place) for row in reread.unread},
        },
        oldest_unread=min(_present(scan.oldest_unread, *listed), default=None),
        missing={
            **scan.missing,
            **{row: moments.get(row, place) for row in reread.missing if row not in scan.unread},
        },
    )


def done(scan: Scan) -> bool:
    """Return whether nothing is left to read."""
    return scan.listed and not scan.reread


def reads_everything(scan: Scan, watermark: Watermark | None) -> bool:
    """Return whether a scan that is done has read the list from end to end."""
    return scan.stop is None and not (scan.by_known and not scan.misplaced and watermark is not None)


def completed(checkpoint: Checkpoint, scan: Scan, traits: Traits, now: datetime, *, settled: bool = True) -> Checkpoint:
    """Return the checkpoint after a scan that is done: this is where what is known moves on.

    Args:
        checkpoint: as it was when the scan began.
        scan: done.
        traits: what holds for the list.
        now: our own time.
        settled: whether no question is left as to which rows are gone.
    """
    before = checkpoint.watermark or Watermark()
    first = checkpoint.watermark is None
    everything = reads_everything(scan, checkpoint.watermark)
    reconciled_at = checkpoint.reconciled_at
    if first or (scan.reconciles and settled):
        reconciled_at = scan.began_at
    return Checkpoint(
        watermark=_watermark(before, scan, traits, first=first, everything=everything, settled=settled),
        scans=checkpoint.scans + 1,
        finished_at=now,
        reconciled_at=reconciled_at,
        seconds=scan.seconds,
    )


def leaves_unread(before: Watermark | None, after: Watermark | None) -> bool:
    """Return whether a row that was never read is not there by its id: the list may have it, so it is scanned again."""
    return before is not None and after is not None and not after.missing.keys().isdisjoint(before.unread)


def _watermark(
    before: Watermark, scan: Scan, traits: Traits, *, first: bool, everything: bool, settled: bool
) -> Watermark:
    joined = everything or scan.by_known or scan.beyond > 0
    open_rows, oldest_open = _open_after(before, scan, traits.max_open)
    # A row that a scan of everything has not met, and that is not there by its id either, is gone.
    missing = {**_left_out(before.missing, scan), **({} if everything and settled else scan.missing)}
    lost = not everything and any(row in before.missing for row in scan.missing)
    after = Watermark(
        open=open_rows,
        oldest_open=oldest_open,
        oldest_unread=min(_present(scan.oldest_unread, _if_left_out(before.oldest_unread, scan)), default=None),
        unread={**_left_out(before.unread, scan), **scan.unread},
        missing=missing,
        on_top=before.on_top if traits.moments or first else _on_top(before, scan, everything=everything),
        refreshed_at=scan.began_at if scan.refreshes else before.refreshed_at,
        empty=scan.rows == 0,
        doubtful=scan.doubtful or lost or not joined or not settled,
    )
    if not joined:
        return replace(after, known_until=before.known_until, as_of=before.as_of, since=before.since)
    kept = not everything and (scan.since is None or before.known_until is None or scan.since <= before.known_until)
    return replace(
        after,
        known_until=min(_present(scan.as_of, scan.newest), default=None),
        as_of=scan.as_of,
        since=before.since if kept else scan.since,
        ordered=scan.ordered and (scan.steps >= EVIDENCE or not everything),
    )


def _on_top(before: Watermark, scan: Scan, *, everything: bool) -> int:
    """Return the evidence that new rows stand above all known ones."""
    if before.on_top < 0 or (scan.misplaced and scan.whole):
        return -1
    if everything and scan.whole and scan.scattered:
        return before.on_top + min(scan.new_on_top, EVIDENCE_AT_ONCE)
    return before.on_top


def _open_after(before: Watermark, scan: Scan, max_open: int) -> tuple[dict[str, datetime], datetime | None]:
    """Return what may still change: what this scan met, and what it left out on purpose."""
    open_rows = {**_left_out(before.open, scan), **scan.seen_open}
    kept = _if_left_out(before.oldest_open, scan) if scan.refreshes else before.oldest_open
    oldest = _present(scan.oldest_open, kept)
    if not oldest and len(open_rows) <= max_open:
        return open_rows, None
    return {}, min((*oldest, *open_rows.values()))


def _left_out(rows: Mapping[str, datetime], scan: Scan) -> dict[str, datetime]:
    """Return the rows that lie before what a scan looks at."""
    return {row: at for row, at in rows.items() if _if_left_out(at, scan)}


def _if_left_out(moment: datetime | None, scan: Scan) -> datetime | None:
    return moment if moment is not None and scan.since is not None and moment < scan.since else None
