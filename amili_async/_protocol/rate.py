"""LearnedPace and FixedPace: when the next request may go, so that a server that limits the rate need not refuse it.

Moments and answers in, numbers out: nothing here waits, and no clock is read. Moments are seconds of one clock.

A limit is taken for a bucket that refills at a steady ``rate`` and holds ``burst`` requests. A strict limit, which
wants the whole interval between any two requests (nginx's ``limit_req`` without ``burst``), is a bucket of one. Until
the first 429 nothing is known and nothing is held back. From then on:

- **Count.** Where the bucket holds some, two refusals enclose a measurement: it was empty at both, so what the server
  took in between is what flowed in, and more than the bucket holds, taken in any span before a refusal, proves a rate.
  Where it holds one, requests that come early are refused whatever the average is: there the pace is searched between
  the fastest that was sustained and the slowest that was refused.
- **Hold.** Each refusal has a price: the seconds for which a ``Retry-After`` closed the gate, or a slot. The pace is
  held until as many requests have passed as keep that price at two or three in a hundred; for less while it is still
  far from certain. Without a ``Retry-After`` a strict limit takes the next request an interval after the last that
  passed, so a refusal costs next to nothing but itself.
- **Try.** Then it is raised, in rounds that must each be answered without a refusal, by steps that double: hardly
  noticed where the limit stands, and a matter of seconds where it has moved or gone. A limit that has not been met for
  a minute at many times its rate is forgotten. Where a refusal is dear the steps are few and long, so that the one that
  is refused measures the limit, and nothing that a few requests in a row were lucky with is believed.
- **Starve.** Where all is refused the pace falls quickly, never below `SLOWEST`, and grows as quickly once something is
  accepted: a quota that opens anew is not crept up to. What was accepted from the end of one such row of refusals to
  that of the next is what a window allows, which is no bucket.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Literal

from amili_async.errors import ConfigurationError

SLOWEST = 0.2
"""Requests a second, at least: what it takes to notice that the limit has gone."""

FIRST = 4.0
"""Requests a second after the first refusal, at least: before it there may have been too few to measure."""

WINDOW = 1.0
"""Seconds before the first refusal in which requests are counted for the first measurement."""

ROUND = 4
"""Requests of one pace to be accepted before a faster one is tried; an eighth of the burst where that is more."""

LONGEST_ROUND = 2.0
"""Seconds that such a round lasts at most: at a slow pace fewer requests must do."""

IDLE = 0.02
"""Seconds by which a request may go later than it might have before that means that none was waiting."""

SMALLEST_STEP = 0.005
LARGEST_STEP = 0.3
FIRST_STEP = 0.5
"""Parts by which the pace is raised: near a limit that is known, far from it, and while none is."""

LONGEST_HOLD = 30.0
"""Seconds for which the pace is held at most, whatever refusals cost."""

PRICE = 40.0
"""Requests to be accepted for each one that was refused, before a faster pace is tried."""

CATCHING_UP = 1.5
"""How much faster than the pace requests may go while what flowed in behind a closed gate is used up."""

FORGOTTEN_AFTER = 60.0
FORGOTTEN_AT = 8.0
"""A limit is forgotten at so many times its rate, once it has refused nothing for so many seconds."""


class FixedPace:
    """A rate that the caller knows: one request in each interval, and one more that may have been missed."""

    def __init__(self, rate: float) -> None:
        self.rate: float | None = rate
        self._interval = 1 / rate
        self._next = -math.inf

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may go, 0 for at once."""
        return max(0.0, self._next - now)

    def sent(self, now: float) -> None:
        """Note that a request goes."""
        self._next = max(self._next, now - self._interval) + self._interval


