"""How the calls of one client hold each other back: the gate that a 429 closes, and the concurrency limit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import backoff

if TYPE_CHECKING:
    from amili_async._clock import Clock
    from amili_async._protocol.retry import Jitter

GATE_JITTER = 1.0
"""Seconds over which the tasks that waited at the gate set off, at most."""


class Gate:
    """A moment before which no call is sent.

    It is a number and nothing else. No task holds the gate, so none that is cancelled can leave it shut; it only ever
    moves later, so nothing that succeeds meanwhile can open it early.
    """

    def __init__(self, clock: Clock, *, jitter: Jitter = backoff.full_jitter) -> None:
        self._clock = clock
        self._jitter = jitter
        self._not_before: float | None = None

    def close(self, seconds: float) -> None:
        """Let nothing through for so many seconds from this moment; never opens earlier than it would have."""
        moment = self._clock.monotonic() + seconds
        if self._not_before is None or moment > self._not_before:
            self._not_before = moment

    def remaining(self) -> float:
        """Return the seconds until it opens, 0 where it is open."""
        if self._not_before is None:
            return 0.0
        left = self._not_before - self._clock.monotonic()
        if left > 0:
            return left
        self._not_before = None  # spares every call until the next 429 a look at the clock
        return 0.0

    async def wait(self) -> None:
        """Return once it is open, and at once where it is.

        Those who had to wait go up to `GATE_JITTER` seconds later, each by a chance of its own. One that finds the gate
        closed anew waits anew. Cancel it at any time: there is nothing to undo.
        """
        while left := self.remaining():
            await self._clock.sleep(left + self._jitter(min(left, GATE_JITTER)))


class ConcurrencyLimiter(asyncio.BoundedSemaphore):
    """How many requests may be in flight; further ones wait in the order they came.

    asyncio's own semaphore: first in, first out, and a waiter cancelled in the moment of its turn passes it on.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def take(self) -> bool:
        """Take a slot where `acquire` would not have to wait; return whether there was one."""
        if self.locked():
            return False
        self._value -= 1
        return True
