"""What is repeated, when, and how long to wait before: values in, a decision out, nothing awaited.

`decide` holds the whole rule as one table. Waits of our own are backoff's exponential series with full jitter; a
``Retry-After`` is never undercut, jitter is only added to it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import NamedTuple

import backoff
import msgspec

from amili_async.errors import ConfigurationError

Jitter = Callable[[float], float]
"""Takes a bound in seconds and returns how many of them to wait."""

_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?")
_LONGEST = 1e9
"""Thirty years: a bound that keeps a number of a thousand digits from becoming infinity."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often a call may be sent and how long it may wait in between.

    Raises:
        ConfigurationError: a value that cannot be right; the message names it.
    """

    __module__ = "amili_async"  # where it is imported from

    attempts: int = 3
    """Requests of one call, the first included; 1 repeats nothing.

    Not counted are the replay after a 401, a request that timed out while the event loop was blocked, and, where there
    is a deadline, those that a 429 refused.
    """
    trust_idempotency_key: bool = False
    """Repeat a write with an idempotency key as if it were a read: only once Amili has confirmed that keys hold."""
    max_wait: float = 20.0
    """Seconds that a wait of our own lasts at most."""
    max_retry_after: float = 120.0
    """Seconds that a ``Retry-After`` may ask for; a longer one ends the call at once."""
    repeat_503_writes: bool = False
    """Repeat a write after a 503 with ``Retry-After``: only where no gateway sends one after it has forwarded."""

    def __post_init__(self) -> None:
        for name in ("attempts", "max_wait", "max_retry_after"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int if name == "attempts" else int | float):
                raise ConfigurationError(f"{name} must be a number, not {value!r}")
        if self.attempts < 1:
            raise ConfigurationError(f"attempts is {self.attempts}; the first request counts, so it is at least 1")
        for name, seconds in (("max_wait", self.max_wait), ("max_retry_after", self.max_retry_after)):
            if not (math.isfinite(seconds) and seconds >= 0):
                raise ConfigurationError(f"{name} is {seconds}; it is a number of seconds, 0 or more")


class Failure(Enum):
    """How an attempt failed."""

    NEVER_SENT = "never sent"
    """DNS, connect, TLS, the wait for a free connection, or a token that could not be had for the moment."""
    UNREACHABLE = "unreachable"
    """Never sent, and trying again would meet the same: an untrusted certificate, a proxy that refuses."""
    INTERRUPTED = "interrupted"
    """Sent, then a timeout, a disconnect or a reset."""
    STATUS = "status"
    """Answered with a status that is no success."""
    TRUNCATED = "truncated"
    """A success whose body was cut short, or is JSON that ends early."""
    MALFORMED = "malformed"
    """A success whose body is not what was asked for, or is larger than allowed."""
    DEADLINE = "deadline"
    """The call's deadline passed while the request was in flight."""
    CLOSED = "closed"
    """The client was closed while the request was in flight."""


class Action(Enum):
    """What to do about a failed attempt."""

    REPEAT = "repeat"
    """Send again after `Decision.wait` seconds."""
    REPLAY = "replay"
    """Send again at once with a new token, outside attempts and budget."""
    RAISE = "raise"
    """Raise the failure's own class: nothing happened, or the call was safe to repeat."""
    OUTCOME_UNKNOWN = "outcome unknown"
    """Raise `OutcomeUnknownError`: the write may have taken effect."""


class Decision(NamedTuple):
    """What to do, after how many seconds, and whether the repeat costs the budget a token and counts as an attempt."""

    action: Action
    wait: float = 0.0
    charged: bool = False
    counted: bool = True


