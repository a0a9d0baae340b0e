"""How far a sync is."""

from __future__ import annotations

from amili_async._clock import SystemClock
from amili_async.events import AttemptEnded, GateClosed, RetryPlanned
from amili_async.sync._progress import WINDOW, ProgressTracker
from amili_async.sync._report import Counts


class StandingClock(SystemClock):
    """A clock that moves when it is told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


def metered(total: int | None = None) -> tuple[ProgressTracker, StandingClock]:
    clock = StandingClock()
    return ProgressTracker(("batches", "cases"), total, clock), clock


ATTEMPT = AttemptEnded(call=1, operation="batches.list", method="GET", route="/", attempt=1, seconds=0.1)
RETRY = RetryPlanned(call=1, operation="batches.list", method="GET", route="/", attempt=1, wait=1, reason="503")


def gate(seconds: float) -> GateClosed:
    return GateClosed(operation="batches.list", seconds=seconds)


def test_rows_are_those_of_all_resources_and_counted_apart() -> None:
    meter, _ = metered()
    meter.tallies["batches"].rows += 3
    meter.tallies["batches"].new += 2
    meter.tallies["cases"].rows += 1
    meter.tallies["cases"].changed += 1

    progress = meter.progress()
    assert (progress.rows, progress.new, progress.changed) == (4, 2, 1)
    assert meter.counts() == {"batches": Counts(rows=3, new=2), "cases": Counts(rows=1, changed=1)}


def test_requests_and_retries_are_counted_as_they_happen() -> None:
    meter, _ = metered()
    meter.on_attempt(ATTEMPT)
    meter.on_attempt(ATTEMPT)
    meter.on_retry(RETRY)

    progress = meter.progress()
    assert (progress.requests, progress.retries) == (2, 1)


def test_waiting_is_told_until_the_gate_opens() -> None:
    meter, clock = metered()
    meter.on_gate(gate(30))
    assert meter.progress().waiting == 30

    clock.now += 10
    assert meter.progress().waiting == 20

    clock.now += 25
    assert meter.progress().waiting == 0


def test_many_who_are_told_to_wait_at_once_wait_together() -> None:
    meter, clock = metered()
    meter.on_gate(gate(30))
    meter.on_gate(gate(30))
    meter.on_gate(gate(10))
    assert meter.waited == 30

    clock.now += 20
    meter.on_gate(gate(30))
    assert meter.waited == 50


def test_the_speed_is_that_of_the_last_seconds() -> None:
    meter, clock = metered()
    assert meter.progress().rows_per_second == 0

    clock.now += 1
    meter.tallies["batches"].rows = 100
    assert meter.progress().rows_per_second == 100

    clock.now += WINDOW
    meter.tallies["batches"].rows = 200
    assert meter.progress().rows_per_second == 100 / WINDOW


def test_the_time_left_is_guessed_from_the_organizations_done() -> None:
    meter, clock = metered(total=10)
    assert meter.progress().seconds_left is None

    clock.now += 6
    meter.done = 4
    progress = meter.progress()
    assert progress.seconds == 6
    assert progress.seconds_left == 9


def test_nothing_is_guessed_while_the_number_of_organizations_is_not_known() -> None:
    meter, clock = metered()
    clock.now += 6
    meter.done = 4

    assert meter.progress().seconds_left is None
    assert meter.progress().organizations_total is None
