"""Rows that cannot be read: one of them does not lose the page, however it was decoded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from amili_async import AmiliClient, ConfigurationError, DecodeError, QuarantinedRow
from amili_async._lists import page_fetcher as listing
from tests.support.batch_list import LIST, BatchList, ids, ids_until

if TYPE_CHECKING:
    from amili_async.sandbox import Sandbox

BAD = "bad-row,page=2,row=1"
"""The fifth row of the list."""


@pytest.fixture(autouse=True, params=["pages decoded whole", "pages decoded row by row"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test run over small pages and over large ones."""
    if request.param == "pages decoded row by row":
        monkeypatch.setattr(listing, "LARGE", 0)


def without_the_bad_row(batch_list: BatchList) -> list[str]:
    return [*batch_list.rows[:4], *batch_list.rows[5:]]


async def test_a_row_that_cannot_be_read_ends_the_walk_behind_the_rows_before_it(batch_list: BatchList) -> None:
    batch_list.fault(BAD)
    assert await ids_until(DecodeError, batch_list.pager()) == batch_list.rows[:4]


async def test_the_error_of_a_bad_row_points_at_it_and_keeps_its_bytes(batch_list: BatchList) -> None:
    batch_list.fault(BAD)
    pager = batch_list.pager()
    with pytest.raises(DecodeError, match=r"row 1 of a page does not fit: Expected `\w+`, got `\w+` at \$\.") as caught:
        await pager.collect()
    error = caught.value
    assert error.cursor is not None
    assert error.cursor == pager.cursor
    assert error.cursor.row == 1
    assert error.body is not None
    assert json.loads(error.body)["batchId"] == batch_list.rows[4]
    assert (error.operation, error.method, error.route, error.status) == (
        LIST,
        "GET",
        "/orgs/{organization_id}/batches",
        200,
    )
    assert error.path is not None
    assert error.path.startswith("$.")


async def test_a_walk_goes_on_at_a_bad_row_by_skipping_it_or_once_it_is_mended(batch_list: BatchList) -> None:
    batch_list.fault(BAD)
    with pytest.raises(DecodeError) as caught:
        await batch_list.pager().collect()
    cursor = caught.value.cursor
    assert await ids(batch_list.pager(cursor=cursor, on_invalid="skip")) == batch_list.rows[5:]
    assert await ids_until(DecodeError, batch_list.pager(cursor=cursor)) == []
    batch_list.sandbox.faults.clear()
    assert await ids(batch_list.pager(cursor=cursor)) == batch_list.rows[4:]


async def test_a_bad_row_behind_the_limit_is_not_looked_at(batch_list: BatchList) -> None:
    batch_list.fault(BAD)
    assert await ids(batch_list.pager(limit=4)) == batch_list.rows[:4]
    (*_, page) = [page async for page in batch_list.pager(limit=4).pages()]
    assert [batch.batch_id for batch in page.items] == batch_list.rows[3:4]
    assert not page.quarantined


async def test_a_page_with_a_bad_row_is_handed_out_not_at_all_and_so_loses_no_row(batch_list: BatchList) -> None:
    batch_list.fault(BAD)
    pager = batch_list.pager()
    came: list[str] = []
    with pytest.raises(DecodeError) as caught:  # noqa: PT012  # what came before it is the point
        async for page in pager.pages():
            came += [batch.batch_id for batch in page.items]
    assert came == batch_list.rows[:3]
    assert caught.value.cursor == pager.cursor
    batch_list.sandbox.faults.clear()
    assert await ids(batch_list.pager(cursor=pager.cursor)) == batch_list.rows[3:]


async def test_a_bad_row_is_skipped(batch_list: BatchList) -> None:
    batch_list.fault(BAD)
    assert await ids(batch_list.pager(on_invalid="skip")) == without_the_bad_row(batch_list)


async def test_a_skipped_row_counts_for_the_cursor(batch_list: BatchList) -> None:
    batch_list.fault(BAD)
    pager = batch_list.pager(on_invalid="skip")
    rest = without_the_bad_row(batch_list)
    async for batch in pager:
        assert batch.batch_id == rest.pop(0)
        assert await ids(batch_list.pager(cursor=pager.cursor, on_invalid="skip")) == rest
    assert rest == []