def decide(
    failure: Failure,
    *,
    status: int | None,
    repeatable: bool,
    retry_after: float | None,
    attempt: int,
    replayed: bool,
    policy: RetryPolicy,
    pause: float,
    remaining: float | None,
    budget: bool,
    paced: bool = False,
    stalled: bool = False,
) -> Decision:
    """Return what becomes of a call whose attempt failed.

    | what happened | GET | write (every POST; `request()` with another method unless `repeatable=True`) |
    | --- | --- | --- |
    | never opened: DNS, connect, TLS, waiting for the pool | repeat, then `ConnectError` | same |
    | never opened, and it would not get better: an untrusted certificate, no TLS on the port, a proxy that refuses, a malformed address | `ConnectError`, at once | same |
    | sent, then timeout, disconnect, reset | repeat, then `TransportError` | `OutcomeUnknownError` |
    | 408 500 502 504 | repeat, then its class | `OutcomeUnknownError`, status kept, the `APIError` as its cause |
    | 503 | repeat | `OutcomeUnknownError`; repeat with `Retry-After` only where `RetryPolicy(repeat_503_writes=True)` says that no gateway sends it after forwarding |
    | 425 | repeat | repeat: refused before processing |
    | 429 | repeat until the deadline, then `RateLimitedError` | same |
    | 401 | new token, one replay, outside attempts and budget; at once where new tokens were refused a moment ago too | same |
    | 3xx, 501, all other 4xx | its class, at once | same |
    | 2xx, body cut short or JSON that ends early (msgspec: "truncated") | repeat, then `TransportError` | `OutcomeUnknownError(status)`: accepted, batch id unknown |
    | 2xx, malformed (HTML, text), wrong shape, or no batch id where one is due | `DecodeError` | `OutcomeUnknownError`, the `DecodeError` as its cause |
    | deadline while in flight | `DeadlineExceededError` | `OutcomeUnknownError`, the deadline as its cause |

    A 5xx that no row names counts as 500; closing the client while a call is in flight counts as its deadline. With
    `RetryPolicy(trust_idempotency_key=True)` and a key given, a write follows the GET column. Where a row says repeat and
    attempts, deadline or budget do not allow it, or ``Retry-After`` asks for more than ``policy.max_retry_after``, the
    call ends at once: with its class where it is safe to repeat or was refused before processing. A 429 is load, and no
    failure: attempts bound it only where there is no deadline, and ``attempts=1`` still means one.

    Args:
        failure: how the attempt failed.
        status: the answer's status, where there was one.
        repeatable: whether the GET column holds.
        retry_after: seconds that the server asked to wait; for `NEVER_SENT`, until the token endpoint is asked again.
        attempt: which attempt failed, from 1, not counting the replay after a 401.
        replayed: whether the call has had that replay.
        policy: the limits.
        pause: this call's own wait in seconds, drawn beforehand; added to ``retry_after`` where there is one.
        remaining: seconds to the deadline, ``None`` for no limit.
        budget: whether the retry budget has a token. A repeat after a 429, or one that the token endpoint puts off, is
            not charged: the budget is for outages.
        paced: whether the limiter spaces what a 429 refused, so that it needs no wait of the call's own.
        stalled: whether a timeout passed while the event loop was blocked: nobody looked, so it says nothing of the
            server, and is neither charged nor counted.
    """  # noqa: E501  # the table stands here as it stands in the README
    if status == 401 and failure is Failure.STATUS:  # noqa: PLR2004  # a status reads best as its number
        return Decision(Action.RAISE if replayed else Action.REPLAY)
    if status == 429 and failure is Failure.STATUS:  # noqa: PLR2004  # the same
        return _limited(retry_after, attempt, policy, pause=0.0 if paced else pause, remaining=remaining)
    told = retry_after is not None and policy.repeat_503_writes
    repeat, otherwise = _row(failure, status, repeatable=repeatable, told=told)
    if repeat and stalled and failure in {Failure.INTERRUPTED, Failure.NEVER_SENT}:
        return Decision(Action.REPEAT, counted=False)
    if not repeat or attempt >= policy.attempts:
        return Decision(otherwise)
    charged = retry_after is None or failure is not Failure.NEVER_SENT
    if charged and not budget:
        return Decision(otherwise)
    wait = _wait(retry_after, policy, pause=pause, remaining=remaining)
    return Decision(otherwise) if wait is None else Decision(Action.REPEAT, wait, charged)


def _limited(
    retry_after: float | None, attempt: int, policy: RetryPolicy, *, pause: float, remaining: float | None
) -> Decision:
    """Return what becomes of a call that a 429 refused."""
    bounded = remaining is None
    if policy.attempts == 1 or (bounded and attempt >= policy.attempts):
        return Decision(Action.RAISE)
    wait = _wait(retry_after, policy, pause=pause, remaining=remaining)
    return Decision(Action.RAISE) if wait is None else Decision(Action.REPEAT, wait, counted=bounded)


