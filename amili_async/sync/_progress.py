"""Counts a sync while it runs, and tells how far it is."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from amili_async.sync._report import Counts, Progress

if TYPE_CHECKING:
    from amili_async._clock import Clock
    from amili_async.events import AttemptEnded, GateClosed, RetryPlanned

WINDOW = 5.0
"""Seconds over which the rows per second are told."""


class Counter:
    """Counts the rows of one resource; `Counts` with members that can be counted up."""

    __slots__ = tuple(Counts.__struct_fields__)

    rows: int
    new: int
    changed: int
    quarantined: int
    pages: int
    reread: int
    gone: int

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    def counts(self) -> Counts:
        """Return the counts of this moment."""
        return Counts(**{name: getattr(self, name) for name in self.__slots__})


class ProgressTracker:
    """Counts what a run does: rows by its tallies, requests and waits as a hook of the client."""

    def __init__(self, resources: tuple[str, ...], total: int | None, clock: Clock) -> None:
        self.tallies = {resource: Counter() for resource in resources}
        self.total = total
        self.done = 0
        self.failed = 0
        self.requests = 0
        self.retries = 0
        self.waited = 0.0
        self._open_at = self.started = clock.monotonic()
        self._clock = clock
        self._rows: deque[tuple[float, int]] = deque()

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

    @property
    def seconds(self) -> float:
        """How long the run has lasted."""
        return self._clock.monotonic() - self.started

    def counts(self) -> dict[str, Counts]:
        """Return the counts of each resource."""
        return {resource: tally.counts() for resource, tally in self.tallies.items()}

    def progress(self) -> Progress:
        """Return how far the run is at this moment."""
        now, seconds = self._clock.monotonic(), self.seconds
        tallies = self.tallies.values()
        rows = sum(tally.rows for tally in tallies)
        left = None
        if self.total is not None and self.done:
            left = seconds / self.done * (self.total - self.done)
        return Progress(
            organizations_done=self.done,
            organizations_total=self.total,
            failed=self.failed,
            rows=rows,
            new=sum(tally.new for tally in tallies),
            changed=sum(tally.changed for tally in tallies),
            rows_per_second=self._speed(now, rows),
            requests=self.requests,
            retries=self.retries,
            waiting=max(0.0, self._open_at - now),
            seconds=seconds,
            seconds_left=left,
        )

    def _speed(self, now: float, rows: int) -> float:
        """Return the rows per second since the oldest moment that is remembered."""
        self._rows.append((now, rows))
        while len(self._rows) > 1 and self._rows[0][0] < now - WINDOW:
            self._rows.popleft()
        since, before = self._rows[0]
        # The first moment has nothing to be compared with but the beginning.
        seconds = now - since
        return (rows - before) / seconds if seconds > 0 else 0.0
