"""Waits, limits and the budget. Which failure is repeated at all is in test_retry_rule."""

from __future__ import annotations

import math
import re
import time
from datetime import UTC, datetime
from email.utils import format_datetime, formatdate
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async._protocol.retry import (
    Action,
    Budget,
    Decision,
    Failure,
    RetryPolicy,
    backoff_delays,
    decide,
    parse_retry_after,
    read_date,
    read_retry_after,
)
from amili_async.errors import ConfigurationError

seconds = st.floats(min_value=0, max_value=1_000)


def decision(  # what `decide` takes, with a repeatable first attempt as the default
    failure: Failure = Failure.STATUS,
    *,
    status: int | None = 503,
    repeatable: bool = True,
    retry_after: float | None = None,
    attempt: int = 1,
    policy: RetryPolicy = RetryPolicy(),  # noqa: B008  # frozen
    pause: float = 0.5,
    remaining: float | None = 60.0,
    budget: bool = True,
    paced: bool = False,
    stalled: bool = False,
) -> Decision:
    return decide(
        failure,
        status=status,
        repeatable=repeatable,
        retry_after=retry_after,
        attempt=attempt,
        replayed=False,
        policy=policy,
        pause=pause,
        remaining=remaining,
        budget=budget,
        paced=paced,
        stalled=stalled,
    )


# -- limits


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attempts", 0),
        ("attempts", -1),
        ("max_wait", -0.1),
        ("max_wait", math.inf),
        ("max_wait", math.nan),
        ("max_retry_after", -1.0),
        ("max_retry_after", math.nan),
    ],
)
def test_a_policy_that_cannot_be_right_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} is "):
        RetryPolicy(**{name: value})


def test_a_policy_of_one_attempt_and_no_waits_is_allowed() -> None:
    RetryPolicy(attempts=1, max_wait=0.0, max_retry_after=0.0)


def test_a_policy_of_one_attempt_repeats_nothing() -> None:
    assert decision(policy=RetryPolicy(attempts=1)) == Decision(Action.RAISE)


def test_the_last_attempt_is_not_repeated() -> None:
    policy = RetryPolicy(attempts=5)
    assert decision(policy=policy, attempt=4).action is Action.REPEAT
    assert decision(policy=policy, attempt=5).action is Action.RAISE


# -- waits


def test_without_a_retry_after_the_wait_is_our_own() -> None:
    assert decision(pause=1.25) == Decision(Action.REPEAT, 1.25, charged=True)


@given(told=st.floats(min_value=0, max_value=120), pause=seconds, remaining=st.none() | seconds)
def test_a_repeat_is_never_earlier_than_told_and_never_after_the_deadline(
    told: float, pause: float, remaining: float | None
) -> None:
    decided = decision(retry_after=told, pause=pause, remaining=remaining)
    if decided.action is Action.REPEAT:
        assert told <= decided.wait <= told + pause
        assert remaining is None or decided.wait < remaining
    else:
        assert remaining is not None
        assert told >= remaining


@given(pause=seconds, remaining=seconds)
def test_no_wait_of_our_own_begins_that_cannot_end_in_time(pause: float, remaining: float) -> None:
    decided = decision(pause=pause, remaining=remaining)
    assert (decided.action is Action.REPEAT) == (pause < remaining)


def test_jitter_that_would_not_fit_in_the_time_left_is_left_out() -> None:
    assert decision(retry_after=9.0, pause=2.0, remaining=10.0).wait == 9.0
    assert decision(retry_after=9.0, pause=0.5, remaining=10.0).wait == 9.5


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("repeatable", [True, False])
def test_a_retry_after_past_the_limit_ends_the_call_at_once_with_its_class(status: int, repeatable: bool) -> None:  # noqa: FBT001  # a parameter of the table
    policy = RetryPolicy(max_retry_after=120.0, repeat_503_writes=True)
    for told, action in ((120.0, Action.REPEAT), (120.1, Action.RAISE), (1e9, Action.RAISE)):
        decided = decision(status=status, repeatable=repeatable, retry_after=told, policy=policy, remaining=None)
        assert decided.action is action


