"""Counts a sync while it runs, and tells how far it is."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from amili_async._protocol.retry import read_date
from amili_async.sync._report import Counts, Progress

if TYPE_CHECKING:
    from amili_async._clock import Clock
    from amili_async.errors import AmiliError
    from amili_async.events import AttemptEnded, GateClosed, RateLearned, RetryPlanned

WINDOW = 5.0
"""Seconds over which rows and requests per second are told."""

RECENTLY = 60.0
"""Seconds for which a server that refused a request for load counts as one that is at its limit."""


class Counter:
    """Counts the rows of one resource; `Counts` with members that can be counted up."""

    __slots__ = tuple(Counts.__struct_fields__)

    rows: int
    new: int
    changed: int
    quarantined: int
    pages: int
    reread: int
    missed: int
    stale: int
    gone: int
    returned: int

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    def counts(self) -> Counts:
        """Return the counts of this moment."""
        return Counts(**{name: getattr(self, name) for name in self.__slots__})


class Account:
    """What one client's answers tell of all organizations that are read with it; a hook of that client."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen_date = ""
        self._offset: float | None = None
        self._limited_until: float | None = None
        self.answered_at: float | None = None
        """When an organization was last answered, by the clock's monotonic time."""
        self.unauthorized: set[str] = set()
        """Organizations that were answered 401, with a new token where one could be had."""
        self.refused: AmiliError | None = None
        """What ended it for all of its organizations."""

    def on_attempt(self, record: AttemptEnded, /) -> None:
        """Learn the server's time, and whether it lets this client in."""
        if record.status is None:
            return
        now = self._clock.monotonic()
        if record.status < HTTPStatus.MULTIPLE_CHOICES:
            self.answered_at = now
            if record.date is not None and record.date != self._seen_date:
                self._look_at(record.date, now)
        elif record.status == HTTPStatus.FORBIDDEN:
            self.answered_at = now

    def on_gate(self, record: GateClosed, /) -> None:
        """Learn that the server refuses requests for load."""
        self._limited_until = self._clock.monotonic() + record.seconds + RECENTLY

    def on_rate(self, _record: RateLearned, /) -> None:
        """Learn the same of a refusal that names no moment."""
        self._limited_until = max(self._limited_until or 0.0, self._clock.monotonic() + RECENTLY)

    def _look_at(self, date: str, now: float) -> None:
        """Keep how far the server's clock is from ours; of several servers that disagree, the one that is behind."""
        self._seen_date = date
        seconds = read_date(date)
        if seconds is not None:
            offset = seconds - now
            self._offset = offset if self._offset is None else min(offset, self._offset)

    def server_time(self, moment: float) -> datetime | None:
        """Return the server's time of a moment of the clock's monotonic time; ``None`` where it never said."""
        return None if self._offset is None else datetime.fromtimestamp(moment + self._offset, UTC)

    @property
    def limited(self) -> bool:
        """Whether the server lately refused a request for load."""
        return self._limited_until is not None and self._clock.monotonic() < self._limited_until


class ProgressTracker:
    """Counts what a run does: rows by its counters, requests and waits as a hook of its clients."""

    def __init__(self, resources: tuple[str, ...], total: int | None, clock: Clock) -> None:
        self.counters = {resource: Counter() for resource in resources}
        self.total = total
        self.done = 0
        self.failed = 0
        self.requests = 0
        self.retries = 0
        self.waited = 0.0
        self._limited = False
        self._open_at = self.started = clock.monotonic()
        self._clock = clock
        self._seen: deque[tuple[float, int, int]] = deque()

    def on_attempt(self, _record: AttemptEnded, /) -> None:
        """Count a request."""
        self.requests += 1

    def on_retry(self, _record: RetryPlanned, /) -> None:
        """Count a request that will be repeated."""
        self.retries += 1

    def on_gate(self, record: GateClosed, /) -> None:
        """Learn that the server told the client to wait; those who are told at once wait together."""
        now = self._clock.monotonic()
        opens_at = max(self._open_at, now + record.seconds)
        self.waited += opens_at - max(self._open_at, now)
        self._open_at = opens_at

    def on_rate(self, _record: RateLearned, /) -> None:
        """Learn that the server refuses requests for load."""
        self._limited = True
        self._open_at = max(self._open_at, self._clock.monotonic())

    @property
    def seconds(self) -> float:
        """How long the run has lasted."""
        return self._clock.monotonic() - self.started

    def counts(self) -> dict[str, Counts]:
        """Return the counts of each resource."""
        return {resource: counter.counts() for resource, counter in self.counters.items()}

    def progress(self) -> Progress:
        """Return how far the run is at this moment."""
        now, seconds = self._clock.monotonic(), self.seconds
        counters = self.counters.values()
        rows = sum(counter.rows for counter in counters)
        left = None
        if self.total is not None and self.done:
            left = seconds / self.done * (self.total - self.done)
        rows_per_second, requests_per_second = self._speed(now, rows)
        return Progress(
            organizations_done=self.done,
            organizations_total=self.total,
            failed=self.failed,
            rows=rows,
            new=sum(counter.new for counter in counters),
            changed=sum(counter.changed for counter in counters),
            rows_per_second=rows_per_second,
            requests=self.requests,
            requests_per_second=requests_per_second,
            retries=self.retries,
            limited=(self._limited or self.waited > 0) and now < self._open_at + RECENTLY,
            waiting=max(0.0, self._open_at - now),
            seconds=seconds,
            seconds_left=left,
        )

    def _speed(self, now: float, rows: int) -> tuple[float, float]:
        """Return the rows and the requests per second since the oldest moment that is remembered."""
        self._seen.append((now, rows, self.requests))
        while len(self._seen) > 1 and self._seen[0][0] < now - WINDOW:
            self._seen.popleft()
        since, rows_before, requests_before = self._seen[0]
        # The first moment has nothing to be compared with but the beginning.
        seconds = now - since
        return (
            ((rows - rows_before) / seconds, (self.requests - requests_before) / seconds) if seconds > 0 else (0.0, 0.0)
        )
