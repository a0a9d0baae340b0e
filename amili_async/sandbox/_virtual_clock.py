"""VirtualClock: a clock on which waiting takes no time, for tests of code that backs off, polls or outlives tokens."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time

_TURNS = 3


class VirtualClock:
    """A clock that moves on by what is waited for, and by `advance`.

    Whoever sleeps on it is woken within a few turns of the event loop, the one whose time comes first before the
    others, and finds that the time has passed. With ``auto`` off nobody is woken but by `advance`. What a socket or a
    server takes is not waited for on this clock, and takes what it takes.

    ``start`` is what `monotonic` says at first, ``unix_time`` what `time` does: the real time, unless given.
    """

    def __init__(self, *, auto: bool = True, start: float = 0.0, unix_time: float | None = None) -> None:
        self.auto = auto
        """Whether sleepers are woken without `advance`."""
        self.slept: list[float] = []
        """The seconds of every wait that was asked for, in order."""
        self._now = start
        self._offset = (time.time() if unix_time is None else unix_time) - start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._waking: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<VirtualClock {self._now:g} s, {self.sleepers} asleep>"

    def monotonic(self) -> float:
        """Return the seconds that have passed."""
        return self._now

    def time(self) -> float:
        """Return the Unix time: that of the clock's making, and what has passed since."""
        return self._offset + self._now

    @property
    def sleepers(self) -> int:
        """How many tasks are asleep."""
        return sum(not future.done() for _, _, future in self._sleepers)

    @property
    def next_due(self) -> float:
        """When the first sleeper is to wake, as `monotonic` tells it; infinity while nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else float("inf")

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of this clock; at once, but not before other tasks had a turn, for none."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        self.slept.append(seconds)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._numbers), future))
        if self.auto and self._waking is not loop:
            self._waking = loop
            self._wake_soon(loop, _TURNS)
        await future

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass, and wake whose time has come, in order."""
        end = self._now + seconds
        while self.next_due <= end:
            self._wake()
        self._now = end

    def step(self, seconds: float) -> None:
        """Move the Unix time alone, as an administrator or a time server does: nobody has waited."""
        self._offset += seconds

    def _wake_soon(self, loop: asyncio.AbstractEventLoop, turns: int) -> None:
        """Wake the first sleeper after a few turns, so that those who are about to sleep are among those compared."""
        if turns:
            loop.call_soon(self._wake_soon, loop, turns - 1)
            return
        if self.auto and self.next_due < float("inf"):
            self._wake()
        if self.auto and self.next_due < float("inf"):
            loop.call_soon(self._wake_soon, loop, _TURNS)
        else:
            self._waking = None

    def _wake(self) -> None:
        due, _, future = heapq.heappop(self._sleepers)
        self._now = max(self._now, due)
        future.set_result(None)