class LearnedPace:
    """A pace that is learnt from refusals; see the module for how."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=256)
        """When the last requests were sent that were accepted."""
        self.forget()

    def forget(self) -> None:
        """Know nothing of a limit."""
        self.rate: float | None = None
        self.burst: float = 1.0
        self._next = -math.inf
        self._sustained = 0.0
        """The pace that is held, or the fastest that a whole round was accepted at."""
        self._held = 0.0
        """The pace that was decided on at the last refusal."""
        self._refused_at = math.inf
        """The pace of the last refusal; infinite while a limit has not been met from below."""
        self._step = FIRST_STEP
        self._cut = SMALLEST_STEP * 2
        """How much slower, in parts, a strict limit is met after one more refusal while the pace is held."""
        self._uncertainty = 1.0
        """How far apart, in parts, the limit may lie from the pace."""
        self._hold = 0.0
        """Requests to be accepted before a faster pace is tried."""
        self._round = 0.0
        """Requests to be accepted before the next step."""
        self._changed = 0.0
        """When the pace was changed: requests sent before say nothing of it."""
        self._refusal = 0.0
        """When the last refusal came that counts: those of requests sent before it belong to it."""
        self._starved = 0
        """Refusals in a row without anything accepted in between."""
        self._before = 0.0
        """The pace at which something was accepted last: returned to once something is again."""
        self._recovering = False
        self._credit = 0.0
        self._sent_before = self._sent_last = -math.inf
        """When the last two were sent."""
        self._first_burst: list[float] | None = None
        """When those were sent that were accepted up to the first refusal; ``None`` once they are counted."""
        # What is counted since the bucket was last empty.
        self._since = 0.0
        self._closed = 0.0
        self._accepted = 0
        self._ignored = 0
        self._idle = False
        """Whether fewer were sent than might have been: the bucket may have run over."""
        self._paces: deque[tuple[float, int]] = deque(maxlen=64)
        """When each pace since then was begun, and how many had been accepted by then."""
        self._train_ended = 0.0
        """When something was accepted last after several refusals in a row."""
        self._cycle = 0
        """How many were accepted since then."""
        self._doubted = False
        """Whether the last refusal was taken to tell of the bucket, and not of the rate."""
        self._lost = 0.0
        """Requests that the last refusal cost beside itself: its gate was closed for longer than fills the bucket."""
        # The same since a faster pace is tried.
        self._trying, self._tried_since, self._tried = False, 0.0, 0

    @property
    def _strict(self) -> bool:
        return self.burst <= 2  # noqa: PLR2004  # one, and the error of measuring it

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may go, 0 for at once."""
        return 0.0 if self.rate is None else max(0.0, self._next - now)

    def sent(self, now: float) -> None:
        """Note that a request goes."""
        rate = self.rate
        if rate is None:
            return
        if now > self._next + max(0.5 / rate, IDLE) and math.isfinite(self._next):
            # Nobody waited for the pace, so answers say nothing of a limit to it.
            self._idle = True
            self._begin_round()
        self._sent_before, self._sent_last = self._sent_last, now
        if self._credit > 0:
            rate *= CATCHING_UP
            self._credit -= 1 - 1 / CATCHING_UP
        spare = 0.0 if self._strict else 0.8 * (self.burst - 1)
        self._next = max(self._next, now - spare / rate) + 1 / rate

    def accepted(self, sent: float, now: float) -> None:
        """Note that a request sent at a moment was let in, whatever came of it."""
        if self.rate is None:
            self._recent.append(sent)
            return
        if sent < self._refusal:
            if self._first_burst is not None:
                self._first_burst.append(sent)  # its answer came behind the first refusal
            return
        self._accepted += 1
        self._cycle += 1
        if self._starved > 1:
            self._end_train(now)
        if self._trying and sent >= self._tried_since:
            self._tried += 1
        if sent < self._changed:
            return
        if self._hold > 0:
            if self._credit <= 0:
                self._hold -= 1
            if self._hold <= 0:
                self._trying, self._tried_since, self._tried = True, now, 0
                self._cut = SMALLEST_STEP * 2
                self._raise(now, after_hold=True)
            return
        self._round -= 1
        if self._round <= 0:
            self._sustained = self.rate
            if now > self._refusal + FORGOTTEN_AFTER and self.rate > FORGOTTEN_AT * self._held:
                self.forget()
            else:
                self._raise(now)

    def _end_train(self, now: float) -> None:
        """Let a window tell its rate: from the end of one row of refusals to that of the next it was used up once."""
        if self._train_ended and self._cycle > ROUND:
            self._before = max(SLOWEST, min(self._before, self._cycle / (now - self._train_ended)))
        self._train_ended, self._cycle, self._starved = now, 0, 0

    def _raise(self, now: float, *, after_hold: bool = False) -> None:
        """Try the next faster pace, or hold this one where no other is worth it."""
        if self._refused_at == math.inf or self._recovering:
            self._step = FIRST_STEP
        elif self._careful:
            # Slowly enough that the refusal, when it comes, measures the rate well: it will not be met again soon.
            self._step = min(LARGEST_STEP, max(self._step * 2, self.burst / self._measurable))
        elif self._costly and self._sustained < self._refused_at:
            # Half of what is left up to the refusal, until that is not worth another: it is held, then passed at once.
            left = self._refused_at / self._sustained - 1
            near = left < 3 * SMALLEST_STEP
            if near and not after_hold:
                self._held, self._trying, self._hold = self._sustained, False, LONGEST_HOLD * self._sustained
                return
            self._step = left + 2 * SMALLEST_STEP if near else left / 2
        elif self._strict and self._sustained < self._refused_at * (1 - SMALLEST_STEP / 5):
            # A quarter of what is left up to the refusal: it costs a slot to be met, and more to be passed.
            self._step = max(SMALLEST_STEP, min(self._step, (self._refused_at / self._sustained - 1) / 4))
        else:
            self._step = min(LARGEST_STEP, self._step * 2)
        rate = self._sustained * (1 + self._step)
        if self._recovering:
            if rate >= self._before:
                rate = self._sustained = self._held = self._before
                self._recovering, self._idle, self._hold = False, True, max(PRICE, rate)
        elif not self._strict and self._refused_at < math.inf:
            # A full bucket lets any pace pass for a while. Twice what is proved without it is enough to empty it.
            proved = (self._tried - self.burst) / max(1e-9, now - self._tried_since)
            rate = min(rate, 2 * max(self._held, proved))
        self.rate = rate
        self._changed = now
        self._paces.append((now, self._accepted))
        self._begin_round()

    @property
    def _costly(self) -> bool:
        """Whether a refusal costs so much that few can be afforded."""
        return self._lost > self.burst

    @property
    def _careful(self) -> bool:
        """Whether a faster pace is tried slowly: one refusal of a bucket measures its rate, where it is not hurried."""
        return self._costly and not self._strict

    @property
    def _measurable(self) -> float:
        """How many requests measure a rate to one or two parts in a hundred."""
        return max(40.0, self._sustained / 2)

    def _begin_round(self) -> None:
        assert self.rate is not None  # noqa: S101  # there are no rounds before the first refusal
        if self._costly and self._refused_at < math.inf and not self._recovering:
            self._round = max(4.0 * ROUND, self.rate / 5) if self._strict else self._measurable
            return
        burst = len(self._first_burst or ()) or self.burst
        self._round = max(1.0, min(max(ROUND, burst / 8, self.rate / 25), LONGEST_ROUND * self.rate))

    def refused(self, sent: float, now: float, closed: float = 0.0) -> bool:
        """Note that one was refused for the rate, and for how long the gate is closed; return whether that was news."""
        if self.rate is None:
            self._meet(now, closed)
            return True
        if sent < self._refusal:
            self._ignored += 1
            if self._uncertainty < FIRST_STEP:
                self._pay(1)
            self._next = max(self._next, now + closed)
            self._closed = max(self._closed, now + closed - self._since) if closed else self._closed
            return False
        measured = self._measured(sent, now)
        passed = self._accepted > 0
        if not self._accepted:
            self._starved += 1
            self._recovering = self._recovering or self._starved > 1
            if self._starved > 1 and self._train_ended:
                self.burst = 1.0  # a bucket would have let in what came three intervals later
        else:
            if self._recovering:
                self._recovering, self._sustained = False, max(measured, self.rate / 4)
            self._starved = 0
        if self._strict or self._idle or self._accepted < 2 * ROUND:
            self._narrow()
        else:
            self._settle(measured, sent)
        self._sustained = max(SLOWEST, self._sustained)
        self.rate = self._held = self._sustained
        if passed:
            self._before = self._sustained
        lost = closed * self.rate
        self._lost = max(0.0, lost - self.burst)
        self._credit = 0.0 if self._strict else 0.8 * min(self.burst - 1, lost)
        self._hold = 0.0
        if not self._recovering:
            self._pay(1 + (lost if self._strict else self._lost))
        self._start_over(now, closed)
        if passed and self._strict and not closed:
            # Only what passed counts, so the interval since then is all that the next has to wait for.
            since = self._sent_before if sent >= self._sent_last else self._sent_last
            self._next = max(now, since + 1 / self.rate)
            return True
        # A bucket that is empty refuses whatever comes a little early: some are left in it.
        left = 1 if self._strict or self._starved else 3
        self._next = max(self._next, now + max(closed, left / self.rate))
        return True

    def _meet(self, now: float, closed: float) -> None:
        """Begin with what was accepted just before the first refusal."""
        first = [moment for moment in self._recent if moment > now - WINDOW]
        window = WINDOW if len(first) < (self._recent.maxlen or 0) else max(1e-3, now - first[0])
        self.rate = self._held = self._sustained = self._before = max(FIRST, len(first) / window)
        self._first_burst = first
        self._recent.clear()
        self._hold = 2.0
        self._next = now + max(closed, 1 / self.rate)
        self._start_over(now, closed)

    def _measured(self, sent: float, now: float) -> float:
        """Return the server's rate, as measured between the last refusal and this one; learn its burst at the first."""
        seconds = max(1e-9, sent - self._since)
        if self._first_burst is not None and self._accepted >= ROUND:
            # How many were accepted at once that the rate does not explain.
            first, self._first_burst = sorted(self._first_burst), None
            rate = max(self._accepted / seconds, self._proved(now, len(first)))
            bursts = [count - rate * (first[-1] - first[-count]) for count in range(1, len(first) + 1)]
            self.burst = max([1.0, *bursts])
        rate = (self._accepted + 0.5) / seconds
        if rate * self._closed > self.burst:
            # More than the bucket holds would have flowed in behind the gate, so some of it ran over.
            rate = (self._accepted + 0.5 - self.burst) / max(1e-9, seconds - self._closed)
        return max(rate, self._proved(now, self.burst))

    def _proved(self, now: float, burst: float) -> float:
        """Return the rate that what was accepted proves: more than was in the bucket when a pace was begun flowed in.

        Where a slow pace let the bucket run over, the whole that was accepted shows less.
        """
        counts = [(self._accepted - before, now - begun) for begun, before in self._paces]
        return max([(count - burst) / span for count, span in counts if count > 2 * burst and span > 0], default=0.0)

    def _narrow(self) -> None:
        """Search a limit that tells of nothing but whether a pace is too fast."""
        if self._trying:
            self._refused_at = self.rate or math.inf
            if self._sustained < self._held * (1 + 10 * SMALLEST_STEP):
                # A few that were accepted at a slightly faster pace may have been lucky, and luck is dear.
                self._sustained = self._held
        else:
            self._refused_at = self._sustained
            cut, self._cut = self._cut, min(LARGEST_STEP, self._cut * 3)
            if self._costly and self._accepted < 2 * self._sustained:
                cut = max(cut, LARGEST_STEP / 3 if self._accepted < 2 * ROUND else 8 * SMALLEST_STEP)
            if not self._accepted and self._ignored > 2:  # noqa: PLR2004  # not a chance hit: nothing passes at all
                cut = 0.75
            self._sustained *= 1 - cut
            if self._credit > 0:
                self.burst = max(1.0, 0.8 * self.burst)
        self._uncertainty = max(SMALLEST_STEP, self._refused_at / self._sustained - 1)
        self._step = self._uncertainty / 4

    def _settle(self, measured: float, sent: float) -> None:
        """Take the pace that was measured."""
        if self._trying:
            proved = (self._tried - self.burst) / max(1e-9, sent - self._tried_since)
            rate = max(measured, proved)
        elif self._closed and self._accepted < 4 * self.burst:
            # So soon behind the gate it tells of the bucket: it holds less than was taken to have flowed in. Where that
            # is no better it is none: a window lets many through at once, and nothing flows in behind a gate.
            if self._doubted:
                self.burst = 1.0
                self._narrow()
            else:
                self.burst, self._doubted = max(1.0, 0.8 * self.burst), True
            return
        else:
            rate = min(measured, 0.99 * self._sustained)
        self._doubted = False
        rate = min(max(rate, self._held / 4), self.rate or math.inf)
        self._uncertainty = max(SMALLEST_STEP, abs(rate / self._held - 1))
        self._refused_at = self.rate or math.inf
        self._sustained = rate
        self._step = SMALLEST_STEP / 2

    def _start_over(self, now: float, closed: float) -> None:
        """Count anew from a refusal."""
        if self._accepted or not self._since:
            self._since, self._closed = now, closed
        else:
            self._closed += closed
        self._accepted = self._ignored = 0
        self._paces.clear()
        self._idle = self._trying = False
        self._refusal = self._changed = now
        self._begin_round()

    def _pay(self, cost: float) -> None:
        """Hold the pace for longer: for as long as a refusal's cost is worth, or what is still uncertain."""
        price = PRICE if self._uncertainty < 10 * SMALLEST_STEP else 0.5 / self._uncertainty
        self._hold = min(self._hold + cost * price, max(2 * ROUND, LONGEST_HOLD * self._sustained))


def pace_for(rate: float | Literal["learn"] | None) -> LearnedPace | FixedPace | None:
    """Return the pace that a client was asked to keep.

    Raises:
        ConfigurationError: it is neither ``"learn"``, a number above 0, nor ``None``.
    """
    if rate is None:
        return None
    if rate == "learn":
        return LearnedPace()
    number = not isinstance(rate, bool) and isinstance(rate, int | float)  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
    if not number or not (math.isfinite(rate) and rate > 0):
        raise ConfigurationError(f'rate must be "learn", a number of requests a second above 0, or None, not {rate!r}')
    return FixedPace(rate)
