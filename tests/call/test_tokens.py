"""Tokens over a real token endpoint. The rules themselves are in test_auth."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import traceback
from typing import TYPE_CHECKING

import pytest

from amili_async import AmiliClient, ClientCredentials, RetryPolicy
from amili_async.errors import (
    AmiliError,
    ClientClosedError,
    ConfigurationError,
    DeadlineExceededError,
    TokenError,
    TransportError,
    UnauthorizedError,
)
from amili_async.sandbox import Fault
from tests.support.calls import ACCEPTED, READ, WRITE

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from amili_async.events import TokenRequested
    from amili_async.sandbox import Sandbox, VirtualClock
    from tests.support.calls import Calls
    from tests.support.factories import ClientFactory


async def test_two_hundred_calls_with_no_token_make_one_token_request(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(concurrency=200)
    await asyncio.gather(*(calls.read(client) for _ in range(200)))
    assert sandbox.requests.count("token") == 1
    assert sandbox.requests.count(READ) == 200


async def test_cancelling_199_of_the_callers_leaves_the_last_one_served(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(concurrency=200)
    sandbox.faults.add("token:latency=5")
    callers = [asyncio.create_task(calls.read(client)) for _ in range(200)]
    await asyncio.sleep(1.0)
    for caller in callers[:-1]:
        caller.cancel()
    assert (await callers[-1]).batch_id == calls.batch
    assert sandbox.requests.count("token") == 1
    assert sandbox.requests.count(READ) == 1


async def test_a_token_revoked_while_unexpired_is_replaced_once_with_one_replay_each(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(concurrency=200, retry=RetryPolicy(attempts=1))
    await calls.read(client)
    sandbox.revoke_tokens()
    sandbox.requests.clear()
    await asyncio.gather(*(calls.read(client) for _ in range(200)))
    assert sandbox.requests.count("token") == 1
    assert sandbox.requests.count(READ) <= 400
    assert max(len(group) for group in sandbox.requests.attempts("token")) == 1


async def test_however_often_tokens_are_revoked_every_call_is_answered(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(retry=RetryPolicy(attempts=1))
    for _ in range(50):
        sandbox.revoke_tokens()
        await asyncio.gather(*(calls.read(client) for _ in range(5)))
    assert sandbox.requests.count("token") == 50


async def test_where_every_new_token_is_refused_few_are_asked_for(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, clock: VirtualClock
) -> None:
    client = make_client()
    sandbox.faults.add(f"{READ}:status=401")
    for _ in range(300):
        with pytest.raises(UnauthorizedError):
            await calls.read(client)
        await clock.sleep(0.1)
    assert 3 <= sandbox.requests.count("token") <= 12
    client.reopen()
    with pytest.raises(UnauthorizedError):
        await calls.read(client)
    sandbox.faults.clear()
    assert (await calls.read(client)).batch_id == calls.batch


async def test_one_organization_that_every_token_is_refused_for_costs_the_others_nothing(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, clock: VirtualClock
) -> None:
    client = make_client()
    refused = sandbox.organization_ids[1]
    assert refused != calls.organization
    sandbox.faults.add("invoices.list:status=401")
    for _ in range(300):
        with pytest.raises(UnauthorizedError):
            await client.invoices.list(refused).first()
        await calls.read(client)
        await clock.sleep(0.1)
    assert 3 <= sandbox.requests.count("token") <= 12
    sandbox.revoke_tokens()
    await calls.read(client)


async def test_a_token_given_as_text_is_not_sent_again_once_refused(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(sandbox.issue_token())
    sandbox.revoke_tokens()
    with pytest.raises(UnauthorizedError) as caught:
        await calls.read(client)
    assert sandbox.requests.count(READ) == caught.value.attempts == 1


async def test_early_renewal_holds_no_call_up(
    client: AmiliClient, sandbox: Sandbox, calls: Calls, clock: VirtualClock
) -> None:
    await calls.read(client)
    await clock.sleep(500.0)
    sandbox.faults.add("token:latency=20")
    before = clock.monotonic()
    await asyncio.gather(*(calls.read(client) for _ in range(20)))
    assert clock.monotonic() == before
    await clock.sleep(30.0)
    await calls.read(client)
    assert sandbox.requests.count("token") == 2
    assert len({request.headers["authorization"] for request in sandbox.requests.of(READ)}) == 2


@pytest.mark.parametrize("fault", ["status=500", "html", "reset", "status=401", "hang"])
async def test_a_token_endpoint_that_fails_keeps_the_valid_token_in_use_and_is_not_hammered(
    fault: str, client: AmiliClient, sandbox: Sandbox, calls: Calls, clock: VirtualClock
) -> None:
    await calls.read(client)
    sandbox.faults.add(f"token:{fault}")
    await clock.sleep(481.0)
    for _ in range(20):
        await asyncio.gather(*(calls.read(client) for _ in range(10)))
        await clock.sleep(5.0)
    assert sandbox.requests.count(READ) == 201
    assert 2 < sandbox.requests.count("token") < 15


@pytest.mark.parametrize("fault", ["status=503,count=2", "reset,count=2", "hang,count=1", "truncate,count=2"])
async def test_a_token_endpoint_that_fails_for_a_moment_fails_no_call_not_even_a_write(
    fault: str, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"token:{fault}", ACCEPTED)
    assert await calls.write(make_client(timeout=5.0)) == "b-1"
    assert sandbox.requests.count(WRITE) == 1


@pytest.mark.parametrize("fault", ["status=503", "reset", "truncate"])
async def test_a_token_endpoint_that_keeps_failing_ends_a_call_that_was_never_sent(
    fault: str, client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"token:{fault}")
    with pytest.raises(TokenError) as caught:
        await calls.write(client)
    assert caught.value.retry_after is not None
    assert caught.value.attempts == 0
    assert caught.value.operation == "request"
    assert sandbox.requests.count("token") == 3
    assert sandbox.requests.count(WRITE) == 0


async def test_the_wait_for_a_token_does_not_count_against_the_attempts_timeout(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add("token:latency=1.5", f"{READ}:latency=1.5")
    await calls.read(make_client(timeout=2.0, retry=RetryPolicy(attempts=1)))
    assert sandbox.requests.count(READ) == 1


async def test_a_client_that_closes_while_it_asks_does_not_fail_another_with_the_same_credentials(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    closing, staying = make_client(), make_client(retry=RetryPolicy(attempts=1))
    sandbox.faults.add("token:latency=5")
    ended = asyncio.create_task(calls.read(closing))
    await asyncio.sleep(1.0)
    served = asyncio.create_task(calls.read(staying))
    await asyncio.sleep(1.0)
    await closing.aclose()
    assert (await served).batch_id == calls.batch
    with pytest.raises(ClientClosedError):
        await ended
    assert sandbox.requests.count("token") == 2


async def test_refused_credentials_end_every_call_at_once(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, clock: VirtualClock
) -> None:
    sandbox.faults.add(Fault("token", status=401, body=b'{"error": "invalid_client"}'))
    client = make_client()
    before = clock.monotonic()
    for _ in range(20):
        with pytest.raises(TokenError, match="refused the credentials: invalid_client") as caught:
            await calls.read(client)
        assert caught.value.code == "invalid_client"
        assert caught.value.retry_after is None
        assert caught.value.status == 401
    assert clock.monotonic() == before
    assert sandbox.requests.count("token") == 1


async def test_a_retry_after_of_the_token_endpoint_is_waited_for(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, clock: VirtualClock
) -> None:
    sandbox.faults.add("token:status=429,retry_after=30,count=1")
    before = clock.monotonic()
    await calls.read(make_client(deadline=None))
    assert 30.0 <= clock.monotonic() - before <= 32.0
    assert sandbox.requests.count("token") == 2


async def test_a_token_that_arrives_in_pieces_is_read_whole(
    client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add("token:slow-body,seconds=2")
    await calls.read(client)
    assert sandbox.requests.count("token") == 1


async def test_a_redirect_of_the_token_endpoint_is_not_followed_with_the_secret(
    client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(Fault("token", status=307, location=f"{sandbox.origin}/elsewhere"))
    with pytest.raises(TokenError) as caught:
        await calls.read(client)
    assert caught.value.status == 307
    assert [request.path for request in sandbox.requests] == ["/token"]


async def test_the_token_request_is_what_the_documentation_shows(
    client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    await calls.read(client)
    (request,) = sandbox.requests.of("token")
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    identity, secret = sandbox.credentials
    assert request.body == f"grant_type=client_credentials&client_id={identity}&client_secret={secret}".encode()
    assert "authorization" not in request.headers


async def test_a_secret_of_any_characters_reaches_the_endpoint(
    sandbox: Sandbox,
) -> None:
    odd = ClientCredentials("me", "a&b=c+d %/æ\n\x00")
    async with AmiliClient(odd, base_url=sandbox.base_url, token_url=sandbox.token_url) as client:
        with pytest.raises(TokenError):
            await client.authenticate()
    assert sandbox.requests.last("token").body.endswith(b"client_secret=a%26b%3Dc%2Bd+%25%2F%C3%A6%0A%00")


def test_a_token_url_that_is_not_https_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="token_url must be https"):
        AmiliClient(ClientCredentials("id", "s"), base_url="https://api.example", token_url="http://auth.example/token")


async def test_authenticate_says_in_time_that_no_token_comes(
    make_client: ClientFactory, sandbox: Sandbox, clock: VirtualClock
) -> None:
    sandbox.faults.add("token:hang")
    before = clock.monotonic()
    with pytest.raises(DeadlineExceededError):
        await make_client(deadline=3.0).authenticate()
    assert clock.monotonic() - before == pytest.approx(3.0)


async def test_the_hook_is_told_how_each_token_request_ended_and_what_was_refused(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    told: list[TokenRequested] = []

    class Listener:
        def on_token(self, record: TokenRequested) -> None:
            told.append(record)

    sandbox.faults.add("token:status=503,count=1,latency=2", "token:reset,count=1", f"{READ}:status=401,count=1")
    await calls.read(make_client(hooks=[Listener()]))
    assert [(record.outcome, record.status) for record in told] == [
        ("failed", 503),
        ("failed", None),
        ("renewed", 200),
        ("rejected", 401),
        ("renewed", 200),
    ]
    assert told[0].seconds == pytest.approx(2.0)


async def test_no_secret_and_no_token_in_any_error_log_or_pickle(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.faults.add(
        "token:status=400,count=1",
        "token:reset,count=3",
        f"{READ}:status=401,count=2",
        f"{READ}:status=500,count=3",
        f"{READ}:reset,count=3",
    )
    client = make_client()
    seen: list[str] = [repr(client), repr(client.batches)]

    async def collect(call: Awaitable[object]) -> None:
        try:
            await call
        except AmiliError as error:
            seen.extend((str(error), repr(error), json.dumps(error.to_dict()), repr(pickle.dumps(error))))
            seen.append("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))

    with caplog.at_level(logging.DEBUG):
        for _ in range(12):
            await collect(calls.read(client))
            await asyncio.sleep(60.0)
    tokens = {request.headers["authorization"].split()[1] for request in sandbox.requests.of(READ)}
    assert len(tokens) >= 2
    assert len(seen) > 15
    logged = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    for hidden in {sandbox.credentials.client_secret, *tokens}:
        assert hidden not in logged
        assert hidden not in "".join(seen)


async def test_transport_errors_of_the_endpoint_are_causes(client: AmiliClient, sandbox: Sandbox, calls: Calls) -> None:
    sandbox.faults.add("token:reset")
    with pytest.raises(TokenError) as caught:
        await calls.read(client)
    assert isinstance(caught.value.__cause__, TransportError)
