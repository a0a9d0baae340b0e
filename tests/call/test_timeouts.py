from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

import pytest

from amili_async._call.timeouts import TimeoutScheduler
from amili_async._clock import SystemClock
from tests.support.virtual_time import run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from amili_async.sandbox import VirtualClock

T = TypeVar("T")


def near(expected: float | list[float]) -> object:
    """Return what equals the expected seconds but for rounding."""
    return pytest.approx(expected)  # pyright: ignore[reportUnknownMemberType]  # pytest leaves it untyped


async def bounded(scheduler: TimeoutScheduler, seconds: float | None, *, work: float) -> float:
    """Work for some seconds within a scope; return how long it took, negative if the scope ended it."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        with scheduler.scope(seconds):
            await asyncio.sleep(work)
    except TimeoutError:
        return begun - loop.time()
    return loop.time() - begun


def test_a_wait_ends_at_its_moment_and_one_that_is_done_before_does_not_notice() -> None:
    async def main(_clock: VirtualClock) -> list[float]:
        scheduler = TimeoutScheduler()
        return [
            await bounded(scheduler, 5, work=100),
            await bounded(scheduler, 5, work=3),
            await bounded(scheduler, None, work=1000),
            len(scheduler),
        ]

    assert run(main) == near([-5, 3, 1000, 0])


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_each_of_many_waits_ends_at_its_own_moment_whatever_order_they_began_in(order: tuple[float, ...]) -> None:
    async def main(_clock: VirtualClock) -> list[float]:
        scheduler = TimeoutScheduler()
        return await asyncio.gather(*(bounded(scheduler, seconds, work=100) for seconds in order))

    assert run(main) == near([-seconds for seconds in order])


def test_waits_without_a_moment_outlast_those_with_one() -> None:
    async def main(_clock: VirtualClock) -> list[float]:
        scheduler = TimeoutScheduler()
        return list(await asyncio.gather(bounded(scheduler, None, work=9), bounded(scheduler, 1, work=100)))

    assert run(main) == near([9, -1])


def test_a_wait_that_is_moved_ends_at_the_later_moment_only() -> None:
    async def main(clock: VirtualClock) -> float:
        scheduler = TimeoutScheduler()
        begun = clock.monotonic()
        scope = scheduler.scope(1)
        try:
            with scope:
                await asyncio.sleep(0.5)
                scope.reschedule(3.5)
                await asyncio.sleep(100)
        except TimeoutError:
            assert scope.expired
        return clock.monotonic() - begun

    assert run(main) == near(4)


def test_a_moment_that_has_passed_ends_the_wait_at_once() -> None:
    async def main(_clock: VirtualClock) -> float:
        return await bounded(TimeoutScheduler(), -1, work=100)

    assert run(main) == near(0)


def test_calls_that_end_in_time_share_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []

    async def main(_clock: VirtualClock) -> None:
        scheduler = TimeoutScheduler()
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def counting(delay: float, callback: object, *arguments: object) -> asyncio.TimerHandle:
            made.append(delay)
            return call_later(delay, callback, *arguments)  # type: ignore[arg-type]  # passed on as it came

        monkeypatch.setattr(loop, "call_later", counting)
        for _ in range(50):
            with scheduler.scope(30):
                await asyncio.sleep(0)

    run(main)
    assert len(made) == 1


def test_cancelling_all_ends_every_wait_at_once_and_leaves_no_timer_behind() -> None:
    async def main(clock: VirtualClock) -> float:
        scheduler = TimeoutScheduler()
        waits = [asyncio.create_task(bounded(scheduler, seconds, work=100)) for seconds in (5, None, 7)]
        begun = clock.monotonic()
        await asyncio.sleep(0)
        scheduler.cancel_all()
        await asyncio.sleep(0)
        scheduler.cancel_all()
        assert await asyncio.gather(*waits) == near([0, 0, 0])
        assert len(scheduler) == 0
        return clock.monotonic() - begun

    assert run(main) == near(0)


def test_a_task_that_is_cancelled_while_its_time_is_up_is_cancelled() -> None:
    async def main(_clock: VirtualClock) -> bool:
        task = asyncio.create_task(bounded(TimeoutScheduler(), 1, work=100))
        asyncio.get_running_loop().call_later(1, task.cancel)
        await asyncio.wait([task])
        return task.cancelled()

    assert run(main)


def test_a_scope_outside_of_any_task_is_refused_and_leaves_nothing_behind() -> None:
    async def main(_clock: VirtualClock) -> int:
        scheduler = TimeoutScheduler()
        refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def enter() -> None:
            try:
                with scheduler.scope(1):
                    pass
            except RuntimeError as error:
                refused.set_result(str(error))

        asyncio.get_running_loop().call_soon(enter)
        assert await refused == "a call can be made in a task only"
        return len(scheduler)

    assert run(main) == 0


def test_a_task_that_cannot_be_cancelled_does_not_keep_the_others_from_ending() -> None:
    class Stubborn(asyncio.Task[float]):
        def cancel(self, msg: object = None) -> bool:  # noqa: ARG002  # asyncio's signature
            raise OSError("not me")

    async def main(_clock: VirtualClock) -> list[float]:
        scheduler = TimeoutScheduler()
        loop = asyncio.get_running_loop()
        reported: list[object] = []
        loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
        stubborn = Stubborn(bounded(scheduler, 1, work=9), loop=loop)
        others = [asyncio.create_task(bounded(scheduler, seconds, work=100)) for seconds in (1, 2)]
        took = await asyncio.gather(stubborn, *others)
        assert [str(error) for error in reported] == ["not me"]
        return took

    assert run(main) == near([9, -1, -2])


class Counted(float):
    """A moment that counts how often moments are compared: what a scan of all of them would make very often."""

    compared = 0

    def __add__(self, seconds: float) -> Counted:
        return Counted(float(self) + seconds)

    __radd__ = __add__

    def __lt__(self, other: float) -> bool:
        Counted.compared += 1
        return float(self) < other

    def __le__(self, other: float) -> bool:
        Counted.compared += 1
        return float(self) <= other


def test_ending_thousands_of_staggered_waits_takes_few_looks_at_each_and_few_timers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cost(count: int) -> tuple[int, int]:
        async def main(clock: VirtualClock) -> int:
            scheduler = TimeoutScheduler()
            loop = asyncio.get_running_loop()
            time, call_later, timers = loop.time, loop.call_later, 0

            def counting(delay: float, callback: object, *arguments: object) -> asyncio.TimerHandle:
                nonlocal timers
                timers += getattr(callback, "__self__", None) is scheduler
                return call_later(float(delay), callback, *arguments)  # type: ignore[arg-type]  # passed on as it came

            monkeypatch.setattr(loop, "call_later", counting)
            monkeypatch.setattr(loop, "time", lambda: Counted(time()))

            async def hang(number: int) -> float:
                try:
                    with scheduler.scope(5 + number / count):
                        await loop.create_future()
                except TimeoutError:
                    # What each end costs its program: time in which many more become due.
                    clock.advance(0.01)
                return time() - number / count

            await asyncio.gather(*(hang(number) for number in range(count)))
            return timers

        Counted.compared = 0
        return run(main), Counted.compared

    few, many = cost(1_000), cost(4_000)
    assert many[0] < 50
    assert many[1] < 6 * few[1]


def test_what_has_been_left_is_thrown_away_before_it_is_much() -> None:
    async def main(_clock: VirtualClock) -> int:
        scheduler = TimeoutScheduler()

        async def call(number: int) -> None:
            with scheduler.scope(30 - number % 7) as scope:
                await asyncio.sleep(0)
                scope.reschedule(30)
                await asyncio.sleep(number % 3)

        most = 0
        for _ in range(50):
            await asyncio.gather(*(call(number) for number in range(20)))
            most = max(most, len(scheduler._moments))  # pyright: ignore[reportPrivateUsage]  # nothing public counts them
        return most

    assert run(main) < 200


@pytest.mark.parametrize("running", [True, False])
def test_cancelling_all_from_another_event_loop_ends_what_runs_in_its_own(*, running: bool) -> None:
    scheduler = TimeoutScheduler()

    async def cancel_all() -> None:
        scheduler.cancel_all()

    async def main() -> float:
        task = asyncio.create_task(bounded(scheduler, 1000, work=1000))
        await asyncio.sleep(0)
        if running:
            await asyncio.to_thread(asyncio.run, cancel_all())
        return await task if running else 0.0

    with asyncio.Runner() as runner:
        assert runner.run(main()) > -1.0
        if not running:
            asyncio.run(cancel_all())
            asyncio.run(cancel_all())


def test_cancelling_all_leaves_an_event_loop_alone_that_is_closed() -> None:
    scheduler = TimeoutScheduler()
    loop = asyncio.new_event_loop()
    coroutine = bounded(scheduler, 1000, work=1000)
    task = loop.create_task(coroutine)
    loop.run_until_complete(asyncio.sleep(0))
    task.cancel()
    loop.close()

    async def main(_clock: VirtualClock) -> int:
        scheduler.cancel_all()
        return len(scheduler)

    assert run(main) == 1
    coroutine.close()


# -- uvloop


def on_uvloop(main: Callable[[], Coroutine[None, None, T]]) -> T:
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def test_the_shortest_waits_end_on_uvloop_too_and_so_do_those_beside_them() -> None:
    async def main() -> list[bool]:
        scheduler = TimeoutScheduler(SystemClock())
        waits = [bounded(scheduler, seconds, work=1000) for seconds in (0.0004, 0.0004, 0.0001, 0.0, -1.0, 0.05, 0.002)]
        took = await asyncio.gather(*waits)
        assert len(scheduler) == 0
        return [seconds <= 0 for seconds in took]

    assert on_uvloop(main) == [True] * 7


def test_a_wait_begun_by_a_caller_that_has_blocked_the_loop_has_its_whole_time_on_uvloop_too() -> None:
    async def main() -> float:
        scheduler = TimeoutScheduler(SystemClock())
        with scheduler.scope(0.03):  # its timer stays, and goes off while the next wait has hardly begun
            await asyncio.sleep(0)
        begun = time.monotonic()
        while time.monotonic() - begun < 0.5:
            pass  # as a caller that works does; uvloop's own clock stands still meanwhile
        return await bounded(scheduler, 0.45, work=0.02)

    # One that is measured by a clock that stood still ends too early every time; one that is not, on a starved machine.
    assert any(on_uvloop(main) > 0 for _ in range(5))