@pytest.mark.parametrize("status", [None, 503])
def test_a_token_endpoint_that_rests_is_waited_for(status: int | None) -> None:
    decided = decision(Failure.NEVER_SENT, status=status, repeatable=False, retry_after=3.0, budget=False)
    assert decided == Decision(Action.REPEAT, 3.5, charged=False)


def test_own_waits_grow_from_one_second_to_the_cap() -> None:
    bounds = backoff_delays(RetryPolicy(max_wait=20.0), jitter=lambda bound: bound)
    assert list(islice(bounds, 7)) == [1, 2, 4, 8, 16, 20, 20]


def test_own_waits_have_full_jitter() -> None:
    drawn = [next(islice(backoff_delays(RetryPolicy()), 4, None)) for _ in range(300)]
    assert all(0 <= wait <= 16 for wait in drawn)
    assert min(drawn) < 4
    assert max(drawn) > 12


# -- Retry-After

NOW = datetime(1994, 11, 6, 8, 49, 30, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("7.", 7.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 7.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 7.0),
        ("Sun Nov  6 08:49:37 1994", 7.0),
        ("Sun, 06 Nov 1994 08:49:37 -0000", 7.0),
        ("Sun, 06 Nov 1994 09:49:37 +0100", 7.0),
        ("Sun, 06 Nov 1994 08:49:29 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("9" * 5_000, 1e9),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 1e9),
    ],
)
def test_a_retry_after_is_read(value: str, told: float) -> None:
    assert read_retry_after(value, NOW) == told


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "-1",
        "+1",
        "1e3",
        "inf",
        "nan",
        "0x10",
        "\u0667",  # a digit, of another script
        "soon",
        "7 seconds",
        ".5",
        "Sun, 99 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +9999",
        "\x00",
        ", , ,",
    ],
)
def test_nonsense_says_nothing(value: str | None) -> None:
    assert read_retry_after(value, NOW) is None


def test_a_date_without_a_zone_is_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        told = read_retry_after("Sun Nov  6 08:49:37 1994", NOW)
    time.tzset()
    assert told == 7.0


def test_a_date_is_measured_from_the_answers_own_date_and_from_ours_where_it_has_none() -> None:
    told = {"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": "Sun, 06 Nov 1994 08:49:17 GMT"}
    assert parse_retry_after(told, NOW) == 20.0
    assert parse_retry_after({**told, "Date": "nonsense"}, NOW) == 7.0
    assert parse_retry_after({"Retry-After": told["Retry-After"]}, NOW) == 7.0
    assert parse_retry_after({"Retry-After": "3", "Date": told["Date"]}, NOW) == 3.0
    assert parse_retry_after({}, NOW) is None


@given(st.text())
def test_no_text_breaks_the_reading(value: str) -> None:
    told = read_retry_after(value, NOW)
    assert told is None or 0 <= told <= 1e9


@given(st.integers(min_value=0, max_value=4_000_000_000))
def test_dates_are_read_as_they_are_written(moment: int) -> None:
    assert read_date(formatdate(moment, usegmt=True)) == moment
    assert read_date(format_datetime(datetime.fromtimestamp(moment, UTC))) == moment


# -- budget


def test_a_budget_starts_full_and_runs_dry() -> None:
    budget = Budget(capacity=3)
    assert [budget.withdraw() for _ in range(5)] == [True, True, True, False, False]
    assert not budget.available


def test_five_calls_earn_one_retry() -> None:
    budget = Budget(capacity=1)
    assert budget.withdraw()
    for _ in range(4):
        budget.deposit()
        assert not budget.available
    budget.deposit()
    assert budget.available


