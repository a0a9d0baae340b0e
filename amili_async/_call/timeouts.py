"""TimeoutScheduler: ends the waits of one client, each at its own moment, with one timer for all of them.

A timer for each call would be made, sorted in and thrown away with every page. Calls end long before their time, so the
one timer goes off seldom, and then mostly finds nothing to do.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, Self

from amili_async._clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from amili_async._clock import Clock

_ROUNDING = 1e-6
"""Seconds by which sums of moments may differ."""

_GRAIN = 0.001
"""Seconds until the next look where the timer went off early: some event loops count in whole milliseconds."""

STALL = 0.25
"""Seconds by which a timer that goes off late tells that the event loop was blocked."""

GRACE = 0.5
"""Seconds given then, once, for reading what has come meanwhile: nobody looked, so nobody knows that it has not."""

_SPARE = 64
"""Moments of scopes that have been left, or moved, that are kept at most beside as many as there are scopes."""


class TimeoutScope:
    """What ``asyncio.timeout()`` is, without a timer and two coroutines of its own: ``with scheduler.scope(5.0):``."""

    __slots__ = ("_cancelling", "_number", "_scheduler", "_seconds", "_task", "expired", "stalled")

    def __init__(self, scheduler: TimeoutScheduler, seconds: float | None) -> None:
        self.expired = False
        """Whether its time came, or `TimeoutScheduler.cancel_all`, before it was left."""
        self.stalled = False
        """Whether the event loop was blocked when its time came."""
        self._scheduler = scheduler
        self._seconds = seconds
        self._number = 0
        """Of the moment that counts, among those that it has been given; 0 for none."""

    def __enter__(self) -> Self:
        # To find the running loop, and by it the task, is a system call in CPython 3.11: done as seldom as can be.
        task = asyncio.current_task(self._scheduler.loop) or asyncio.current_task()
        if task is None:
            raise RuntimeError("a call can be made in a task only")
        self._task: asyncio.Task[Any] | None = task
        self._cancelling = task.cancelling()
        self._scheduler.enter(self)
        self.reschedule(self._seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        self._scheduler.leave(self, self._number)
        # One cancelled by somebody else too is cancelled, not timed out.
        if (
            self.expired
            and task is not None
            and task.uncancel() <= self._cancelling
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
        ):
            raise TimeoutError from error

    def reschedule(self, seconds: float | None) -> None:
        """End it so many seconds from now, in place of any moment before; ``None``: not by time."""
        self._number = 0 if seconds is None else self._scheduler.schedule(self, seconds)

    def counts(self, number: int) -> bool:
        """Return whether one of its moments still counts."""
        return self._number == number and self._task is not None

    def expire_soon(self, here: asyncio.AbstractEventLoop) -> None:
        """End what runs in it, in a callback of its own: then its task is not running, and what fails fails alone."""
        loop = here if self._task is None else self._task.get_loop()
        if loop is here:
            loop.call_soon(self._expire)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(self._expire)

    def _expire(self) -> None:
        if self._task is not None and not self.expired:
            self.expired = True
            self._task.cancel()


class TimeoutScheduler:
    """Ends scopes when their time has come, each whatever becomes of the others."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._now: Callable[[], float] | None = None
        if isinstance(clock, SystemClock):
            # uvloop's own `time()` is that of the turn's beginning: behind by as long as a caller blocks the loop.
            self._now = time.monotonic
        self._scopes: set[TimeoutScope] = set()
        self._moments: list[tuple[float, int, TimeoutScope]] = []
        """A heap. What has been left or moved stays until it is on top, or there is too much of it."""
        self._numbers = itertools.count(1)
        self._timer: asyncio.TimerHandle | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        """The one in which the timer was wound the last time."""
        self._next = 0.0
        """When the timer goes off. Not asked of it: uvloop gives a plain handle for the shortest delays."""

    def __len__(self) -> int:
        return len(self._scopes)

    def scope(self, seconds: float | None) -> TimeoutScope:
        """Return a scope that ends so many seconds after it is entered; ``None``: not by time."""
        return TimeoutScope(self, seconds)

    def enter(self, scope: TimeoutScope) -> None:
        """Track a scope."""
        self._scopes.add(scope)

    def leave(self, scope: TimeoutScope, number: int) -> None:
        """Stop tracking an exited scope."""
        self._scopes.discard(scope)
        moments = self._moments
        if moments and moments[-1][1] == number:
            moments.pop()  # the last of a heap can go at any time, and of calls one after the other it is the only one
        elif len(moments) > 2 * len(self._scopes) + _SPARE:
            self._moments = [moment for moment in moments if moment[2].counts(moment[1])]
            heapify(self._moments)

    def schedule(self, scope: TimeoutScope, seconds: float) -> int:
        """Note when a scope ends; return the number of that moment."""
        seconds = max(0.0, seconds)
        when = seconds + (self._now or asyncio.get_running_loop().time)()
        number = next(self._numbers)
        heappush(self._moments, (when, number, scope))
        if self._timer is None or when < self._next:
            self._schedule(asyncio.get_running_loop(), when, seconds)
        return number

    def cancel_all(self) -> None:
        """End every scope, in whichever event loop it is."""
        here = asyncio.get_running_loop()
        if self._timer is not None and self.loop is here:
            self._stop()
        for scope in tuple(self._scopes):
            scope.expire_soon(here)

    def _schedule(self, loop: asyncio.AbstractEventLoop, when: float, seconds: float) -> None:
        self._stop()
        self._next = when
        self.loop = loop
        self._timer = loop.call_later(seconds, self._on_timer)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        """End all that is due at once: one at a time would not keep up with calls that hang by the thousand."""
        self._timer = None
        loop = asyncio.get_running_loop()
        now = (self._now or loop.time)()
        moments, ended = self._moments, False
        while moments and (moments[0][0] <= now + _ROUNDING or not moments[0][2].counts(moments[0][1])):
            when, number, scope = heappop(moments)
            if not scope.counts(number):
                continue
            ended = True
            if now - when > STALL and not scope.stalled:
                scope.stalled = True
                scope.reschedule(GRACE)
            else:
                scope.expire_soon(loop)
        if moments:
            wait = moments[0][0] - now
            self._schedule(loop, moments[0][0], wait if ended else max(_GRAIN, wait))
