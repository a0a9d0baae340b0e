"""Pages of more than a megabyte: decoded row by row, with turns of the event loop in between."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import pytest

from amili_async import listing, pagination
from amili_async.sandbox import Fault, Sandbox
from tests.pagination.listed import LIST, By, Listed, Way, ids, stopped_at_every_turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.virtual_time import VirtualClock

ROWS = 12
"""Rows of the large page."""


@pytest.fixture
async def sandbox(clock: VirtualClock) -> AsyncIterator[Sandbox]:
    """A page of more than a megabyte, and a last one of two rows."""
    async with Sandbox(organizations=1, batches=ROWS + 2, entries=999, page_size=ROWS, clock=clock.time) as served:
        yield served


class Heartbeat:
    """Counts the turns that other tasks get."""

    def __init__(self) -> None:
        self.beats = 0
        self._task = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            self.beats += 1
            await asyncio.sleep(0)

    async def stop(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


@pytest.fixture
async def heartbeat() -> AsyncIterator[Heartbeat]:
    heart = Heartbeat()
    yield heart
    await heart.stop()


async def test_other_tasks_have_turns_while_a_large_page_streams_by_item(listed: Listed, heartbeat: Heartbeat) -> None:
    beats: list[int] = []
    (page,) = [page async for page in listed.pager(limit=ROWS).pages()]
    async for _ in listed.pager(limit=ROWS):
        beats.append(heartbeat.beats)  # noqa: PERF401  # counted while it streams
    sizes = [memoryview(raw).nbytes for raw in page.raw_items()]
    assert len(page.raw) > 2**20
    # A bite ends with the row that exceeds it, so it may be as long as the longest row more.
    assert beats[-1] - beats[0] >= sum(sizes) // (pagination.BITE + max(sizes)) >= 2


async def test_a_large_page_holds_what_a_small_one_would(listed: Listed, monkeypatch: pytest.MonkeyPatch) -> None:
    large = [page async for page in listed.pager().pages()]
    monkeypatch.setattr(listing, "LARGE", 2**30)
    small = [page async for page in listed.pager().pages()]
    assert [page.items for page in large] == [page.items for page in small]
    assert [page.summary for page in large] == [page.summary for page in small]
    assert [page.raw for page in large] == [page.raw for page in small]
    assert [json.loads(bytes(raw))["batchId"] for page in large for raw in page.raw_items()] == listed.rows


class TestOfSmallOnesTakenForLarge:
    """The same with a few rows, each of which is a bite."""

    @pytest.fixture
    async def sandbox(self, clock: VirtualClock) -> AsyncIterator[Sandbox]:
        async with Sandbox(organizations=1, batches=8, entries=1, page_size=5, clock=clock.time) as served:
            yield served

    @pytest.fixture(autouse=True)
    def every_row_a_bite(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(listing, "LARGE", 0)
        monkeypatch.setattr(pagination, "BITE", 1)

    async def test_other_tasks_have_turns_while_the_page_is_made(
        self, listed: Listed, heartbeat: Heartbeat, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def beats() -> int:
            before = heartbeat.beats
            assert len([page async for page in listed.pager(limit=5).pages()]) == 1
            return heartbeat.beats - before

        row_by_row = await beats()
        monkeypatch.setattr(listing, "LARGE", 2**30)
        assert row_by_row - await beats() >= 5

    @pytest.mark.parametrize("by", ["item", "page"])
    async def test_other_tasks_have_turns_while_one_bad_row_after_the_other_is_skipped(
        self, listed: Listed, heartbeat: Heartbeat, by: str
    ) -> None:
        listed.sandbox.faults.add(Fault(LIST, body=json.dumps({"data": [7_000] * 100})))
        pager = listed.pager(on_invalid="skip")
        assert [thing async for thing in pager] == [] if by == "item" else [page async for page in pager.pages()]
        assert heartbeat.beats > 100

    @pytest.mark.parametrize("way", ["cancelled", "closed"])
    @pytest.mark.parametrize("by", ["item", "page"])
    async def test_a_walk_that_ends_in_one_of_the_turns_goes_on_with_exactly_the_rest(
        self, listed: Listed, way: Way, by: By
    ) -> None:
        counts: set[int] = set()
        async for pager, came in stopped_at_every_turn(listed, way, by, prefetch=False):
            assert await ids(listed.pager(cursor=pager.cursor)) == listed.rows[len(came) :]
            counts.add(len(came))
        assert counts == (set(range(9)) if by == "item" else {0, 5, 8})
