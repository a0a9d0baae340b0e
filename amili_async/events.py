"""The frozen records that hooks receive: what happened, how often and how long, and never a secret.

A hook is any object with one or more of these methods (see `Hook`). All are plain functions, called in the task that
made the call; one that raises is logged once and ignored.

========================  =======================  ========================================================
method                    record                   when
========================  =======================  ========================================================
``on_call_start``         `CallStarted`            before anything is sent; may return headers to add
``on_attempt``            `AttemptEnded`           a request was answered or failed
``on_retry``              `RetryPlanned`           it will be repeated, after ``wait`` seconds
``on_gate``               `GateClosed`             a 429 holds every task of this client back
``on_rate``               `RateLearned`            a 429 has told what rate the server takes
``on_token``              `TokenRequested`         the token endpoint answered or failed, or a token was refused
``on_call``               `CallEnded`              the call has its value or its error
``on_drift``              `Drift`                  an answer is not quite as documented
``on_quarantine``         `QuarantinedRow`         a row could not be read and was set aside
========================  =======================  ========================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from amili_async._cursor import Cursor

if TYPE_CHECKING:
    from collections.abc import Mapping


class CallStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A call begins. ``call`` is a number that all records of this call share."""

    call: int
    operation: str
    method: str
    route: str
    server_address: str
    server_port: int


class AttemptEnded(msgspec.Struct, frozen=True, kw_only=True):
    """One request was answered (``status``) or failed (``error``, a class name)."""

    call: int
    operation: str
    method: str
    route: str
    attempt: int
    """Counted from 1; the replay with a new token after a 401 counts too."""
    status: int | None = None
    error: str | None = None
    seconds: float
    sent_bytes: int = 0
    received_bytes: int = 0
    """Size of the unpacked body."""
    request_id: str | None = None
    date: str | None = None
    """The answer's ``Date`` as received: the server's own time, to the second."""


class RetryPlanned(msgspec.Struct, frozen=True, kw_only=True):
    """The request will be sent again."""

    call: int
    operation: str
    method: str
    route: str
    attempt: int
    """The attempt that failed, counted from 1."""
    wait: float
    """Seconds until the next one."""
    reason: str
    """A status (``503``), ``timeout``, or the failure in a word: ``never sent``, ``interrupted``, ``truncated``."""


class GateClosed(msgspec.Struct, frozen=True, kw_only=True):
    """A 429 closed the gate of the client for ``seconds``: no call is sent before."""

    operation: str
    seconds: float


class RateLearned(msgspec.Struct, frozen=True, kw_only=True):
    """A 429 has told more of the server's rate limit: from here on calls go at ``rate`` requests a second.

    ``client.rate`` says what it is at any moment; between two refusals it grows again.
    """

    operation: str
    rate: float
    burst: float
    """Requests that the server seems to take at once after a pause; 1 where it wants its interval between any two."""


class TokenRequested(msgspec.Struct, frozen=True, kw_only=True):
    """The token endpoint was asked, or the API refused a token (``rejected``)."""

    outcome: Literal["renewed", "failed", "rejected"]
    seconds: float = 0.0
    status: int | None = None
    lifetime: float | None = None
    """Seconds for which the new token is good."""
    members: tuple[str, ...] = ()
    """What the members of the endpoint's answer are called: names alone, and only those that are mere words."""


class CallEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A call has its value, or its error (``error``, a class name). The ``*_seconds`` say where the time went."""

    call: int
    operation: str
    method: str
    route: str
    attempts: int
    status: int | None = None
    error: str | None = None
    seconds: float
    gate_seconds: float = 0.0
    slot_seconds: float = 0.0
    token_seconds: float = 0.0
    pause_seconds: float = 0.0
    received_bytes: int = 0
    request_id: str | None = None


DriftKind = Literal["member", "value", "type", "leniency"]
"""What is not as documented: an unknown member, value or ``$type``, or a leniency that reading needed."""


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """An answer differs from what is documented, and was read all the same. Reported once a client, operation and spot.

    ``kind``: ``member`` (one that no model names), ``value`` (an enum's), ``type`` (a ``$type``), ``leniency`` (null
    where text is due, a number for text, a time without a zone …).
    """

    operation: str = ""
    kind: DriftKind
    path: str
    """Where, with ``[...]`` for any index: ``$.data[...].status``."""
    found: str
    """The unknown name or value, cut at 64 characters; for a leniency what was done, in words."""


class QuarantinedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a page that no reading makes sense of. ``raw`` is its JSON and no part of ``repr``."""

    operation: str = ""
    index: int
    """Its place among the rows of its page, from 0."""
    path: str
    """Where in the row it failed, as msgspec names it: ``$.createdAt``."""
    reason: str
    """What was expected there; never the value."""
    raw: bytes
    cursor: Cursor | None = None
    """Points at this row: a walk from here meets it first."""

    def __repr__(self) -> str:
        return f"QuarantinedRow({self.operation}, index={self.index}, path={self.path!r}, reason={self.reason!r})"


class Hook(Protocol):
    """The full set of methods; a hook needs only those that it wants, and need not inherit from this."""

    def on_call_start(self, record: CallStarted, /) -> Mapping[str, str] | None:
        """Return headers to add to the call's requests, or nothing. `Authorization` cannot be set here."""
        ...

    def on_attempt(self, record: AttemptEnded, /) -> None:
        """Learn that a request was answered or failed."""
        ...

    def on_retry(self, record: RetryPlanned, /) -> None:
        """Learn that a request will be repeated."""
        ...

    def on_gate(self, record: GateClosed, /) -> None:
        """Learn that a 429 holds the client back."""
        ...

    def on_rate(self, record: RateLearned, /) -> None:
        """Learn what rate the server takes."""
        ...

    def on_token(self, record: TokenRequested, /) -> None:
        """Learn how a token request ended."""
        ...

    def on_call(self, record: CallEnded, /) -> None:
        """Learn how a call ended."""
        ...

    def on_drift(self, record: Drift, /) -> None:
        """Learn that an answer differs from the documentation."""
        ...

    def on_quarantine(self, record: QuarantinedRow, /) -> None:
        """Learn that a row could not be read."""
        ...
