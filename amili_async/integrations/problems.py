"""What a service tells its own callers when Amili failed: an `AmiliError` as an RFC 9457 problem.

One rule decides the status. What Amili says about the data that was passed on stays what it is (400, 404, 409, 422,
423), and so does what this package finds wrong with it before anything is sent (422). What Amili says about this
service's standing (401, 403, 429) or about itself is the service's own trouble (502, 503, 504). What only a programmer
can cure is a 500.

A problem holds fixed sentences, names from the route table, and ids; never what Amili wrote, which may be personal.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from amili_async import errors

if TYPE_CHECKING:
    from amili_async.errors import AmiliError

TYPE_PREFIX = "urn:problem-type:amili-async:"
"""What every problem's ``type`` begins with; the rest is one of the names in `problem_of`'s table."""

CONTENT_TYPE = "application/problem+json"
"""The media type of a problem (RFC 9457)."""

_NAME = re.compile(r"[A-Za-z_][\w.\[\]]*", re.ASCII)

_DEFAULT_RETRY_AFTER = 5.0
"""Seconds asked for where Amili says 429 and not how long: without any, callers come back at once."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem detail: what went wrong, in words that are safe to show anyone."""

    type: str
    title: str
    status: int
    detail: str
    operation: str | None = None
    """The operation's name in the route table, such as ``batches.get``."""
    upstream_status: int | None = None
    """What Amili answered, where it did."""
    request_id: str | None = None
    """Amili's id of the request, for its support."""
    retry_after: int | None = None
    """Whole seconds until asking again makes sense; also the header of that name."""
    idempotency_key: str | None = None
    """The key of the write whose outcome is not known."""
    arguments: tuple[str, ...] = ()
    """The arguments of the call that cannot be right, by their names and never their values."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the answer needs."""
        headers = {"Content-Type": CONTENT_TYPE}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return headers

    def encode(self) -> bytes:
        """Return the answer's body."""
        return msgspec.json.encode(self)


class _Kind(NamedTuple):
    status: int
    name: str
    title: str
    detail: str


_UNAVAILABLE = _Kind(503, "unavailable", "Amili is not available", "Amili cannot answer at present. Try again later.")
_TIMEOUT = _Kind(504, "timeout", "Amili took too long", "No answer came in time.")
_CREDENTIALS = _Kind(
    502, "credentials-refused", "Amili refused this service", "The credentials of this service were refused by Amili."
)
_MISCONFIGURED = _Kind(
    500, "misconfigured", "This service is at fault", "This service used Amili's API in a wrong way."
)

_KINDS: dict[type[AmiliError], _Kind] = {
    errors.AmiliError: _Kind(500, "failed", "The request failed", "This service failed at using Amili."),
    errors.ConfigurationError: _MISCONFIGURED,
    errors.InvalidArgumentError: _Kind(
        422, "invalid-argument", "The request cannot be right", "What was asked for cannot be right; nothing was sent."
    ),
    errors.WrongLoopError: _MISCONFIGURED,
    errors.StoreError: _Kind(500, "store-failed", "The store failed", "The database of this service cannot be used."),
    errors.ReconciliationError: _Kind(
        500, "reconciliation-failed", "The store was left as it is", "Too many rows would have been marked as gone."
    ),
    errors.ClusterError: _Kind(
        500, "cluster-failed", "The cluster failed", "This service's Dask cluster cannot be used."
    ),
    errors.TokenError: _CREDENTIALS,
    errors.ConnectError: _Kind(
        502, "unreachable", "Amili was not reached", "No connection to Amili came about; nothing was sent."
    ),
    errors.TransportError: _Kind(
        502, "interrupted", "Amili's answer was lost", "The connection to Amili broke off before its answer was read."
    ),
    errors.DeadlineExceededError: _TIMEOUT,
    errors.OutcomeUnknownError: _Kind(
        502,
        "outcome-unknown",
        "The outcome is unknown",
        "The request may or may not have taken effect. Find out before sending it again.",
    ),
    errors.BadRequestError: _Kind(400, "bad-request", "Amili refused the request", "The request is malformed."),
    errors.UnauthorizedError: _CREDENTIALS,
    errors.ForbiddenError: _Kind(
        502, "access-refused", "Amili refused this service", "This service has no access to what was asked for."
    ),
    errors.NotFoundError: _Kind(404, "not-found", "Not found", "Amili knows no such thing."),
    errors.ConflictError: _Kind(409, "conflict", "Conflict", "The request contradicts what Amili has already."),
    errors.UnprocessableError: _Kind(
        422, "unprocessable", "Amili refused the request", "The request was understood and refused for what it says."
    ),
    errors.LockedError: _Kind(423, "locked", "Locked", "Amili is working on it. Try again later."),
    errors.RateLimitedError: _Kind(
        503, "rate-limited", "Too many requests", "Amili limits how often this service may ask. Try again later."
    ),
    errors.ServerError: _Kind(502, "upstream-failed", "Amili failed", "Amili failed to answer the request."),
    errors.APIError: _Kind(502, "unexpected-status", "Unexpected answer", "Amili's answer has an unexpected status."),
    errors.DecodeError: _Kind(502, "unreadable", "Unreadable answer", "Amili's answer cannot be read."),
    errors.PaginationLoopError: _Kind(502, "endless-list", "Endless list", "Amili's list would never end."),
    errors.ClientClosedError: _Kind(503, "closing", "Shutting down", "This service is shutting down. Try again later."),
    errors.WebhookVerificationError: _Kind(401, "unverified", "Unauthorized", "The signature does not verify."),
}