async def test_a_skipped_row_does_not_count_for_the_limit(batch_list: BatchList) -> None:
    batch_list.fault(BAD)
    for limit in range(8):
        assert await ids(batch_list.pager(on_invalid="skip", limit=limit)) == without_the_bad_row(batch_list)[:limit]
        pages = [page.items async for page in batch_list.pager(on_invalid="skip", limit=limit).pages()]
        assert [batch.batch_id for items in pages for batch in items] == without_the_bad_row(batch_list)[:limit]


async def test_a_page_holds_its_bad_rows_beside_its_items(batch_list: BatchList) -> None:
    batch_list.fault(BAD)
    pages = [page async for page in batch_list.pager(on_invalid="skip").pages()]
    assert [len(page.items) for page in pages] == [3, 2, 2]
    (row,) = pages[1].quarantined
    assert (row.operation, row.index) == (LIST, 1)
    assert json.loads(row.raw)["batchId"] == batch_list.rows[4]
    raws = list(pages[1].raw_items())
    assert [json.loads(bytes(raw))["batchId"] for raw in raws] == batch_list.rows[3:6]
    assert bytes(raws[1]) == row.raw
    assert b",".join(bytes(raw) for raw in raws) in pages[1].raw
    assert repr(pages[1]) == "Page(2 items, 1 quarantined, last=False)"


async def test_a_function_is_given_the_bad_row_with_a_cursor_that_points_at_it(batch_list: BatchList) -> None:
    batch_list.fault(f"{BAD},count=1")
    rows: list[QuarantinedRow] = []
    assert await ids(batch_list.pager(on_invalid=rows.append)) == without_the_bad_row(batch_list)
    (row,) = rows
    assert (row.operation, row.index) == (LIST, 1)
    assert json.loads(row.raw)["batchId"] == batch_list.rows[4]
    assert await ids(batch_list.pager(cursor=row.cursor)) == batch_list.rows[4:]


async def test_a_page_gives_its_bad_rows_cursors_that_point_at_them(batch_list: BatchList) -> None:
    batch_list.fault(f"{BAD},count=1")
    rows: list[QuarantinedRow] = []
    async for page in batch_list.pager(on_invalid="skip").pages():
        rows += page.quarantined
    (row,) = rows
    assert await ids(batch_list.pager(cursor=row.cursor)) == batch_list.rows[4:]


async def test_a_function_that_raises_ends_the_walk_at_the_bad_row(batch_list: BatchList) -> None:
    batch_list.fault(f"{BAD},count=1")

    def refuse(row: QuarantinedRow) -> None:
        raise LookupError(row.index)

    pager = batch_list.pager(on_invalid=refuse)
    assert await ids_until(LookupError, pager) == batch_list.rows[:4]
    assert await ids(batch_list.pager(cursor=pager.cursor)) == batch_list.rows[4:]


async def test_hooks_are_told_of_rows_set_aside_and_not_of_one_that_is_an_error(
    batch_list: BatchList, sandbox: Sandbox
) -> None:
    told: list[QuarantinedRow] = []

    class Hook:
        def on_quarantine(self, record: QuarantinedRow, /) -> None:
            told.append(record)

    batch_list.fault(BAD)
    async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, hooks=[Hook()]) as client:
        await client.batches.list(batch_list.organization, on_invalid="skip").collect()
        with pytest.raises(DecodeError):
            await client.batches.list(batch_list.organization).collect()
    assert [(record.operation, record.index, record.cursor is not None) for record in told] == [(LIST, 1, True)]


async def test_the_client_says_what_becomes_of_bad_rows_and_a_list_may_say_otherwise(batch_list: BatchList) -> None:
    batch_list.fault(BAD)
    skipping = batch_list.client.with_options(on_invalid="skip").batches
    assert await ids(skipping.list(batch_list.organization)) == without_the_bad_row(batch_list)
    assert (
        await ids_until(DecodeError, skipping.list(batch_list.organization, on_invalid="raise")) == batch_list.rows[:4]
    )


@pytest.mark.parametrize("choice", ["ignore", "", 7])
async def test_there_are_three_things_to_do_with_a_bad_row(batch_list: BatchList, choice: Any) -> None:
    with pytest.raises(ConfigurationError, match='on_invalid must be "raise", "skip" or a function'):
        batch_list.pager(on_invalid=choice)


async def test_a_row_that_needs_leniency_is_a_row(batch_list: BatchList) -> None:
    batch_list.fault("lenient-row,page=2,row=1")
    assert await ids(batch_list.pager()) == batch_list.rows
