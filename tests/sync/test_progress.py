"""How far a sync is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from amili_async._clock import SystemClock
from amili_async.events import AttemptEnded, GateClosed, RetryPlanned
from amili_async.sync._progress import RECENTLY, WINDOW, Account, ProgressTracker
from amili_async.sync._report import Counts


class StandingClock(SystemClock):
    """A clock that moves when it is told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


def tracked(total: int | None = None) -> tuple[ProgressTracker, StandingClock]:
    clock = StandingClock()
    return ProgressTracker(("batches", "cases"), total, clock), clock


ATTEMPT = AttemptEnded(call=1, operation="batches.list", method="GET", route="/", attempt=1, seconds=0.1)
RETRY = RetryPlanned(call=1, operation="batches.list", method="GET", route="/", attempt=1, wait=1, reason="503")


def gate(seconds: float) -> GateClosed:
    return GateClosed(operation="batches.list", seconds=seconds)


def test_rows_are_those_of_all_resources_and_counted_apart() -> None:
    tracker, _ = tracked()
    tracker.counters["batches"].rows += 3
    tracker.counters["batches"].new += 2
    tracker.counters["cases"].rows += 1
    tracker.counters["cases"].changed += 1

    progress = tracker.progress()
    assert (progress.rows, progress.new, progress.changed) == (4, 2, 1)
    assert tracker.counts() == {"batches": Counts(rows=3, new=2), "cases": Counts(rows=1, changed=1)}


def test_requests_and_retries_are_counted_as_they_happen() -> None:
    tracker, _ = tracked()
    tracker.on_attempt(ATTEMPT)
    tracker.on_attempt(ATTEMPT)
    tracker.on_retry(RETRY)

    progress = tracker.progress()
    assert (progress.requests, progress.retries) == (2, 1)


def test_waiting_is_told_until_the_gate_opens() -> None:
    tracker, clock = tracked()
    tracker.on_gate(gate(30))
    assert tracker.progress().waiting == 30

    clock.now += 10
    assert tracker.progress().waiting == 20

    clock.now += 25
    assert tracker.progress().waiting == 0


def test_many_who_are_told_to_wait_at_once_wait_together() -> None:
    tracker, clock = tracked()
    tracker.on_gate(gate(30))
    tracker.on_gate(gate(30))
    tracker.on_gate(gate(10))
    assert tracker.waited == 30

    clock.now += 20
    tracker.on_gate(gate(30))
    assert tracker.waited == 50


def test_the_speed_is_that_of_the_last_seconds() -> None:
    tracker, clock = tracked()
    assert tracker.progress().rows_per_second == 0

    clock.now += 1
    tracker.counters["batches"].rows = 100
    assert tracker.progress().rows_per_second == 100

    clock.now += WINDOW
    tracker.counters["batches"].rows = 200
    assert tracker.progress().rows_per_second == 100 / WINDOW


def test_requests_per_second_are_those_of_the_last_seconds_too() -> None:
    tracker, clock = tracked()
    tracker.progress()
    clock.now += 2
    for _ in range(10):
        tracker.on_attempt(ATTEMPT)

    assert tracker.progress().requests_per_second == 5


def test_a_run_is_limited_for_a_while_after_the_server_held_it_back() -> None:
    tracker, clock = tracked()
    assert not tracker.progress().limited
    tracker.on_gate(gate(3))
    clock.now += 3 + RECENTLY - 1
    assert tracker.progress().limited
    clock.now += 1
    assert not tracker.progress().limited


def attempt(status: int | None, date: str | None = None) -> AttemptEnded:
    return replace(ATTEMPT, status=status, date=date)


def test_the_server_s_time_is_known_from_what_it_says_when_it_answers() -> None:
    clock = StandingClock()
    account = Account(clock)
    account.on_attempt(attempt(502, "Thu, 01 Jan 1970 00:00:00 GMT"))
    account.on_attempt(attempt(None))
    assert account.server_time(clock.now) is None

    account.on_attempt(attempt(200, "Wed, 01 Jan 2025 12:00:00 GMT"))
    assert account.server_time(clock.now) == datetime(2025, 1, 1, 12, tzinfo=UTC)
    assert account.server_time(clock.now - 60) == datetime(2025, 1, 1, 11, 59, tzinfo=UTC)


@pytest.mark.parametrize("date", [None, "", "yesterday", "Wed, 99 Jan 2025 12:00:00 GMT"])
def test_a_server_that_says_no_time_leaves_it_open(date: str | None) -> None:
    account = Account(StandingClock())
    account.on_attempt(attempt(200, date))

    assert account.server_time(0) is None


def test_of_servers_that_disagree_on_the_time_the_one_behind_counts() -> None:
    account = Account(StandingClock())
    for minute in ("00", "07", "03"):
        account.on_attempt(attempt(200, f"Wed, 01 Jan 2025 12:{minute}:00 GMT"))

    assert account.server_time(100) == datetime(2025, 1, 1, 12, tzinfo=UTC)


def test_an_answer_is_whatever_says_that_the_token_was_taken() -> None:
    for status, answered in ((200, True), (403, True), (401, False), (429, False), (500, False)):
        account = Account(StandingClock())
        account.on_attempt(attempt(status))
        assert (account.answered_at is not None) is answered


def test_a_client_is_limited_until_some_time_after_its_gate_opened() -> None:
    clock = StandingClock()
    account = Account(clock)
    seen = [account.limited]
    account.on_gate(gate(30))
    for seconds in (29 + RECENTLY, 1):
        clock.now += seconds
        seen.append(account.limited)

    assert seen == [False, True, False]


def test_the_time_left_is_guessed_from_the_organizations_done() -> None:
    tracker, clock = tracked(total=10)
    assert tracker.progress().seconds_left is None

    clock.now += 6
    tracker.done = 4
    progress = tracker.progress()
    assert progress.seconds == 6
    assert progress.seconds_left == 9


def test_nothing_is_guessed_while_the_number_of_organizations_is_not_known() -> None:
    tracker, clock = tracked()
    clock.now += 6
    tracker.done = 4

    assert tracker.progress().seconds_left is None
    assert tracker.progress().organizations_total is None
