"""Rows handed on as JSON lines while the list is still being read."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
from typing import TYPE_CHECKING

import pytest

from amili_async.errors import TransportError
from amili_async.integrations.json_lines import CHUNK, stream_json_lines
from amili_async.models import Accepted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from amili_async.models import Model


def row(number: int, *, size: int = 0) -> Model:
    return Accepted(batch_id=f"{number:0{size}}", organization_id="o")


def numbers(chunk: bytes) -> list[int]:
    assert chunk.endswith(b"\n")
    return [int(json.loads(line)["batchId"]) for line in chunk.splitlines()]


async def counted(*pages: int, size: int = 0) -> AsyncIterator[Model]:
    """Yield pages of so many rows, giving the loop a turn before each, as a request does."""
    number = 0
    for length in pages:
        await asyncio.sleep(0)
        for _ in range(length):
            yield row(number, size=size)
            number += 1


async def test_every_row_is_a_line_in_order() -> None:
    chunks = [chunk async for chunk in stream_json_lines(counted(3, 0, 2))]

    assert [number for chunk in chunks for number in numbers(chunk)] == [0, 1, 2, 3, 4]


async def test_no_rows_are_no_bytes() -> None:
    assert [chunk async for chunk in stream_json_lines(counted())] == []


async def test_rows_at_hand_go_together_and_those_that_take_time_do_not_hold_them_up() -> None:
    chunks = [chunk async for chunk in stream_json_lines(counted(100, 100))]

    assert [len(numbers(chunk)) for chunk in chunks] == [100, 100]


async def test_the_first_row_comes_while_the_second_is_still_awaited() -> None:
    never = asyncio.Event()

    async def rows() -> AsyncIterator[Model]:
        yield row(0)
        await never.wait()
        yield row(1)

    lines = stream_json_lines(rows())

    assert numbers(await anext(lines)) == [0]
    await lines.aclose()


async def test_a_reader_that_takes_its_time_holds_the_walk_back() -> None:
    taken = 0

    async def rows() -> AsyncIterator[Model]:
        nonlocal taken
        async for one in counted(1000, size=1000):
            taken += 1
            yield one

    lines = stream_json_lines(rows())
    first = await anext(lines)
    for _ in range(20):
        await asyncio.sleep(0)

    assert CHUNK <= len(first) < CHUNK + 2000
    assert taken == 2 * len(numbers(first))
    await lines.aclose()


async def test_an_error_comes_after_the_rows_before_it() -> None:
    async def rows() -> AsyncIterator[Model]:
        yield row(0)
        raise TransportError("cut off")

    lines = stream_json_lines(rows())

    assert numbers(await anext(lines)) == [0]
    with pytest.raises(TransportError, match="cut off"):
        await anext(lines)


async def test_closing_stops_the_walk_before_it_returns() -> None:
    stopped: list[str] = []

    async def rows() -> AsyncIterator[Model]:
        try:
            yield row(0)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            stopped.append("stopped")

    lines = stream_json_lines(rows())
    await anext(lines)
    await lines.aclose()

    assert stopped == ["stopped"]


async def test_closing_stops_a_walk_that_is_held_back() -> None:
    stopped: list[str] = []

    async def rows() -> AsyncIterator[Model]:
        try:
            while True:
                yield row(0, size=CHUNK)
        finally:
            stopped.append("stopped")

    lines = stream_json_lines(rows())
    await anext(lines)
    await asyncio.sleep(0)
    await lines.aclose()

    assert stopped == ["stopped"]


async def test_an_error_that_nobody_waits_for_any_more_is_not_reported_as_forgotten() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    async def rows() -> AsyncIterator[Model]:
        yield row(0)
        raise TransportError("cut off")

    lines = stream_json_lines(rows())
    await anext(lines)
    await lines.aclose()
    del lines
    gc.collect()
    await asyncio.sleep(0)

    assert reported == []


async def test_rows_of_a_plain_async_iterator_are_streamed_too() -> None:
    class Rows:
        def __init__(self) -> None:
            self.left = 2

        def __aiter__(self) -> Rows:
            return self

        async def __anext__(self) -> Model:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return row(self.left)

    assert [numbers(chunk) async for chunk in stream_json_lines(Rows())] == [[1, 0]]


async def test_the_walk_sees_the_callers_context_variables() -> None:
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(7)

    async def rows() -> AsyncIterator[Model]:
        yield row(variable.get())

    assert [numbers(chunk) async for chunk in stream_json_lines(rows())] == [[7]]
