"""`client.authenticate()`: whether a token can be had, without a call of the API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from amili_async import ClientClosedError, DeadlineExceededError, TokenError, TransportError
from amili_async.sandbox import Fault
from tests.support.turns import until

if TYPE_CHECKING:
    from amili_async.sandbox import Sandbox, VirtualClock
    from tests.support.factories import ClientFactory


async def test_a_token_is_asked_for_once_and_the_api_not_at_all(sandbox: Sandbox, make_client: ClientFactory) -> None:
    client = make_client()

    for _ in range(3):
        await client.authenticate()

    assert [request.operation for request in sandbox.requests] == ["token"]


async def test_a_token_of_the_callers_own_needs_no_request(sandbox: Sandbox, make_client: ClientFactory) -> None:
    await make_client("a-token").authenticate()

    assert len(sandbox.requests) == 0


async def test_refused_credentials_are_a_token_error(sandbox: Sandbox, make_client: ClientFactory) -> None:
    sandbox.faults.add(Fault("token", status=401, body='{"error": "invalid_client"}'))

    with pytest.raises(TokenError) as caught:
        await make_client().authenticate()

    assert (caught.value.code, caught.value.retry_after) == ("invalid_client", None)


async def test_a_token_endpoint_that_breaks_is_asked_once_and_may_recover(
    sandbox: Sandbox, make_client: ClientFactory
) -> None:
    sandbox.faults.add(Fault("token", "reset"))

    with pytest.raises(TokenError) as caught:
        await make_client().authenticate()

    assert isinstance(caught.value.__cause__, TransportError)
    assert caught.value.retry_after is not None
    assert sandbox.requests.count("token") == 1


@pytest.mark.parametrize(("deadline", "ends"), [(3.0, 3.0), (None, 7.0)])
async def test_a_token_endpoint_that_hangs_is_given_up_at_the_deadline_or_after_one_attempt(
    sandbox: Sandbox, make_client: ClientFactory, clock: VirtualClock, deadline: float | None, ends: float
) -> None:
    sandbox.faults.add(Fault("token", "hang"))
    begun = clock.monotonic()

    with pytest.raises((DeadlineExceededError, TokenError)):
        await make_client(deadline=deadline, timeout=7).authenticate()

    assert clock.monotonic() - begun == pytest.approx(ends)


async def test_a_closed_client_has_no_token_to_check(make_client: ClientFactory) -> None:
    client = make_client()
    await client.aclose()

    with pytest.raises(ClientClosedError):
        await client.authenticate()


async def test_closing_ends_a_check_that_is_under_way(sandbox: Sandbox, make_client: ClientFactory) -> None:
    sandbox.faults.add(Fault("token", "hang"))
    client = make_client()
    check = asyncio.create_task(client.authenticate())
    await until(lambda: sandbox.requests.count("token"))

    await client.aclose()

    with pytest.raises(ClientClosedError):
        await check
