"""LearnedPace and FixedPace: when the next request may go, so that a server that limits the rate need not refuse it.

Moments and answers in, numbers out: nothing here waits, and no clock is read. Moments are seconds of one clock.

Until the first 429 nothing is known and nothing is held back. Then a limit is one of three things:

- **A bucket** that refills at a steady rate and holds ``burst`` requests. A refusal measures it: see `inflow`.
- **Strict**: the whole interval between any two requests (nginx's ``limit_req`` without ``burst``), a bucket of one.
  Requests that come early are refused whatever the average is, so nothing can be counted: the pace is searched between
  the fastest that was sustained and the slowest that was refused.
- **Windows**: so many until the next one opens. They are spread over the window: see `windows`.

For all of them:

- **Hold.** Each refusal has a price: the seconds for which a ``Retry-After`` closed the gate, or a slot. The pace is
  held until as many requests have passed as keep that price at two or three in a hundred; for less while it is still
  far from certain. Without a ``Retry-After`` a strict limit takes the next request an interval after the last that
  passed, so a refusal costs next to nothing but itself.
- **Try.** Then it is raised, in rounds that must each be answered without a refusal, by steps that double: hardly
  noticed where the limit stands, and a matter of seconds where it has moved or gone. A limit that has not been met for
  a minute at many times its rate is forgotten. Where a refusal is dear the steps are few and long, so that the one that
  is refused measures the limit, and nothing that a few requests in a row were lucky with is believed.
- **Ask again.** Where all is refused, now and then one goes, never more seldom than `SLOWEST`.
- **Share.** Where others are known to share the limit, what two refusals enclose is a part of it that changes with
  what the others try, so it never becomes certain: refusals are then paid for in full once a few are owed. And whoever
  was refused waits a whole interval, as what passed last may have been another's.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Literal

from amili_async._protocol.inflow import Inflow
from amili_async._protocol.windows import Windows
from amili_async.errors import ConfigurationError

SLOWEST = 0.2
"""Requests a second, at least: what it takes to notice that the limit has gone."""

FIRST = 4.0
"""Requests a second after the first refusal, at least: before it there may have been too few to measure."""

BEFORE = 1.0
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

MARGIN = 0.01
"""The part by which a pace is kept below one that was refused, or that uses a window up."""

LONGEST_HOLD = 30.0
"""Seconds for which the pace is held at most, whatever refusals cost."""

PRICE = 40.0
"""Requests to be accepted for each one that was refused, before a faster pace is tried."""

OWED = 80.0
"""Requests that may be owed for refusals where others share the limit, while the pace is far from certain."""

CATCHING_UP = 1.5
"""How much faster than the pace requests may go while what flowed in behind a closed gate is used up."""

CROWDED = 4
"""Refusals in a row of a bucket up to which others may be using it too; more of them say that it lets nothing in."""

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
        self.shared = False
        """Whether others are known to share the limit: a refusal may be their doing, and is one of theirs too."""
        self.forget()

    def forget(self) -> None:
        """Know nothing of a limit."""
        self.rate: float | None = None
        self._inflow = Inflow()
        self._windows = Windows(1 / SLOWEST)
        # When the next may go.
        self._next = -math.inf
        self._sent_before = self._sent_last = -math.inf
        """When the last two were sent."""
        self._credit = 0.0
        """Requests that flowed in behind a closed gate."""
        self._idle = False
        """Whether fewer were sent than might have been since the last refusal: the bucket may have run over."""
        # Which paces are known.
        self._sustained = 0.0
        """The pace that is held, or the fastest that a whole round was accepted at."""
        self._held = 0.0
        """The pace that was decided on at the last refusal."""
        self._refused_at = math.inf
        """The pace of the last refusal; infinite while a limit has not been met from below."""
        self._uncertainty = 1.0
        """How far apart, in parts, the limit may lie from the pace."""
        self._lost = 0.0
        """Requests that the last refusal cost beside itself: its gate was closed for longer than fills the bucket."""
        self._refilled = 0
        """How many refusals came so soon behind the gate that the bucket may hold less than it was taken to."""
        # How a faster one is tried.
        self._trying = False
        self._step = FIRST_STEP
        self._cut = 2 * SMALLEST_STEP
        """How much slower, in parts, a strict limit is met after one more refusal while the pace is held."""
        self._hold = 0.0
        """Requests to be accepted before a faster pace is tried."""
        self._owed = 0.0
        """Requests to be accepted for all that was refused, where others share the limit."""
        self._round = 0.0
        """Requests to be accepted before the next step."""
        self._changed = 0.0
        """When the pace was changed: requests sent before say nothing of it."""
        self._refusal = 0.0
        """When the last refusal came that counts: those of requests sent before it belong to it."""

    @property
    def burst(self) -> float:
        """How many requests may go at once, as far as is known."""
        return self._inflow.burst

    @property
    def sustained(self) -> float | None:
        """Requests a second that are held, or the most that a whole round was accepted at; ``None``: none are known."""
        return None if self.rate is None else self._sustained

    @property
    def _costly(self) -> bool:
        """Whether a refusal costs so much that few can be afforded."""
        return self._lost > self.burst

    @property
    def _measurable(self) -> float:
        """How many requests measure a rate to one or two parts in a hundred."""
        return max(40.0, self._sustained / 2)

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
            self._begin_round(rate)
        self._sent_before, self._sent_last = self._sent_last, now
        if self._credit > 0:
            rate *= CATCHING_UP
            self._credit -= 1 - 1 / CATCHING_UP
        spare = 0.0 if self._inflow.strict else 0.8 * (self.burst - 1)
        self._next = max(self._next, now - spare / rate) + 1 / rate

    def rescale(self, factor: float, now: float) -> None:
        """Take so many times the pace: that many fewer share the limit from now on, or more where it is below 1.

        It is tried like any other, and what is too much is refused.
        """
        if self.rate is None:
            return
        self.rate = self._sustained = self._held = max(SLOWEST, factor * self._sustained)
        self._refused_at *= factor
        self._hold = max(2.0 * ROUND, self.rate)
        self._trying = False
        self._changed = now
        self._inflow.begin_pace(now)
        self._begin_round(self.rate)
        self._next = min(self._next, now + 1 / self.rate)

    # A faster pace is tried

    def accepted(self, sent: float, now: float) -> None:
        """Note that a request sent at a moment was let in, whatever came of it."""
        if self.rate is None:
            self._recent.append(sent)
            return
        if sent < self._refusal:
            self._inflow.late(sent)
            return
        self._inflow.accepted += 1
        self._owed = max(0.0, self._owed - 1)
        self._windows.accepted(sent)
        if sent < self._changed:
            return
        if self._hold > 0:
            if self._credit <= 0:
                self._hold -= 1
            if self._hold <= 0:
                self._trying = True
                self._cut = 2 * SMALLEST_STEP
                self._raise(now, after_hold=True)
            return
        self._round -= 1
        if self._round <= 0:
            self._sustained = self.rate
            if now > self._refusal + FORGOTTEN_AFTER and self.rate > FORGOTTEN_AT * self._held:
                self.forget()
            else:
                self._raise(now)

    def _raise(self, now: float, *, after_hold: bool = False) -> None:
        """Try the next faster pace, or hold this one where no other is worth it."""
        strict = self._inflow.strict
        left = self._refused_at / self._sustained - 1
        if self._refused_at == math.inf:
            self._step = FIRST_STEP
        elif self._costly and not strict:
            # Slowly enough that the refusal, when it comes, measures the rate well: it will not be met again soon.
            self._step = min(LARGEST_STEP, max(self._step * 2, self.burst / self._measurable))
        elif self._costly and left > 0:
            # Half of what is left up to the refusal, until that is not worth another: it is held, then passed at once.
            near = left < 3 * SMALLEST_STEP
            if near and not after_hold:
                self._held, self._trying, self._hold = self._sustained, False, LONGEST_HOLD * self._sustained
                return
            self._step = left + 2 * SMALLEST_STEP if near else left / 2
        elif strict and left > SMALLEST_STEP / 5:
            # A quarter of what is left up to the refusal: it costs a slot to be met, and more to be passed.
            self._step = max(SMALLEST_STEP, min(self._step, left / 4))
        else:
            # A window that is used up too early costs nothing but the asking when the next one opens.
            self._step = min(LARGEST_STEP, self._step * (4 if self._windows.known else 2))
        rate = self._sustained * (1 + self._step)
        if not strict and self._refused_at < math.inf:
            # A full bucket lets any pace pass for a while. Twice what is proved without it is enough to empty it.
            rate = min(rate, 2 * max(self._held, self._inflow.proved(now, self.burst)))
        self.rate = rate
        self._changed = now
        self._inflow.begin_pace(now)
        self._begin_round(rate)

    def _begin_round(self, rate: float) -> None:
        if self._costly and self._refused_at < math.inf:
            self._round = max(4.0 * ROUND, rate / 5) if self._inflow.strict else self._measurable
        elif self._windows.known:
            self._round = rate * self._windows.period
        else:
            requests = max(ROUND, self._inflow.at_first / 8, rate / 25)
            self._round = max(1.0, min(requests, LONGEST_ROUND * rate))

    # A refusal decides on the pace

    def refused(self, sent: float, now: float, closed: float = 0.0) -> bool:
        """Note that one was refused for the rate, and for how long the gate is closed; return whether that was news."""
        rate = self.rate
        if rate is None:
            self._meet(now, closed)
            return True
        if sent < self._refusal:
            if self._uncertainty < FIRST_STEP:
                self._pay(1)
            self._next = max(self._next, now + closed)
            if closed:
                self._inflow.close(now + closed)
            return False
        measured, known = self._inflow.rate(sent), self._windows.known
        self._windows.refused(sent, self._inflow.accepted)
        if self._windows.row > 1:
            wait = self._refused_again(now, closed, known=known)
        else:
            passed = self._inflow.accepted > 0
            self._decide(rate, sent, measured)
            self._account(now, closed)
            wait = self._wait_after(sent, now, closed, passed=passed)
        self._next = max(now + closed, now + wait)
        return True

    def _meet(self, now: float, closed: float) -> None:
        """Begin with what was accepted just before the first refusal."""
        first = [moment for moment in self._recent if moment > now - BEFORE]
        seconds = BEFORE if len(first) < (self._recent.maxlen or 0) else max(1e-3, now - first[0])
        self.rate = self._held = self._sustained = max(FIRST, len(first) / seconds)
        self._inflow.begin(first)
        self._recent.clear()
        self._hold = 2.0
        self._windows.refused(now, 0)
        self._start_over(self.rate, now, closed)
        self._next = now + max(closed, 1 / self.rate)

    def _refused_again(self, now: float, closed: float, *, known: bool) -> float:
        """Decide on a refusal that nothing was accepted before; return the seconds until it is asked again."""
        if self._windows.known:
            if not known:
                self._spread()
            self._pay(1)
        elif self._windows.row < CROWDED and not closed and self._refused_at < math.inf:
            self._sustained *= 0.98 if self._inflow.strict else 0.7
        self.rate = self._held = max(SLOWEST, self._sustained)
        self._start_over(self.rate, now, closed)
        return self._windows.ask_again(now, 1 / self.rate)

    def _decide(self, rate: float, sent: float, measured: float) -> None:
        """Decide on the pace, by what kind of limit it is."""
        if self._windows.known and not self._idle:
            self._refused_at = rate
            self._spread()
        elif self._inflow.strict or self._idle or self._inflow.accepted < 2 * ROUND:
            self._narrow(rate, sent)
        else:
            self._settle(rate, sent, measured)
        self.rate = self._held = self._sustained = max(SLOWEST, self._sustained)

    def _spread(self) -> None:
        """Take what a window let in, spread over its period."""
        windows = self._windows
        rate = (1 - MARGIN) * windows.used / (windows.count * windows.period)
        if windows.count > 1 and self._trying:
            rate = max(rate, self._sustained)
        self._sustained = min(rate, (1 - MARGIN) * self._refused_at)
        self._uncertainty = max(SMALLEST_STEP, abs(self._sustained / self._held - 1))
        self._step = SMALLEST_STEP

    def _narrow(self, rate: float, sent: float) -> None:
        """Search a limit that tells of nothing but whether a pace is too fast."""
        if self._trying:
            self._refused_at = rate
            if self._sustained < self._held * (1 + 10 * SMALLEST_STEP):
                # A few that were accepted at a slightly faster pace may have been lucky, and luck is dear.
                self._sustained = self._held
        else:
            self._refused_at = self._sustained * (CATCHING_UP if self._credit > 0 else 1)
            self._sustained = self._slower(sent)
            if self._credit > 0:
                self._inflow.burst = max(1.0, 0.8 * self.burst)
        self._uncertainty = max(SMALLEST_STEP, self._refused_at / self._sustained - 1)
        self._step = self._uncertainty / 4

    def _slower(self, sent: float) -> float:
        """Return the next slower pace, where one that was held was refused."""
        if self._inflow.strict and self._inflow.accepted >= ROUND:
            self._cut = 2 * SMALLEST_STEP  # what passed in between says that it was not much too fast
        cut, self._cut = self._cut, min(LARGEST_STEP, self._cut * 3)
        slower = (1 - cut) * self._sustained
        if self._costly and self._inflow.accepted < 2 * self._sustained:
            slower = min(slower, max(self._sustained / 2, self._inflow.behind_the_gate(sent)))
        return slower

    def _settle(self, rate: float, sent: float, measured: float) -> None:
        """Take the pace that was measured."""
        if self._trying:
            pace = measured
        elif self._inflow.refilled(self._sustained):
            # So soon behind the gate it may be the rate, or the bucket, which holds less than was taken to have flowed
            # in. Where neither is better it is none: a window lets many through at once, and nothing flows in.
            self._refilled += 1
            if self._refilled > 1:
                self._inflow.burst = 1.0
                self._narrow(rate, sent)
                return
            told = self._inflow.behind_the_gate(sent)
            pace = max(told, self._sustained / 2) if told > self._sustained / 4 else self._sustained
            pace = min(pace, (1 - MARGIN) * self._sustained)
            self._inflow.burst = max(1.0, 0.8 * self.burst)
        else:
            pace = min(measured, (1 - MARGIN) * self._sustained)
        self._sustained = min(max(pace, self._held / 4), rate)
        self._uncertainty = max(SMALLEST_STEP, abs(self._sustained / self._held - 1))
        self._refused_at = rate
        self._step = SMALLEST_STEP / 2

    def _account(self, now: float, closed: float) -> None:
        """Reckon what the refusal costs."""
        lost = closed * self._sustained
        self._lost = max(0.0, lost - self.burst)
        self._credit = 0.0 if self._inflow.strict else 0.8 * min(self.burst - 1, lost)
        self._hold = 0.0
        self._pay(1 + (lost if self._inflow.strict else self._lost))
        self._start_over(self._sustained, now, closed)

    def _pay(self, cost: float) -> None:
        """Hold the pace for longer: for as long as a refusal's cost is worth, or what is still uncertain."""
        certain = 0.05
        if self._costly:
            certain = 0.15 if self._inflow.strict else 0.07
        price = PRICE if self._uncertainty < certain else 0.5 / self._uncertainty
        hold = self._hold + cost * price
        if self.shared and not self._windows.known:
            self._owed += PRICE
            hold = max(hold, self._owed - OWED)
        self._hold = min(hold, max(2 * ROUND, LONGEST_HOLD * self._sustained))

    def _wait_after(self, sent: float, now: float, closed: float, *, passed: bool) -> float:
        """Return the seconds until the next may go."""
        interval = 1 / self._sustained
        if self._inflow.strict and passed and not closed and not self.shared:
            # Only what passed counts, so the interval since then is all that the next has to wait for.
            since = self._sent_before if sent >= self._sent_last else self._sent_last
            return max(0.0, since + interval - now)
        if self._windows.known:
            wait = self._windows.ask_again(now, interval)
        else:
            # A bucket that is empty refuses whatever comes a little early: some are left in it. Where it may be none,
            # the next one tells.
            wait = interval * (1.0 if self._inflow.strict else 1.5 if self._windows.suspected else 3.0)
        return min(1 / SLOWEST, max(self._next - now, wait))

    def _start_over(self, rate: float, now: float, closed: float) -> None:
        """Count anew from a refusal."""
        self._inflow.empty(now, closed)
        self._idle = self._trying = False
        self._refusal = self._changed = now
        self._begin_round(rate)


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
