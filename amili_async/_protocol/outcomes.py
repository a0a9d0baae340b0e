"""What an attempt without a value means: pure functions from what is known of it to a failure and an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async._protocol import requests as protocol
from amili_async._protocol.call_state import AttemptFailure
from amili_async._protocol.quota import read_quota
from amili_async._protocol.retry import Failure, parse_retry_after
from amili_async.errors import (
    MAX_BODY,
    AmiliError,
    ClientClosedError,
    ConnectError,
    DeadlineExceededError,
    DecodeError,
    OutcomeUnknownError,
    TokenError,
    TransportError,
    without_frames,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amili_async._protocol.call_state import CallState
    from amili_async._protocol.requests import Body

SUCCESS = range(200, 300)

_CUT_SHORT = "a success whose body was cut short"


class WireError(Exception):
    """What went wrong below HTTP: in words, and without anything of the library that met it.

    ``sent`` is whether the request may have reached the server, ``hopeless`` whether another try would meet the same.
    """

    def __init__(self, reason: str, cause: Exception, *, sent: bool, hopeless: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cause = cause
        self.sent = sent
        self.hopeless = hopeless


def refused(state: CallState, body: Body, now: float) -> AttemptFailure:
    """Return the failure that an answer without success is. ``now`` is our Unix time."""
    headers = state.answer_headers or {}
    retry_after = told_to_wait(headers, now) if state.status == 429 else parse_retry_after(headers, now)  # noqa: PLR2004  # a status reads best as its number
    error = protocol.error_for(state.status or 0, headers, body, retry_after=retry_after)
    return AttemptFailure(Failure.STATUS, error, retry_after)


def told_to_wait(headers: Mapping[str, str], now: float) -> float | None:
    """Return how many seconds a 429 asks to wait; ``None`` where it does not say.

    "At once", or a date that has passed, is no answer to calls that come too fast.
    """
    asked = parse_retry_after(headers, now)
    if asked is None and (told := read_quota(headers, now)) is not None and told.remaining < 1:
        return told.seconds
    return asked or None


def unreadable(body: Body, error: DecodeError) -> AttemptFailure:
    """Return the failure that a success is whose body could not be read."""
    error.body = error.body or bytes(body[:MAX_BODY])
    if error.truncated and body is not protocol.NO_CONTENT:
        return AttemptFailure(Failure.TRUNCATED, _caused(TransportError(_CUT_SHORT, body=error.body), error))
    return AttemptFailure(Failure.MALFORMED, error)


def expired(
    state: CallState, problem: Exception, *, closed: bool, where: str, instant: float, now: float
) -> AttemptFailure:
    """Return what it means that an attempt's timer went off: the client closed, the deadline passed, or a timeout.

    ``where`` is the server's host and port.

    Raises:
        AmiliError: the call is over and never went out, so there is nothing to decide.
    """
    if closed:
        return _unless_unsent(state, Failure.CLOSED, closed_error())
    if state.status is not None and state.status not in SUCCESS:
        # The status arrived, but not the whole body: the status is what counts.
        return refused(state, b"", now)
    if state.by_deadline and state.limited is not None and not state.maybe_sent():
        raise state.locate(state.limited)
    if state.by_deadline:
        return _unless_unsent(state, Failure.DEADLINE, deadline_error(state, instant))
    within = f"within {state.options.timeout.total:g} s"
    if state.maybe_sent():
        error = TransportError(f"sent, but not answered {within} by {where}")
        return AttemptFailure(Failure.INTERRUPTED, _caused(error, problem), timed_out=True)
    if state.phase == "token":
        return AttemptFailure(
            Failure.NEVER_SENT, _caused(TokenError(f"no token {within}", retry_after=0.0), problem), 0.0
        )
    return AttemptFailure(Failure.NEVER_SENT, _caused(ConnectError(f"no connection to {where} {within}"), problem))


def broken(state: CallState, problem: Exception, *, closed: bool, now: float) -> AttemptFailure:
    """Return what a failure below HTTP means: never sent, sent and not answered, or cut short.

    Raises:
        AmiliError: the call is over and never went out, so there is nothing to decide.
    """
    if isinstance(problem, TokenError):
        if problem.retry_after is None:
            raise state.locate(problem)
        return AttemptFailure(Failure.NEVER_SENT, problem, problem.retry_after)
    if isinstance(problem, DecodeError):
        return AttemptFailure(Failure.MALFORMED, problem)
    if closed:
        return _unless_unsent(state, Failure.CLOSED, closed_error())
    wire = problem if isinstance(problem, WireError) else WireError(type(problem).__name__, problem, sent=True)
    if not wire.sent or not state.maybe_sent():
        failure = Failure.UNREACHABLE if wire.hopeless else Failure.NEVER_SENT
        return AttemptFailure(failure, _caused(ConnectError(wire.reason), wire.cause))
    if state.status is None:
        error = TransportError(f"sent, but not answered: {wire.reason}")
        return AttemptFailure(Failure.INTERRUPTED, _caused(error, wire.cause))
    if state.status in SUCCESS:
        return AttemptFailure(Failure.TRUNCATED, _caused(TransportError(_CUT_SHORT), wire.cause))
    return refused(state, b"", now)


def final_error(state: CallState, outcome: AttemptFailure, *, unknown: bool) -> AmiliError:
    """Return what a call raises in the end: its failure's own error, or that the outcome of a write is unknown."""
    error = state.locate(outcome.error)
    if not unknown:
        return error
    call = state.call
    happened = f"was answered {error.status}" if error.status is not None else "was sent and not answered"
    problem = OutcomeUnknownError(
        f"the request {happened}: it may have taken effect, so it was not repeated; do not send it again before you "
        "know, see recovery_hint",
        idempotency_key=call.idempotency_key,
        recovery_hint=call.recovery_hint,
        status=error.status,
        body=error.body,
    )
    return state.locate(_caused(problem, error))


def deadline_error(state: CallState, instant: float) -> DeadlineExceededError:
    """Return the error of a call whose deadline passed, with where its time went."""
    spent = state.spent(instant)
    where = ", ".join(f"{phase} {seconds:g} s" for phase, seconds in spent.items() if seconds) or "before it began"
    return DeadlineExceededError(f"the deadline of {state.options.deadline:g} s passed ({where})", spent=spent)


def closed_error() -> ClientClosedError:
    """Return the error of a call that was under way when its client was closed."""
    return ClientClosedError("the client was closed while this call ran")


def _unless_unsent(state: CallState, failure: Failure, error: AmiliError) -> AttemptFailure:
    if not state.maybe_sent():
        raise state.locate(error)
    return AttemptFailure(failure, error)


def _caused(error: AmiliError, cause: Exception) -> AmiliError:
    error.__cause__ = without_frames(cause)
    return error
