"""Quota: what a server says of its rate limit in the headers of its answers, where it says anything.

Read leniently, since there are as many forms as servers: ``RateLimit`` of the IETF's drafts (``"default";r=50;t=30``,
``limit=100, remaining=50, reset=30``), ``RateLimit-Remaining`` and ``RateLimit-Reset`` of the earlier ones, and the
``X-RateLimit-*`` and ``X-Rate-Limit-*`` of GitHub and others. Amili documents none of them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from amili_async._protocol.retry import read_date

if TYPE_CHECKING:
    from collections.abc import Mapping

SPREAD = 0.1
"""The last part of a quota that is spread over the time for which it has to last."""

LONGEST_WAIT = 120.0
"""Seconds that an exhausted quota is waited for at most; whoever asks then learns whether it was true."""

_REMAINING = ("RateLimit-Remaining", "X-RateLimit-Remaining", "X-Rate-Limit-Remaining")
_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)")
_PARAMETER = re.compile(r"\b(r|t|limit|remaining|reset)\s*=\s*([0-9]+(?:\.[0-9]+)?)", re.IGNORECASE)
_UNIX = 1e9
"""From here on a number is a moment, below it a number of seconds: no window lasts thirty years."""
_UNIX_MILLISECONDS = 1e11


class Told(NamedTuple):
    """How many requests a server still takes, for how many seconds, and of how many: 0 where it does not say."""

    remaining: float
    seconds: float
    limit: float = 0.0


def read_quota(headers: Mapping[str, str], now: float) -> Told | None:
    """Return what an answer says of the quota, the tightest of several; ``None`` where it says too little.

    Args:
        headers: of the answer, looked up without regard to case.
        now: Unix seconds by our clock, for moments in an answer that has no ``Date``.
    """
    field = headers.get("RateLimit")
    if field is not None:
        found = [told for item in field.split(",") if (told := _item(item)) is not None]
        return min(found, default=_item(field))
    for name in _REMAINING:
        said = headers.get(name)
        if said is None or (remaining := _number(said)) is None:
            continue
        prefix = name.removesuffix("Remaining")
        seconds = _number(headers.get(f"{prefix}Reset-After"))
        if seconds is None:
            seconds = _seconds_until(headers.get(f"{prefix}Reset"), headers, now)
        if seconds is not None and seconds > 0:
            return Told(remaining, seconds, _number(headers.get(f"{prefix}Limit")) or 0.0)
    return None


def _item(text: str) -> Told | None:
    found = {name.lower(): float(value) for name, value in _PARAMETER.findall(text)}
    remaining, seconds = found.get("r", found.get("remaining")), found.get("t", found.get("reset"))
    return None if remaining is None or not seconds else Told(remaining, seconds, found.get("limit", 0.0))


def _number(value: str | None) -> float | None:
    match = None if value is None else _NUMBER.match(value)
    return None if match is None else float(match[1])


def _seconds_until(value: str | None, headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds to a reset that is given as such, as a moment in (milli)seconds, or as a date."""
    text = (value or "").strip()
    if _NUMBER.fullmatch(text):
        moment = float(text)
        if moment < _UNIX:
            return moment
        moment = moment / 1000 if moment > _UNIX_MILLISECONDS else moment
    else:
        moment = read_date(text) or _iso(text)
        if not moment:
            return None
    made = read_date(headers.get("Date"))
    return moment - (now if made is None else made)


def _iso(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class Quota:
    """What is left of a quota, counted down with each request until an answer says it anew.

    All but the last tenth may be used at once: most jobs need less than a whole quota, and should not be spread over an
    hour for fear of the rest.
    """

    def __init__(self) -> None:
        self.left: float | None = None
        """Requests; ``None`` while no answer has said anything."""
        self._resets = 0.0
        self._limit = 0.0
        self._next = 0.0

    def tell(self, told: Told, now: float) -> None:
        """Take in what an answer said. Requests that were sent meanwhile are counted already."""
        resets = now + min(told.seconds, LONGEST_WAIT)
        same_window = self.left is not None and now < self._resets and resets < self._resets + 1
        self.left = min(told.remaining, self.left) if same_window and self.left is not None else told.remaining
        self._resets = resets
        self._limit = max(told.limit, told.remaining, self._limit if same_window else 0.0)

    def sent(self, now: float) -> None:
        """Count a request."""
        if self.left is None:
            return
        self.left = max(0.0, self.left - 1)
        if self.left < SPREAD * self._limit:
            self._next = now + (self._resets - now) / (self.left + 1)

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may go."""
        if self.left is None:
            return 0.0
        if now >= self._resets:
            self.left = None
            return 0.0
        if self.left < 1:
            return self._resets - now
        return max(0.0, self._next - now) if self.left < SPREAD * self._limit else 0.0
