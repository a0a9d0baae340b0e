"""The gate and the concurrency limit, on a virtual clock."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async._call.limits import GATE_JITTER, ConcurrencyLimiter, Gate
from tests.support.virtual_time import START, run

if TYPE_CHECKING:
    from amili_async.sandbox import VirtualClock

moments = st.integers(min_value=0, max_value=400).map(lambda tenths: tenths / 10)


def no_jitter(_bound: float) -> float:
    return 0.0


def test_a_gate_is_open_until_it_is_closed() -> None:
    async def main(clock: VirtualClock) -> None:
        gate = Gate(clock)
        assert gate.remaining() == 0.0
        await gate.wait()
        assert clock.monotonic() == START

    run(main)


def test_a_gate_opens_at_the_moment_named() -> None:
    async def main(clock: VirtualClock) -> None:
        gate = Gate(clock, jitter=no_jitter)
        gate.close(30.0)
        assert gate.remaining() == pytest.approx(30.0)
        await clock.sleep(10.0)
        assert gate.remaining() == pytest.approx(20.0)
        await gate.wait()
        assert clock.monotonic() == pytest.approx(START + 30.0)
        assert gate.remaining() == 0.0

    run(main)


def test_a_shorter_closing_does_not_open_the_gate_early() -> None:
    async def main(clock: VirtualClock) -> None:
        gate = Gate(clock, jitter=no_jitter)
        gate.close(30.0)
        gate.close(1.0)
        gate.close(0.0)
        await gate.wait()
        assert clock.monotonic() >= START + 30.0

    run(main)


def test_those_who_wait_find_a_gate_that_was_closed_for_longer_meanwhile_still_closed() -> None:
    async def main(clock: VirtualClock) -> None:
        gate = Gate(clock, jitter=no_jitter)
        gate.close(5.0)
        waiting = asyncio.create_task(gate.wait())
        await clock.sleep(4.9)
        gate.close(10.0)
        await waiting
        assert clock.monotonic() >= START + 14.9

    run(main)


def test_a_gate_closed_again_after_it_opened_holds_again() -> None:
    async def main(clock: VirtualClock) -> None:
        gate = Gate(clock, jitter=no_jitter)
        gate.close(5.0)
        await gate.wait()
        gate.close(2.0)
        assert gate.remaining() == pytest.approx(2.0)

    run(main)


def test_those_who_waited_set_off_spread_out_and_none_early() -> None:
    async def main(clock: VirtualClock) -> list[float]:
        gate = Gate(clock)
        gate.close(60.0)
        set_off: list[float] = []

        async def task() -> None:
            await gate.wait()
            set_off.append(clock.monotonic() - START)

        await asyncio.gather(*(task() for _ in range(200)))
        return set_off

    random.seed(4)
    set_off = run(main)
    assert all(60.0 <= moment <= 60.0 + GATE_JITTER for moment in set_off)
    in_tenths = [
        sum(tenth <= (moment - 60.0) * 10 / GATE_JITTER < tenth + 1 for moment in set_off) for tenth in range(10)
    ]
    assert max(in_tenths) < 60
    assert min(in_tenths) > 0


def test_a_short_closing_spreads_no_further_than_its_own_length() -> None:
    async def main(clock: VirtualClock) -> float:
        gate = Gate(clock, jitter=lambda bound: bound)
        gate.close(0.25)
        await gate.wait()
        return clock.monotonic() - START

    assert run(main) == pytest.approx(0.5)


@given(
    closings=st.lists(st.tuples(moments, moments), max_size=6),
    waiters=st.lists(st.tuples(moments, st.none() | moments), min_size=1, max_size=8),
)
def test_whatever_is_closed_and_cancelled_when_nobody_passes_early_and_everybody_passes(
    closings: list[tuple[float, float]], waiters: list[tuple[float, float | None]]
) -> None:
    """Schedules of ``(moment, seconds)`` closings, some met by a waiter that is then cancelled."""

    async def main(clock: VirtualClock) -> None:
        gate = Gate(clock)
        passed: dict[int, float] = {}
        arrived: dict[int, float] = {}

        async def close(moment: float, length: float) -> None:
            await clock.sleep(moment)
            gate.close(length)

        async def pass_through(number: int, moment: float) -> None:
            await clock.sleep(moment)
            arrived[number] = clock.monotonic() - START
            await gate.wait()
            assert gate.remaining() == 0.0
            passed[number] = clock.monotonic() - START

        closers = [asyncio.create_task(close(*closing)) for closing in closings]
        tasks = [asyncio.create_task(pass_through(number, moment)) for number, (moment, _) in enumerate(waiters)]
        for task, (moment, patience) in zip(tasks, waiters, strict=True):
            if patience is not None:
                asyncio.get_running_loop().call_later(moment + patience, task.cancel)
        await asyncio.gather(*tasks, *closers, return_exceptions=True)

        for moment in passed.values():
            for closed, length in closings:
                # Closed before this one passed: it must have passed after the opening, give or take the clock's grain.
                assert moment <= closed + 1e-6 or moment >= closed + length - 1e-6
        last = max([0.0, *(closed + length for closed, length in closings)])
        for number, (_, patience) in enumerate(waiters):
            if patience is None:
                assert passed[number] <= max(last, arrived[number]) + GATE_JITTER + 1e-6
        await clock.sleep(100.0)
        assert gate.remaining() == 0.0

    run(main)


def test_cancelling_every_waiter_leaves_the_gate_as_it_was() -> None:
    async def main(clock: VirtualClock) -> None:
        gate = Gate(clock, jitter=no_jitter)
        gate.close(10.0)
        waiting = [asyncio.create_task(gate.wait()) for _ in range(5)]
        await clock.sleep(3.0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert gate.remaining() == pytest.approx(7.0)
        await gate.wait()
        assert clock.monotonic() == pytest.approx(START + 10.0)

    run(main)


# -- slots


def test_slots_are_taken_in_the_order_of_coming() -> None:
    async def main(clock: VirtualClock) -> list[int]:
        slots = ConcurrencyLimiter(1)
        order: list[int] = []

        async def work(number: int) -> None:
            async with slots:
                order.append(number)
                await clock.sleep(1.0)

        await asyncio.gather(*(work(number) for number in range(20)))
        return order

    assert run(main) == list(range(20))


def test_a_slot_is_free_until_as_many_are_taken_as_there_are() -> None:
    async def main(_clock: VirtualClock) -> list[bool]:
        slots = ConcurrencyLimiter(2)
        seen = [not slots.locked()]
        for _ in range(2):
            await slots.acquire()
            seen.append(not slots.locked())
        slots.release()
        return [*seen, not slots.locked()]

    assert run(main) == [True, True, False, True]


def test_a_slot_is_taken_at_once_or_not_at_all_and_never_past_those_who_wait() -> None:
    async def main(_clock: VirtualClock) -> list[bool]:
        slots = ConcurrencyLimiter(2)
        taken = [slots.take(), slots.take(), slots.take()]
        waiting = asyncio.create_task(slots.acquire())
        await asyncio.sleep(0)
        slots.release()
        taken.append(slots.take())
        await waiting
        slots.release()
        return [*taken, slots.take()]

    assert run(main) == [True, True, False, False, True]


def test_a_slot_cannot_be_given_back_twice() -> None:
    async def main(_clock: VirtualClock) -> None:
        slots = ConcurrencyLimiter(1)
        await slots.acquire()
        slots.release()
        with pytest.raises(ValueError, match="released too many times"):
            slots.release()

    run(main)


@given(
    limit=st.integers(min_value=1, max_value=4),
    workers=st.lists(st.tuples(moments, moments, st.none() | moments), min_size=1, max_size=12),
)
def test_whoever_is_cancelled_when_no_slot_is_lost_and_no_limit_exceeded(
    limit: int, workers: list[tuple[float, float, float | None]]
) -> None:
    """Workers of ``(arrival, length of work, cancelled after)``."""

    async def main(clock: VirtualClock) -> None:
        slots = ConcurrencyLimiter(limit)
        at_work = 0
        done: set[int] = set()

        async def work(number: int, arrival: float, length: float) -> None:
            nonlocal at_work
            await clock.sleep(arrival)
            async with slots:
                at_work += 1
                assert at_work <= limit
                try:
                    await clock.sleep(length)
                finally:
                    at_work -= 1
            done.add(number)

        tasks = [asyncio.create_task(work(n, arrival, length)) for n, (arrival, length, _) in enumerate(workers)]
        for task, (arrival, _, patience) in zip(tasks, workers, strict=True):
            if patience is not None:
                asyncio.get_running_loop().call_later(arrival + patience, task.cancel)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        assert {n for n, (_, _, patience) in enumerate(workers) if patience is None} <= done
        free: list[bool] = []
        for _ in range(limit):
            free.append(not slots.locked())
            await slots.acquire()
        assert [*free, not slots.locked()] == [True] * limit + [False]

    run(main)


def test_a_waiter_cancelled_in_the_moment_of_its_turn_passes_the_slot_on() -> None:
    async def main(_clock: VirtualClock) -> None:
        slots = ConcurrencyLimiter(1)
        await slots.acquire()
        first, second = (asyncio.create_task(slots.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        slots.release()  # the slot is the first one's, who has not run yet
        first.cancel()
        await second
        assert first.cancelled()
        assert slots.locked()

    run(main)
