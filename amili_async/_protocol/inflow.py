"""Inflow: what a bucket let in since it was last empty, and what that says of its rate and of what it holds.

Two refusals enclose a measurement: the bucket was empty at both, so what was accepted in between is what flowed in. And
more than it holds, accepted in any span before a refusal, flowed in too.
"""

from __future__ import annotations

from collections import deque

ENOUGH = 4
"""Requests to be accepted between two refusals before they measure anything."""


class Inflow:
    """What was accepted since the last refusal, and for how long the gate was closed meanwhile."""

    def __init__(self) -> None:
        self.burst = 1.0
        """How many requests the bucket holds; 1 where it wants the whole interval between any two."""
        self.accepted = 0
        self._since = 0.0
        """When the bucket was empty."""
        self._closed = 0.0
        """Seconds for which the gate was closed since then."""
        self._paces: deque[tuple[float, int]] = deque(maxlen=64)
        """When each pace since then was begun, and how many had been accepted by then."""
        self._first: list[float] | None = None
        """When those were sent that were accepted up to the first refusal; ``None`` once they are counted."""

    @property
    def strict(self) -> bool:
        """Whether the bucket holds one: two are one, and the error of measuring it."""
        return self.burst <= 2  # noqa: PLR2004  # see above

    @property
    def at_first(self) -> float:
        """How many were accepted at once before the first refusal, while that is all that is known of the bucket."""
        return len(self._first or ()) or self.burst

    def begin(self, first: list[float]) -> None:
        """Take in the moments of what was accepted just before the first refusal."""
        self._first = first

    def late(self, sent: float) -> None:
        """Note one that was sent before a refusal, and whose answer came behind it."""
        if self._first is not None:
            self._first.append(sent)

    def begin_pace(self, now: float) -> None:
        """Note that requests are sent at another pace from now on."""
        self._paces.append((now, self.accepted))

    def empty(self, now: float, closed: float) -> None:
        """Count anew from a refusal, which closed the gate for so many seconds."""
        if self.accepted or not self._since:
            self._since, self._closed = now, closed
        else:
            self._closed += closed
        self.accepted = 0
        self._paces.clear()

    def close(self, until: float) -> None:
        """Note that the gate is closed until a moment."""
        self._closed = max(self._closed, until - self._since)

    def rate(self, sent: float) -> float:
        """Return the rate that a refusal measures; learn the burst at the first."""
        seconds = max(1e-9, sent - self._since)
        if self._first is not None and self.accepted >= ENOUGH:
            # How many were accepted at once that the rate does not explain.
            first, self._first = sorted(self._first), None
            rate = max(self.accepted / seconds, self.proved(sent, len(first)))
            self.burst = max([1.0, *(n - rate * (first[-1] - first[-n]) for n in range(1, len(first) + 1))])
        rate = (self.accepted + 0.5) / seconds
        if rate * self._closed > self.burst:
            # More than the bucket holds would have flowed in behind the gate, so some of it ran over.
            rate = self.behind_the_gate(sent)
        return max(rate, self.proved(sent, self.burst))

    def behind_the_gate(self, sent: float) -> float:
        """Return the rate that a refusal measures where the bucket had filled behind the gate."""
        return (self.accepted + 0.5 - self.burst) / max(1e-9, sent - self._since - self._closed)

    def refilled(self, pace: float) -> bool:
        """Return whether what was accepted since the gate opened is mostly what was taken to be in the bucket."""
        return self.accepted < 4 * self.burst and self._closed * pace > self.burst / 2

    def proved(self, now: float, burst: float) -> float:
        """Return the rate that is proved: more than was in the bucket when a pace was begun flowed in.

        Where a slow pace let the bucket run over, the whole that was accepted shows less.
        """
        counts = [(self.accepted - before, now - begun) for begun, before in self._paces]
        return max([(count - burst) / span for count, span in counts if count > 2 * burst and span > 0], default=0.0)
