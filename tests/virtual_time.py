"""An event loop on which waiting takes no time: when every task waits, its clock jumps to the next thing due.

Sockets are real. A server that runs in the same loop answers as always, and timeouts, pauses and latencies that would
take minutes are exact to the microsecond and over at once.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, TypeVar

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
    """Never waits for time: where nothing is ready it moves the time on by what it was asked to wait."""

    now = START

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0 and len(self.get_map()) > 1:  # one is the loop's own
            ready = super().select(IN_THE_KERNEL)
        if not ready:
            assert timeout is not None, "every task waits for something that never comes"
            self.now += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on a clock of its own, for tasks that wait for time and for each other."""

    def __init__(self) -> None:
        self._selector_with_time = _JumpingSelector()
        super().__init__(self._selector_with_time)

    def time(self) -> float:
        return self._selector_with_time.now


class VirtualClock:
    """The package's clock on a virtual loop. ``step`` is what the wall clock has been moved by."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.step = 0.0

    def monotonic(self) -> float:
        return self._loop.time()

    def time(self) -> float:
        return self._loop.time() - START + UNIX_START + self.step

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(main: Callable[[VirtualClock], Coroutine[None, None, T]]) -> T:
    """Run to the end on a virtual clock; a wait of an hour returns at once."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main(VirtualClock(runner.get_loop())))
