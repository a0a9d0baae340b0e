"""An event loop on which waiting takes no time: when every task waits, its clock jumps to the next thing due.

Sockets are real. A server that runs in the same loop answers as always, and timeouts, pauses and latencies that would
take minutes are exact to the microsecond and over at once.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, TypeVar

from amili_async.sandbox import VirtualClock
from tests.support import event_loops

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

START = 1_000.0
"""Where monotonic time begins."""

UNIX_START = 1_700_000_000.0
"""Where Unix time begins."""

IN_THE_KERNEL = 0.005
"""Real seconds in which what one socket of this loop sent has surely reached another."""


class _JumpingSelector(selectors.SelectSelector):
    """Never waits for time: where nothing is ready it moves the clock on to what comes first, a timer or a sleeper."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0 and len(self.get_map()) > 1:  # one is the loop's own
            ready = super().select(IN_THE_KERNEL)
        if not ready:
            wait = min(float("inf") if timeout is None else timeout, self._clock.next_due - self._clock.monotonic())
            assert wait < float("inf"), "every task waits for something that never comes"
            self._clock.advance(max(0.0, wait))
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on a clock of its own, for tasks that wait for time and for each other."""

    def __init__(self) -> None:
        self.clock = VirtualClock(auto=False, start=START, unix_time=UNIX_START)
        super().__init__(_JumpingSelector(self.clock))

    def time(self) -> float:
        return self.clock.monotonic()


def virtual_loop() -> asyncio.AbstractEventLoop:
    """Return a loop on which waiting takes no time, of the kind that the tests run on."""
    if not event_loops.uses_uvloop():
        return event_loops.made(VirtualLoop)
    from tests.support.virtual_uvloop import VirtualUVLoop  # noqa: PLC0415  # not on every system

    return event_loops.made(VirtualUVLoop)


def has_clock(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether time is virtual on a loop."""
    return isinstance(getattr(loop, "clock", None), VirtualClock)


def clock_of(loop: asyncio.AbstractEventLoop) -> VirtualClock:
    """Return the clock of a virtual loop."""
    clock: object = getattr(loop, "clock", None)
    assert isinstance(clock, VirtualClock)
    return clock


def run(main: Callable[[VirtualClock], Coroutine[None, None, T]]) -> T:
    """Run to the end on a virtual clock; a wait of an hour returns at once. On asyncio's own loop: no sockets here."""
    with asyncio.Runner(loop_factory=lambda: event_loops.made(VirtualLoop)) as runner:
        return runner.run(main(clock_of(runner.get_loop())))
