"""What an attempt without a value means: as a table of pure functions."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from amili_async._protocol.call_state import AttemptFailure, CallState, SendState
from amili_async._protocol.options import Options
from amili_async._protocol.outcomes import WireError, broken, deadline_error, expired, final_error, refused, unreadable
from amili_async._protocol.requests import Call
from amili_async._protocol.retry import Failure
from amili_async._routes import ROUTES
from amili_async.errors import (
    AmiliError,
    ClientClosedError,
    ConnectError,
    DeadlineExceededError,
    DecodeError,
    NotFoundError,
    OutcomeUnknownError,
    ServerError,
    TokenError,
    TransportError,
)

NOW = 1_700_000_000.0


def run(
    phase: Literal["gate", "slot", "token", "pause", "request"] = "request",
    *,
    status: int | None = None,
    begun: bool | None = None,
    by_deadline: bool = False,
    headers: dict[str, str] | None = None,
) -> CallState:
    """Return a run as it stands when its attempt ends. ``begun``: whether a write's body was handed over."""
    call = Call(
        route=ROUTES["invoices.create"],
        path="/",
        method="POST",
        idempotency_key="k-1",
        recovery_hint="list the batches",
    )
    under_way = CallState(call, Options(), 1, 100.0)
    under_way.phase = phase
    under_way.status = status
    under_way.answer_headers = headers
    under_way.by_deadline = by_deadline
    under_way.sending = None if begun is None else SendState(begun=begun)
    under_way.attempts = 1
    return under_way


def over(under_way: CallState, *, closed: bool = False) -> AttemptFailure:
    return expired(under_way, TimeoutError(), closed=closed, where="api.example:443", instant=130.0, now=NOW)


def broke(under_way: CallState, problem: Exception, *, closed: bool = False) -> AttemptFailure:
    return broken(under_way, problem, closed=closed, now=NOW)


def wire(reason: str = "reset", *, sent: bool = True, hopeless: bool = False) -> WireError:
    return WireError(reason, OSError(104, "reset"), sent=sent, hopeless=hopeless)


def check(outcome: AttemptFailure, failure: Failure, kind: type[AmiliError]) -> None:
    assert outcome.failure is failure
    assert type(outcome.error) is kind


# -- the timer went off


def test_a_timeout_after_the_request_went_out_may_have_taken_effect() -> None:
    check(over(run()), Failure.INTERRUPTED, TransportError)
    check(over(run(begun=True)), Failure.INTERRUPTED, TransportError)
    check(over(run(status=200)), Failure.INTERRUPTED, TransportError)


def test_a_timeout_before_a_writes_body_was_handed_over_means_never_sent() -> None:
    outcome = over(run(begun=False))
    check(outcome, Failure.NEVER_SENT, ConnectError)
    assert outcome.error.message == "no connection to api.example:443 within 30 s"
    assert over(run()).error.message == "sent, but not answered within 30 s by api.example:443"


def test_a_timeout_while_waiting_for_a_token_is_the_tokens() -> None:
    outcome = over(run("token"))
    check(outcome, Failure.NEVER_SENT, TokenError)
    assert outcome.retry_after == 0.0


def test_a_status_that_arrived_counts_though_its_body_did_not() -> None:
    check(over(run(status=503)), Failure.STATUS, ServerError)
    check(over(run(status=404, by_deadline=True)), Failure.STATUS, NotFoundError)


def test_a_deadline_in_flight_is_for_the_rule_to_judge() -> None:
    check(over(run(by_deadline=True)), Failure.DEADLINE, DeadlineExceededError)
    check(over(run(by_deadline=True, begun=True)), Failure.DEADLINE, DeadlineExceededError)


@pytest.mark.parametrize("phase", ["gate", "slot", "token", "pause"])
def test_a_deadline_before_the_request_ends_the_call(phase: Literal["gate", "slot", "token", "pause"]) -> None:
    with pytest.raises(DeadlineExceededError) as caught:
        over(run(phase, by_deadline=True))
    assert caught.value.operation == "invoices.create"
    with pytest.raises(DeadlineExceededError):
        over(run(by_deadline=True, begun=False))


def test_closing_in_flight_is_for_the_rule_to_judge_and_before_it_ends_the_call() -> None:
    check(over(run(status=503), closed=True), Failure.CLOSED, ClientClosedError)
    check(broke(run(), OSError(), closed=True), Failure.CLOSED, ClientClosedError)
    with pytest.raises(ClientClosedError):
        over(run("gate"), closed=True)
    with pytest.raises(ClientClosedError):
        broke(run(begun=False), OSError(), closed=True)


# -- it broke


def test_what_never_left_was_never_sent() -> None:
    outcome = broke(run(), wire("no connection to x:443: refused", sent=False))
    check(outcome, Failure.NEVER_SENT, ConnectError)
    assert outcome.error.message == "no connection to x:443: refused"
    assert isinstance(outcome.error.__cause__, OSError)


def test_what_another_try_would_meet_again_is_unreachable() -> None:
    check(broke(run(), wire(sent=False, hopeless=True)), Failure.UNREACHABLE, ConnectError)


