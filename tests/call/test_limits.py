"""The gate, the concurrency limit and the pace, in one queue, on a virtual clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async._call.limits import GATE_JITTER, LONGEST_CLOSURE, Gate, Limits
from amili_async._protocol.rate import FixedPace, LearnedPace
from tests.support.turns import running
from tests.support.virtual_time import START, run

if TYPE_CHECKING:
    from amili_async.sandbox import VirtualClock

moments = st.integers(min_value=0, max_value=400).map(lambda tenths: tenths / 10)


def no_jitter(_bound: float) -> float:
    return 0.0


async def taken(limits: Limits, *, again: bool = False) -> None:
    """Take a slot, waiting for it where need be, as a call does."""
    if not limits.take():
        await limits.acquire(again=again)


async def through(limits: Limits, clock: VirtualClock, *, work: float = 0.0, again: bool = False) -> float:
    """Return the seconds since the start at which a call had its turn."""
    await taken(limits, again=again)
    moment = clock.monotonic() - START
    if work:
        await clock.sleep(work)
    limits.release()
    return moment


# -- the gate


def test_a_gate_is_open_until_it_is_closed_and_opens_at_the_moment_named() -> None:
    async def main(clock: VirtualClock) -> None:
        gate = Gate(clock)
        assert gate.remaining() == 0.0
        assert gate.close(30.0) == 30.0
        assert gate.remaining() == pytest.approx(30.0)
        await clock.sleep(10.0)
        assert gate.remaining() == pytest.approx(20.0)
        await clock.sleep(20.0)
        assert gate.remaining() == 0.0
        gate.close(2.0)
        assert gate.remaining() == pytest.approx(2.0)

    run(main)


def test_a_shorter_closing_does_not_open_the_gate_early() -> None:
    async def main(clock: VirtualClock) -> None:
        gate = Gate(clock)
        for seconds in (30.0, 1.0, 0.0):
            gate.close(seconds)
        assert gate.remaining() == pytest.approx(30.0)

    run(main)


def test_no_closing_lasts_for_years() -> None:
    async def main(clock: VirtualClock) -> None:
        gate = Gate(clock)
        assert gate.close(1e9) == LONGEST_CLOSURE
        assert gate.remaining() == pytest.approx(LONGEST_CLOSURE)

    run(main)


def test_those_who_wait_find_a_gate_that_was_closed_for_longer_meanwhile_still_closed() -> None:
    async def main(clock: VirtualClock) -> None:
        limits = Limits(clock, concurrency=9, jitter=no_jitter)
        limits.gate.close(5.0)
        waiting = asyncio.create_task(through(limits, clock))
        await clock.sleep(4.9)
        limits.gate.close(10.0)
        assert await waiting == pytest.approx(14.9)

    run(main)


def test_reopening_lets_those_go_who_wait_whatever_they_wait_for() -> None:
    async def main(clock: VirtualClock) -> None:
        limits = Limits(clock, concurrency=9, pace=LearnedPace())
        limits.accepted(clock.monotonic(), {"RateLimit": '"default";r=0;t=99'})
        assert limits.learned is not None
        limits.learned.refused(clock.monotonic(), clock.monotonic(), 60.0)
        limits.gate.close(60.0)
        waiting = [asyncio.create_task(through(limits, clock)) for _ in range(5)]
        await clock.sleep(3.0)
        limits.reopen()
        assert await asyncio.gather(*waiting) == pytest.approx([3.0] * 5)
        assert limits.rate is None
        await asyncio.sleep(0)
        assert running() == []

    run(main)


def test_those_who_waited_set_off_spread_out_in_the_order_of_coming_and_none_early() -> None:
    async def main(clock: VirtualClock) -> list[float]:
        limits = Limits(clock, concurrency=200)
        limits.gate.close(60.0)
        return list(await asyncio.gather(*(through(limits, clock) for _ in range(200))))

    set_off = run(main)
    assert set_off == sorted(set_off)
    assert all(60.0 <= moment <= 60.0 + GATE_JITTER for moment in set_off)
    in_tenths = [
        sum(tenth <= (moment - 60.0) * 10 / GATE_JITTER < tenth + 1 for moment in set_off) for tenth in range(10)
    ]
    assert max(in_tenths) < 30
    assert min(in_tenths) > 10


def test_a_short_closing_spreads_no_further_than_its_own_length() -> None:
    async def main(clock: VirtualClock) -> float:
        limits = Limits(clock, concurrency=9, jitter=lambda bound: bound)
        limits.gate.close(0.25)
        return max(await asyncio.gather(*(through(limits, clock) for _ in range(5))))

    assert run(main) == pytest.approx(0.5)


def test_once_the_queue_is_empty_nobody_is_spread_any_more() -> None:
    async def main(clock: VirtualClock) -> None:
        limits = Limits(clock, concurrency=9)
        limits.gate.close(10.0)
        await asyncio.gather(*(through(limits, clock) for _ in range(3)))
        assert [limits.take() for _ in range(9)] == [True] * 9

    run(main)


# -- slots


def test_a_queue_that_never_empties_is_spread_once_and_not_for_ever() -> None:
    async def main(clock: VirtualClock) -> float:
        limits = Limits(clock, concurrency=2, jitter=no_jitter)
        limits.gate.close(4.0)

        async def worker() -> None:
            for _ in range(100):
                await through(limits, clock, work=0.05)

        await asyncio.gather(*(worker() for _ in range(4)))
        return clock.monotonic() - START

    # Two at a time, 50 ms each: ten seconds of work behind four of waiting, and the spreading of those who waited.
    assert run(main) < 4.0 + 10.0 + 2 * GATE_JITTER


def test_slots_are_taken_in_the_order_of_coming() -> None:
    async def main(clock: VirtualClock) -> list[float]:
        limits = Limits(clock, concurrency=1)
        return list(await asyncio.gather(*(through(limits, clock, work=1.0) for _ in range(20))))

    assert run(main) == pytest.approx(list(range(20)))


def test_what_is_sent_again_goes_before_what_was_not_sent_yet_and_in_its_own_order() -> None:
    async def main(clock: VirtualClock) -> list[float]:
        limits = Limits(clock, concurrency=1)
        first = asyncio.create_task(through(limits, clock, work=1.0))
        await asyncio.sleep(0)
        new = [asyncio.create_task(through(limits, clock, work=1.0)) for _ in range(3)]
        await asyncio.sleep(0)
        again = [asyncio.create_task(through(limits, clock, work=1.0, again=True)) for _ in range(2)]
        return list(await asyncio.gather(first, *again, *new))

    assert run(main) == pytest.approx([0, 1, 2, 3, 4, 5])


def test_a_slot_is_taken_at_once_or_not_at_all_and_never_past_those_who_wait() -> None:
    async def main(clock: VirtualClock) -> list[bool]:
        limits = Limits(clock, concurrency=2)
        got = [limits.take(), limits.take(), limits.take()]
        waiting = asyncio.create_task(limits.acquire())
        await asyncio.sleep(0)
        limits.release()
        got.append(limits.take())
        await waiting
        limits.release()
        return [*got, limits.take()]

    assert run(main) == [True, True, False, False, True]


def test_a_slot_cannot_be_given_back_twice() -> None:
    async def main(clock: VirtualClock) -> None:
        limits = Limits(clock, concurrency=1)
        assert limits.take()
        limits.release()
        with pytest.raises(ValueError, match="given back twice"):
            limits.release()

    run(main)


def test_a_waiter_cancelled_in_the_moment_of_its_turn_passes_the_slot_on() -> None:
    async def main(clock: VirtualClock) -> None:
        limits = Limits(clock, concurrency=1)
        assert limits.take()
        first, second = (asyncio.create_task(limits.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        limits.release()  # the slot is the first one's, who has not run yet
        first.cancel()
        await second
        assert first.cancelled()
        assert not limits.take()

    run(main)


def test_cancelling_every_waiter_leaves_the_gate_as_it_was_and_nothing_behind() -> None:
    async def main(clock: VirtualClock) -> None:
        limits = Limits(clock, concurrency=9, jitter=no_jitter)
        limits.gate.close(10.0)
        waiting = [asyncio.create_task(limits.acquire()) for _ in range(5)]
        await clock.sleep(3.0)
        assert running() == ["amili limits"]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.sleep(0)
        assert running() == []
        assert limits.gate.remaining() == pytest.approx(7.0)
        assert await through(limits, clock) == pytest.approx(10.0)

    run(main)


# -- the pace


def test_a_given_rate_spaces_the_calls_of_all_tasks() -> None:
    async def main(clock: VirtualClock) -> list[float]:
        limits = Limits(clock, concurrency=9, pace=FixedPace(10.0))
        assert limits.rate == 10.0
        return list(await asyncio.gather(*(through(limits, clock) for _ in range(20))))

    moments = run(main)
    assert moments == sorted(moments)
    assert moments[-1] == pytest.approx(1.9, abs=0.11)


def test_a_given_rate_waits_at_the_gate_too() -> None:
    async def main(clock: VirtualClock) -> list[float]:
        limits = Limits(clock, concurrency=9, pace=FixedPace(10.0))
        limits.gate.close(5.0)
        return list(await asyncio.gather(*(through(limits, clock) for _ in range(5))))

    assert run(main) == pytest.approx([5.0, 5.0, 5.1, 5.2, 5.3])


def test_a_slot_that_comes_free_does_not_hurry_the_pace() -> None:
    async def main(clock: VirtualClock) -> list[float]:
        limits = Limits(clock, concurrency=2, pace=FixedPace(1.0))
        return list(await asyncio.gather(*(through(limits, clock, work=0.1) for _ in range(4))))

    assert run(main) == pytest.approx([0.0, 0.0, 1.0, 2.0], abs=1e-6)


def test_where_others_have_gone_those_who_wait_go_sooner_and_where_others_come_nothing_changes() -> None:
    async def main(clock: VirtualClock) -> list[float]:
        limits = Limits(clock, concurrency=9, pace=LearnedPace())
        assert limits.learned is not None
        limits.learned.refused(clock.monotonic(), clock.monotonic())
        limits.share(1, 2, alone=False)
        assert (limits.rate, limits.learned.shared) == (4.0, True)
        waiting = [asyncio.create_task(through(limits, clock)) for _ in range(3)]
        await asyncio.sleep(0)
        limits.share(2, 1, alone=True)
        assert (limits.rate, limits.learned.shared) == (8.0, False)
        return list(await asyncio.gather(*waiting))

    assert run(main) == pytest.approx([0.125, 0.25, 0.375])


def test_a_rate_that_is_given_is_not_shared() -> None:
    async def main(clock: VirtualClock) -> None:
        limits = Limits(clock, concurrency=9, pace=FixedPace(4.0))
        limits.share(2, 1, alone=True)
        assert limits.rate == 4.0

    run(main)


def test_a_quota_that_an_answer_tells_of_is_waited_for_before_it_is_refused() -> None:
    async def main(clock: VirtualClock) -> list[float]:
        limits = Limits(clock, concurrency=9, pace=LearnedPace())
        limits.accepted(clock.monotonic(), {"X-RateLimit-Remaining": "2", "X-RateLimit-Reset": "30"})
        return list(await asyncio.gather(*(through(limits, clock) for _ in range(4))))

    assert run(main) == pytest.approx([0.0, 0.0, 30.0, 30.0])


def test_no_quota_is_kept_where_no_pace_is_learnt() -> None:
    async def main(clock: VirtualClock) -> None:
        for pace in (None, FixedPace(1e6)):
            limits = Limits(clock, concurrency=9, pace=pace)
            limits.accepted(clock.monotonic(), {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"})
            assert limits.take()

    run(main)


def test_the_time_spent_waiting_for_other_than_a_slot_is_counted() -> None:
    async def main(clock: VirtualClock) -> list[float]:
        limits = Limits(clock, concurrency=1, jitter=no_jitter)
        held = [limits.held_seconds()]
        limits.gate.close(5.0)
        first = asyncio.create_task(through(limits, clock, work=7.0))
        second = asyncio.create_task(through(limits, clock))
        await clock.sleep(2.0)
        held.append(limits.held_seconds())
        await asyncio.gather(first, second)
        return [*held, limits.held_seconds()]

    assert run(main) == pytest.approx([0.0, 2.0, 5.0], abs=0.6)  # two that set off are spread over a second


# -- whatever happens


@given(
    closings=st.lists(st.tuples(moments, moments), max_size=6),
    waiters=st.lists(st.tuples(moments, st.none() | moments), min_size=1, max_size=8),
)
def test_whatever_is_closed_and_cancelled_when_nobody_passes_early_and_everybody_passes(
    closings: list[tuple[float, float]], waiters: list[tuple[float, float | None]]
) -> None:
    """Schedules of ``(moment, seconds)`` closings, some met by a waiter that is then cancelled."""

    async def main(clock: VirtualClock) -> None:
        limits = Limits(clock, concurrency=99)
        passed: dict[int, float] = {}
        arrived: dict[int, float] = {}

        async def close(moment: float, length: float) -> None:
            await clock.sleep(moment)
            limits.gate.close(length)

        async def pass_through(number: int, moment: float) -> None:
            await clock.sleep(moment)
            arrived[number] = clock.monotonic() - START
            passed[number] = await through(limits, clock)
            assert limits.gate.remaining() == 0.0

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
        assert running() == []
        assert [limits.take() for _ in range(100)] == [True] * 99 + [False]

    run(main)


@given(
    limit=st.integers(min_value=1, max_value=4),
    pace=st.none() | st.sampled_from([0.5, 2.0, 50.0]),
    workers=st.lists(st.tuples(moments, moments, st.none() | moments, st.booleans()), min_size=1, max_size=12),
)
def test_whoever_is_cancelled_when_no_slot_is_lost_and_no_limit_exceeded(
    limit: int, pace: float | None, workers: list[tuple[float, float, float | None, bool]]
) -> None:
    """Workers of ``(arrival, length of work, cancelled after, sent before)``."""

    async def main(clock: VirtualClock) -> None:
        limits = Limits(clock, concurrency=limit, pace=None if pace is None else FixedPace(pace))
        at_work = 0
        done: dict[int, float] = {}

        async def work(number: int, arrival: float, length: float, *, again: bool) -> None:
            nonlocal at_work
            await clock.sleep(arrival)
            await taken(limits, again=again)
            at_work += 1
            assert at_work <= limit
            done[number] = clock.monotonic()
            try:
                await clock.sleep(length)
            finally:
                at_work -= 1
                limits.release()

        tasks = [
            asyncio.create_task(work(number, arrival, length, again=again))
            for number, (arrival, length, _, again) in enumerate(workers)
        ]
        for task, (arrival, _, patience, _) in zip(tasks, workers, strict=True):
            if patience is not None:
                asyncio.get_running_loop().call_later(arrival + patience, task.cancel)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        assert {number for number, worker in enumerate(workers) if worker[2] is None} <= set(done)
        if pace is not None:
            began = sorted(done.values())
            assert all(later - sooner >= 1 / pace - 1e-6 for sooner, later in zip(began, began[2:], strict=False))
        await clock.sleep(10.0)
        assert running() == []
        free: list[bool] = []
        for _ in range(limit):
            await clock.sleep(10.0)
            free.append(limits.take())
        await clock.sleep(10.0)
        assert [*free, limits.take()] == [True] * limit + [False]

    run(main)
