"""The retry budget: while everything fails retries stay under a fifth of the traffic; when it heals they return."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from amili_async import RetryPolicy
from amili_async.errors import AmiliError
from tests.support.calls import READ

if TYPE_CHECKING:
    from amili_async import AmiliClient
    from amili_async.sandbox import Sandbox
    from tests.support.calls import Calls
    from tests.support.factories import ClientFactory

AT_ONCE = RetryPolicy(attempts=3, max_wait=0.0)


async def fail(client: AmiliClient, calls: Calls, times: int) -> None:
    for _ in range(times // 20):
        outcomes = await asyncio.gather(*(calls.read(client) for _ in range(20)), return_exceptions=True)
        assert all(isinstance(outcome, AmiliError) for outcome in outcomes)


@pytest.mark.parametrize("fault", ["status=500", "close", "status=503,retry_after=0", "truncate"])
async def test_a_thousand_calls_to_a_server_that_fails_everything_cause_at_most_1200_requests(
    fault: str, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(retry=AT_ONCE)
    sandbox.faults.add(f"{READ}:{fault}")
    await fail(client, calls, 200)  # empties the bucket
    sandbox.requests.clear()
    await fail(client, calls, 1_000)
    assert 1_000 <= sandbox.requests.count(READ) <= 1_200


async def test_when_the_server_heals_retries_return(make_client: ClientFactory, sandbox: Sandbox, calls: Calls) -> None:
    client = make_client(retry=AT_ONCE)
    with sandbox.faults.during(f"{READ}:status=500"):
        await fail(client, calls, 400)
    for _ in range(15):
        await calls.read(client)
    sandbox.requests.clear()
    sandbox.faults.add(f"{READ}:status=500,count=2")
    await calls.read(client)
    assert sandbox.requests.count(READ) == 3


async def test_a_lone_hiccup_is_repeated_from_the_first_call_on(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"{READ}:status=500,latency=0.1,count=16")
    client = make_client(retry=AT_ONCE)
    await asyncio.gather(*(calls.read(client) for _ in range(16)))


async def test_copies_share_the_budget(make_client: ClientFactory, sandbox: Sandbox, calls: Calls) -> None:
    client = make_client(retry=AT_ONCE)
    sandbox.faults.add(f"{READ}:status=500")
    await fail(client, calls, 200)
    sandbox.requests.clear()
    for number in range(100):
        with pytest.raises(AmiliError):
            await calls.read(client.with_options(deadline=30.0 + number))
    assert sandbox.requests.count(READ) <= 120


@pytest.mark.parametrize("fault", ["status=429,retry_after=1", "status=429", "status=429,retry_after=0"])
async def test_repeats_after_a_429_are_not_charged(
    fault: str, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(retry=AT_ONCE)
    with sandbox.faults.during(f"{READ}:status=500"):
        await fail(client, calls, 400)
    sandbox.faults.add(f"{READ}:{fault},count=2")
    await calls.read(client)
