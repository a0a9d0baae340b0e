"""What an attempt without a value means: pure functions from what is known of it to a failure and an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async._protocol import requests as protocol
from amili_async._protocol.call_state import Failed
from amili_async._protocol.retry import Failure, told_wait
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
    from amili_async._protocol.call_state import Run
    from amili_async._protocol.requests import Body

SUCCESS = range(200, 300)

_CUT_SHORT = "a success whose body was cut short"


def refused(run: Run, body: Body, now: float) -> Failed:
    """Return the failure that an answer without success is. ``now`` is our Unix time."""
    headers = run.answer_headers or {}
    retry_after = told_wait(headers, now)
    error = protocol.error_for(run.status or 0, headers, body, retry_after=retry_after)
    return Failed(Failure.STATUS, error, retry_after)


def unreadable(body: Body, error: DecodeError) -> Failed:
    """Return the failure that a success is whose body could not be read."""
    error.body = error.body or bytes(body[:MAX_BODY])
    if error.truncated:
        return Failed(Failure.TRUNCATED, _caused(TransportError(_CUT_SHORT, body=error.body), error))
    return Failed(Failure.MALFORMED, error)


def expired(run: Run, problem: Exception, *, closed: bool, instant: float, now: float) -> Failed:
    """Return what it means that an attempt's timer went off: the client closed, the deadline passed, or a timeout.

    Raises:
        AmiliError: the call is over and never went out, so there is nothing to decide.
    """
    if closed:
        return _unless_unsent(run, Failure.CLOSED, closed_error())
    if run.status is not None and run.status not in SUCCESS:
        # The status arrived, but not the whole body: the status is what counts.
        return refused(run, b"", now)
    if run.by_deadline:
        return _unless_unsent(run, Failure.DEADLINE, deadline_error(run, instant))
    within = f"within {run.options.timeout.total:g} s"
    if run.maybe_sent():
        return Failed(Failure.INTERRUPTED, _caused(TransportError(f"sent, but not answered {within}"), problem))
    if run.phase == "token":
        return Failed(Failure.NEVER_SENT, _caused(TokenError(f"no token {within}", retry_after=0.0), problem), 0.0)
    return Failed(Failure.NEVER_SENT, _caused(ConnectError(f"no connection {within}"), problem))


def broken(run: Run, problem: Exception, *, closed: bool, never_sent: bool, now: float) -> Failed:
    """Return what a failure below HTTP means: never sent, sent and not answered, or cut short.

    Raises:
        AmiliError: the call is over and never went out, so there is nothing to decide.
    """
    if isinstance(problem, TokenError):
        if problem.retry_after is None:
            raise run.locate(problem)
        return Failed(Failure.NEVER_SENT, problem, problem.retry_after)
    if isinstance(problem, DecodeError):
        return Failed(Failure.MALFORMED, problem)
    if closed:
        return _unless_unsent(run, Failure.CLOSED, closed_error())
    kind = type(problem).__name__
    if never_sent:
        return Failed(Failure.NEVER_SENT, _caused(ConnectError(f"no connection ({kind})"), problem))
    if run.status is None:
        return Failed(Failure.INTERRUPTED, _caused(TransportError(f"sent, but not answered ({kind})"), problem))
    if run.status in SUCCESS:
        return Failed(Failure.TRUNCATED, _caused(TransportError(_CUT_SHORT), problem))
    return refused(run, b"", now)


def final_error(run: Run, outcome: Failed, *, unknown: bool) -> AmiliError:
    """Return what a call raises in the end: its failure's own error, or that the outcome of a write is unknown."""
    error = run.locate(outcome.error)
    if not unknown:
        return error
    call = run.call
    happened = f"was answered {error.status}" if error.status is not None else "was sent and not answered"
    problem = OutcomeUnknownError(
        f"the request {happened}: it may have taken effect, so it was not repeated",
        idempotency_key=call.idempotency_key,
        recipe=call.recipe,
        status=error.status,
        body=error.body,
    )
    return run.locate(_caused(problem, error))


def deadline_error(run: Run, instant: float) -> DeadlineExceededError:
    """Return the error of a call whose deadline passed, with where its time went."""
    spent = run.spent(instant)
    where = ", ".join(f"{phase} {seconds:g} s" for phase, seconds in spent.items() if seconds) or "before it began"
    return DeadlineExceededError(f"the deadline of {run.options.deadline:g} s passed ({where})", spent=spent)


def closed_error() -> ClientClosedError:
    """Return the error of a call that was under way when its client was closed."""
    return ClientClosedError("the client was closed while this call ran")


def _unless_unsent(run: Run, failure: Failure, error: AmiliError) -> Failed:
    if not run.maybe_sent():
        raise run.locate(error)
    return Failed(failure, error)


def _caused(error: AmiliError, cause: Exception) -> AmiliError:
    error.__cause__ = without_frames(cause)
    return error
