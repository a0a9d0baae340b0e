"""`VirtualLoop` on uvloop: its own sockets, handles and turns, and timers on which waiting takes no time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import TYPE_CHECKING, Any

import uvloop

from amili_async.sandbox import VirtualClock
from tests.support.virtual_time import START, UNIX_START

if TYPE_CHECKING:
    from contextvars import Context


QUIET = 0.001
"""Real seconds between two looks."""

LOOKS = 10
"""Looks in a row that find nothing asked for, before time jumps: a new connection and an answer take five or six."""


class VirtualUVLoop(uvloop.Loop):
    """Jumps to the next timer once nothing happens any more.

    uvloop's selector is out of reach, so idleness is seen from beside: between two looks nobody has asked for a turn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock(auto=False, start=START, unix_time=UNIX_START)
        self._due: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self._asked = 0
        self._quiet = 0
        super().call_later(QUIET, self._look, 0)

    def time(self) -> float:
        return self.clock.monotonic()

    def call_soon(self, callback: Any, *arguments: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]  # typeshed ties callback and arguments together
        self._asked += 1
        return super().call_soon(callback, *arguments, context=context)

    def call_later(self, delay: float, callback: Any, *arguments: Any, context: Context | None = None) -> Any:  # type: ignore[override]  # the same
        return self.call_at(self.time() + delay, callback, *arguments, context=context)

    def call_at(self, when: float, callback: Any, *arguments: Any, context: Context | None = None) -> Any:  # type: ignore[override]  # the same
        if when - self.time() < 0.0005:  # what uvloop itself makes of the shortest delays: a handle without `when()`
            return self.call_soon(callback, *arguments, context=context)
        handle = asyncio.TimerHandle(when, callback, arguments, self, context)
        heapq.heappush(self._due, (when, next(self._numbers), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: it stays until its time comes."""

    def _look(self, asked: int) -> None:
        self._quiet = self._quiet + 1 if asked == self._asked else 0
        if self._quiet == LOOKS:
            self._quiet = 0
            self._jump()
        super().call_later(QUIET, self._look, self._asked)

    def _jump(self) -> None:
        """Move the clock on to what comes first, a timer or a sleeper."""
        while self._due and self._due[0][2].cancelled():
            heapq.heappop(self._due)
        first = min(self._due[0][0] if self._due else float("inf"), self.clock.next_due)
        if first < float("inf"):
            self.clock.advance(max(0.0, first - self.time()))
        while self._due and self._due[0][0] <= self.time():
            _, _, handle = heapq.heappop(self._due)
            if not handle.cancelled():
                self.call_soon(handle._run)
