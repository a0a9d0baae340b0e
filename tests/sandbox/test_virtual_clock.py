from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async.sandbox._virtual_clock import VirtualClock

if TYPE_CHECKING:
    from amili_async._clock import Clock


async def test_waiting_takes_no_time_and_time_has_passed() -> None:
    clock = VirtualClock()
    began = clock.time()
    await clock.sleep(3600)
    assert clock.monotonic() == 3600
    assert clock.time() == began + 3600
    assert abs(began - time.time()) < 60
    assert clock.slept == [3600]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12))
def test_sleepers_wake_in_the_order_of_their_time(waits: list[int]) -> None:
    clock = VirtualClock()
    woken: list[tuple[float, int]] = []

    async def sleeper(wait: int) -> None:
        await clock.sleep(wait)
        woken.append((clock.monotonic(), wait))

    async def main() -> None:
        await asyncio.gather(*(sleeper(wait) for wait in waits))

    asyncio.run(main())
    assert [wait for _, wait in woken] == sorted(waits)
    assert all(moment >= wait for moment, wait in woken)
    assert clock.monotonic() == max(waits)


async def test_those_who_sleep_again_are_woken_again() -> None:
    clock = VirtualClock()
    ticks: list[tuple[str, float]] = []

    async def ticker(name: str, every: float, times: int) -> None:
        for _ in range(times):
            await clock.sleep(every)
            ticks.append((name, clock.monotonic()))

    await asyncio.gather(ticker("slow", 5, 2), ticker("quick", 2, 4))
    assert ticks == [("quick", 2), ("quick", 4), ("slow", 5), ("quick", 6), ("quick", 8), ("slow", 10)]


async def test_no_wait_gives_others_a_turn() -> None:
    clock = VirtualClock()
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "other")
    await clock.sleep(0)
    await clock.sleep(-1)
    assert turns == ["other"]
    assert clock.slept == []


async def test_a_sleeper_that_is_cancelled_is_forgotten() -> None:
    clock = VirtualClock()
    task = asyncio.create_task(clock.sleep(5))
    await asyncio.sleep(0)
    assert repr(clock) == "<VirtualClock 0 s, 1 asleep>"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.sleepers == 0
    await clock.sleep(7)
    assert clock.monotonic() == 7


async def test_with_auto_off_only_advancing_wakes() -> None:
    clock = VirtualClock(auto=False)
    woken: list[int] = []

    async def sleeper(wait: int) -> None:
        await clock.sleep(wait)
        woken.append(wait)

    tasks = [asyncio.create_task(sleeper(wait)) for wait in (5, 2, 9)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert woken == []
    clock.advance(5)
    await asyncio.wait(tasks[:2])
    assert woken == [2, 5]
    clock.advance(3)
    assert clock.monotonic() == 8
    assert clock.sleepers == 1
    clock.advance(1)
    await asyncio.wait(tasks)
    assert woken == [2, 5, 9]


async def test_auto_may_be_turned_off_while_someone_sleeps() -> None:
    clock = VirtualClock()
    task = asyncio.create_task(clock.sleep(5))
    await asyncio.sleep(0)
    clock.auto = False
    for _ in range(20):
        await asyncio.sleep(0)
    assert not task.done()
    clock.advance(5)
    await task


def test_time_can_pass_though_nobody_sleeps() -> None:
    clock = VirtualClock()
    clock.advance(1.5)
    assert clock.monotonic() == 1.5


def test_a_loop_that_ended_while_someone_slept_does_not_hold_up_the_next() -> None:
    clock = VirtualClock()

    async def leave() -> None:
        task = asyncio.create_task(clock.sleep(5))
        await asyncio.sleep(0)
        assert not task.done()

    asyncio.run(leave())
    asyncio.run(clock.sleep(3))
    assert clock.monotonic() == 3


def test_it_is_a_clock_of_the_package() -> None:
    clock: Clock = VirtualClock()
    assert clock.monotonic() == 0


def test_the_unix_time_may_step_while_nobody_waits() -> None:
    clock = VirtualClock(unix_time=1_000.0, start=50.0)
    clock.step(-300.0)
    assert (clock.monotonic(), clock.time(), clock.next_due) == (50.0, 700.0, float("inf"))
