"""The rules by which a list is scanned, one by one."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest
from msgspec.structs import replace

from amili_async._cursor import Cursor
from amili_async.errors import PaginationLoopError
from amili_async.sync._checkpoint import Checkpoint, Scan, Watermark
from amili_async.sync._scan import (
    EVIDENCE,
    EVIDENCE_AT_ONCE,
    EVIDENCE_ON_TOP,
    OVERLAP,
    OVERLAP_ROWS,
    Reread,
    Wanted,
    advance,
    after_rereading,
    after_write,
    completed,
    done,
    new_scan,
    paused,
    resumable,
    resumed,
    wanted_rows,
)
from amili_async.sync._sources import MAX_OPEN, SourcePage, Traits
from amili_async.sync._store import WriteResult
from tests.support.scripted_list import at, row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amili_async.sync._store import Row

NEXT = Cursor(token="next")  # a page token
NOW = at(10**6)
BATCHES = Traits(by_id=True, max_open=MAX_OPEN)
INVOICES = Traits(by_id=True, refreshable=True)
CASES = Traits(refreshable=True)
SETTLEMENTS = Traits(moments=False, by_id=True)


def rows(*seconds: float | None, final: bool = True) -> list[Row]:
    return [row(f"row {moment}", moment, final=final) for moment in seconds]


def known(**more: object) -> Watermark:
    return replace(Watermark(known_until=at(1000), as_of=at(1000), ordered=True), **more)


NUMBERS = itertools.count()


def another() -> Cursor:
    """Return the cursor of a page that no list had before."""
    return Cursor(token=f"page {next(NUMBERS)}")


def page_of(
    page: Sequence[Row], following: Cursor | None, unread: tuple[str | None, ...] = (), *, scattered: bool = False
) -> SourcePage:
    return SourcePage(tuple(page), (), unread, Cursor(), following, scattered)


def after(
    scan: Scan,
    page: Sequence[Row],
    *,
    watermark: Watermark | None = None,
    traits: Traits = BATCHES,
    following: Cursor | None = None,
    as_of: datetime | None = NOW,
    unread: tuple[str | None, ...] = (),
    read_cost: float = 1.0,
    scattered: bool = False,
) -> Scan:
    served = page_of(page, following or another(), unread, scattered=scattered)
    return advance(scan, served, traits, watermark=watermark, as_of=as_of, read_cost=read_cost)


def after_last(scan: Scan, page: Sequence[Row], *, unread: tuple[str | None, ...] = ()) -> Scan:
    return advance(scan, page_of(page, None, unread), BATCHES, watermark=None, as_of=NOW)


def begun(watermark: Watermark | None, traits: Traits = BATCHES, *, broken_off: bool = False, **wanted: object) -> Scan:
    return new_scan(watermark, Wanted(**wanted), traits, broken_off=broken_off)  # type: ignore[arg-type]  # its own fields


class Asked(NamedTuple):
    """What a run asks for."""

    full: bool = False
    since: datetime | None = None


# Where a scan begins


def test_the_first_scan_has_no_boundary_and_nothing_to_reconcile() -> None:
    assert begun(None, sort="DESC", reconciles=True, refreshes=False) == Scan(sort="DESC")


def test_a_later_scan_goes_down_to_what_is_known() -> None:
    assert begun(known()).stop == at(1000)


@pytest.mark.parametrize(
    "watermark",
    [
        known(ordered=False),
        known(known_until=None),
        known(as_of=None),
        known(doubtful=True),
    ],
    ids=["not newest first", "without moments", "a server that does not say what time it is", "a doubt"],
)
def test_a_list_of_which_too_little_is_known_is_read_to_its_end(watermark: Watermark) -> None:
    assert begun(watermark).stop is None


def test_what_a_store_of_an_earlier_version_knows_is_checked_once_by_reading_everything() -> None:
    kept = (
        b'{"coverage":{"newest":"2025-01-01T00:16:40Z","ordered":true,"open":{"a":"2025-01-01T00:00:10Z"}},"walks":3}'
    )
    checkpoint = msgspec.json.decode(kept, type=Checkpoint)

    scan = begun(checkpoint.watermark)

    assert (checkpoint.scans, scan.stop, scan.reread) == (3, None, {"a": at(10)})


def test_a_scan_that_an_earlier_version_began_goes_on() -> None:
    kept = b'{"walk":{"sort":"DESC","cursor":"c","pages":3,"steps":9,"newest":"2025-01-01T00:16:40Z","trail":77}}'
    scan = msgspec.json.decode(kept, type=Checkpoint).scan

    assert scan is not None
    assert (scan.cursor, scan.pages, scan.cycle_hash, scan.as_of) == ("c", 3, 77, None)
    assert end(after(resumed(scan), rows(9))).as_of is None


def test_a_full_scan_has_no_boundary_and_still_reads_open_rows_it_does_not_meet() -> None:
    scan = begun(known(open={"open": at(10)}), full=True)

    assert (scan.stop, scan.full, scan.reread) == (None, True, {"open": at(10)})


def test_a_scan_that_reconciles_reads_everything_and_knows_where_others_would_stop() -> None:
    scan = begun(known(), reconciles=True)

    assert (scan.stop, scan.usual_stop, scan.full) == (None, at(1000), False)


@pytest.mark.parametrize(
    "deeper", [{"oldest_open": at(30)}, {"oldest_unread": at(30)}, {"missing": {"a": at(30), "b": at(40)}}]
)
def test_rows_that_are_looked_for_in_the_list_are_scanned_down_to(deeper: dict[str, object]) -> None:
    assert begun(known(**deeper)).stop == at(30)


def test_rows_that_could_not_be_had_are_asked_for_again() -> None:
    watermark = known(open={"a": at(1)}, unread={"b": at(2)}, missing={"c": at(3)})

    assert begun(watermark).reread == {"a": at(1), "b": at(2), "c": at(3)}
    assert begun(watermark, refreshes=False).reread == {"b": at(2), "c": at(3)}


def test_a_scan_that_need_not_refresh_stops_at_what_is_known() -> None:
    watermark = known(oldest_open=at(30))

    scan = begun(watermark, INVOICES, refreshes=False)
    assert (scan.stop, scan.refreshes) == (at(1000), False)
    assert begun(watermark, INVOICES, refreshes=False, full=True).refreshes
    assert begun(replace(watermark, ordered=False), INVOICES, refreshes=False).refreshes


def test_since_holds_back_the_scan_to_the_oldest_open_row_and_the_reading_by_id() -> None:
    assert begun(known(oldest_open=at(30)), since=at(500)).stop == at(500)
    assert begun(known(open={"old": at(30), "young": at(600)}), since=at(500)).reread == {"young": at(600)}


def test_what_was_left_out_by_an_earlier_since_is_scanned_when_it_is_asked_for() -> None:
    watermark = known(since=at(500))

    assert begun(watermark).stop is None
    assert begun(watermark, since=at(400)).stop is None
    assert begun(watermark, since=at(500)).stop == at(1000)
    assert begun(watermark, since=at(600)).stop == at(1000)


@pytest.mark.parametrize(
    ("scan", "asked"),
    [
        (Scan(), Asked()),
        (Scan(full=True), Asked()),
        (Scan(full=True), Asked(full=True)),
        (Scan(since=at(1)), Asked(since=at(1))),
    ],
)
def test_a_scan_goes_on_in_a_run_that_asks_for_no_more_than_it_does(scan: Scan, asked: Asked) -> None:
    assert resumable(Checkpoint(scan=scan), full=asked.full, since=asked.since)


@pytest.mark.parametrize(
    ("scan", "asked"),
    [
        (None, Asked()),
        (Scan(), Asked(full=True)),
        (Scan(since=at(1)), Asked()),
        (Scan(since=at(1)), Asked(since=at(2))),
    ],
)
def test_a_run_that_asks_for_something_else_begins_anew(scan: Scan | None, asked: Asked) -> None:
    assert not resumable(Checkpoint(scan=scan), full=asked.full, since=asked.since)


def test_pages_are_not_compared_across_a_pause() -> None:
    # Fifty rows came while nobody looked, and the page after the last one is newer than that.
    assert after(paused(after(Scan(), rows(9, 8))), rows(20, 19)).ordered
    assert not resumed(Scan()).whole


# Where it goes on


def test_a_page_with_a_page_after_it_moves_the_cursor_there() -> None:
    scan = after(Scan(), rows(3, 2), following=NEXT)

    assert (scan.cursor, scan.pages, scan.rows, scan.listed) == (NEXT.encode(), 1, 2, False)


def test_the_last_page_ends_the_list() -> None:
    scan = after_last(after(Scan(), rows(3, 2)), rows(1))

    assert scan.listed
    assert scan.cursor is None
    assert done(scan)


def test_an_empty_page_with_a_page_after_it_ends_nothing() -> None:
    scan = after(
        after(Scan(stop=at(5)), [], watermark=known(known_until=at(5))), rows(9, 8), watermark=known(known_until=at(5))
    )

    assert not scan.listed
    assert scan.top == at(9)


@pytest.mark.parametrize(
    "pages",
    [[[3, 2, 1]], [[3, 3, 3]], [[3, 2], [1, 0]], [[9, 5], [7, 5]], [[9, 5], [], [4]]],
    ids=["falling", "all at once", "falling over pages", "rows met twice at the head", "an empty page between"],
)
def test_these_pages_are_newest_first(pages: list[list[float]]) -> None:
    assert seen(pages).ordered


@pytest.mark.parametrize(
    "pages",
    [[[1, 2]], [[3], [4]], [[9, 5], [7, 6]], [[1, 2], [0]]],
    ids=["rising", "rising over pages", "ending before the page before", "falling again"],
)
def test_these_pages_are_not_newest_first(pages: list[list[float]]) -> None:
    assert not seen(pages).ordered


def seen(pages: list[list[float]], *, as_of: datetime | None = NOW) -> Scan:
    scan = Scan()
    for page in pages:
        scan = after(scan, rows(*page), as_of=as_of)
    return scan


def test_a_row_without_a_moment_makes_the_order_unknown() -> None:
    assert not after(Scan(), rows(3, None)).ordered


# What no row can move


def test_the_server_s_time_is_that_of_the_first_page() -> None:
    scan = after(after(Scan(), rows(3), as_of=at(50)), rows(2), as_of=at(60))

    assert scan.as_of == at(50)


def test_a_row_dated_ahead_is_no_newest_row() -> None:
    scan = seen([[9000, 40], [39]], as_of=at(50))

    assert (scan.top, scan.newest) == (at(9000), at(40))
    assert end(replace(scan, steps=EVIDENCE)).known_until == at(40)


def test_what_is_known_ends_at_the_server_s_time_where_all_rows_are_dated_ahead_or_there_are_none() -> None:
    assert end(seen([[9000, 8000]], as_of=at(50))).known_until == at(50)
    assert end(after_last(Scan(), [])).known_until == NOW


def test_without_a_server_s_time_nothing_is_bounded() -> None:
    watermark = end(replace(seen([[9, 8]], as_of=None), steps=EVIDENCE))

    assert watermark.as_of is None
    assert begun(watermark).stop is None


# Where it may stop


def reaching(seconds: float, *, newest: float = 2000, beyond: int = OVERLAP_ROWS) -> Scan:
    """Return an incremental scan after a page from the newest row down to one moment."""
    return after(replace(begun(known()), beyond=beyond), rows(newest, seconds), watermark=known())


def test_a_scan_stops_where_it_has_gone_beyond_the_boundary_by_the_overlap_in_time_and_in_rows() -> None:
    beyond = 1000 - OVERLAP.total_seconds()

    assert not reaching(beyond).listed
    assert reaching(beyond - 1).listed
    assert not reaching(beyond - 1, beyond=OVERLAP_ROWS - 2).listed
    assert reaching(beyond - 1, beyond=OVERLAP_ROWS - 1).listed


def test_rows_at_the_boundary_count_as_beyond_it() -> None:
    assert after(Scan(stop=at(1000)), rows(1001, 1000, 999), watermark=known()).beyond == 2


def test_a_scan_without_a_boundary_does_not_stop() -> None:
    assert not after(Scan(), rows(2000, 0), watermark=known()).listed


def test_a_list_whose_first_page_does_not_reach_up_to_what_is_known_is_scanned_on() -> None:
    assert not reaching(0, newest=999).listed
    assert reaching(0, newest=1000).listed


def test_a_list_that_is_out_of_order_is_scanned_on() -> None:
    scan = after(replace(begun(known()), beyond=OVERLAP_ROWS), rows(2000, 0, 1), watermark=known())
    assert not scan.listed

    assert not after(scan, rows(-1, -2), watermark=known()).listed


def test_since_stops_a_list_only_once_it_is_beyond_doubt_newest_first() -> None:
    falling = rows(*range(1000, 1000 - EVIDENCE, -1))
    scan = after(Scan(since=at(990)), falling)
    assert scan.steps == EVIDENCE - 1

    assert not after(Scan(since=at(2000)), falling).listed
    assert after(after(Scan(since=at(990)), falling), rows(989)).listed
    assert not after(after(Scan(since=at(990)), falling), rows(990)).listed


def test_pages_of_one_row_give_evidence_too() -> None:
    scan = Scan(since=at(95))
    for moment in range(100, 91, -1):
        scan = after(scan, rows(moment))

    assert scan.steps == EVIDENCE
    assert scan.listed


def test_rows_before_since_are_left_out_and_rows_without_a_moment_are_not() -> None:
    page = [row("a", 3), row("b", None), row("c", 1)]

    assert [one.id for one in wanted_rows(Scan(since=at(2)), page)] == ["a", "b"]
    assert wanted_rows(Scan(), page) is page


def test_a_scan_that_reconciles_notes_where_others_would_have_stopped_and_reads_on() -> None:
    scan = replace(begun(known(), reconciles=True), beyond=OVERLAP_ROWS)
    scan = after(scan, rows(2000, 0), watermark=known())

    assert (scan.listed, scan.passed) == (False, True)


# A list without moments


def momentless(*results: tuple[int, int], scan: Scan | None = None) -> Scan:
    """Return a scan after pages of ten rows, of which so many were new and so many changed."""
    scan = scan or Scan(scattered=True)
    for new, changed in results:
        scan = after(scan, rows(*[None] * 10), traits=SETTLEMENTS)
        scan = after_write(scan, 10, WriteResult(new, changed))
    return scan


def evidence(scan: Scan, before: int = 0) -> int:
    watermark = Watermark(on_top=before)
    checkpoint = Checkpoint(watermark=watermark, scan=scan)
    after_it = completed(checkpoint, scan, SETTLEMENTS, NOW).watermark
    assert after_it is not None
    return after_it.on_top


def test_new_rows_above_all_known_ones_are_evidence_a_few_of_each_scan() -> None:
    assert evidence(momentless((3, 0), (0, 0))) == 3
    assert evidence(momentless((10, 0), (10, 0), (2, 0), (0, 0)), before=5) == 5 + EVIDENCE_AT_ONCE


def test_value_dates_in_some_order_are_no_evidence_as_they_may_be_what_the_list_goes_by() -> None:
    assert evidence(momentless((3, 0), (0, 0), scan=Scan())) == 0
    assert after(Scan(), [], traits=SETTLEMENTS, scattered=True).scattered


def test_a_new_row_below_a_known_one_settles_it_for_good() -> None:
    assert evidence(momentless((3, 0), (1, 0)), before=100) == -1
    assert evidence(momentless((3, 0), (0, 0)), before=-1) == -1


def test_a_scan_with_a_break_in_it_proves_nothing_either_way() -> None:
    broken = resumed(Scan(scattered=True))

    assert evidence(momentless((3, 0), (0, 0), scan=broken), before=7) == 7
    assert evidence(momentless((3, 0), (1, 0), scan=broken), before=7) == 7


PROVEN = Watermark(on_top=EVIDENCE_ON_TOP)


def test_with_enough_evidence_a_scan_ends_at_a_run_of_known_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amili_async.sync._scan.OVERLAP_ROWS", 20)
    scan = begun(PROVEN, SETTLEMENTS)
    assert scan.by_known

    scan = momentless((4, 0), (0, 0), (0, 1), (0, 0), (0, 0), scan=scan)
    assert (scan.unchanged, scan.listed) == (20, False)
    assert momentless((0, 0), scan=scan).listed


def test_a_scan_that_finds_a_new_row_below_a_known_one_reads_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amili_async.sync._scan.OVERLAP_ROWS", 20)

    scan = momentless((0, 0), (1, 0), (0, 0), (0, 0), (0, 0), scan=begun(PROVEN, SETTLEMENTS))

    assert not scan.listed
    assert evidence(scan, before=EVIDENCE_ON_TOP) == -1


@pytest.mark.parametrize(
    "scan",
    [
        begun(Watermark(on_top=EVIDENCE_ON_TOP - 1), SETTLEMENTS),
        begun(replace(PROVEN, doubtful=True), SETTLEMENTS),
        begun(PROVEN, SETTLEMENTS, full=True),
        begun(PROVEN, SETTLEMENTS, reconciles=True),
        begun(PROVEN, SETTLEMENTS, broken_off=True),
        paused(begun(PROVEN, SETTLEMENTS)),
    ],
    ids=["too little evidence", "a doubt", "full", "reconciles", "the one before was broken off", "a pause"],
)
def test_known_rows_end_no_scan_where_they_prove_too_little(scan: Scan) -> None:
    assert not scan.by_known


# Rows that may still change


def test_open_rows_are_remembered_by_name_until_they_are_met_as_final() -> None:
    scan = after(Scan(), [row("a", 3, final=False), row("b", 2, final=False), row("c", 1)])
    assert scan.seen_open == {"a": at(3), "b": at(2)}

    assert after(scan, [row("b", 2)]).seen_open == {"a": at(3)}


def test_an_open_row_before_since_is_not_remembered() -> None:
    assert after(Scan(since=at(2)), [row("a", 3, final=False), row("b", 1, final=False)]).seen_open == {"a": at(3)}


def test_open_rows_without_a_moment_are_not_remembered_as_such_lists_are_read_whole() -> None:
    assert after(Scan(), [row("a", None, final=False)]).seen_open == {}


def test_too_many_open_rows_leave_only_the_moment_of_the_oldest() -> None:
    many = [row(f"{number}", 10_000 - number, final=False) for number in range(MAX_OPEN)]
    scan = after(Scan(), many)
    assert len(scan.seen_open) == MAX_OPEN
    assert scan.oldest_open is None

    scan = after(scan, [row("one more", 5, final=False)])
    assert scan.seen_open == {}
    assert scan.oldest_open == at(5)

    scan = after(scan, [row("another", 4, final=False), row("final", 3)])
    assert scan.oldest_open == at(4)


def test_rows_that_the_scan_meets_need_not_be_read_again() -> None:
    scan = Scan(reread={"a": at(1), "b": at(2)}, unread={"a": at(1)}, missing={"a": at(1)})

    met = after(scan, [row("a", 1)])
    assert (met.reread, met.unread, met.missing) == ({"b": at(2)}, {}, {})


def test_a_scan_with_rows_to_read_again_is_not_done_when_its_list_is() -> None:
    scan = after_last(Scan(reread={"a": at(1), "b": at(2), "c": at(3)}), rows(9))
    assert scan.listed
    assert not done(scan)

    scan = after_rereading(scan, Reread([row("a", 1, final=False)], ["b"], ["c"]), BATCHES)
    assert done(scan)
    assert (scan.seen_open, scan.unread, scan.missing) == ({"a": at(1)}, {"b": at(2)}, {"c": at(3)})


# The cheaper way to them


def spaced(*open_rows: float, read_cost: float, pages: int = 2) -> int:
    """Return how many pages of ten rows, a second apart, are read beyond the first ones for open rows further down."""
    watermark = known(known_until=at(10_000), open={f"{moment}": at(moment) for moment in open_rows})
    scan = replace(begun(watermark), stop=at(10_000), beyond=OVERLAP_ROWS)
    top = 10_000 + OVERLAP.total_seconds()
    while not scan.listed:
        page = rows(*(top - scan.pages * 1000 - 100 * number for number in range(10)))
        scan = after(scan, page, watermark=watermark, read_cost=read_cost)
    return scan.pages - pages


def test_the_list_is_read_on_where_that_takes_fewer_requests_than_reading_by_id() -> None:
    close = [8_000 - 10 * number for number in range(30)]

    assert spaced(*close, read_cost=1.0) == 2
    assert spaced(*close, read_cost=1 / 16) == 0


def test_a_few_rows_far_down_are_read_by_id() -> None:
    assert spaced(1_000, 900, read_cost=1.0) == 0


def test_a_guess_that_was_wrong_costs_no_more_pages_than_reads_by_id() -> None:
    """The rows below are a thousand times as dense as those above."""
    watermark = known(known_until=at(10_000), open={f"{number}": at(8_000 - number) for number in range(4)})
    scan = replace(begun(watermark), stop=at(10_000), beyond=OVERLAP_ROWS)
    scan = after(scan, rows(11_000, 9_000), watermark=watermark)
    moment = 9_000.0
    while not scan.listed:
        moment -= 1
        scan = after(scan, rows(moment + 0.5, moment), watermark=watermark)

    assert scan.deeper <= 4


# Rows that could not be read


def test_an_unreadable_row_is_asked_for_by_its_id() -> None:
    scan = after(Scan(), rows(9, 8), unread=("a",))

    assert scan.unread == {"a": at(8)}
    assert end(after_last(scan, rows(7))).unread == {"a": at(8)}


def test_one_that_is_asked_for_by_its_id_in_this_scan_counts_by_what_comes_of_that() -> None:
    asked = {"read": at(8), "unreadable": at(8), "not there": at(8)}
    scan = after(Scan(reread=asked, missing={"back": at(8)}), rows(9, 8), unread=(*asked, "back"))
    assert (scan.reread, scan.unread, scan.missing) == (asked, {**asked, "back": at(8)}, {})

    scan = after_rereading(scan, Reread([row("read", 8)], ["unreadable"], ["not there"]), BATCHES)

    assert (scan.reread, scan.unread, scan.missing) == ({}, {"unreadable": at(8), "back": at(8)}, {})
    assert scan.oldest_unread == at(8), "the list has it, so it is looked for in its place"


@pytest.mark.parametrize(("traits", "name"), [(BATCHES, None), (CASES, "a")])
def test_one_that_cannot_be_asked_for_is_looked_for_in_its_place(traits: Traits, name: str | None) -> None:
    scan = after(Scan(), rows(9, 8), unread=(name,), traits=traits)
    assert (scan.unread, scan.oldest_unread) == ({}, at(8))

    # A page with nothing readable on it stands behind the one before.
    assert after(scan, [], unread=(None,), traits=traits).oldest_unread == at(8)


def test_where_nothing_tells_its_place_the_next_scan_reads_everything() -> None:
    scan = after_last(Scan(), [], unread=(None,))

    assert scan.doubtful
    assert end(scan).doubtful


def test_too_many_to_name_are_looked_for_in_the_list() -> None:
    scan = after(Scan(unread={f"{number}": at(5) for number in range(MAX_OPEN)}), rows(9, 8), unread=("a",))

    assert (scan.unread, scan.oldest_unread) == ({}, at(5))


def test_unreadable_rows_of_a_list_without_moments_are_asked_for_by_id_too() -> None:
    scan = after(Scan(began_at=at(7)), rows(None), unread=("a",), traits=SETTLEMENTS)

    assert scan.unread == {"a": at(7)}


# What is known at the end


def end(scan: Scan, before: Watermark | None = None, *, traits: Traits = BATCHES, settled: bool = True) -> Watermark:
    scan = scan if scan.as_of or scan.pages else replace(scan, as_of=NOW)
    checkpoint = completed(Checkpoint(watermark=before, scan=scan, scans=3), scan, traits, at(5000), settled=settled)
    assert checkpoint.scan is None
    assert checkpoint.scans == 4
    assert checkpoint.finished_at == at(5000)
    assert checkpoint.watermark is not None
    return checkpoint.watermark


def test_a_list_counts_as_newest_first_with_evidence_or_where_it_did_before() -> None:
    assert end(Scan(steps=EVIDENCE)).ordered
    assert not end(Scan(steps=EVIDENCE - 1)).ordered
    assert end(Scan(steps=0, stop=at(1), beyond=1), known()).ordered
    assert not end(Scan(steps=EVIDENCE, ordered=False)).ordered
    assert not end(Scan(stop=at(1), beyond=1, ordered=False), known()).ordered


def test_a_scan_that_met_nothing_known_before_the_list_ended_moves_nothing_on() -> None:
    watermark = end(Scan(stop=at(1000), pages=1, as_of=NOW), known())

    assert (watermark.known_until, watermark.as_of) == (at(1000), at(1000))
    assert watermark.doubtful
    assert watermark.empty


def test_the_time_that_a_scan_took_is_kept() -> None:
    assert completed(Checkpoint(), Scan(seconds=2.5), BATCHES, at(0)).seconds == 2.5


def test_what_a_scan_joins_on_to_stays_known() -> None:
    before = known(since=at(500))

    def joined(**members: object) -> datetime | None:
        return end(replace(Scan(stop=at(1000), beyond=1, newest=at(2000)), **members), before).since

    assert joined(since=at(600)) == at(500)
    assert joined(since=at(1500)) == at(1500)
    assert joined(stop=None, since=at(600)) == at(600)
    assert joined(stop=None) is None


def test_what_lies_before_since_is_kept_for_a_run_without_it() -> None:
    before = known(
        open={"old": at(10), "young": at(600)},
        unread={"old unread": at(10)},
        missing={"old missing": at(10)},
        oldest_unread=at(20),
    )
    scan = Scan(stop=at(1000), beyond=1, since=at(500), seen_open={"new": at(1100)}, oldest_unread=at(700))

    watermark = end(scan, before)
    assert watermark.open == {"old": at(10), "new": at(1100)}
    assert watermark.unread == {"old unread": at(10)}
    assert watermark.missing == {"old missing": at(10)}
    assert watermark.oldest_unread == at(20)


def test_the_oldest_open_row_before_since_is_kept_too() -> None:
    before = known(oldest_open=at(10))

    assert end(Scan(stop=at(500), beyond=1, since=at(500), seen_open={"new": at(1100)}), before).oldest_open == at(10)
    assert end(Scan(stop=at(10), beyond=1, seen_open={"new": at(1100)}), before).open == {"new": at(1100)}


def test_open_rows_that_became_too_many_to_name_are_found_by_scanning() -> None:
    before = known(open={"old": at(10)})
    scan = Scan(stop=at(1000), beyond=1, since=at(500), seen_open={"new": at(1100)})

    watermark = end(scan, before, traits=Traits(by_id=True, max_open=1))
    assert (watermark.open, watermark.oldest_open) == ({}, at(10))


def test_a_scan_that_did_not_refresh_leaves_what_may_still_change_to_the_next() -> None:
    before = known(oldest_open=at(10), refreshed_at=at(3))
    scan = Scan(stop=at(1000), beyond=1, refreshes=False, began_at=at(9), oldest_open=at(1100))

    watermark = end(scan, before, traits=INVOICES)
    assert (watermark.oldest_open, watermark.refreshed_at) == (at(10), at(3))
    assert end(replace(scan, refreshes=True), before, traits=INVOICES).refreshed_at == at(9)


def test_a_missing_row_is_forgotten_once_a_scan_of_everything_has_not_met_it() -> None:
    missing = {"a": at(10)}

    once = end(Scan(stop=at(1000), beyond=1, missing=missing), known())
    assert (once.missing, once.doubtful) == (missing, False)
    twice = end(Scan(stop=at(10), beyond=1, missing=missing), once)
    assert (twice.missing, twice.doubtful) == (missing, True)
    thrice = end(Scan(missing=missing), twice)
    assert (thrice.missing, thrice.doubtful) == ({}, False)
    assert end(Scan(missing=missing), twice, settled=False).missing == missing


def test_a_list_is_reconciled_when_nothing_was_known_or_a_scan_left_no_question() -> None:
    scan = Scan(began_at=at(7))
    earlier = Checkpoint(watermark=known(), reconciled_at=at(1))

    assert completed(Checkpoint(), scan, BATCHES, NOW).reconciled_at == at(7)
    assert completed(earlier, scan, BATCHES, NOW).reconciled_at == at(1)
    assert completed(earlier, replace(scan, reconciles=True), BATCHES, NOW).reconciled_at == at(7)
    assert completed(earlier, replace(scan, reconciles=True), BATCHES, NOW, settled=False).reconciled_at == at(1)


# A list that goes in circles


def test_a_token_that_comes_round_again_is_found_out_over_any_number_of_runs() -> None:
    tokens = ["start", *(f"token {number % 7}" for number in range(100))]
    with pytest.raises(PaginationLoopError):
        follow(tokens)
    assert follow(tokens[:5]).pages == 5


def follow(tokens: list[str]) -> Scan:
    """Read each page in a process of its own, with nothing but the checkpoint from the one before."""
    scan = Scan()
    for token in tokens:
        scan = resumed(after(scan, [], following=Cursor(token=token)))
    return scan


def test_a_long_list_is_no_circle() -> None:
    scan = Scan()
    for number in range(1000):
        scan = after(scan, [], following=Cursor(token=f"token {number}"))

    assert scan.pages == 1000


def test_the_overlap_is_longer_than_a_transaction() -> None:
    assert timedelta(minutes=1) < OVERLAP