def test_a_break_before_a_writes_body_was_handed_over_means_never_sent() -> None:
    check(broke(run(begun=False), wire()), Failure.NEVER_SENT, ConnectError)
    check(broke(run(begun=True), wire()), Failure.INTERRUPTED, TransportError)


def test_a_break_before_the_status_is_an_interruption_and_within_a_success_a_cut() -> None:
    check(broke(run(), wire()), Failure.INTERRUPTED, TransportError)
    check(broke(run(status=202), wire()), Failure.TRUNCATED, TransportError)


def test_a_break_within_an_error_leaves_the_status() -> None:
    outcome = broke(run(status=503, headers={"Retry-After": "7"}), wire())
    check(outcome, Failure.STATUS, ServerError)
    assert outcome.retry_after == 7.0


def test_a_passing_token_error_is_never_sent_and_a_refusal_ends_the_call() -> None:
    passing = TokenError("down", retry_after=3.0)
    outcome = broke(run("token"), passing)
    assert (outcome.failure, outcome.error, outcome.retry_after) == (Failure.NEVER_SENT, passing, 3.0)
    refusal = TokenError("no")
    with pytest.raises(TokenError) as caught:
        broke(run("token"), refusal, closed=True)
    assert caught.value is refusal
    assert refusal.operation == "invoices.create"


def test_an_answer_that_is_too_large_is_malformed() -> None:
    check(broke(run(status=200), DecodeError("too large")), Failure.MALFORMED, DecodeError)


def test_a_cause_keeps_its_message_and_loses_its_frames() -> None:
    def break_the_pipe() -> None:
        raise OSError("broken pipe")

    def fail() -> None:
        try:
            break_the_pipe()
        except OSError as inner:
            raise ConnectionResetError("reset") from inner

    with pytest.raises(ConnectionResetError) as caught:
        fail()
    assert caught.value.__traceback__ is not None
    cause = broke(run(), caught.value).error.__cause__
    assert isinstance(cause, ConnectionResetError)
    assert cause.__traceback__ is None
    assert isinstance(cause.__cause__, OSError)
    assert cause.__cause__.__traceback__ is None


# -- it was answered


def test_json_that_ends_early_is_a_cut_and_other_nonsense_is_malformed() -> None:
    cut = unreadable(bytearray(b'{"data":'), DecodeError("early", truncated=True))
    check(cut, Failure.TRUNCATED, TransportError)
    assert cut.error.body == b'{"data":'
    assert isinstance(cut.error.__cause__, DecodeError)
    malformed = unreadable(b"x" * 70_000, DecodeError("html"))
    check(malformed, Failure.MALFORMED, DecodeError)
    assert malformed.error.body == b"x" * 65_536


def test_a_body_that_an_error_has_already_stays() -> None:
    assert unreadable(b"whole", DecodeError("x", body=b"part")).error.body == b"part"


def test_a_status_that_is_no_success_is_its_error() -> None:
    outcome = refused(run(status=503, headers={"Retry-After": "7", "X-Request-Id": "r-1"}), b"down", NOW)
    check(outcome, Failure.STATUS, ServerError)
    assert outcome.retry_after == 7.0
    assert (outcome.error.body, outcome.error.request_id) == (b"down", "r-1")


# -- the end


def test_the_end_of_a_call_is_its_error_with_where_it_happened() -> None:
    error = final_error(run(), AttemptFailure(Failure.NEVER_SENT, ConnectError("no connection")), unknown=False)
    assert type(error) is ConnectError
    assert (error.operation, error.method, error.route, error.attempts) == (
        "invoices.create",
        "POST",
        "/orgs/{organization_id}/invoices",
        1,
    )


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (TransportError("reset"), "the request was sent and not answered"),
        (ServerError("500", status=500, body=b"down"), "the request was answered 500"),
    ],
)
def test_an_unknown_outcome_names_key_recovery_hint_and_cause(error: AmiliError, says: str) -> None:
    problem = final_error(run(), AttemptFailure(Failure.STATUS, error), unknown=True)
    assert isinstance(problem, OutcomeUnknownError)
    assert problem.message == (
        f"{says}: it may have taken effect, so it was not repeated; do not send it again before you know, see "
        "recovery_hint"
    )
    assert (problem.idempotency_key, problem.recovery_hint) == ("k-1", "list the batches")
    assert problem.__cause__ is error
    assert (problem.status, problem.body) == (error.status, error.body)
    assert problem.operation == error.operation == "invoices.create"


def test_a_deadline_says_where_the_time_went() -> None:
    under_way = run()
    under_way.waits.update({"gate": 12.0, "token": 3.25})
    error = deadline_error(under_way, 160.0)
    assert error.spent == {"gate": 12.0, "slot": 0.0, "token": 3.25, "pause": 0.0, "request": 44.75}
    assert str(error) == "the deadline of 60 s passed (gate 12 s, token 3.25 s, request 44.75 s)"
    assert "before it began" in str(deadline_error(run(), 100.0))


def test_the_time_spent_is_never_negative() -> None:
    under_way = run()
    under_way.waits["gate"] = 70.0
    spent: dict[str, Any] = under_way.spent(160.0)
    assert spent["request"] == 0.0
