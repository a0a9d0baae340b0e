"""Pages of more than two megabytes: decoded in parts, with turns of the event loop in between."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from amili_async._lists import page_fetcher as listing
from amili_async._lists import pager as pagination
from amili_async.sandbox import Fault
from tests.support.batch_list import LIST
from tests.support.turns import Heartbeat

if TYPE_CHECKING:
    from tests.support.batch_list import BatchList

ROWS = 24
"""Rows of the large page."""


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    """A page of more than two megabytes, and a last one of two rows."""
    return {"organizations": 1, "batches": ROWS + 2, "entries": 999, "page_size": ROWS}


async def test_other_tasks_have_turns_while_a_large_page_streams_by_item(batch_list: BatchList) -> None:
    beats: list[int] = []
    (page,) = [page async for page in batch_list.pager(limit=ROWS).pages()]
    async with Heartbeat() as heart:
        async for _ in batch_list.pager(limit=ROWS):
            beats.append(heart.beats)  # noqa: PERF401  # counted while it streams
    sizes = [memoryview(raw).nbytes for raw in page.raw_items()]
    assert len(page.raw) > listing.LARGE
    # A bite ends with the row that exceeds it, so it may be as long as the longest row more.
    least, most = sum(sizes) // (pagination.YIELD_BYTES + max(sizes)), sum(sizes) // pagination.YIELD_BYTES + 1
    assert 2 <= least <= beats[-1] - beats[0] <= most < ROWS


async def test_a_large_page_holds_what_a_small_one_would(
    batch_list: BatchList, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = [page async for page in batch_list.pager().pages()]
    monkeypatch.setattr(listing, "LARGE", 2**30)
    small = [page async for page in batch_list.pager().pages()]
    assert [page.items for page in large] == [page.items for page in small]
    assert [page.summary for page in large] == [page.summary for page in small]
    assert [page.raw for page in large] == [page.raw for page in small]
    assert [json.loads(bytes(raw))["batchId"] for page in large for raw in page.raw_items()] == batch_list.rows


async def test_other_tasks_have_turns_while_a_page_of_any_size_is_read_leniently(batch_list: BatchList) -> None:
    rows: list[dict[str, object]] = [
        {"batchId": str(number), "failed": {}, "createdBy": "x" * 400} for number in range(1000)
    ]
    body = json.dumps({"data": rows})
    assert len(body) < listing.LARGE
    batch_list.sandbox.faults.add(Fault(LIST, body=body))
    async with Heartbeat() as heart:
        beats = [heart.beats async for _ in batch_list.pager(limit=len(rows))]
    assert len(beats) == len(rows)
    assert beats[-1] - beats[0] >= len(body) // listing.PART - 1 > 4
