"""The rules by which a list is walked, one by one."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest
from msgspec.structs import replace

from amili_async._cursor import Cursor
from amili_async.errors import PaginationLoopError
from amili_async.sync._checkpoint import Checkpoint, Scan, Watermark
from amili_async.sync._scan import (
    EVIDENCE,
    MAX_OPEN,
    OVERLAP,
    OVERLAP_ROWS,
    advance,
    after_rereading,
    completed,
    done,
    new_walk,
    resumable,
    resumed,
    wanted,
)
from tests.support.scripted_list import at, row

if TYPE_CHECKING:
    from amili_async.sync._store import Row

NEXT = Cursor(token="next")  # a page token


def rows(*seconds: float, final: bool = True) -> list[Row]:
    return [row(f"row {moment}", moment, final=final) for moment in seconds]


def covered(newest: float | None = 1000) -> Watermark:
    return Watermark(newest=None if newest is None else at(newest), ordered=True)


NUMBERS = itertools.count()


def another() -> Cursor:
    """Return the cursor of a page that no list had before."""
    return Cursor(token=f"page {next(NUMBERS)}")


def after(walk: Scan, page: list[Row], *, coverage: Watermark | None = None, following: Cursor | None = None) -> Scan:
    return advance(walk, page, following or another(), coverage=coverage)


def after_last(walk: Scan, page: list[Row]) -> Scan:
    return advance(walk, page, None, coverage=None)


class Asked(NamedTuple):
    """What a run asks for."""

    full: bool = False
    since: datetime | None = None


# Where a walk begins


def test_the_first_walk_has_no_boundary() -> None:
    assert new_walk(None, full=False, since=None, sort="DESC") == Scan(sort="DESC")


def test_a_later_walk_goes_down_to_the_newest_row_known() -> None:
    assert new_walk(covered(), full=False, since=None, sort=None).stop == at(1000)


@pytest.mark.parametrize(
    "coverage",
    [replace(covered(), ordered=False), Watermark(newest=None, ordered=True)],
    ids=["a list that was not newest first", "a list without moments"],
)
def test_a_list_that_may_be_in_any_order_is_walked_to_its_end(coverage: Watermark) -> None:
    assert new_walk(coverage, full=False, since=None, sort=None).stop is None


def test_a_full_walk_has_no_boundary_and_still_reads_open_rows_it_does_not_meet() -> None:
    walk = new_walk(replace(covered(), open={"open": at(10)}), full=True, since=None, sort=None)

    assert walk.stop is None
    assert walk.full
    assert walk.reread == {"open": at(10)}


def test_where_open_rows_are_too_many_to_name_the_walk_goes_down_to_the_oldest() -> None:
    assert new_walk(replace(covered(), oldest_open=at(30)), full=False, since=None, sort=None).stop == at(30)


def test_since_holds_back_the_walk_to_the_oldest_open_row_and_the_reading_by_id() -> None:
    coverage = replace(covered(), oldest_open=at(30))
    assert new_walk(coverage, full=False, since=at(500), sort=None).stop == at(500)

    coverage = replace(covered(), open={"old": at(30), "young": at(600)})
    assert new_walk(coverage, full=False, since=at(500), sort=None).reread == {"young": at(600)}


def test_what_was_left_out_by_an_earlier_since_is_walked_to_when_it_is_asked_for() -> None:
    coverage = replace(covered(), since=at(500))

    assert new_walk(coverage, full=False, since=None, sort=None).stop is None
    assert new_walk(coverage, full=False, since=at(400), sort=None).stop is None
    assert new_walk(coverage, full=False, since=at(500), sort=None).stop == at(1000)
    assert new_walk(coverage, full=False, since=at(600), sort=None).stop == at(1000)


@pytest.mark.parametrize(
    ("walk", "asked"),
    [
        (Scan(), Asked()),
        (Scan(full=True), Asked()),
        (Scan(full=True), Asked(full=True)),
        (Scan(since=at(1)), Asked(since=at(1))),
    ],
)
def test_a_walk_goes_on_in_a_run_that_asks_for_no_more_than_it_does(walk: Scan, asked: Asked) -> None:
    assert resumable(Checkpoint(walk=walk), full=asked.full, since=asked.since)


@pytest.mark.parametrize(
    ("walk", "asked"),
    [
        (None, Asked()),
        (Scan(), Asked(full=True)),
        (Scan(since=at(1)), Asked()),
        (Scan(since=at(1)), Asked(since=at(2))),
    ],
)
def test_a_run_that_asks_for_something_else_begins_anew(walk: Scan | None, asked: Asked) -> None:
    assert not resumable(Checkpoint(walk=walk), full=asked.full, since=asked.since)


def test_pages_are_not_compared_across_a_restart_of_the_process() -> None:
    # Fifty rows came while nobody looked, and the page after the last one is newer than that.
    walk = resumed(after(Scan(), rows(9, 8)))

    assert after(walk, rows(20, 19)).ordered


# Where it goes on


def test_a_page_with_a_page_after_it_moves_the_cursor_there() -> None:
    walk = after(Scan(), rows(3, 2), following=NEXT)

    assert walk.cursor == NEXT.encode()
    assert walk.pages == 1
    assert not walk.listed


def test_the_last_page_ends_the_list() -> None:
    walk = after_last(after(Scan(), rows(3, 2)), rows(1))

    assert walk.listed
    assert walk.cursor is None
    assert done(walk)


def test_an_empty_page_with_a_page_after_it_ends_nothing() -> None:
    walk = after(after(Scan(stop=at(5)), [], coverage=covered(5)), rows(9, 8), coverage=covered(5))

    assert not walk.listed
    assert walk.newest == at(9)


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


def seen(pages: list[list[float]]) -> Scan:
    walk = Scan()
    for page in pages:
        walk = after(walk, rows(*page))
    return walk


def test_a_row_without_a_moment_makes_the_order_unknown() -> None:
    assert not after(Scan(), [row("a", 3), row("b", None)]).ordered


def test_the_newest_row_is_that_of_the_first_page_as_what_came_later_may_have_gaps_below() -> None:
    assert after(after(Scan(), rows(3, 2)), rows(9, 1)).newest == at(3)


# Where it may stop


def reaching(seconds: float, *, newest: float = 2000) -> Scan:
    """Return an incremental walk after a page from the newest row down to one moment."""
    return after(Scan(stop=at(1000)), rows(newest, seconds), coverage=covered())


def test_a_walk_stops_where_it_has_gone_beyond_the_boundary_by_the_overlap() -> None:
    beyond = 1000 - OVERLAP.total_seconds()

    assert not reaching(beyond).listed
    assert reaching(beyond - 1).listed


def test_a_walk_stops_after_so_many_rows_beyond_the_boundary_however_close_they_are() -> None:
    before = Scan(stop=at(1000), newest=at(1000), beyond=OVERLAP_ROWS - 2)

    assert not after(before, rows(1000, 999), coverage=covered()).listed
    assert after(before, rows(999.5, 999), coverage=covered()).listed


def test_a_walk_without_a_boundary_does_not_stop() -> None:
    assert not after(Scan(), rows(2000, 0), coverage=covered()).listed


def test_a_list_whose_first_row_is_older_than_the_newest_known_is_not_newest_first_and_is_walked_on() -> None:
    assert not reaching(0, newest=999).listed
    assert reaching(0, newest=1000).listed


def test_a_list_that_is_out_of_order_is_walked_on() -> None:
    walk = after(Scan(stop=at(1000)), rows(2000, 0, 1), coverage=covered())
    assert not walk.listed

    assert not after(walk, rows(-1, -2), coverage=covered()).listed


def test_since_stops_a_list_only_once_it_is_beyond_doubt_newest_first() -> None:
    falling = rows(*range(1000, 1000 - EVIDENCE, -1))
    walk = after(Scan(since=at(990)), falling)
    assert walk.steps == EVIDENCE - 1

    assert not after(Scan(since=at(2000)), falling).listed
    assert after(after(Scan(since=at(990)), falling), rows(989)).listed
    assert not after(after(Scan(since=at(990)), falling), rows(990)).listed


def test_pages_of_one_row_give_evidence_too() -> None:
    walk = Scan(since=at(95))
    for moment in range(100, 91, -1):
        walk = after(walk, rows(moment))

    assert walk.steps == EVIDENCE
    assert walk.listed


def test_rows_before_since_are_left_out_and_rows_without_a_moment_are_not() -> None:
    page = [row("a", 3), row("b", None), row("c", 1)]

    assert [one.id for one in wanted(Scan(since=at(2)), page)] == ["a", "b"]
    assert wanted(Scan(), page) is page


# Rows that may still change


def test_open_rows_are_remembered_by_name_until_they_are_met_as_final() -> None:
    walk = after(Scan(), [row("a", 3, final=False), row("b", 2, final=False), row("c", 1)])
    assert walk.seen_open == {"a": at(3), "b": at(2)}

    assert after(walk, [row("b", 2)]).seen_open == {"a": at(3)}


def test_an_open_row_before_since_is_not_remembered() -> None:
    assert after(Scan(since=at(2)), [row("a", 3, final=False), row("b", 1, final=False)]).seen_open == {"a": at(3)}


def test_open_rows_without_a_moment_are_not_remembered_as_such_lists_are_walked_whole() -> None:
    assert after(Scan(), [row("a", None, final=False)]).seen_open == {}


def test_too_many_open_rows_leave_only_the_moment_of_the_oldest() -> None:
    many = [row(f"{number}", 10_000 - number, final=False) for number in range(MAX_OPEN)]
    walk = after(Scan(), many)
    assert len(walk.seen_open) == MAX_OPEN
    assert walk.oldest_open is None

    walk = after(walk, [row("one more", 5, final=False)])
    assert walk.seen_open == {}
    assert walk.oldest_open == at(5)

    walk = after(walk, [row("another", 4, final=False), row("final", 3)])
    assert walk.oldest_open == at(4)


def test_rows_that_the_walk_meets_need_not_be_read_again() -> None:
    walk = Scan(reread={"a": at(1), "b": at(2)})

    assert after(walk, [row("a", 1)]).reread == {"b": at(2)}


def test_a_walk_with_rows_to_read_again_is_not_done_when_its_list_is() -> None:
    walk = after_last(Scan(reread={"a": at(1), "b": at(2)}), rows(9))
    assert walk.listed
    assert not done(walk)

    walk = after_rereading(walk, ["a", "b"], [row("a", 1, final=False)])
    assert done(walk)
    assert walk.seen_open == {"a": at(1)}


# What is known at the end


def end(walk: Scan, coverage: Watermark | None = None, *, max_tracked_open: int = MAX_OPEN) -> Watermark:
    bookmark = completed(
        Checkpoint(coverage=coverage, walk=walk, walks=3), walk, at(5000), max_tracked_open=max_tracked_open
    )
    assert bookmark.walk is None
    assert bookmark.walks == 4
    assert bookmark.finished_at == at(5000)
    assert bookmark.coverage is not None
    return bookmark.coverage


def test_a_list_counts_as_newest_first_with_evidence_or_where_it_did_before() -> None:
    assert end(Scan(steps=EVIDENCE)).ordered
    assert not end(Scan(steps=EVIDENCE - 1)).ordered
    assert end(Scan(steps=0, stop=at(1))).ordered
    assert not end(Scan(steps=EVIDENCE, ordered=False)).ordered
    assert not end(Scan(stop=at(1), ordered=False), covered()).ordered


def test_the_time_that_a_walk_took_is_kept() -> None:
    assert completed(Checkpoint(), Scan(seconds=2.5), at(0)).seconds == 2.5


def test_what_a_walk_joins_on_to_stays_covered() -> None:
    before = replace(covered(), since=at(500))

    assert end(Scan(stop=at(1000), since=at(600), newest=at(2000)), before).since == at(500)
    assert end(Scan(stop=at(1000), since=at(1500), newest=at(2000)), before).since == at(1500)
    assert end(Scan(since=at(600), newest=at(2000)), before).since == at(600)
    assert end(Scan(newest=at(2000)), before).since is None


def test_open_rows_of_a_list_in_another_order_are_not_kept_as_it_is_walked_whole() -> None:
    coverage = end(Scan(ordered=False, seen_open={"a": at(1)}))

    assert coverage.open == {}
    assert coverage.oldest_open is None


def test_open_rows_before_since_are_kept_for_a_run_without_it() -> None:
    before = replace(covered(), open={"old": at(10), "young": at(600)})
    walk = Scan(stop=at(1000), since=at(500), seen_open={"new": at(1100)})

    assert end(walk, before).open == {"old": at(10), "new": at(1100)}


def test_the_oldest_open_row_before_since_is_kept_too() -> None:
    before = replace(covered(), oldest_open=at(10))

    assert end(Scan(stop=at(500), since=at(500), seen_open={"new": at(1100)}), before).oldest_open == at(10)
    assert end(Scan(stop=at(10), seen_open={"new": at(1100)}), before) == replace(covered(None), open={"new": at(1100)})


def test_open_rows_that_became_too_many_to_name_are_found_by_walking() -> None:
    before = replace(covered(), open={"old": at(10)})
    walk = Scan(stop=at(1000), since=at(500), seen_open={"new": at(1100)})

    coverage = end(walk, before, max_tracked_open=1)
    assert coverage.open == {}
    assert coverage.oldest_open == at(10)


def test_a_walk_that_could_not_name_its_open_rows_leaves_the_oldest() -> None:
    assert end(Scan(steps=EVIDENCE, oldest_open=at(7))).oldest_open == at(7)


# A list that goes in circles


def test_a_token_that_comes_round_again_is_found_out_over_any_number_of_runs() -> None:
    tokens = ["start", *(f"token {number % 7}" for number in range(100))]
    with pytest.raises(PaginationLoopError):
        follow(tokens)
    assert follow(tokens[:5]).pages == 5


def follow(tokens: list[str]) -> Scan:
    """Walk each page in a process of its own, with nothing but the bookmark from the one before."""
    walk = Scan()
    for token in tokens:
        walk = resumed(after(walk, [], following=Cursor(token=token)))
    return walk


def test_a_long_list_is_no_circle() -> None:
    walk = Scan()
    for number in range(1000):
        walk = after(walk, [], following=Cursor(token=f"token {number}"))

    assert walk.pages == 1000


def test_the_overlap_is_longer_than_a_transaction() -> None:
    assert timedelta(minutes=1) < OVERLAP
