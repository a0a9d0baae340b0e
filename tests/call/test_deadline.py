"""One deadline over everything: the slot, the gate, the token, all attempts, all waits and the body."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from amili_async import RetryPolicy, Timeout
from amili_async.errors import (
    ConnectError,
    DeadlineExceededError,
    OutcomeUnknownError,
    RateLimitedError,
    ServerError,
    TransportError,
)
from tests.support.calls import READ, WRITE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amili_async import AmiliClient
    from amili_async.sandbox import Sandbox, VirtualClock
    from tests.support.calls import Calls
    from tests.support.factories import ClientFactory


@pytest.fixture
def elapsed(clock: VirtualClock, calls: Calls) -> Callable[[], float]:  # noqa: ARG001  # its requests come before
    """Return the seconds since the test began."""
    begun = clock.monotonic()
    return lambda: round(clock.monotonic() - begun, 6)


@pytest.fixture
def silent() -> Iterator[str]:
    """The root of a server that takes connections and says nothing, so that TLS never comes about."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"


async def test_waiting_for_a_slot_counts(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, elapsed: Callable[[], float]
) -> None:
    client = make_client(sandbox.issue_token(), concurrency=1, deadline=20.0)
    sandbox.faults.add(f"{READ}:hang")
    holding = asyncio.create_task(calls.read(client))
    await asyncio.sleep(0)
    with pytest.raises(DeadlineExceededError) as caught:
        await calls.write(client.with_options(deadline=2.0))
    assert elapsed() == 2.0
    assert caught.value.spent == {"gate": 0.0, "slot": 2.0, "token": 0.0, "pause": 0.0, "request": 0.0}
    assert caught.value.attempts == 0
    assert sandbox.requests.count(WRITE) == 0
    assert str(caught.value).startswith("request: the deadline of 2 s passed (slot 2 s)")
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)


async def test_waiting_at_the_gate_counts(
    client: AmiliClient, sandbox: Sandbox, calls: Calls, elapsed: Callable[[], float]
) -> None:
    sandbox.faults.add("batches.list:status=429,retry_after=8,count=1", f"{READ}:hang")
    limited = asyncio.create_task(client.batches.list(calls.organization).first())
    await asyncio.sleep(0.5)
    with pytest.raises(DeadlineExceededError) as caught:
        await calls.read(client.with_options(deadline=10.0))
    assert elapsed() == 10.5
    spent = caught.value.spent
    assert 7.5 <= spent["gate"] <= 8.5
    assert spent["gate"] + spent["request"] == pytest.approx(10.0)
    await limited


async def test_waiting_for_a_token_counts_and_a_write_that_waited_for_one_was_not_sent(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, elapsed: Callable[[], float]
) -> None:
    sandbox.faults.add("token:hang")
    with pytest.raises(DeadlineExceededError) as caught:
        await calls.write(make_client(deadline=3.0))
    assert elapsed() == 3.0
    assert caught.value.spent["token"] == 3.0
    assert caught.value.attempts == 0
    assert sandbox.requests.count(WRITE) == 0


async def test_a_write_whose_connection_was_still_being_made_was_not_sent(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, silent: str
) -> None:
    client = make_client(sandbox.issue_token(), base_url=silent, deadline=3.0)
    with pytest.raises(DeadlineExceededError):
        await calls.write(client)


async def test_a_token_that_takes_longer_than_an_attempt_may_is_waited_for_again(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, elapsed: Callable[[], float]
) -> None:
    sandbox.faults.add("token:latency=3")
    await calls.read(make_client().with_options(timeout=2.0))
    assert 3.0 <= elapsed() <= 4.0
    assert sandbox.requests.count("token") == sandbox.requests.count(READ) == 1


async def test_all_attempts_count_and_the_last_one_is_cut_to_what_is_left(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, elapsed: Callable[[], float]
) -> None:
    client = make_client(deadline=27.3, timeout=10.0, retry=RetryPolicy(attempts=9))
    sandbox.faults.add(f"{READ}:hang")
    with pytest.raises(DeadlineExceededError) as caught:
        await calls.read(client)
    assert elapsed() == 27.3
    assert caught.value.attempts == sandbox.requests.count(READ) == 3
    assert caught.value.spent["request"] + caught.value.spent["pause"] == pytest.approx(27.3, abs=0.002)


