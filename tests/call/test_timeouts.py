from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from amili_async._call.timeouts import TimeoutScheduler
from amili_async.sandbox import VirtualClock
from tests.support.virtual_time import run

if TYPE_CHECKING:
    from amili_async.sandbox import VirtualClock


def near(expected: float | list[float]) -> object:
    """Return what equals the expected seconds but for rounding."""
    return pytest.approx(expected)  # pyright: ignore[reportUnknownMemberType]  # pytest leaves it untyped


async def bounded(alarm: TimeoutScheduler, seconds: float | None, *, work: float) -> float:
    """Work for some seconds within a scope; return how long it took, negative if the alarm ended it."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    scope = asyncio.timeout(None)
    alarm.set(scope, None if seconds is None else begun + seconds)
    try:
        async with scope:
            await asyncio.sleep(work)
    except TimeoutError:
        return begun - loop.time()
    finally:
        alarm.forget(scope)
    return loop.time() - begun


def test_a_wait_ends_at_its_moment_and_one_that_is_done_before_does_not_notice() -> None:
    async def main(_clock: VirtualClock) -> list[float]:
        alarm = TimeoutScheduler()
        return [
            await bounded(alarm, 5, work=100),
            await bounded(alarm, 5, work=3),
            await bounded(alarm, None, work=1000),
            len(alarm),
        ]

    assert run(main) == near([-5, 3, 1000, 0])


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_each_of_many_waits_ends_at_its_own_moment_whatever_order_they_began_in(order: tuple[float, ...]) -> None:
    async def main(_clock: VirtualClock) -> list[float]:
        alarm = TimeoutScheduler()
        return await asyncio.gather(*(bounded(alarm, seconds, work=100) for seconds in order))

    assert run(main) == near([-seconds for seconds in order])


def test_waits_without_a_moment_outlast_those_with_one() -> None:
    async def main(_clock: VirtualClock) -> list[float]:
        alarm = TimeoutScheduler()
        return list(await asyncio.gather(bounded(alarm, None, work=9), bounded(alarm, 1, work=100)))

    assert run(main) == near([9, -1])


def test_a_wait_that_is_moved_ends_at_the_later_moment_only() -> None:
    async def main(clock: VirtualClock) -> float:
        alarm = TimeoutScheduler()
        begun = clock.monotonic()
        scope = asyncio.timeout(None)
        alarm.set(scope, begun + 1)
        try:
            async with scope:
                await asyncio.sleep(0.5)
                alarm.set(scope, begun + 4)
                await asyncio.sleep(100)
        except TimeoutError:
            assert scope.expired()
        return clock.monotonic() - begun

    assert run(main) == near(4)


def test_a_moment_that_has_passed_ends_the_wait_at_once() -> None:
    async def main(_clock: VirtualClock) -> float:
        return await bounded(TimeoutScheduler(), -1, work=100)

    assert run(main) == near(0)


def test_calls_that_end_in_time_share_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []

    async def main(_clock: VirtualClock) -> None:
        alarm = TimeoutScheduler()
        loop = asyncio.get_running_loop()
        call_at = loop.call_at

        def counting(when: float, callback: object, *arguments: object) -> asyncio.TimerHandle:
            made.append(when)
            return call_at(when, callback, *arguments)  # type: ignore[arg-type]  # passed on as it came

        monkeypatch.setattr(loop, "call_at", counting)
        for _ in range(50):
            scope = asyncio.timeout(None)
            alarm.set(scope, loop.time() + 30)
            async with scope:
                await asyncio.sleep(0)
            alarm.forget(scope)

    run(main)
    assert len(made) == 1


def test_ringing_ends_every_wait_at_once_and_leaves_no_timer_behind() -> None:
    async def main(clock: VirtualClock) -> float:
        alarm = TimeoutScheduler()
        waits = [asyncio.create_task(bounded(alarm, seconds, work=100)) for seconds in (5, None, 7)]
        begun = clock.monotonic()
        await asyncio.sleep(0)
        alarm.ring()
        await asyncio.sleep(0)
        alarm.ring()
        assert await asyncio.gather(*waits) == near([0, 0, 0])
        assert len(alarm) == 0
        return clock.monotonic() - begun

    assert run(main) == near(0)