@given(st.integers(min_value=0, max_value=20), st.lists(st.booleans(), max_size=400))
def test_retries_never_exceed_the_capacity_and_a_fifth_of_the_calls(capacity: int, events: list[bool]) -> None:
    budget = Budget(capacity)
    calls = retries = 0
    for is_call in events:
        if is_call:
            budget.deposit()
            calls += 1
        else:
            available = budget.available
            taken = budget.withdraw()
            assert taken == available
            retries += taken
        assert retries <= capacity + calls / 5


def test_a_bucket_never_holds_more_than_its_capacity() -> None:
    budget = Budget(capacity=2)
    for _ in range(1_000):
        budget.deposit()
    assert [budget.withdraw() for _ in range(3)] == [True, True, False]


def test_without_budget_a_charged_repeat_does_not_happen() -> None:
    assert decision(status=500, budget=False) == Decision(Action.RAISE)
    willing = RetryPolicy(repeat_503_writes=True)
    told = decision(status=503, retry_after=1.0, repeatable=False, budget=False, policy=willing)
    assert told == Decision(Action.RAISE)


@pytest.mark.parametrize(("retry_after", "wait"), [(1.0, 1.5), (None, 0.5)])
def test_a_429_needs_no_budget(retry_after: float | None, wait: float) -> None:
    assert decision(status=429, retry_after=retry_after, budget=False) == Decision(Action.REPEAT, wait, counted=False)


@pytest.mark.parametrize(("retry_after", "wait"), [(1.0, 1.0), (None, 0.0)])
def test_a_429_waits_no_longer_than_it_was_told_where_a_pace_spaces_the_calls(
    retry_after: float | None, wait: float
) -> None:
    assert decision(status=429, retry_after=retry_after, paced=True).wait == wait


@pytest.mark.parametrize("repeatable", [True, False])
def test_a_429_is_bounded_by_the_deadline_and_by_attempts_where_there_is_none(*, repeatable: bool) -> None:
    for attempt in (1, 3, 1_000):
        assert decision(status=429, attempt=attempt, repeatable=repeatable).action is Action.REPEAT
        unbounded = decision(status=429, attempt=attempt, repeatable=repeatable, remaining=None)
        assert unbounded == (Decision(Action.REPEAT, 0.5) if attempt < 3 else Decision(Action.RAISE))
    assert decision(status=429, remaining=0.4, repeatable=repeatable).action is Action.RAISE
    assert decision(status=429, retry_after=61.0, repeatable=repeatable).action is Action.RAISE


@pytest.mark.parametrize("remaining", [None, 60.0])
def test_one_attempt_means_one_whatever_it_met(remaining: float | None) -> None:
    policy = RetryPolicy(attempts=1)
    for status in (429, 500, 425):
        assert decision(status=status, policy=policy, remaining=remaining).action is Action.RAISE


# -- an event loop that was blocked


@pytest.mark.parametrize("failure", [Failure.INTERRUPTED, Failure.NEVER_SENT])
def test_a_timeout_while_nobody_looked_is_repeated_at_once_and_costs_nothing(failure: Failure) -> None:
    free = Decision(Action.REPEAT, counted=False)
    for attempt in (1, 3, 9):
        assert decision(failure, status=None, stalled=True, attempt=attempt, budget=False) == free
    assert decision(failure, status=None, stalled=True, policy=RetryPolicy(attempts=1)) == free


def test_a_write_that_may_have_been_sent_is_not_repeated_though_nobody_looked() -> None:
    decided = decision(Failure.INTERRUPTED, status=None, stalled=True, repeatable=False)
    assert decided.action is Action.OUTCOME_UNKNOWN


def test_an_answer_counts_whether_anybody_looked_in_time_or_not() -> None:
    assert decision(status=500, stalled=True, attempt=3).action is Action.RAISE


def test_an_outage_with_a_retry_after_is_charged_like_any_other() -> None:
    assert decision(status=503, retry_after=1.0) == Decision(Action.REPEAT, 1.5, charged=True)


def test_what_is_not_repeated_is_never_charged() -> None:
    for status in (401, 404, 501):
        assert not re.search("REPEAT", str(decision(status=status).action))
        assert not decision(status=status).charged