@pytest.mark.parametrize("seconds", [0.3, 5.05, 7.3])
async def test_a_timeout_ends_an_attempt_to_the_moment(
    seconds: float, make_client: ClientFactory, sandbox: Sandbox, calls: Calls, elapsed: Callable[[], float]
) -> None:
    client = make_client(timeout=seconds, retry=RetryPolicy(attempts=1))
    sandbox.faults.add(f"{READ}:hang")
    with pytest.raises(TransportError, match=f"not answered within {seconds:g} s"):
        await calls.read(client)
    assert elapsed() == seconds


async def test_the_body_counts_however_steadily_it_drips(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, elapsed: Callable[[], float]
) -> None:
    sandbox.faults.add(f"{READ}:slow-body,seconds=100")
    with pytest.raises(DeadlineExceededError) as caught:
        await calls.read(make_client(deadline=5.05))
    assert elapsed() == 5.05
    assert caught.value.status == 200


async def test_an_attempts_timeout_bounds_the_body_too(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, elapsed: Callable[[], float]
) -> None:
    client = make_client(timeout=2.0, retry=RetryPolicy(attempts=1))
    sandbox.faults.add(f"{READ}:slow-body,seconds=100")
    with pytest.raises(TransportError):
        await calls.read(client)
    assert elapsed() == 2.0


async def test_no_wait_begins_that_cannot_end_in_time(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, elapsed: Callable[[], float]
) -> None:
    sandbox.faults.add("*:status=503,retry_after=10")
    with pytest.raises(ServerError) as caught:
        await calls.read(make_client(sandbox.issue_token(), deadline=10.0))
    assert elapsed() == 0.0
    assert caught.value.retry_after == 10.0
    assert caught.value.attempts == 1


async def test_a_wait_of_our_own_that_cannot_end_in_time_does_not_begin_either(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, elapsed: Callable[[], float]
) -> None:
    sandbox.faults.add(f"{READ}:status=500,latency=1.999999")
    with pytest.raises(ServerError) as caught:
        await calls.read(make_client(sandbox.issue_token(), deadline=2.0))
    assert elapsed() < 2.0
    assert caught.value.attempts == 1


async def test_a_call_that_meets_a_gate_closed_past_its_deadline_ends_at_once_and_is_not_sent(
    client: AmiliClient, sandbox: Sandbox, calls: Calls, elapsed: Callable[[], float]
) -> None:
    sandbox.faults.add("batches.list:status=429,retry_after=30,count=1")
    limited = asyncio.create_task(client.batches.list(calls.organization).first())
    await asyncio.sleep(1.0)
    with pytest.raises(RateLimitedError) as caught:
        await calls.write(client.with_options(deadline=10.0))
    assert elapsed() == 1.0
    assert caught.value.retry_after == pytest.approx(29.0)
    assert caught.value.attempts == 0
    assert sandbox.requests.count(WRITE) == 0
    await limited


async def test_without_a_deadline_there_is_no_limit(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, elapsed: Callable[[], float]
) -> None:
    client = make_client(deadline=None, timeout=1_000.0)
    sandbox.faults.add(f"{READ}:latency=900,count=1")
    await calls.read(client)
    assert elapsed() == pytest.approx(900.0)


async def test_a_write_that_was_refused_and_waits_for_another_token_has_no_unknown_outcome(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"{WRITE}:status=401,count=1", "token:hang,skip=1")
    with pytest.raises(DeadlineExceededError) as caught:
        await calls.write(make_client(deadline=10.0))
    assert caught.value.attempts == sandbox.requests.count(WRITE) == 1


async def test_connecting_has_a_timeout_of_its_own(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, silent: str, elapsed: Callable[[], float]
) -> None:
    client = make_client(
        sandbox.issue_token(),
        base_url=silent,
        timeout=Timeout(total=30.0, connect=0.5),
        retry=RetryPolicy(attempts=1),
    )
    with pytest.raises(ConnectError):
        await calls.write(client)
    assert elapsed() == 0.5


async def test_a_deadline_in_flight_names_what_was_in_flight(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"{WRITE}:hang")
    with pytest.raises(OutcomeUnknownError) as caught:
        await calls.write(make_client(deadline=2.0), key="erp-4711")
    cause = caught.value.__cause__
    assert isinstance(cause, DeadlineExceededError)
    assert cause.spent["request"] == pytest.approx(2.0)
    assert str(cause).startswith("request: the deadline of 2 s passed (request 2 s) (POST ")
