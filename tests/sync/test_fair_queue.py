"""Who is next."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from amili_async.sync._fair_queue import FairQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator


def turns(items: Iterable[str], *, ahead: int = 2) -> FairQueue[str, str]:
    return FairQueue(items, lambda item: None if item.startswith("-") else item.upper(), ahead=ahead)


async def handed_out(line: FairQueue[str, str]) -> list[str]:
    feeding = asyncio.create_task(line.feed())
    found: list[str] = []
    while (job := await line.next()) is not None:
        found.append(job)
    await feeding
    return found


async def test_jobs_come_in_the_order_of_the_items() -> None:
    assert await handed_out(turns("abcde")) == list("ABCDE")


async def test_items_that_make_no_job_are_left_out() -> None:
    line = turns(["a", "-b", "c"])

    assert await handed_out(line) == ["A", "C"]
    assert line.taken == 2
    assert line.ended


async def test_no_more_items_are_taken_than_a_few_ahead() -> None:
    taken: list[int] = []

    def endless() -> Iterator[str]:
        for number in range(1_000_000):
            taken.append(number)
            yield str(number)

    line = turns(endless(), ahead=3)
    feeding = asyncio.create_task(line.feed())
    for _ in range(10):
        await line.next()
    await asyncio.sleep(0)

    assert len(taken) <= 10 + 3 + 1
    feeding.cancel()


async def test_one_that_was_put_back_comes_after_those_who_had_no_turn() -> None:
    line = turns("abc", ahead=3)
    await line.feed()
    first = await line.next()
    assert first == "A"
    line.put_back(first)

    assert [await line.next() for _ in range(4)] == ["B", "C", "A", None]


async def test_asynchronous_items_are_waited_for() -> None:
    more = asyncio.Event()

    async def slow() -> AsyncIterator[str]:
        yield "a"
        await more.wait()
        yield "b"

    line = FairQueue(slow(), str.upper, ahead=2)
    feeding = asyncio.create_task(line.feed())
    assert await line.next() == "A"
    waiting = asyncio.create_task(line.next())
    await asyncio.sleep(0)
    assert not waiting.done()

    more.set()
    assert await waiting == "B"
    assert await line.next() is None
    await feeding


async def test_others_are_those_who_wait_for_a_turn() -> None:
    line = turns("a")
    others = [line.others]
    await line.feed()
    others.append(line.others)
    job = await line.next()
    assert job is not None
    others.append(line.others)
    line.put_back(job)
    others.append(line.others)

    assert others == [False, True, False, True]


async def test_one_that_was_put_back_after_a_pause_comes_when_that_is_over() -> None:
    line = turns("ab")
    await line.feed()
    first = await line.next()
    assert first == "A"
    over = asyncio.Event()

    async def pause() -> None:
        await over.wait()

    line.put_back_after(pause, first)
    assert await line.next() == "B"
    waiting = asyncio.create_task(line.next())
    await asyncio.sleep(0)
    assert (waiting.done(), line.others) == (False, False)

    over.set()
    assert await waiting == "A"
    assert await line.next() is None


async def test_those_put_back_can_be_taken_out_when_the_run_ends() -> None:
    line = turns("")
    line.put_back("A")
    line.put_back_after(lambda: asyncio.sleep(1000), "B")

    assert await line.left() == ["A", "B"]
    assert await line.left() == []
