"""Bulk writes: every chunk has an outcome, in any order, and nothing is sent that was not asked for."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async.errors import BadRequestError, OutcomeUnknownError
from amili_async.models import Accepted
from amili_async.resources._bulk import in_chunks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


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
        async for outcome in in_chunks(
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
    outcomes = in_chunks(range(6), server.write, chunk_size=2, concurrency=1, idempotency_prefix=None)
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
    async with aclosing(
        in_chunks(endless(), server.write, chunk_size=2, concurrency=3, idempotency_prefix=None)
    ) as outcomes:
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
    outcomes = in_chunks(slow(), server.write, chunk_size=1, concurrency=3, idempotency_prefix=None)
    assert (await anext(outcomes)).items == (0,)
    more.set()
    assert [outcome.items async for outcome in outcomes] == [(1,)]


async def test_leaving_early_cancels_what_is_under_way_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    server = Server(hold=True)
    outcomes = in_chunks(range(10), server.write, chunk_size=1, concurrency=4, idempotency_prefix=None)
    waiting = asyncio.create_task(anext(outcomes))
    await server.full.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (server.cancelled, server.under_way, len(server.chunks)) == (4, 0, 4)
    assert asyncio.all_tasks() == before


async def test_what_was_sent_has_its_outcome_before_the_source_s_error_goes_on() -> None:
    def failing() -> Iterator[int]:
        yield from range(4)
        raise KeyError("the source broke")

    server = Server()
    indexes: list[int] = []

    async def take_all() -> None:
        async for outcome in in_chunks(failing(), server.write, chunk_size=2, concurrency=8, idempotency_prefix=None):
            indexes.append(outcome.index)  # noqa: PERF401  # what came before the error counts

    with pytest.raises(KeyError, match="the source broke"):
        await take_all()
    assert sorted(indexes) == [0, 1]


async def test_a_programming_error_is_no_outcome() -> None:
    async def broken(_chunk: tuple[int, ...], _key: str | None) -> Accepted:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async for _ in in_chunks([1], broken, chunk_size=1, concurrency=1, idempotency_prefix=None):
            pass


async def test_an_outcome_shows_no_invoice() -> None:
    async def unknown(_chunk: tuple[str, ...], _key: str | None) -> Accepted:
        raise OutcomeUnknownError("sent and not answered")

    outcomes = in_chunks(["Ola Nordmann"], unknown, chunk_size=1, concurrency=1, idempotency_prefix=None)
    async for outcome in outcomes:
        assert "Nordmann" not in repr(outcome)
        assert "OutcomeUnknownError" in repr(outcome)