def _wait(retry_after: float | None, policy: RetryPolicy, *, pause: float, remaining: float | None) -> float | None:
    """Return the seconds to wait; ``None`` where that is longer than allowed."""
    wait = pause
    if retry_after is not None:
        if retry_after > policy.max_retry_after:
            return None
        # Jitter that would not fit in the time left is left out: going at the moment named is allowed.
        wait = retry_after + pause if remaining is None or retry_after + pause < remaining else retry_after
    return None if remaining is not None and wait >= remaining else wait


def _row(failure: Failure, status: int | None, *, repeatable: bool, told: bool) -> tuple[bool, Action]:
    """Return whether the table's row says repeat, and what ends the call where it is not repeated."""
    if failure is Failure.NEVER_SENT or failure is Failure.UNREACHABLE:
        return failure is Failure.NEVER_SENT, Action.RAISE
    if failure is Failure.STATUS and status is not None:
        if status == 425 or (status == 503 and told):  # noqa: PLR2004  # a status reads best as its number
            return True, Action.RAISE
        if (status < 500 and status != 408) or status == 501:  # noqa: PLR2004  # the same
            return False, Action.RAISE
    if not repeatable:
        return False, Action.OUTCOME_UNKNOWN
    return failure in {Failure.INTERRUPTED, Failure.STATUS, Failure.TRUNCATED}, Action.RAISE


def backoff_delays(policy: RetryPolicy, *, jitter: Jitter = backoff.full_jitter) -> Iterator[float]:
    """Return the waits of one call in seconds, without end: up to 1, 2, 4 … and never above ``policy.max_wait``."""
    bounds = backoff.expo(max_value=policy.max_wait)
    next(bounds)  # its first value is None, there to be sent to
    return map(jitter, bounds)


def growing_pauses(longest: float) -> Iterator[float]:
    """Return pauses in seconds, without end, for what must not be asked too often.

    Half of each bound is kept, or chance could send the next request at once.
    """
    return backoff_delays(
        RetryPolicy(max_wait=longest), jitter=lambda bound: bound / 2 + backoff.full_jitter(bound / 2)
    )


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return how many seconds an answer asks to wait, as `read_retry_after` does.

    A date is measured from the answer's own ``Date``: between two times of one clock it does not matter that ours is
    off. ``now`` is our Unix time, for an answer without one.
    """
    made = read_date(headers.get("Date"))
    return read_retry_after(headers.get("Retry-After"), now if made is None else made)


def read_retry_after(value: str | None, now: float) -> float | None:
    """Return how many seconds a ``Retry-After`` asks to wait, or ``None`` where it says nothing that can be kept.

    Seconds may have a fraction; a date that has passed gives 0. A negative number is nonsense, not zero: a write is
    repeated after a 503 only on the strength of a header that means something.

    Args:
        value: the header as received.
        now: Unix seconds of the moment that the answer was made.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), _LONGEST)
    moment = read_date(text)
    return None if moment is None else min(max(0.0, moment - now), _LONGEST)


def read_date(value: str | None) -> float | None:
    """Return the Unix seconds of an HTTP date in any of its three forms, ``None`` where it is none."""
    try:
        moment = parsedate_to_datetime(value or "")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None


class Budget:
    """Keeps retries under a fifth of the traffic while everything fails: a bucket that calls fill and retries empty.

    It starts full, so a client's first hiccup is retried.
    """

    def __init__(self, capacity: int = 100) -> None:
        """Hold at most ``capacity`` retries."""
        # Counted in fifths of a retry: whole numbers neither drift nor round.
        self._most = self._fifths = 5 * capacity

    @property
    def available(self) -> bool:
        """Whether a retry may go out."""
        return self._fifths >= 5  # noqa: PLR2004  # five fifths

    def deposit(self) -> None:
        """Count the first attempt of a call: a fifth of a retry."""
        if self._fifths < self._most:
            self._fifths += 1

    def withdraw(self) -> bool:
        """Take one retry out, or return ``False`` where there is none."""
        if not self.available:
            return False
        self._fifths -= 5
        return True
