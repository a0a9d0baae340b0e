"""The concurrency limit: waited for before an attempt's timer starts, held by nothing that waits, fair."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from amili_async import RetryPolicy
from amili_async.errors import OutcomeUnknownError
from tests.support.calls import ACCEPTED, READ, WRITE

if TYPE_CHECKING:
    from amili_async.sandbox import Sandbox, VirtualClock
    from tests.support.calls import Calls
    from tests.support.factories import ClientFactory


async def test_no_more_requests_than_the_limit_are_in_flight(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(concurrency=3)
    sandbox.faults.add(f"{READ}:latency=1")
    await asyncio.gather(*(calls.read(client) for _ in range(12)))
    assert sandbox.requests.overlapping(READ) == 3


async def test_copies_share_the_limit(make_client: ClientFactory, sandbox: Sandbox, calls: Calls) -> None:
    client = make_client(concurrency=2)
    sandbox.faults.add(f"{READ}:latency=1")
    copies = [client.with_options(deadline=30.0 + number) for number in range(6)]
    await asyncio.gather(*(calls.read(copy) for copy in copies))
    assert sandbox.requests.overlapping(READ) == 2


async def test_waiting_for_a_slot_does_not_count_against_an_attempts_timeout(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, clock: VirtualClock
) -> None:
    client = make_client(concurrency=1, timeout=2.0)
    sandbox.faults.add(f"{READ}:latency=1.9")
    begun = clock.monotonic()
    await asyncio.gather(*(calls.read(client) for _ in range(8)))
    assert sandbox.requests.count(READ) == 8
    assert clock.monotonic() - begun == pytest.approx(8 * 1.9)


async def test_an_attempt_that_waited_for_its_slot_has_its_timeout_from_then_on(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, clock: VirtualClock
) -> None:
    client = make_client(sandbox.issue_token(), concurrency=1, timeout=2.0, retry=RetryPolicy(attempts=1))
    sandbox.faults.add(f"{READ}:latency=1.5", f"{WRITE}:hang")
    begun = clock.monotonic()
    first = asyncio.create_task(calls.read(client))
    await asyncio.sleep(0.5)
    with pytest.raises(OutcomeUnknownError):
        await calls.write(client)
    assert clock.monotonic() - begun == pytest.approx(1.5 + 2.0)
    await first


async def test_no_slot_is_held_while_a_call_waits_to_repeat(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, clock: VirtualClock
) -> None:
    client = make_client(sandbox.issue_token(), concurrency=1)
    sandbox.faults.add(f"{READ}:status=503,retry_after=30,count=1", ACCEPTED)
    waiting = asyncio.create_task(calls.read(client))
    await asyncio.sleep(1.0)
    before = clock.monotonic()
    await calls.write(client)
    assert clock.monotonic() == before
    assert not waiting.done()
    await waiting


async def test_calls_that_hold_every_slot_and_wait_for_a_token_get_it(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(concurrency=16)
    sandbox.faults.add("token:latency=1")
    await asyncio.gather(*(calls.read(client) for _ in range(40)))
    assert sandbox.requests.count("token") == 1
    assert sandbox.requests.count(READ) == 40


async def test_a_token_request_needs_no_connection_that_calls_in_flight_hold(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, clock: VirtualClock
) -> None:
    client = make_client(concurrency=4)
    await calls.read(client)
    sandbox.faults.add(f"{READ}:latency=20,skip=1", f"{READ}:latency=20")
    held = [asyncio.create_task(calls.read(client)) for _ in range(3)]
    await asyncio.sleep(1.0)
    sandbox.revoke_tokens()
    before = clock.monotonic()
    sandbox.faults.clear()
    await calls.read(client)
    assert clock.monotonic() == before
    await asyncio.gather(*held)


async def test_calls_are_served_in_the_order_they_came(make_client: ClientFactory, sandbox: Sandbox) -> None:
    client = make_client(sandbox.issue_token(), concurrency=1)
    sandbox.faults.add("*:status=200,body={},latency=0.1")
    await asyncio.gather(*(client.request("GET", f"/things/{number}") for number in range(30)))
    assert [request.segments[-1] for request in sandbox.requests] == [str(number) for number in range(30)]


async def test_a_call_cancelled_in_the_queue_leaves_its_place_to_the_next(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(sandbox.issue_token(), concurrency=1)
    sandbox.faults.add(f"{READ}:latency=1", ACCEPTED)
    queued = [asyncio.create_task(calls.read(client)) for _ in range(6)]
    await asyncio.sleep(0.5)
    for call in queued[1:5]:
        call.cancel()
    await asyncio.gather(*queued, return_exceptions=True)
    assert sandbox.requests.count(READ) == 2
    await calls.write(client)
    assert sandbox.requests.count(WRITE) == 1
