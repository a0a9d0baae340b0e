"""The table of what is repeated, row by row over a real server that fails for real, its requests counted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver

from amili_async import AmiliClient, RetryPolicy, errors
from amili_async.errors import (
    AmiliError,
    APIError,
    ClientClosedError,
    ConnectError,
    DeadlineExceededError,
    DecodeError,
    OutcomeUnknownError,
    RateLimitedError,
    ServerError,
    TransportError,
    UnauthorizedError,
)
from amili_async.sandbox import Fault
from tests.support.calls import ACCEPTED, READ, WRITE

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

    from amili_async.sandbox import Sandbox, VirtualClock
    from tests.support.calls import Calls
    from tests.support.factories import ClientFactory


class Row(NamedTuple):
    """One way to fail, and what the table says of it: requests and error of a read and of a write."""

    fault: str
    reads: int
    read_error: type[AmiliError]
    writes: int
    write_error: type[AmiliError]
    cause: type[BaseException] | None = None
    """What a write of unknown outcome names as its cause."""
    status: int | None = None


UNKNOWN = OutcomeUnknownError
BY_STATUS: dict[int, type[APIError]] = {
    400: errors.BadRequestError,
    403: errors.ForbiddenError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    422: errors.UnprocessableError,
    423: errors.LockedError,
}

TABLE = [
    *(Row(fault, 3, TransportError, 1, UNKNOWN, TransportError) for fault in ("hang", "close", "reset")),
    *(Row(f"status={s}", 3, ServerError, 1, UNKNOWN, ServerError, s) for s in (500, 502, 503, 504, 505, 520)),
    Row("status=408", 3, APIError, 1, UNKNOWN, APIError, 408),
    *(Row(f"status={s},retry_after=soon", 3, ServerError, 1, UNKNOWN, ServerError, s) for s in (500, 503)),
    Row("status=502,retry_after=1", 3, ServerError, 1, UNKNOWN, ServerError, 502),
    *(Row(f"status=503,retry_after={s}", 3, ServerError, 1, UNKNOWN, ServerError, 503) for s in (0, 1)),
    Row("status=425", 3, APIError, 3, APIError, status=425),
    Row("status=429", 3, RateLimitedError, 3, RateLimitedError, status=429),
    Row("status=429,retry_after=1", 3, RateLimitedError, 3, RateLimitedError, status=429),
    Row("status=401", 2, UnauthorizedError, 2, UnauthorizedError, status=401),
    *(Row(f"status={s}", 1, APIError, 1, APIError, status=s) for s in (300, 301, 302, 303, 304, 307, 308)),
    Row("status=501", 1, ServerError, 1, ServerError, status=501),
    *(Row(f"status={s}", 1, kind, 1, kind, status=s) for s, kind in BY_STATUS.items()),
    *(Row(f"status={s}", 1, APIError, 1, APIError, status=s) for s in (402, 405, 410, 418, 451, 499)),
    *(
        Row(fault, 3, TransportError, 1, UNKNOWN, TransportError, 200)
        for fault in (
            "close-after-headers",
            "close-in-body",
            "reset-in-body",
            "cut-chunks",
            "cut-unmarked",
            "cut-gzip",
            "truncate",
            "empty",
        )
    ),
    *(
        Row(fault, 1, DecodeError, 1, UNKNOWN, DecodeError, 200)
        for fault in ("html", "wrong-schema", "corrupt", 'body=\'{"data":{"batchUrl":"x"}}\'', "body=[]", "body=7")
    ),
]


def of_a_write(fault: str) -> Fault:
    """Return the fault of a write; one that damages an answer gets a good answer to damage."""
    parsed = Fault.parse(f"{WRITE}:{fault}")
    if parsed.kind is None or parsed.kind in {"hang", "close", "reset"}:
        return parsed
    return replace(parsed, status=ACCEPTED.status, body=ACCEPTED.body)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.fault)
async def test_a_read_that_fails_for_good(row: Row, make_client: ClientFactory, sandbox: Sandbox, calls: Calls) -> None:
    client = make_client(deadline=None)
    sandbox.faults.add(f"{READ}:{row.fault}")
    with pytest.raises(AmiliError) as caught:
        await calls.read(client)
    assert type(caught.value) is row.read_error
    assert sandbox.requests.count(READ) == row.reads == caught.value.attempts
    assert caught.value.status == row.status


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.fault)
async def test_a_write_that_fails_for_good(
    row: Row, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(deadline=None)
    sandbox.faults.add(of_a_write(row.fault))
    with pytest.raises(AmiliError) as caught:
        await calls.write(client, key="erp-4711")
    error = caught.value
    assert type(error) is row.write_error
    assert sandbox.requests.count(WRITE) == row.writes == error.attempts
    if isinstance(error, OutcomeUnknownError):
        assert error.idempotency_key == "erp-4711"
        assert error.__cause__ is not None
        assert isinstance(error.__cause__, row.cause or ())
        assert error.status == sandbox.requests.last(WRITE).status or row.status is None
    else:
        assert error.status == row.status


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.fault)
async def test_a_write_with_a_key_that_is_trusted_follows_the_column_of_reads(
    row: Row, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(deadline=None, retry=RetryPolicy(trust_idempotency_key=True))
    sandbox.faults.add(of_a_write(row.fault))
    with pytest.raises(row.read_error):
        await calls.write(client, key="erp-4711")
    assert sandbox.requests.count(WRITE) == row.reads
    assert {request.headers["idempotencykey"] for request in sandbox.requests.of(WRITE)} == {"erp-4711"}


@pytest.mark.parametrize(
    ("key", "trust", "repeatable", "requests"),
    [
        (None, False, None, 1),
        (None, True, None, 1),
        ("k", False, None, 1),
        ("k", True, None, 3),
        (None, False, True, 3),
        ("k", True, False, 3),
        (None, True, False, 1),
    ],
)
async def test_a_write_is_repeated_only_with_a_trusted_key_or_the_callers_word(
    key: str | None,
    requests: int,
    make_client: ClientFactory,
    sandbox: Sandbox,
    calls: Calls,
    *,
    trust: bool,
    repeatable: bool | None,
) -> None:
    client = make_client(retry=RetryPolicy(trust_idempotency_key=trust))
    sandbox.faults.add(f"{WRITE}:status=500")
    with pytest.raises(ServerError if requests > 1 else OutcomeUnknownError):
        await calls.write(client, key=key, repeatable=repeatable)
    assert sandbox.requests.count(WRITE) == requests


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("repeatable", [None, True])
async def test_other_methods_count_as_writes_unless_said_to_be_repeatable(
    method: str, make_client: ClientFactory, sandbox: Sandbox, *, repeatable: bool | None
) -> None:
    sandbox.faults.add("*:status=500")
    with pytest.raises(ServerError if repeatable else OutcomeUnknownError):
        await make_client(sandbox.issue_token()).request(method, "/things/7", repeatable=repeatable)
    assert len(sandbox.requests) == (3 if repeatable else 1)


async def test_a_get_may_be_said_not_to_be_repeatable(make_client: ClientFactory, sandbox: Sandbox) -> None:
    sandbox.faults.add("*:status=500")
    with pytest.raises(OutcomeUnknownError):
        await make_client(sandbox.issue_token()).request("GET", "/things/7", repeatable=False)
    assert len(sandbox.requests) == 1


# -- what heals


HEALING = ["hang", "close", "reset", "status=500", "status=429", "truncate", "cut-gzip", "close-in-body", "status=425"]


@pytest.mark.parametrize("fault", HEALING)
async def test_a_read_that_fails_twice_and_then_heals_has_its_value(
    fault: str, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"{READ}:{fault},count=2")
    assert (await calls.read(make_client(deadline=None))).batch_id == calls.batch
    assert sandbox.requests.count(READ) == 3


@pytest.mark.parametrize("fault", ["status=429", "status=429,retry_after=0", "status=429,retry_after=9", "status=425"])
async def test_a_write_that_was_refused_before_processing_is_repeated(
    fault: str, client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"{WRITE}:{fault},count=2", ACCEPTED)
    assert await calls.write(client) == "b-1"
    assert [request.status for request in sandbox.requests.of(WRITE)][-1] == 202
    assert sandbox.requests.count(WRITE) == 3


async def test_a_write_is_repeated_after_a_503_only_where_the_policy_says_that_it_means_a_refusal(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(retry=RetryPolicy(repeat_503_writes=True))
    sandbox.faults.add(f"{WRITE}:status=503,retry_after=2,count=2", ACCEPTED)
    assert await calls.write(client) == "b-1"
    sandbox.requests.clear()
    sandbox.faults.clear()
    sandbox.faults.add(f"{WRITE}:status=503")
    with pytest.raises(OutcomeUnknownError):
        await calls.write(client)
    assert sandbox.requests.count(WRITE) == 1


async def test_a_write_that_took_effect_and_whose_answer_was_lost_is_not_sent_again(
    client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"{WRITE}:reset,count=1", ACCEPTED)
    with pytest.raises(OutcomeUnknownError, match="it may have taken effect, so it was not repeated") as caught:
        await calls.write(client, key="erp-4711")
    assert caught.value.idempotency_key == "erp-4711"
    assert sandbox.requests.count(WRITE) == 1


async def test_the_body_of_a_write_is_the_same_in_every_attempt(
    client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"{WRITE}:status=429,count=2", ACCEPTED)
    await calls.write(client)
    assert {request.body for request in sandbox.requests.of(WRITE)} == {b'{"invoices":[{"invoiceNumber":"INV-1"}]}'}


async def test_a_body_with_the_wrong_content_type_is_read_all_the_same(
    client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"{READ}:wrong-content-type")
    assert (await calls.read(client)).batch_id == calls.batch


# -- 401


async def test_a_revoked_token_costs_a_write_one_replay_and_no_attempt(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(retry=RetryPolicy(attempts=1))
    sandbox.faults.add(f"{WRITE}:status=401,count=1", ACCEPTED)
    assert await calls.write(client) == "b-1"
    assert sandbox.requests.count(WRITE) == 2
    assert sandbox.requests.count("token") == 2


async def test_a_replay_leaves_all_attempts_for_other_failures(
    client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"{READ}:status=401,count=1", f"{READ}:status=500,count=2")
    await calls.read(client)
    assert [request.status for request in sandbox.requests.of(READ)] == [401, 500, 500, 200]


async def test_a_401_whose_body_breaks_off_costs_the_token_all_the_same(
    client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    await calls.read(client)
    sandbox.revoke_tokens()
    sandbox.faults.add(Fault(READ, "close-in-body", status=401, body=b"x" * 100, count=1))
    await calls.read(client)
    assert sandbox.requests.count("token") == 2
    assert [request.status for request in sandbox.requests.of(READ)] == [200, 401, 200]


# -- never sent


class Resolver(AbstractResolver):
    """A resolver that fails, or never ends."""

    def __init__(self, *, fails: bool) -> None:
        self.fails = fails
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        self.asked += 1
        if self.fails:
            raise OSError(f"no address for {host}:{port} {family}")
        await asyncio.sleep(3600)
        return []

    async def close(self) -> None: ...


@pytest.mark.parametrize("operation", [READ, WRITE])
@pytest.mark.parametrize("fails", [True, False], ids=["no such host", "no answer from DNS"])
async def test_a_host_that_cannot_be_found_is_never_sent_to(
    operation: str, clock: VirtualClock, sandbox: Sandbox, calls: Calls, *, fails: bool
) -> None:
    resolver = Resolver(fails=fails)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False))
    root = f"http://amili.localhost:{sandbox.port}/collection/v1"
    begun = clock.monotonic()
    async with session, AmiliClient("token", base_url=root, session=session) as client:
        with pytest.raises(ConnectError) as caught:
            await (calls.read(client) if operation == READ else calls.write(client))
    assert caught.value.attempts == resolver.asked == 3
    assert len(sandbox.requests) == 0
    assert (clock.monotonic() - begun < 4) == fails
    assert fails or clock.monotonic() - begun >= 15


@pytest.mark.parametrize("operation", [READ, WRITE])
async def test_a_port_that_refuses_is_never_sent_to(
    operation: str, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(sandbox.issue_token())
    with sandbox.faults.during("*:refuse"), pytest.raises(ConnectError) as caught:
        await (calls.read(client) if operation == READ else calls.write(client))
    assert caught.value.attempts == 3
    assert caught.value.status is None
    assert len(sandbox.requests) == 0


async def test_a_write_to_a_port_that_refused_and_opens_again_is_made_once(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add("*:refuse,seconds=0", ACCEPTED)
    assert await calls.write(make_client(sandbox.issue_token())) == "b-1"
    assert sandbox.requests.count(WRITE) == 1


@pytest.mark.parametrize("operation", [READ, WRITE])
async def test_a_tls_handshake_that_fails_is_never_sent(operation: str, sandbox: Sandbox, calls: Calls) -> None:
    root = sandbox.base_url.replace("http:", "https:")
    async with AmiliClient("token", base_url=root) as client:
        with pytest.raises(ConnectError) as caught:
            await (calls.read(client) if operation == READ else calls.write(client))
    assert caught.value.attempts == 3
    assert sandbox.requests.count(operation) == 0


@pytest.mark.parametrize("operation", [READ, WRITE])
async def test_a_wait_for_the_pool_that_is_too_long_is_never_sent(
    operation: str, sandbox: Sandbox, calls: Calls
) -> None:
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
    sandbox.faults.add("batches.list:hang")
    async with session, AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, session=session) as client:
        holding = asyncio.create_task(client.batches.list(calls.organization).first())
        await asyncio.sleep(1)
        with pytest.raises(ConnectError) as caught:
            await (calls.read(client) if operation == READ else calls.write(client))
        assert caught.value.attempts == 3
        assert sandbox.requests.count(operation) == 0
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)


# -- the deadline and the end of the client while in flight


@pytest.mark.parametrize("fault", ["hang", "slow-body,seconds=100"])
async def test_a_deadline_in_flight_ends_a_read_with_itself_and_a_write_with_an_unknown_outcome(
    fault: str, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(deadline=2.0)
    sandbox.faults.add(f"{READ}:{fault}", of_a_write(fault))
    with pytest.raises(DeadlineExceededError) as caught:
        await calls.read(client)
    assert caught.value.attempts == sandbox.requests.count(READ) == 1
    with pytest.raises(OutcomeUnknownError) as unknown:
        await calls.write(client)
    assert isinstance(unknown.value.__cause__, DeadlineExceededError)
    assert sandbox.requests.count(WRITE) == 1


async def test_closing_the_client_ends_a_read_as_closed_and_a_write_with_an_unknown_outcome(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client()
    sandbox.faults.add("*.*:hang")
    reading = asyncio.create_task(calls.read(client))
    writing = asyncio.create_task(calls.write(client))
    await asyncio.sleep(1)
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await reading
    with pytest.raises(OutcomeUnknownError) as unknown:
        await writing
    assert isinstance(unknown.value.__cause__, ClientClosedError)
    assert [sandbox.requests.count(operation) for operation in (READ, WRITE)] == [1, 1]


async def test_a_timeout_that_passed_while_the_loop_was_blocked_is_asked_again_for_free(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, clock: VirtualClock
) -> None:
    sandbox.faults.add(f"{READ}:hang,count=2")
    reading = asyncio.create_task(calls.read(make_client(timeout=5.0, retry=RetryPolicy(attempts=1))))
    for _ in range(2):
        await clock.sleep(1.0)
        clock.advance(8.0)  # in one turn, as a caller does that computes
    assert (await reading).batch_id == calls.batch
    assert sandbox.requests.count(READ) == 3


async def test_a_loop_that_is_blocked_again_and_again_makes_no_call_endless(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, clock: VirtualClock
) -> None:
    sandbox.faults.add(f"{READ}:hang")
    client = make_client(timeout=5.0, deadline=None, retry=RetryPolicy(attempts=1))
    reading = asyncio.create_task(calls.read(client))
    for _ in range(11):
        assert not reading.done()
        await clock.sleep(1.0)
        clock.advance(8.0)
    with pytest.raises(TransportError) as caught:
        await reading
    assert caught.value.attempts == sandbox.requests.count(READ) == 11
