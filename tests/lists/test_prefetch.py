"""The next page, requested while the caller works on this one, and what becomes of it when the caller leaves."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import aclosing
from contextvars import ContextVar
from typing import TYPE_CHECKING

import aiohttp
import pytest

from amili_async import AmiliClient, NotFoundError
from amili_async._http import session as connection
from amili_async._lists.page_fetcher import PageFetcher
from amili_async.sandbox import Fault, Sandbox
from tests.support.batch_list import LIST, BatchList, By, Way, ids, ids_until, stopped_at_every_turn
from tests.support.turns import MANY, Heartbeat, running, turns, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from amili_async import Batch, Pager
    from amili_async._upstream.aiohttp import RequestSentSignal
    from amili_async.events import CallStarted

FEW = 3
"""Turns in which a bare ``break`` has stopped its walk."""


def arrive(sandbox: Sandbox, count: int) -> bool:
    """Return whether so many pages are asked for while this thread, and its event loop, stands still."""
    patience = time.monotonic() + 60
    while sandbox.requests.count(LIST) < count and time.monotonic() < patience:
        time.sleep(0.001)
    return sandbox.requests.count(LIST) == count


# On the wire


@pytest.mark.parametrize("place", ["warm", "cold"])
@pytest.mark.parametrize("by", ["item", "page"])
def test_the_next_page_is_asked_for_before_the_first_item_is_handed_out(place: str, by: By) -> None:
    with Sandbox(organizations=1, batches=9, entries=1, page_size=3) as sandbox:
        if place == "cold":
            sandbox.faults.add(Fault(LIST, headers={"Connection": "close"}))

        async def walk() -> None:
            async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, trust_env=False) as client:
                pager = client.batches.list(sandbox.organization_ids[0])
                async with aclosing(aiter(pager) if by == "item" else pager.pages()) as things:
                    await anext(things)
                    assert arrive(sandbox, 2)

        asyncio.run(walk())
        first, second = sandbox.requests.of(LIST)
        assert (first.connection == second.connection) is (place == "warm")


def test_the_next_page_is_asked_for_through_a_session_of_the_users_own_too() -> None:
    with Sandbox(organizations=1, batches=9, entries=1, page_size=3) as sandbox:

        async def walk() -> None:
            async with (
                aiohttp.ClientSession() as session,
                AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, session=session) as client,
                aclosing(aiter(client.batches.list(sandbox.organization_ids[0]))) as batches,
            ):
                await anext(batches)
                assert arrive(sandbox, 2)

        asyncio.run(walk())


async def test_the_caller_waits_no_longer_than_until_the_request_is_on_its_way(
    batch_list: BatchList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_TURNS_TO_CONNECT", MANY)
    async with Heartbeat() as heart:
        assert await ids(batch_list.pager()) == batch_list.rows
        assert heart.beats < MANY


async def test_one_page_is_asked_for_ahead_and_no_more(batch_list: BatchList) -> None:
    async with aclosing(aiter(batch_list.pager())) as batches:
        await anext(batches)
        await turns(100)
        assert batch_list.requests == 2
        for _ in range(3):
            await anext(batches)
        await turns(100)
        assert batch_list.requests == 3


@pytest.mark.parametrize("options", [{"prefetch": False}, {"limit": 3}, {"limit": 1}], ids=str)
async def test_no_page_is_asked_for_ahead_that_may_not_be_wanted(
    batch_list: BatchList, options: dict[str, object]
) -> None:
    async with aclosing(aiter(batch_list.pager(**options))) as batches:
        await anext(batches)
        await turns(100)
        assert batch_list.requests == 1


async def test_a_limit_that_reaches_into_the_next_page_has_it_asked_for_ahead(batch_list: BatchList) -> None:
    before = batch_list.pager(limit=2)
    await before.collect()
    batch_list.sandbox.requests.clear()
    async with aclosing(aiter(batch_list.pager(cursor=before.cursor, limit=2))) as batches:
        await anext(batches)
        await turns(100)
        assert batch_list.requests == 2


async def test_first_asks_for_one_page(batch_list: BatchList) -> None:
    await batch_list.pager().first()
    await turns(100)
    assert batch_list.requests == 1


async def test_pages_read_ahead_see_the_context_of_the_caller(batch_list: BatchList) -> None:
    trace = ContextVar("trace", default="none")
    seen: list[str] = []

    class Hook:
        def on_call_start(self, _: CallStarted, /) -> None:
            seen.append(trace.get())

    async with AmiliClient(
        batch_list.sandbox.issue_token(), base_url=batch_list.sandbox.base_url, hooks=[Hook()]
    ) as client:
        trace.set("outer")
        async for _ in client.batches.list(batch_list.organization):
            trace.set(trace.get() + "+")
    # Each is asked for when the page before it is handed out, so with what the caller had set by then.
    assert seen == ["outer", "outer", "outer+++"]


# Its errors


async def test_the_error_of_the_next_page_is_raised_after_the_last_item_of_this_one(batch_list: BatchList) -> None:
    batch_list.fault("status=404,page=2")
    came: list[str] = []
    with pytest.raises(NotFoundError):  # noqa: PT012  # what came before it is the point
        async for batch in batch_list.pager():
            came.append(batch.batch_id)
            await until(lambda: batch_list.requests == 2 and not running())
    assert came == batch_list.rows[:3]


async def test_an_error_that_the_caller_does_not_stay_for_is_not_reported_as_forgotten(batch_list: BatchList) -> None:
    batch_list.fault("status=404,page=2")
    async for _ in batch_list.pager():
        await until(lambda: batch_list.requests == 2 and not running())
        break


@pytest.mark.parametrize("hurry", [False, True])
async def test_an_error_in_place_of_a_cancellation_is_not_reported_as_forgotten(
    batch_list: BatchList, monkeypatch: pytest.MonkeyPatch, *, hurry: bool
) -> None:
    """Nor where the wait for it is cancelled as well."""
    fetch = PageFetcher[object].fetch

    async def failing(
        self: PageFetcher[object], token: str | None, sent_signal: RequestSentSignal | None = None
    ) -> object:
        if token is None:
            return await fetch(self, token, sent_signal)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            raise OSError

    monkeypatch.setattr(PageFetcher, "fetch", failing)
    pager = batch_list.pager()
    async with aclosing(aiter(pager)) as batches:
        await anext(batches)
        closing = asyncio.create_task(pager.aclose())
        await turns(1)
        assert running() == ["amili page"]
        if hurry:
            closing.cancel()
        await asyncio.wait({closing})
        assert closing.cancelled() is hurry
        await until(lambda: not running())


# Leaving early


async def leave_by_break(pager: Pager[Batch]) -> None:
    async for _ in pager:
        assert running() == ["amili page"]
        break


async def leave_by_break_of_pages(pager: Pager[Batch]) -> None:
    async for _ in pager.pages():
        assert running() == ["amili page"]
        break


async def leave_a_block(pager: Pager[Batch]) -> None:
    async with pager:
        await leave_by_break(pager)


async def leave_by_closing_inside(pager: Pager[Batch]) -> None:
    async for _ in pager:
        assert running() == ["amili page"]
        await pager.aclose()


async def leave_by_closing_inside_pages(pager: Pager[Batch]) -> None:
    async for _ in pager.pages():
        assert running() == ["amili page"]
        await pager.aclose()


async def leave_by_closing_the_generator(pager: Pager[Batch]) -> None:
    async with aclosing(aiter(pager)) as batches:
        await anext(batches)
        assert running() == ["amili page"]


async def leave_by_an_error(pager: Pager[Batch]) -> None:
    with pytest.raises(LookupError):  # noqa: PT012  # the caller's own, in the middle of the walk
        async for _ in pager:
            assert running() == ["amili page"]
            raise LookupError


async def leave_by_cancelling(pager: Pager[Batch]) -> None:
    walking = asyncio.create_task(ids(pager))
    await until(lambda: pager.cursor.token)
    assert running() == ["amili page"]
    walking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await walking


@pytest.mark.parametrize(
    ("leave", "most"),
    [
        (leave_by_break, FEW),
        (leave_by_break_of_pages, FEW),
        (leave_by_an_error, FEW),
        (leave_a_block, 0),
        (leave_by_closing_inside, 0),
        (leave_by_closing_inside_pages, 0),
        (leave_by_closing_the_generator, 0),
        (leave_by_cancelling, 0),
    ],
)
async def test_leaving_early_ends_the_request_for_the_next_page(
    batch_list: BatchList, leave: Callable[[Pager[Batch]], Awaitable[None]], most: int
) -> None:
    batch_list.fault("hang,page=2")
    await leave(batch_list.pager())
    assert await until(lambda: not running(), most=most + 1) <= most
    await until(lambda: batch_list.sandbox.requests.under_way(LIST) == 0)


@pytest.mark.parametrize("prefetch", [True, False])
@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize("by", ["item", "page"])
async def test_closing_from_another_task_ends_the_wait_for_a_page(
    batch_list: BatchList, by: By, page: int, *, prefetch: bool
) -> None:
    batch_list.fault(f"hang,page={page}")
    pager = batch_list.pager(prefetch=prefetch)
    came: list[object] = []

    async def walk() -> None:
        async for thing in pager if by == "item" else pager.pages():
            came.append(thing)  # noqa: PERF401  # it is ended in the middle

    walking = asyncio.create_task(walk())
    await until(lambda: batch_list.requests == page)
    await turns(50)
    await pager.aclose()
    assert running() == []
    await walking
    assert len(came) == (0 if page == 1 else 3 if by == "item" else 1)


async def test_a_wait_that_is_cancelled_and_closed_at_once_is_cancelled(batch_list: BatchList) -> None:
    batch_list.fault("hang,page=2")
    pager = batch_list.pager()
    walking = asyncio.create_task(ids(pager))
    await until(lambda: pager.cursor.token)
    walking.cancel()
    await pager.aclose()
    with pytest.raises(asyncio.CancelledError):
        await walking


@pytest.mark.parametrize("by", ["item", "page"])
async def test_a_closed_pager_asks_for_nothing_more(batch_list: BatchList, by: By) -> None:
    pager = batch_list.pager(prefetch=False)
    async for _ in pager if by == "item" else pager.pages():
        await pager.aclose()
    assert batch_list.requests == 1


async def test_a_closed_pager_stays_where_it_is(batch_list: BatchList) -> None:
    pager = batch_list.pager()
    came: list[str] = []
    async for batch in pager:
        came.append(batch.batch_id)
        if len(came) == 2:
            await pager.aclose()
            await pager.aclose()
    assert came == batch_list.rows[:2]
    assert await ids(batch_list.pager(cursor=pager.cursor)) == batch_list.rows[2:]


@pytest.mark.parametrize("way", ["cancelled", "closed"])
@pytest.mark.parametrize("by", ["item", "page"])
async def test_a_walk_that_is_stopped_at_any_turn_leaves_nothing_and_goes_on_with_exactly_the_rest(
    batch_list: BatchList, way: Way, by: By
) -> None:
    async for pager, came in stopped_at_every_turn(batch_list, way, by):
        assert running() == []
        assert await ids(batch_list.pager(cursor=pager.cursor)) == batch_list.rows[len(came) :]


if sys.version_info >= (3, 12):

    async def test_an_event_loop_that_starts_tasks_at_once_changes_nothing(batch_list: BatchList) -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        assert await ids(batch_list.pager()) == batch_list.rows
        await leave_by_closing_the_generator(batch_list.pager())
        batch_list.fault("status=404,page=2")
        assert await ids_until(NotFoundError, batch_list.pager()) == batch_list.rows[:3]


# Handover


async def test_a_request_of_the_clients_own_session_tells_when_it_is_on_the_wire(batch_list: BatchList) -> None:
    transport = batch_list.client._caller.transport  # pyright: ignore[reportPrivateUsage]  # a pager's way to it
    sent_signal = transport.sent_signal()
    assert (sent_signal.done, sent_signal.turns) == (False, 8)
    async with aiohttp.ClientSession() as session, AmiliClient("token", session=session) as client:
        assert client._caller.transport.sent_signal().turns == 2  # pyright: ignore[reportPrivateUsage]  # the same