def problem_of(error: AmiliError, *, type_prefix: str = TYPE_PREFIX) -> Problem:
    """Return what to answer a caller with.

    ==========================  ======  ================================================================
    error                       status  ``type`` after the prefix
    ==========================  ======  ================================================================
    ConfigurationError          500     misconfigured
    InvalidArgumentError        422     invalid-argument
    WrongLoopError              500     misconfigured
    StoreError                  500     store-failed
    ReconciliationError         500     reconciliation-failed
    ClusterError                500     cluster-failed
    TokenError                  502     credentials-refused; 503 unavailable where it may pass
    ConnectError                502     unreachable
    TransportError              502     interrupted
    DeadlineExceededError       504     timeout
    OutcomeUnknownError         502     outcome-unknown, with ``idempotency_key``
    BadRequestError             400     bad-request
    UnauthorizedError           502     credentials-refused
    ForbiddenError              502     access-refused
    NotFoundError               404     not-found
    ConflictError               409     conflict
    UnprocessableError          422     unprocessable
    LockedError                 423     locked
    RateLimitedError            503     rate-limited, always with ``retry_after``
    ServerError                 502     upstream-failed; 503 unavailable and 504 timeout for the same status
    APIError                    502     unexpected-status
    DecodeError                 502     unreadable
    PaginationLoopError         502     endless-list
    ClientClosedError           503     closing
    WebhookVerificationError    401     unverified
    AmiliError                  500     failed
    ==========================  ======  ================================================================
    """
    kind = _kind(error)
    return Problem(
        type=f"{type_prefix}{kind.name}",
        title=kind.title,
        status=kind.status,
        detail=kind.detail,
        operation=error.operation,
        upstream_status=error.status,
        request_id=error.request_id,
        retry_after=_retry_after(error),
        idempotency_key=error.idempotency_key if isinstance(error, errors.OutcomeUnknownError) else None,
        arguments=_arguments(error),
    )


def _kind(error: AmiliError) -> _Kind:
    if isinstance(error, errors.TokenError) and error.retry_after is not None:
        return _UNAVAILABLE
    if isinstance(error, errors.ServerError) and error.status in {503, 504}:
        return _UNAVAILABLE if error.status == 503 else _TIMEOUT  # noqa: PLR2004  # an HTTP status
    return next(_KINDS[ancestor] for ancestor in type(error).__mro__ if ancestor in _KINDS)


def _arguments(error: AmiliError) -> tuple[str, ...]:
    if not isinstance(error, errors.InvalidArgumentError):
        return ()
    return tuple(dict.fromkeys(found[0] for problem in error.problems if (found := _NAME.match(problem))))


def _retry_after(error: AmiliError) -> int | None:
    if not isinstance(error, errors.TokenError | errors.RateLimitedError | errors.ServerError):
        return None
    seconds = error.retry_after
    if seconds is None and isinstance(error, errors.RateLimitedError):
        seconds = _DEFAULT_RETRY_AFTER
    return None if seconds is None else max(1, math.ceil(seconds))
