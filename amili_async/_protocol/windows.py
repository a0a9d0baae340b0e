"""Windows: when to ask again while all is refused, and when a limit that counts in windows opens the next time.

Where one refusal follows another nothing is let in at all, for a moment or for the rest of a window. Then it is asked
again after a part of the time that has passed, so that a short closure is not overslept and a long one costs few
requests. Where much is let in behind such a row of refusals, more than a bucket would have that let in nothing before,
and then nothing again, the limit counts in windows. They open between the last refusal and what was accepted next; two
such moments enclose the period, and each one after that more closely.
"""

from __future__ import annotations

import math
from typing import NamedTuple

LATER = 0.15
"""The part of a closure, as far as it has lasted, after which it is asked again."""

ASKED = 4
"""How often it is asked in the time in which a window is expected to open."""

ROW = 3
"""Refusals in a row that tell more than that one request came early."""

SLACK = 0.01
"""The part of a window by which a request may have been early or late on its way."""

TICK = 0.001
"""Seconds that lie between two moments at least: on a clock of a coarser grain many requests share one."""

UNLIKE_A_BUCKET = 2.0
"""How much more than a bucket would have let in behind a row of refusals makes a window likely."""


class _Span(NamedTuple):
    """What a moment or a length is at least and at most."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    def within(self, other: _Span) -> _Span | None:
        """Return what both allow; ``None`` where they contradict each other."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return _Span(low, high) if low <= high else None


def _length(low: float, high: float) -> _Span:
    """Return what a length is at least and at most; it is never nothing."""
    return _Span(max(TICK, low), max(TICK, high))


class Windows:
    """Rows of refusals, and the windows that may be behind them."""

    def __init__(self, longest_wait: float) -> None:
        self._longest_wait = longest_wait
        self.row = 0
        """Refusals in a row without anything accepted in between."""
        self.used = 0
        """How many were accepted before this row, since the last one."""
        self.suspected = False
        """Whether more was let in behind a row than a bucket would have that let in nothing before."""
        self.known = False
        """Whether it was suspected, and then nothing was let in again."""
        self._began = self._refused = 0.0
        """When the first and the last of this row, or of the last one, were sent."""
        self._closed = False
        """Whether the last row was one, and not a single refusal."""
        self._opening: tuple[_Span, _Span] | None = None
        """Between which moments a window opened the last time that this was seen, and how long windows are."""
        self._guessed = False
        """Whether they may be longer: one opening was seen, and nobody knows how long before it the last one was."""

    def refused(self, sent: float, accepted: int) -> None:
        """Note a refusal, and how many were accepted since the last one."""
        if not accepted and self._began:
            self.row += 1
            self._refused = sent
            self.known = self.known or self.suspected
            return
        self.suspected = False
        if self._closed:
            bucket = 1 + (sent - self._began) / max(TICK, self._refused - self._began)
            # A row that is short beside what was let in before and after it may be another client's doing.
            self.suspected = bucket < ROW + 1 and accepted > UNLIKE_A_BUCKET * (bucket + 2)
            if not (self.suspected or self.known):
                self._opening = None
        self._closed, self.row, self.used = False, 1, accepted
        self._began = self._refused = sent

    def accepted(self, sent: float) -> None:
        """Note what was let in: a row of refusals ends with it."""
        row, self.row = self.row, 0
        if row < (1 if self.known else ROW):
            return
        self._closed = row > 1
        slack = SLACK * self.period
        seen = _Span(self._refused - slack, sent + slack)
        if self._opening is None:
            self._opening, self._guessed = (seen, _length(seen.low - self._began, seen.high - self._began)), True
            return
        before, period = self._opening
        count = 1 if self._guessed else max(1, round((seen.middle - before.middle) / period.middle))
        counted = _length((seen.low - before.high) / count, (seen.high - before.low) / count)
        known = counted if self._guessed else counted.within(period)
        self._guessed = False
        if known is None:
            # It was no window, or it is another now: that shows again where it is one.
            self.known, self._opening = False, (seen, counted)
            return
        self._opening = seen, known

    def ask_again(self, now: float, at_least: float) -> float:
        """Return the seconds after which to ask again, while all is refused."""
        wait = LATER * (now - self._began)
        if self.known and self._opening is not None:
            opened, period = self._opening
            low, high = opened.low + self.count * period.low, opened.high + self.count * period.high
            if self._guessed:
                wait = max(wait, low - now)
            elif now < high < low + period.low / 2:
                wait = max(low - now, (high - low) / ASKED)
        return min(self._longest_wait, max(at_least, wait))

    @property
    def count(self) -> int:
        """How many windows were used until this row, since the last one."""
        assert self._opening is not None  # noqa: S101  # no windows are counted before one was seen to open
        opened, period = self._opening
        return max(1, math.ceil((self._began - opened.high) / period.high))

    @property
    def period(self) -> float:
        """Seconds of a window, as far as is known; 0 where there are none."""
        return self._opening[1].middle if self.known and self._opening is not None else 0.0
