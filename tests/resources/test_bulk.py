"""Bulk writes: every chunk has an outcome, in any order, and nothing is sent that was not asked for."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async.errors import AmiliWarning, BadRequestError, OutcomeUnknownError
from amili_async.models import Accepted
from amili_async.resources._bulk import BulkWrite
from tests.support.turns import turns, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator

    from amili_async import ChunkOutcome

T = TypeVar("T")


def writing(
    items: Iterable[T] | AsyncIterable[T],
    write: Callable[[tuple[T, ...], str | None], Awaitable[Accepted]],
    *,
    chunk_size: int = 1,
    concurrency: int = 4,
    idempotency_prefix: str | None = None,
) -> BulkWrite[T]:
    return BulkWrite(
        "invoices.create_all",
        items,
        write,
        chunk_size=chunk_size,
        concurrency=concurrency,
        idempotency_prefix=idempotency_prefix,
    )


class Server:
    """Takes chunks, each when it is let, and counts how many are under way."""

    def __init__(self, *, refuse: int | None = None, hold: bool = False) -> None:
        self.refuse = refuse
        self.chunks: list[tuple[tuple[int, ...], str | None]] = []
        self.under_way = self.most = self.cancelled = 0
        self.released = asyncio.Event()
        self.full = asyncio.Event()
        if not hold:
            self.released.set()

    async def write(self, chunk: tuple[int, ...], key: str | None) -> Accepted:
        self.chunks.append((chunk, key))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if self.under_way == 4:
            self.full.set()
        try:
            await asyncio.sleep(0)
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1
        if self.refuse in chunk:
            raise BadRequestError("refused", status=400)
        return Accepted(batch_id=str(chunk[0]), organization_id="o")


@given(count=st.integers(0, 40), chunk_size=st.integers(1, 12), concurrency=st.integers(1, 6), lazily=st.booleans())
async def test_every_item_is_sent_once_and_every_chunk_has_its_outcome(
    count: int, chunk_size: int, concurrency: int, *, lazily: bool
) -> None:
    async def one_by_one() -> AsyncIterator[int]:
        for number in range(count):
            await asyncio.sleep(0)
            yield number

    server = Server()
    outcomes = [
        outcome
        async for outcome in writing(
            one_by_one() if lazily else range(count),
            server.write,
            chunk_size=chunk_size,
            concurrency=concurrency,
            idempotency_prefix="erp",
        )
    ]
    outcomes.sort(key=lambda outcome: outcome.index)
    assert [item for outcome in outcomes for item in outcome.items] == list(range(count))
    assert [outcome.idempotency_key for outcome in outcomes] == [f"erp-{index}" for index in range(len(outcomes))]
    assert sorted(server.chunks) == [(outcome.items, outcome.idempotency_key) for outcome in outcomes]
    assert all(outcome.accepted and outcome.accepted.batch_id == str(outcome.items[0]) for outcome in outcomes)
    assert server.most <= concurrency


async def test_an_error_is_tied_to_its_chunk_and_the_others_go_on() -> None:
    server = Server(refuse=3)
    outcomes = writing(range(6), server.write, chunk_size=2, concurrency=1)
    found = [(outcome.items, type(outcome.error), outcome.idempotency_key) async for outcome in outcomes]
    assert found == [((0, 1), type(None), None), ((2, 3), BadRequestError, None), ((4, 5), type(None), None)]


async def test_items_are_taken_as_calls_end() -> None:
    taken: list[int] = []

    def endless() -> Iterator[int]:
        number = 0
        while True:
            taken.append(number)
            yield number
            number += 1

    server = Server()
    async with writing(endless(), server.write, chunk_size=2, concurrency=3) as outcomes:
        await anext(outcomes)
        assert len(taken) <= 6
    assert server.under_way == 0


async def test_a_slow_source_holds_up_no_outcome() -> None:
    more = asyncio.Event()

    async def slow() -> AsyncIterator[int]:
        yield 0
        await more.wait()
        yield 1

    server = Server()
    outcomes = writing(slow(), server.write, concurrency=3)
    assert (await anext(outcomes)).items == (0,)
    more.set()
    assert [outcome.items async for outcome in outcomes] == [(1,)]


async def test_no_more_writes_than_asked_for_are_under_way_however_slow_the_server_is() -> None:
    server = Server(hold=True)
    outcomes = writing(range(1000), server.write, concurrency=4)
    waiting = asyncio.create_task(outcomes.collect())
    await server.full.wait()
    await turns(500)
    assert (server.under_way, len(server.chunks)) == (4, 4)
    server.released.set()
    assert len(await waiting) == 1000
    assert server.most == 4


async def begun(outcomes: BulkWrite[int], server: Server) -> asyncio.Task[ChunkOutcome[int]]:
    """Return the task that waits for the first outcome, with four writes on their way."""
    waiting = asyncio.create_task(anext(outcomes), name="waiting")
    await server.full.wait()
    return waiting


async def test_who_is_cancelled_waits_for_the_writes_on_their_way_and_sends_no_more() -> None:
    before = asyncio.all_tasks()
    server = Server(hold=True)
    outcomes = writing(range(10), server.write)
    waiting = await begun(outcomes, server)
    waiting.cancel()
    await turns(100)
    assert (waiting.done(), server.under_way) == (False, 4)
    server.released.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (server.cancelled, server.under_way, len(server.chunks)) == (0, 0, 4)
    assert sorted(outcome.index for outcome in outcomes.unread) == [0, 1, 2, 3]
    assert asyncio.all_tasks() == before


async def test_who_is_cancelled_again_ends_the_writes_too_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    server = Server(hold=True)
    waiting = await begun(writing(range(10), server.write), server)
    waiting.cancel()
    await turns(100)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (server.cancelled, server.under_way) == (4, 0)
    assert asyncio.all_tasks() == before


async def test_what_was_on_its_way_when_a_loop_was_left_is_not_lost() -> None:
    server = Server(hold=True)

    async def first_at_once(chunk: tuple[int, ...], key: str | None) -> Accepted:
        return Accepted(batch_id="0", organization_id="o") if chunk == (0,) else await server.write(chunk, key)

    async with writing(range(10), first_at_once) as outcomes:
        async for outcome in outcomes:
            assert outcome.items == (0,)
            break
        await until(lambda: server.under_way)
        asyncio.get_running_loop().call_soon(server.released.set)
    assert server.cancelled == server.under_way == 0
    assert [outcome.items for outcome in outcomes.unread] == [chunk for chunk, _ in server.chunks]
    assert 1 <= len(outcomes.unread) <= 4


@pytest.mark.parametrize("way", ["close", "cancel"])
async def test_leaving_while_the_source_is_slow_ends_it_and_leaves_no_task(way: str) -> None:
    before = asyncio.all_tasks()
    closed: list[str] = []
    asked = asyncio.Event()

    async def slow() -> AsyncIterator[int]:
        try:
            yield 0
            asked.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            closed.append("source")

    server = Server()
    outcomes = writing(slow(), server.write)
    assert (await anext(outcomes)).items == (0,)
    if way == "close":
        await asked.wait()
        await outcomes.aclose()
    else:
        waiting = asyncio.create_task(anext(outcomes))
        await asked.wait()
        await turns(5)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert closed == ["source"]
    assert asyncio.all_tasks() == before


async def test_a_source_that_fails_while_it_is_left_hides_no_outcome() -> None:
    asked = asyncio.Event()

    async def stubborn() -> AsyncIterator[int]:
        try:
            yield 0
            asked.set()
            await asyncio.Event().wait()
        finally:
            raise KeyError("the source broke while it was closed")

    server = Server(hold=True)
    outcomes = writing(stubborn(), server.write)
    waiting = asyncio.create_task(anext(outcomes))
    await asked.wait()
    waiting.cancel()
    await turns(50)
    server.released.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert [outcome.items for outcome in outcomes.unread] == [(0,)]


async def test_what_was_sent_has_its_outcome_before_the_source_s_error_goes_on() -> None:
    def failing() -> Iterator[int]:
        yield from range(4)
        raise KeyError("the source broke")

    server = Server()
    indexes: list[int] = []

    async def take_all() -> None:
        async for outcome in writing(failing(), server.write, chunk_size=2, concurrency=8):
            indexes.append(outcome.index)  # noqa: PERF401  # what came before the error counts

    with pytest.raises(KeyError, match="the source broke"):
        await take_all()
    assert sorted(indexes) == [0, 1]


async def test_a_programming_error_is_raised_once_the_writes_on_their_way_have_their_outcome() -> None:
    server = Server()

    async def broken(chunk: tuple[int, ...], key: str | None) -> Accepted:
        if chunk == (1,):
            await until(lambda: len(server.chunks) == 2)
            raise ZeroDivisionError
        return await server.write(chunk, key)

    items: list[int] = []
    with pytest.raises(ZeroDivisionError):  # noqa: PT012  # what came before it counts
        async for outcome in writing(range(9), broken, concurrency=3):
            items += outcome.items
    assert sorted(items) == sorted(item for chunk, _ in server.chunks for item in chunk)
    assert server.cancelled == 0
    assert 2 <= len(items) < 8


async def test_after_a_programming_error_nothing_more_is_sent() -> None:
    server = Server()
    go_on = asyncio.Event()

    async def source() -> AsyncIterator[int]:
        yield 0
        await go_on.wait()
        yield 1

    async def broken(chunk: tuple[int, ...], key: str | None) -> Accepted:
        if chunk == (0,):
            await turns(5)
            go_on.set()
            raise ZeroDivisionError
        return await server.write(chunk, key)

    with pytest.raises(ZeroDivisionError):
        await writing(source(), broken).collect()
    assert server.chunks == []


async def test_a_source_that_is_cancelled_by_itself_ends_the_write() -> None:
    async def cancelled() -> AsyncIterator[int]:
        yield 0
        raise asyncio.CancelledError

    server = Server()
    with pytest.raises(asyncio.CancelledError):
        await writing(cancelled(), server.write).collect()
    assert len(server.chunks) == 1


async def test_a_write_that_is_made_and_forgotten_is_told() -> None:
    server = Server()
    with pytest.warns(AmiliWarning, match=r"invoices\.create_all was never iterated, so nothing was sent"):
        writing([1, 2], server.write)
    assert server.chunks == []
    with warnings.catch_warnings(action="error"):
        async with writing([1, 2], server.write):
            pass
        assert len(await writing([1, 2], server.write).collect()) == 2


async def test_an_outcome_shows_no_invoice() -> None:
    async def unknown(_chunk: tuple[str, ...], _key: str | None) -> Accepted:
        raise OutcomeUnknownError("sent and not answered")

    outcomes = writing(["Ola Nordmann"], unknown)
    async for outcome in outcomes:
        assert "Nordmann" not in repr(outcome)
        assert "OutcomeUnknownError" in repr(outcome)
