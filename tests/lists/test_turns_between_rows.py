"""Turns of the event loop between the rows of a large page, here of a small one that is taken for large."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from amili_async._lists import page_fetcher as listing
from amili_async._lists import pager as pagination
from amili_async.sandbox import Fault
from tests.support.batch_list import LIST, BatchList, By, Way, ids, stopped_at_every_turn
from tests.support.turns import Heartbeat

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(autouse=True)
def every_row_a_bite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LARGE", 0)
    monkeypatch.setattr(pagination, "YIELD_BYTES", 1)


@pytest.fixture
async def heartbeat() -> AsyncIterator[Heartbeat]:
    async with Heartbeat() as heart:
        yield heart


async def test_other_tasks_have_turns_while_the_page_is_made(
    batch_list: BatchList, heartbeat: Heartbeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def beats() -> int:
        before = heartbeat.beats
        assert len([page async for page in batch_list.pager(limit=3).pages()]) == 1
        return heartbeat.beats - before

    row_by_row = await beats()
    monkeypatch.setattr(listing, "LARGE", 2**30)
    assert row_by_row - await beats() >= 3


@pytest.mark.parametrize("by", ["item", "page"])
async def test_other_tasks_have_turns_while_one_bad_row_after_the_other_is_skipped(
    batch_list: BatchList, heartbeat: Heartbeat, by: str
) -> None:
    batch_list.sandbox.faults.add(Fault(LIST, body=json.dumps({"data": [7_000] * 100})))
    pager = batch_list.pager(on_invalid="skip")
    assert [thing async for thing in pager] == [] if by == "item" else [page async for page in pager.pages()]
    assert heartbeat.beats > 100


@pytest.mark.parametrize("way", ["cancelled", "closed"])
@pytest.mark.parametrize("by", ["item", "page"])
async def test_a_walk_that_ends_in_one_of_the_turns_goes_on_with_exactly_the_rest(
    batch_list: BatchList, way: Way, by: By
) -> None:
    counts: set[int] = set()
    async for pager, came in stopped_at_every_turn(batch_list, way, by, prefetch=False):
        assert await ids(batch_list.pager(cursor=pager.cursor)) == batch_list.rows[len(came) :]
        counts.add(len(came))
    assert counts == (set(range(9)) if by == "item" else {0, 3, 6, 8})
