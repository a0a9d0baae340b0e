"""Servers that limit the rate, and clients that meet them, in virtual time: thousands of seconds in moments.

A simulation of what a limiter's pure rule does and nothing else: no event loop, no socket. What is not in the rule's
hands is drawn from a seed: how late a timer is, how long a request takes.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from amili_async._protocol.rate import LearnedPace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Limiter(Protocol):
    """A server's: whether it takes a request that arrives at a moment, and what its ``Retry-After`` says if not."""

    rate: float

    def admit(self, now: float) -> tuple[bool, float | None]: ...


class Bucket:
    """A token bucket, full at first."""

    def __init__(self, rate: float, burst: float, retry_after: float | None = None) -> None:
        self.rate = rate
        self._burst = self._tokens = burst
        self._retry_after = retry_after
        self._seen = 0.0

    def admit(self, now: float) -> tuple[bool, float | None]:
        self._tokens = min(self._burst, self._tokens + (now - self._seen) * self.rate)
        self._seen = now
        if self._tokens >= 1:
            self._tokens -= 1
            return True, None
        return False, self._retry_after


class LimitReq:
    """nginx's ``limit_req`` without ``burst``: the whole interval since the last that passed, in whole milliseconds."""

    def __init__(self, rate: float, retry_after: float | None = None) -> None:
        self.rate = rate
        self._retry_after = retry_after
        self._last = -math.inf

    def admit(self, now: float) -> tuple[bool, float | None]:
        milliseconds = int(now * 1000)
        if (milliseconds - self._last) * self.rate >= 1000:
            self._last = milliseconds
            return True, None
        return False, self._retry_after


class Window:
    """So many in each window of so many seconds, the first of which began so many seconds ago."""

    def __init__(self, count: int, seconds: float, *, told: bool, begun: float = 0.0) -> None:
        self.rate = count / seconds
        self._seconds, self._told, self._begun = seconds, told, begun
        self._window, self._used = 0, 0

    def admit(self, now: float) -> tuple[bool, float | None]:
        now += self._begun
        window = int(now / self._seconds)
        if window != self._window:
            self._window, self._used = window, 0
        if self._used + 0.5 < self.rate * self._seconds:
            self._used += 1
            return True, None
        return False, math.ceil((window + 1) * self._seconds - now) if self._told else None


class SlidingWindow:
    """So many in any so many seconds."""

    def __init__(self, count: int, seconds: float) -> None:
        self.rate = count / seconds
        self._seconds = seconds
        self._moments: deque[float] = deque()

    def admit(self, now: float) -> tuple[bool, float | None]:
        while self._moments and self._moments[0] <= now - self._seconds:
            self._moments.popleft()
        if len(self._moments) + 0.5 < self.rate * self._seconds:
            self._moments.append(now)
            return True, None
        return False, None


class Outcome(NamedTuple):
    """What a server saw: each request's moment, and whether it was let in; and the longest that a call took."""

    arrivals: list[tuple[float, bool]]
    longest: float

    def accepted(self, start: float = 10.0, end: float = 70.0) -> int:
        return sum(ok for moment, ok in self.arrivals if start <= moment < end)

    def refused(self, start: float = 10.0, end: float = 70.0) -> float:
        """Return which part of the requests was refused."""
        outcomes = [ok for moment, ok in self.arrivals if start <= moment < end]
        return outcomes.count(False) / max(1, len(outcomes))


class KnownInterval(LearnedPace):
    """For comparison: what a client keeps between two requests that has been told it, whatever is refused."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._next = -math.inf

    def wait(self, now: float) -> float:
        return max(0.0, self._next - now)

    def sent(self, now: float) -> None:
        self._next = now + self._seconds

    def refused(self, sent: float, now: float, closed: float = 0.0) -> bool:
        del sent, now, closed
        return False


class _Client:
    def __init__(self, pace: LearnedPace, tasks: int, concurrency: int) -> None:
        self.pace = pace
        self.new: deque[float] = deque([0.0] * tasks)
        """When each call that waits began."""
        self.again: deque[float] = deque()
        self.free = concurrency
        self.gate = 0.0
        self.rings = math.inf


class Simulation:
    """Tasks that call without a pause, one call after the other each, through one limiter for each client."""

    def __init__(
        self,
        server: Limiter,
        *,
        tasks: int,
        seed: int,
        clients: int = 1,
        pace: Callable[[], LearnedPace] = LearnedPace,
        concurrency: int = 16,
        round_trip: float = 0.01,
        jitter: float = 0.0003,
        late: float = 0.001,
    ) -> None:
        self.server = server
        self.clients = [_Client(pace(), tasks, concurrency) for _ in range(clients)]
        self._random = random.Random(seed)  # noqa: S311  # a seed that is printed when a test fails
        self._half, self._jitter, self._late = round_trip / 2, jitter, late
        self._now = 0.0
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._arrivals: list[tuple[float, bool]] = []
        self._longest = 0.0

    def run(self, seconds: float = 70.0, *, rates: Sequence[tuple[float, float]] = ()) -> Outcome:
        """Run to a moment; ``rates`` says when the server's rate becomes another."""
        for client in self.clients:
            self._at(0.0, partial(self._pump, client))
        for moment, rate in rates:
            self._at(moment, partial(setattr, self.server, "rate", rate))
        while self._due and self._due[0][0] <= seconds:
            self._now, _, happen = heapq.heappop(self._due)
            happen()
        return Outcome(self._arrivals, self._longest)

    def _at(self, moment: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._due, (moment, next(self._numbers), happen))

    def _pump(self, client: _Client) -> None:
        while client.free and (client.again or client.new):
            wait = max(client.gate - self._now, client.pace.wait(self._now))
            if wait > 1e-9:
                if client.rings > self._now + wait:
                    # A timer is late by up to a millisecond, now and then by a few.
                    late = self._late * (self._random.random() + 4 * (self._random.random() < 0.01))
                    client.rings = self._now + wait + late
                    self._at(client.rings, partial(self._ring, client, client.rings))
                return
            begun = (client.again or client.new).popleft()
            client.free -= 1
            client.pace.sent(self._now)
            self._at(self._way(), partial(self._arrive, client, begun, self._now))

    def _ring(self, client: _Client, moment: float) -> None:
        if client.rings == moment:
            client.rings = math.inf
        self._pump(client)

    def _way(self) -> float:
        return self._now + self._half + self._jitter * self._random.random()

    def _arrive(self, client: _Client, begun: float, sent: float) -> None:
        ok, retry_after = self.server.admit(self._now)
        self._arrivals.append((self._now, ok))
        self._at(self._way(), partial(self._answer, client, begun, sent, retry_after, ok=ok))

    def _answer(self, client: _Client, begun: float, sent: float, retry_after: float | None, *, ok: bool) -> None:
        client.free += 1
        if ok:
            client.pace.accepted(sent, self._now)
            self._longest = max(self._longest, self._now - begun)
            client.new.append(self._now)
        else:
            client.gate = max(client.gate, self._now + (retry_after or 0.0))
            client.pace.refused(sent, self._now, retry_after or 0.0)
            client.again.append(begun)
        self._pump(client)
