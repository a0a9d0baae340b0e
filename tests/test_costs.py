"""What a list costs, in things that can be counted: no clock is read here."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from amili_async import AmiliClient
from amili_async.sandbox import Sandbox
from tests.support.turns import running, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

PAGES = 8
ROWS = 50
LIST = "batches.list"


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts its own turns and the tasks that are made in it."""

    def __init__(self) -> None:
        self.turns = 0
        self.made: list[str] = []
        super().__init__()
        factory: Any = self._task
        self.set_task_factory(factory)

    def _task(self, _loop: object, coroutine: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=self, **options)
        self.made.append(task.get_name())
        return task

    def _run_once(self) -> None:
        self.turns += 1
        super()._run_once()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]  # what a turn is


def counted(sandbox: Sandbox, main: Callable[[AmiliClient, CountingLoop], Coroutine[None, None, None]]) -> None:
    """Run on a loop that counts, with a client that has its connection and decoders, on pages served before."""

    async def run(loop: CountingLoop) -> None:
        async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, trust_env=False) as client:
            await client.batches.list(sandbox.organization_ids[0]).collect()
            sandbox.requests.clear()
            loop.made.clear()
            await main(client, loop)

    loop = CountingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(run(loop))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(organizations=3, batches=PAGES * ROWS, entries=1, page_size=ROWS) as served:
        yield served


def test_no_item_of_a_page_but_the_first_costs_a_turn_of_the_event_loop(sandbox: Sandbox) -> None:
    async def main(client: AmiliClient, loop: CountingLoop) -> None:
        async with aclosing(aiter(client.batches.list(sandbox.organization_ids[0]))) as batches:
            for _ in range(3):
                await anext(batches)
                before = loop.turns
                for _ in range(ROWS - 1):
                    await anext(batches)
                assert loop.turns == before

    counted(sandbox, main)


def test_a_walk_makes_at_most_one_task_a_page(sandbox: Sandbox) -> None:
    async def main(client: AmiliClient, loop: CountingLoop) -> None:
        async for _ in client.batches.list(sandbox.organization_ids[0]):
            pass
        assert 1 <= len(loop.made) <= PAGES

    counted(sandbox, main)


@pytest.mark.parametrize("prefetch", [True, False])
def test_a_walk_has_one_request_in_flight_and_one_task_alive(sandbox: Sandbox, *, prefetch: bool) -> None:
    async def main(client: AmiliClient, _loop: CountingLoop) -> None:
        async for _ in client.batches.list(sandbox.organization_ids[0], prefetch=prefetch):
            assert len(running()) <= 1
            assert sandbox.requests.under_way(LIST) <= 1
        assert running() == []
        assert sandbox.requests.count(LIST) == PAGES

    counted(sandbox, main)


def test_a_stream_has_as_many_requests_in_flight_as_walks_at_once(sandbox: Sandbox) -> None:
    async def main(client: AmiliClient, _loop: CountingLoop) -> None:
        most = 0
        async for _ in client.batches.stream(sandbox.organization_ids, concurrency=2):
            most = max(most, sandbox.requests.under_way(LIST))
            assert len(running()) <= 2 * 2
        assert most <= 2
        await turns(5)
        assert running() == []
        assert sandbox.requests.count(LIST) == 3 * PAGES

    counted(sandbox, main)


def test_a_stream_makes_no_task_for_a_page(sandbox: Sandbox) -> None:
    async def main(client: AmiliClient, loop: CountingLoop) -> None:
        async for _ in client.batches.stream(sandbox.organization_ids, concurrency=2):
            pass
        assert len(loop.made) == 2

    counted(sandbox, main)


def test_a_walk_that_requests_nothing_ahead_makes_no_task_at_all(sandbox: Sandbox) -> None:
    async def main(client: AmiliClient, loop: CountingLoop) -> None:
        await client.batches.list(sandbox.organization_ids[0], prefetch=False).collect()
        assert loop.made == []

    counted(sandbox, main)


def test_a_read_makes_neither_a_request_nor_a_response_of_aiohttps(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def counted_init(kind: type[Any]) -> None:
        original = kind.__init__

        def init(self: object, *arguments: Any, **options: Any) -> None:
            made.append(kind.__name__)
            original(self, *arguments, **options)

        monkeypatch.setattr(kind, "__init__", init)

    counted_init(aiohttp.ClientRequest)
    counted_init(aiohttp.ClientResponse)

    async def main(client: AmiliClient, _loop: CountingLoop) -> None:
        async for _ in client.batches.list(sandbox.organization_ids[0]):
            pass
        # One that is never sent: it tells the connector where to connect.
        assert made == ["ClientRequest"]

    counted(sandbox, main)


def test_handing_out_the_items_of_a_page_keeps_nothing(sandbox: Sandbox) -> None:
    async def main(client: AmiliClient, _loop: CountingLoop) -> None:
        kept: list[int] = []
        peaks: list[int] = []
        async with aclosing(aiter(client.batches.list(sandbox.organization_ids[0], prefetch=False))) as batches:
            for _ in range(PAGES):
                await anext(batches)
                gc.collect()
                tracemalloc.start()
                before, _ = tracemalloc.get_traced_memory()
                for _ in range(ROWS - 2):
                    await anext(batches)
                after, peak = tracemalloc.get_traced_memory()
                tracemalloc.stop()
                await anext(batches)
                kept.append(after - before)
                peaks.append(peak - before)
        # A number or two, and no object for each item. The least of all pages, as the server shares this process, and
        # its thread may not have been done with the request before.
        assert min(kept) < 10 * (ROWS - 2)
        assert min(peaks) < 4_000

    counted(sandbox, main)


def test_a_walk_needs_as_much_memory_at_its_end_as_at_its_beginning(sandbox: Sandbox) -> None:
    async def main(client: AmiliClient, _loop: CountingLoop) -> None:
        held: list[int] = []
        size = 0
        tracemalloc.start()
        async for page in client.batches.list(sandbox.organization_ids[0], prefetch=False).pages():
            size = len(page.raw)
            del page
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert len(held) == PAGES
        # The least of each half, since the server shares this process and its buffers come and go; a walk that kept its
        # pages would have grown by several of them.
        assert min(held[PAGES // 2 :]) - min(held[1 : PAGES // 2]) < size

    counted(sandbox, main)


def test_a_batch_takes_little_more_than_its_text(sandbox: Sandbox) -> None:
    async def main(client: AmiliClient, _loop: CountingLoop) -> None:
        pages = client.batches.list(sandbox.organization_ids[0]).pages()
        received = [len(page.raw) async for page in pages]
        gc.collect()
        tracemalloc.start()
        batches = await client.batches.list(sandbox.organization_ids[0]).collect()
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(batches) == PAGES * ROWS
        assert taken < 2.5 * sum(received)

    counted(sandbox, main)
