"""How a list is walked: where it ends, where it stands after every item, how much of it is handed out."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amili_async import ConfigurationError, Cursor, NotFoundError, PaginationLoopError
from amili_async._lists import page_fetcher
from amili_async._lists.page_fetcher import FetchedPage
from amili_async._lists.pager import PAGES_AFTER
from amili_async.sandbox import Fault
from tests.support.batch_list import LIST, BatchList, ids, ids_until
from tests.support.changing_list import ChangingList
from tests.support.turns import until

if TYPE_CHECKING:
    from amili_async import Batch, Drift, Page, Pager
    from tests.support.factories import ClientFactory


async def all_pages(pager: Pager[Batch]) -> list[Page[Batch]]:
    return [page async for page in pager.pages()]


# Where a list ends


@pytest.mark.parametrize("prefetch", [True, False])
@pytest.mark.parametrize("marker", ["last-absent", "last-null", "last-empty"])
async def test_a_list_ends_where_the_token_is_absent_null_or_empty(
    batch_list: BatchList, marker: str, *, prefetch: bool
) -> None:
    batch_list.fault(marker)
    assert await ids(batch_list.pager(prefetch=prefetch)) == batch_list.rows
    assert batch_list.requests == 3


@pytest.mark.parametrize("body", ['{"data":[]}', '{"summary":null,"data":[]}', '{"summary":{},"data":[]}'])
async def test_a_list_ends_where_there_is_no_summary_to_hold_a_token(batch_list: BatchList, body: str) -> None:
    batch_list.sandbox.faults.add(Fault(LIST, body=body))
    pager = batch_list.pager()
    (page,) = await all_pages(pager)
    assert (page.items, page.next_page_token, page.cursor) == ((), None, pager.cursor)


async def test_a_token_of_blanks_is_a_token(batch_list: BatchList) -> None:
    batch_list.sandbox.faults.add(
        Fault(LIST, body='{"summary":{"nextPageToken":" "},"data":[]}', count=1), Fault(LIST, body='{"data":[]}')
    )
    assert await batch_list.pager().collect() == []
    assert batch_list.sandbox.requests.last(LIST).query == {"PageToken": " "}


@pytest.mark.parametrize("prefetch", [True, False])
async def test_an_empty_page_with_a_token_does_not_end_the_list(batch_list: BatchList, *, prefetch: bool) -> None:
    batch_list.fault("empty-page,page=2,count=2")
    assert await ids(batch_list.pager(prefetch=prefetch)) == batch_list.rows
    assert batch_list.requests == 5


async def test_an_empty_page_is_a_page(batch_list: BatchList) -> None:
    batch_list.fault("empty-page,page=2,count=1")
    assert [len(page.items) for page in await all_pages(batch_list.pager())] == [3, 0, 3, 2]


@pytest.mark.parametrize("prefetch", [True, False])
@pytest.mark.parametrize(
    ("fault", "pages"),
    [("repeat-token,page=2", 2), ("cycle-tokens", 3)],
    ids=["a page that names itself", "two pages that name each other"],
)
async def test_a_token_that_comes_back_is_an_error_after_the_last_item_and_without_another_request(
    batch_list: BatchList, fault: str, pages: int, *, prefetch: bool
) -> None:
    batch_list.fault(fault)
    walk = batch_list.pager(page_size=2, prefetch=prefetch)
    assert await ids_until(PaginationLoopError, walk) == batch_list.rows[: pages * 2]
    assert batch_list.requests == pages
    # Where the server mends its ways, the walk goes on with what comes next, and repeats nothing.
    batch_list.sandbox.faults.clear()
    assert await ids(batch_list.pager(page_size=2, cursor=walk.cursor)) == batch_list.rows[pages * 2 :]


async def test_the_error_of_a_loop_says_which_list_it_is(batch_list: BatchList) -> None:
    batch_list.fault("repeat-token")
    with pytest.raises(PaginationLoopError) as caught:
        await batch_list.pager().collect()
    assert caught.value.to_dict() == {
        "error": "PaginationLoopError",
        "message": str(caught.value),
        "operation": LIST,
        "method": "GET",
        "route": "/orgs/{organization_id}/batches",
    }


async def test_a_walk_that_begins_inside_a_loop_meets_it_too(batch_list: BatchList) -> None:
    (first, *_) = await all_pages(batch_list.pager(page_size=2))
    batch_list.fault("repeat-token")
    walk = batch_list.pager(page_size=2, page_token=first.next_page_token)
    assert await ids_until(PaginationLoopError, walk) == batch_list.rows[2:4]


# How a pager is used


async def test_awaiting_a_pager_says_what_to_do_instead(batch_list: BatchList) -> None:
    with pytest.raises(ConfigurationError, match=r"batches\.list .*`async for item in pager` or `await pager\.collect"):
        await batch_list.pager()


@pytest.mark.parametrize("first", ["items", "pages", "collect", "first"])
@pytest.mark.parametrize("second", ["items", "pages", "collect", "first"])
async def test_a_pager_is_iterated_once(batch_list: BatchList, first: str, second: str) -> None:
    pager = batch_list.pager()

    async def walk(way: str) -> object:
        match way:
            case "items":
                return await ids(pager)
            case "pages":
                return await all_pages(pager)
            case "collect":
                return await pager.collect()
            case _:
                return await pager.first()

    assert await walk(first)
    with pytest.raises(ConfigurationError, match=r"this one was iterated; .*cursor=pager\.cursor"):
        await walk(second)


async def test_a_second_use_does_not_disturb_the_first(batch_list: BatchList) -> None:
    pager = batch_list.pager()
    came: list[str] = []
    async for batch in pager:
        came.append(batch.batch_id)
        with pytest.raises(ConfigurationError):
            await pager.first()
    assert came == batch_list.rows


async def test_a_closed_pager_does_not_pass_for_an_empty_list(batch_list: BatchList) -> None:
    async with batch_list.pager() as pager:
        pass
    with pytest.raises(ConfigurationError, match="this one was closed"):
        await pager.collect()
    assert batch_list.requests == 0


async def test_collect_is_all_of_it(batch_list: BatchList) -> None:
    assert [batch.batch_id for batch in await batch_list.pager().collect()] == batch_list.rows


async def test_first_is_the_first_item_or_none(batch_list: BatchList) -> None:
    pager = batch_list.pager()
    first = await pager.first()
    assert first is not None
    assert (first.batch_id, pager.cursor.row) == (batch_list.rows[0], 1)
    batch_list.sandbox.faults.add(Fault(LIST, body='{"data":[]}'))
    assert await batch_list.pager().first() is None


async def test_a_repr_shows_no_page_token(batch_list: BatchList) -> None:
    pager = batch_list.pager()
    assert repr(pager).startswith(f"Pager({LIST}, Cursor(first page, row=0, fingerprint=")
    assert [repr(page) for page in await all_pages(pager)] == [
        "Page(3 items, 0 quarantined, last=False)",
        "Page(3 items, 0 quarantined, last=False)",
        "Page(2 items, 0 quarantined, last=True)",
    ]
    assert repr(pager).startswith(f"Pager({LIST}, Cursor(later page, row=2, fingerprint=")


# Where a walk stands


async def test_a_walk_goes_on_from_any_item(batch_list: BatchList) -> None:
    pager = batch_list.pager()
    cursors = [pager.cursor]
    async for _ in pager:
        cursors.append(pager.cursor)  # noqa: PERF401  # taken while the pager stands there
    assert [cursor.row for cursor in cursors] == [0, 1, 2, 3, 1, 2, 3, 1, 2]
    for position, cursor in enumerate(cursors):
        later = batch_list.pager(cursor=Cursor.decode(cursor.encode()))
        assert await ids(later) == batch_list.rows[position:]


async def test_a_walk_goes_on_from_any_page(batch_list: BatchList) -> None:
    pager = batch_list.pager()
    position = 0
    async for page in pager.pages():
        assert await ids(batch_list.pager(cursor=page.cursor)) == batch_list.rows[position:]
        position += len(page.items)
        assert await ids(batch_list.pager(cursor=pager.cursor)) == batch_list.rows[position:]
    assert position == len(batch_list.rows)


async def test_a_page_that_a_walk_goes_on_in_holds_the_rest_of_it(batch_list: BatchList) -> None:
    before = batch_list.pager(limit=1)
    await before.collect()
    (page, *_) = await all_pages(batch_list.pager(cursor=before.cursor))
    assert [batch.batch_id for batch in page.items] == batch_list.rows[1:3]
    assert [json.loads(bytes(raw))["batchId"] for raw in page.raw_items()] == batch_list.rows[1:3]
    assert page.cursor == before.cursor


async def test_a_walk_begins_at_a_page_token(batch_list: BatchList) -> None:
    (first, *_) = await all_pages(batch_list.pager())
    assert await ids(batch_list.pager(page_token=first.next_page_token)) == batch_list.rows[3:]


async def test_a_page_that_has_shrunk_since_does_not_hold_a_walk_up(batch_list: BatchList) -> None:
    before = batch_list.pager(limit=2)
    await before.collect()
    batch_list.fault("empty-page,page=1,count=1")
    assert await ids(batch_list.pager(cursor=before.cursor)) == batch_list.rows[2:]
    batch_list.fault("empty-page,page=1,count=1")
    untold = msgspec.structs.replace(before.cursor, last=msgspec.UNSET)  # of a version that knew no rows
    assert [len(page.items) for page in await all_pages(batch_list.pager(cursor=untold))] == [0, 3, 3, 2]


# Where rows have come in, or have gone, since


@pytest.mark.parametrize("by", ["item", "page"])
@pytest.mark.parametrize("new", [0, 1, 2, 3, 5])
async def test_a_walk_goes_on_exactly_there_though_rows_have_come_in_above(
    batch_list: BatchList, new: int, by: str
) -> None:
    before = batch_list.pager(limit=3)
    assert await ids(before) == batch_list.rows[:3]
    before = batch_list.pager(limit=2)
    await before.collect()
    for _ in range(new):
        batch_list.sandbox.add_batch(batch_list.organization)
    cursor = Cursor.decode(before.cursor.encode())
    pager = batch_list.pager(cursor=cursor)
    assert pager.cursor == cursor
    if by == "item":
        assert await ids(pager) == batch_list.rows[2:]
    else:
        pages = await all_pages(pager)
        assert [batch.batch_id for page in pages for batch in page.items] == batch_list.rows[2:]
        for page in pages:
            raws = [msgspec.json.decode(raw)["batchId"] for raw in page.raw_items()]
            assert raws == [batch.batch_id for batch in page.items]


async def test_a_place_that_is_not_found_again_is_told_and_no_row_is_passed_over(
    batch_list: BatchList, make_client: ClientFactory
) -> None:
    told: list[Drift] = []

    class Listener:
        def on_drift(self, drift: Drift) -> None:
            if drift.kind == "leniency":
                told.append(drift)

    before = batch_list.pager(limit=2)
    await before.collect()
    new = [batch_list.sandbox.add_batch(batch_list.organization) for _ in range(8)]
    listening = BatchList(make_client(hooks=[Listener()]), batch_list.sandbox, batch_list.organization, [])
    pager = listening.pager(cursor=before.cursor)
    assert await ids(pager) == [*reversed(new), *batch_list.rows]
    assert [(drift.operation, drift.path, drift.found) for drift in told] == [
        (LIST, "$.data", "row before the cursor not found; page handed out from its start")
    ]
    assert await ids(batch_list.pager(cursor=before.cursor)) == [*reversed(new), *batch_list.rows]


async def test_pages_that_were_looked_through_are_no_loop_and_are_asked_for_once(batch_list: BatchList) -> None:
    before = batch_list.pager(limit=2)
    await before.collect()
    for _ in range(4):
        batch_list.sandbox.add_batch(batch_list.organization)
    batch_list.sandbox.requests.clear()
    assert await ids(batch_list.pager(cursor=before.cursor)) == batch_list.rows[2:]
    assert batch_list.requests == 4
    batch_list.sandbox.requests.clear()
    batch_list.fault("repeat-token,page=2")
    with pytest.raises(PaginationLoopError):
        await ids(batch_list.pager(cursor=before.cursor))


@pytest.mark.parametrize("way", ["error", "stop"])
async def test_a_walk_that_ends_while_its_place_is_looked_for_stands_where_it_stood(
    batch_list: BatchList, way: str
) -> None:
    before = batch_list.pager(limit=2)
    await before.collect()
    for _ in range(4):
        batch_list.sandbox.add_batch(batch_list.organization)
    batch_list.fault("status=404,page=2,count=1" if way == "error" else "hang,page=2,count=1")
    pager = batch_list.pager(cursor=before.cursor)
    if way == "error":
        with pytest.raises(NotFoundError) as caught:
            await ids(pager)
        assert caught.value.cursor == before.cursor
    else:
        walking = asyncio.create_task(ids(pager))
        await until(lambda: batch_list.requests == 3)
        await pager.aclose()
        assert await walking == []
    assert pager.cursor == before.cursor
    assert await ids(batch_list.pager(cursor=pager.cursor)) == batch_list.rows[2:]


@pytest.mark.parametrize("page", ["new", "met before", "large"])  # read row by row, whole, and in parts of some rows
@pytest.mark.parametrize("body_of_the_loop", ["leaves", "goes on"])
async def test_a_walk_that_is_closed_in_the_middle_of_a_page_hands_out_no_more_rows(
    batch_list: BatchList, monkeypatch: pytest.MonkeyPatch, body_of_the_loop: str, page: str
) -> None:
    if page == "large":
        monkeypatch.setattr(page_fetcher, "LARGE", 0)
    if page != "new":
        assert await ids(batch_list.pager(page_size=3)) == batch_list.rows
    pager, came = batch_list.pager(page_size=3), list[str]()
    async for batch in pager:
        came.append(batch.batch_id)
        await pager.aclose()
        if body_of_the_loop == "leaves":
            break
    assert came == batch_list.rows[:1]
    assert await ids(batch_list.pager(page_size=3, cursor=pager.cursor)) == batch_list.rows[1:]


@given(
    count=st.integers(0, 12),
    page_size=st.integers(1, 4),
    stop=st.integers(0, 12),
    new=st.integers(0, 8),
    gone=st.sets(st.integers(0, 11), max_size=4),
    keyset=st.booleans(),
    large=st.booleans(),
)
@example(count=1, page_size=1, stop=2, new=1, gone={0}, keyset=True, large=False)
@example(count=1, page_size=1, stop=2, new=1, gone={0}, keyset=True, large=True)
async def test_no_row_is_passed_over_whatever_comes_in_above(
    count: int, page_size: int, stop: int, new: int, gone: set[int], *, keyset: bool, large: bool
) -> None:
    server = ChangingList(range(count), page_size=page_size, keyset=keyset)
    with patch.object(page_fetcher, "LARGE", 0 if large else 2**21):
        before = server.pager(limit=stop)
        came = await ids(before)
        assert came == [str(row) for row in server.rows[:stop]]
        # An offset passes over what moves up from behind it: there, rows go from behind the place alone.
        gone = {row for row in gone if row >= len(came) or (keyset and row != len(came) - 1)}
        server.rows = sorted({*range(-new, 0), *server.rows} - gone)
        rest = await ids(server.pager(cursor=Cursor.decode(before.cursor.encode())))
    due = [str(row) for row in server.rows if row >= len(came)]
    assert [row for row in rest if row in due] == due
    if came and new <= page_size * PAGES_AFTER:
        assert rest == due


@pytest.mark.parametrize(
    "others",
    [{"state": "PARTIAL"}, {"type": "INVOICE"}, {"page_size": 2}, {"sort": "ASC"}, {"subject_id": "s"}],
    ids=str,
)
async def test_a_cursor_of_other_filters_is_refused(batch_list: BatchList, others: dict[str, object]) -> None:
    cursor = batch_list.pager().cursor
    with pytest.raises(ConfigurationError, match="cursor is of another list: operation, organization, filters, sort"):
        batch_list.pager(cursor=cursor, **others)
    assert batch_list.sandbox.requests.total == 0


async def test_a_cursor_of_another_organization_or_operation_is_refused(batch_list: BatchList) -> None:
    cursor = batch_list.pager().cursor
    with pytest.raises(ConfigurationError, match="cursor is of another list"):
        batch_list.client.batches.list(batch_list.sandbox.organization_ids[1], cursor=cursor)
    with pytest.raises(ConfigurationError, match="cursor is of another list"):
        batch_list.client.batches.list_all(cursor=cursor)


async def test_where_to_begin_is_said_once_and_by_a_cursor(batch_list: BatchList) -> None:
    cursor = batch_list.pager().cursor
    with pytest.raises(ConfigurationError, match="give cursor or page_token, not both"):
        batch_list.pager(cursor=cursor, page_token="abc")
    with pytest.raises(ConfigurationError, match=r"cursor must be a Cursor, not str; text is read by Cursor\.decode"):
        batch_list.pager(cursor=cursor.encode())


async def test_an_error_that_ends_a_walk_says_where_it_goes_on(batch_list: BatchList) -> None:
    batch_list.fault("status=404,page=2,count=2")
    with pytest.raises(NotFoundError) as by_item:
        await batch_list.pager().collect()
    with pytest.raises(NotFoundError) as by_page:
        await all_pages(batch_list.pager())
    assert by_item.value.cursor == by_page.value.cursor
    assert await ids(batch_list.pager(cursor=by_item.value.cursor)) == batch_list.rows[3:]


async def test_an_error_of_the_first_page_points_at_its_start(batch_list: BatchList) -> None:
    batch_list.fault("status=404")
    with pytest.raises(NotFoundError) as caught:
        await batch_list.pager().collect()
    assert caught.value.cursor == batch_list.pager().cursor


# How much is handed out


@pytest.mark.parametrize(
    ("limit", "requests"), [(0, 0), (1, 1), (3, 1), (4, 2), (6, 2), (7, 3), (8, 3), (9, 3), (None, 3)]
)
@pytest.mark.parametrize("prefetch", [True, False])
async def test_a_limit_bounds_items_and_requests(
    batch_list: BatchList, limit: int | None, requests: int, *, prefetch: bool
) -> None:
    pager = batch_list.pager(limit=limit, prefetch=prefetch)
    assert await ids(pager) == batch_list.rows[:limit]
    assert batch_list.requests == requests
    rest = [] if limit is None else batch_list.rows[limit:]
    assert await ids(batch_list.pager(cursor=pager.cursor)) == rest


@pytest.mark.parametrize(("limit", "sizes"), [(0, []), (1, [1]), (3, [3]), (4, [3, 1]), (8, [3, 3, 2]), (9, [3, 3, 2])])
async def test_a_limit_cuts_the_page_that_reaches_it(batch_list: BatchList, limit: int, sizes: list[int]) -> None:
    pager = batch_list.pager(limit=limit)
    pages = await all_pages(pager)
    assert [len(page.items) for page in pages] == sizes
    assert [len(list(page.raw_items())) for page in pages] == sizes
    assert batch_list.requests == len(sizes)
    assert await ids(batch_list.pager(cursor=pager.cursor)) == batch_list.rows[limit:]


async def test_a_limit_counts_from_where_the_walk_goes_on(batch_list: BatchList) -> None:
    before = batch_list.pager(limit=2)
    await before.collect()
    batch_list.sandbox.requests.clear()
    assert await ids(batch_list.pager(cursor=before.cursor, limit=1)) == batch_list.rows[2:3]
    assert batch_list.requests == 1
    assert await ids(batch_list.pager(cursor=before.cursor, limit=2)) == batch_list.rows[2:4]
    assert batch_list.requests == 3


@pytest.mark.parametrize("limit", [-1, 1.5, "3", True])
async def test_a_limit_is_a_whole_number(batch_list: BatchList, limit: Any) -> None:
    with pytest.raises(ConfigurationError, match="limit must be a whole number of at least 0"):
        batch_list.pager(limit=limit)


@pytest.mark.parametrize("token", ["", 7])
async def test_a_page_token_is_text(batch_list: BatchList, token: Any) -> None:
    with pytest.raises(ConfigurationError, match="page_token must be text that is not empty"):
        batch_list.pager(page_token=token)


# What a page holds


async def test_a_page_keeps_what_was_received(batch_list: BatchList) -> None:
    body = await batch_list.client.request("GET", f"/orgs/{batch_list.organization}/batches")
    (page, *_) = await all_pages(batch_list.pager())
    assert page.raw == body
    assert b'"data":[' + b",".join(bytes(raw) for raw in page.raw_items()) + b"]" in body
    assert page.next_page_token == json.loads(body)["summary"]["nextPageToken"]
    assert page.summary is not None
    assert (page.summary.status, page.summary.next_page_token) == ("SUCCESS", page.next_page_token)


async def test_the_pages_behind_a_walk_are_let_go(batch_list: BatchList) -> None:
    alive: list[int] = []
    gc.collect()
    gc.disable()
    try:
        async for _ in batch_list.pager(page_size=1):
            alive.append(sum(isinstance(thing, FetchedPage) for thing in gc.get_objects()))  # noqa: PERF401  # while it walks
    finally:
        gc.enable()
    assert max(alive) <= 2
