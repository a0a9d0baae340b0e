"""What an error holds: no token, no secret, no password, no query value, no response, and little memory.

Every way to fail that the sandbox's faults and a server of raw bytes can make is tried, and all that can be reached
from the error that comes of it is walked: causes, contexts, and the local variables of the package's frames.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from amili_async import AmiliClient, AmiliError, ClientCredentials, NewInvoice, RetryPolicy
from amili_async.errors import (
    ClientClosedError,
    DeadlineExceededError,
    DecodeError,
    OutcomeUnknownError,
    RateLimitedError,
    TokenError,
)
from amili_async.sandbox import Fault, Sandbox
from amili_async.sandbox._faults import Kind
from tests.support.reachable import leaks, reachable, size
from tests.support.turns import turns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    from tests.support.factories import ClientFactory

    Call: TypeAlias = Callable[[AmiliClient, str, str], Coroutine[None, None, object]]
    """Made with a client, an organization and a batch."""

QUERY = "hidden-query-value"
DEBTOR = "hidden-debtor"
PASSWORD = "hidden-password"
ONCE = RetryPolicy(attempts=1)
TWICE = RetryPolicy(attempts=2, max_wait=0.0)

INVOICE = NewInvoice(
    type="NOTICE",
    invoice_number="INV-1",
    original_invoice_amount=Decimal(1),
    currency="NOK",
    invoice_date=date(2025, 1, 1),
    due_date=date(2025, 2, 1),
    description=DEBTOR,
)


async def read(client: AmiliClient, organization: str, batch: str) -> object:
    return await client.batches.get(organization, batch)


async def write(client: AmiliClient, organization: str, _batch: str) -> object:
    return await client.invoices.create(organization, [INVOICE], idempotency_key="key-1")


async def write_all(client: AmiliClient, organization: str, _batch: str) -> object:
    (outcome,) = await client.invoices.create_all(organization, [INVOICE]).collect()
    if outcome.error is not None:
        raise outcome.error
    return outcome


async def walk(client: AmiliClient, organization: str, _batch: str) -> object:
    return await client.batches.list(organization, subject_id=QUERY, page_size=2).collect()


async def walk_all(client: AmiliClient, organization: str, _batch: str) -> object:
    return await client.batches.list(organization, page_size=2).collect()


async def stream(client: AmiliClient, organization: str, _batch: str) -> object:
    return await client.batches.stream([organization], subject_id=QUERY).collect()


async def raw(client: AmiliClient, _organization: str, _batch: str) -> object:
    answer = dict[str, str]
    return await client.request("POST", "/things", query={"name": QUERY}, json={"debtor": DEBTOR}, type=answer)


async def authenticate(client: AmiliClient, _organization: str, _batch: str) -> object:
    await client.authenticate()
    return None


CALLS: tuple[Call, ...] = (read, write, write_all, walk, walk_all, stream, raw)


async def failed(call: Call, client: AmiliClient, sandbox: Sandbox | None = None) -> BaseException | None:
    """Return what a call raised, of a batch that is there where there is a sandbox."""
    organization = sandbox.organization_ids[0] if sandbox else "o-1"
    batch = sandbox.batch_ids(organization)[0] if sandbox else "b-1"
    try:
        await call(client, organization, batch)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # looked at by the tests
        return error
    return None


class Secrets(dict[str, str]):
    """What no error may hold, by name."""

    def __init__(self, **more: str) -> None:
        super().__init__(query=QUERY, debtor=DEBTOR, password=PASSWORD, **more)


def secrets_of(sandbox: Sandbox) -> Secrets:
    tokens = {request.headers["authorization"] for request in sandbox.requests if "authorization" in request.headers}
    issued = {f"token {number}": token.removeprefix("Bearer ") for number, token in enumerate(tokens)}
    return Secrets(secret=sandbox.credentials[1], **issued)


# -- the sandbox's faults


async def check(client: AmiliClient, sandbox: Sandbox, *calls: Call) -> int:
    """Make calls, look at what they raise, and return how many raised."""
    raised = 0
    for call in calls:
        error = await failed(call, client, sandbox)
        if error is not None:
            assert isinstance(error, AmiliError), repr(error)
            assert leaks(error, secrets_of(sandbox)) == [], call.__name__
            assert size(error) < 250_000
            raised += 1
    return raised


HARMFUL = {
    *("refuse", "close", "reset", "hang", "close-after-headers", "close-in-body", "reset-in-body", "cut-chunks"),
    *("cut-unmarked", "cut-gzip", "truncate", "corrupt", "empty", "html", "wrong-schema", "oversize", "bomb"),
}
"""Kinds after which next to no call has its value."""


@pytest.mark.parametrize("kind", get_args(Kind))
async def test_no_fault_of_an_answer_leaves_a_secret_in_the_error(
    kind: str, make_client: ClientFactory, sandbox: Sandbox
) -> None:
    client = make_client(retry=TWICE, timeout=5.0, deadline=20.0, max_response_bytes=100_000)
    await client.authenticate()
    count = 3 if kind == "empty-page" else None  # without end it makes a list without end
    settings: Any = {"kind": kind, "count": count, "size": 200_000}
    sandbox.faults.add(Fault("*.*", **settings), Fault("unknown", **settings))
    raised = await check(client, sandbox, *CALLS)
    assert raised >= (len(CALLS) - 1 if kind in HARMFUL else 0)


@pytest.mark.parametrize("status", [301, 304, 400, 401, 404, 407, 408, 409, 423, 425, 429, 500, 501, 503, 504, 599])
async def test_no_status_leaves_a_secret_in_the_error(
    status: int, make_client: ClientFactory, sandbox: Sandbox
) -> None:
    client = make_client(retry=ONCE)
    sandbox.faults.add(Fault("*.*", status=status), Fault("unknown", status=status))
    assert await check(client, sandbox, *CALLS) == len(CALLS)


@pytest.mark.parametrize(
    "fault",
    [
        *("status=400", "status=401", "status=407", "status=429", "status=500", "status=301", "close", "reset", "hang"),
        *("close-in-body", "cut-chunks", "truncate", "corrupt", "empty", "html", "wrong-schema", "refuse"),
    ],
)
async def test_no_fault_of_the_token_endpoint_leaves_a_secret_in_the_error(
    fault: str, make_client: ClientFactory, sandbox: Sandbox
) -> None:
    client = make_client(retry=TWICE, timeout=5.0, deadline=20.0)
    sandbox.faults.add(f"token:{fault}")
    assert await check(client, sandbox, authenticate, *CALLS) == 1 + len(CALLS)


async def test_neither_closing_nor_cancelling_leaves_a_secret_in_the_error(
    make_client: ClientFactory, sandbox: Sandbox
) -> None:
    client = make_client()
    await client.authenticate()
    sandbox.faults.add("*.*:hang", "unknown:hang")
    running = [asyncio.ensure_future(failed(call, client, sandbox)) for call in CALLS for _ in range(2)]
    await asyncio.sleep(1.0)
    for task in running[::2]:
        task.cancel()
    await asyncio.sleep(1.0)
    await client.aclose()
    errors = await asyncio.gather(*running)
    assert {type(error) for error in errors} == {asyncio.CancelledError, ClientClosedError, OutcomeUnknownError}
    for error in errors:
        assert error is not None
        assert leaks(error, secrets_of(sandbox)) == []


async def test_a_full_pool_an_open_deadline_and_a_shut_gate_leave_none(
    make_client: ClientFactory, sandbox: Sandbox
) -> None:
    client = make_client(concurrency=1, deadline=5.0, retry=ONCE)
    await client.authenticate()
    sandbox.faults.add("batches.get:hang,count=1", "batches.get:status=429,retry_after=60,count=1")
    errors = [*await asyncio.gather(failed(read, client, sandbox), failed(write, client, sandbox))]
    errors += [await failed(call, client, sandbox) for call in CALLS]
    assert {type(error) for error in errors} == {DeadlineExceededError, RateLimitedError}
    for error in errors:
        assert error is not None
        assert leaks(error, secrets_of(sandbox)) == []


# -- a server of raw bytes


@asynccontextmanager
async def answering(answer: bytes) -> AsyncGenerator[str]:
    """Yield the root of a server that answers every request with these bytes and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await turns(50)


OK = b"HTTP/1.1 200 OK\r\n"
MALFORMED = {
    "no HTTP": b"hello\r\n\r\n",
    "nothing": b"",
    "half a line": b"HTTP/1.1 2",
    "another version": b"HTTP/9.9 200 OK\r\n\r\n",
    "a status that is none": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a length that is none": OK + b"Content-Length: x\r\n\r\n{}",
    "a negative length": OK + b"Content-Length: -1\r\n\r\n{}",
    "two lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "length and chunks": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk size that is none": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "a chunk that is too short": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n0\r\n\r\n",
    "a header without a colon": OK + b"Nonsense\r\n\r\n{}",
    "a header with a line end": OK + b"X-A: 1\r\n 2\r\n\x00\r\n\r\n{}",
    "a header that is endless": OK + b"X-A: " + b"a" * 200_000 + b"\r\n\r\n{}",
    "more headers than one reads": OK + b"".join(b"X-%d: 1\r\n" % n for n in range(5_000)) + b"\r\n{}",
    "gzip that is none": OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "a body that is cut": OK + b"Content-Length: 100\r\n\r\n{",
    "a body that is HTML": OK + b"Content-Length: 6\r\n\r\n<html>",
    "a body of another shape": OK + b'Content-Length: 12\r\n\r\n{"data":[7]}',
    "a protocol not asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "an endless informational answer": b"HTTP/1.1 100 Continue\r\n\r\n" * 3,
}


@pytest.mark.parametrize("answer", MALFORMED.values(), ids=MALFORMED)
async def test_no_malformed_answer_leaves_a_secret_in_the_error(answer: bytes) -> None:
    token = "hidden-static-token"
    async with (
        answering(answer) as root,
        AmiliClient(token, base_url=root, retry=ONCE) as client,
        AmiliClient(ClientCredentials("id", "hidden-secret"), base_url=root, token_url=f"{root}/token") as other,
    ):
        for by, call in [(client, call) for call in CALLS] + [(other, authenticate)]:
            error = await failed(call, by)
            assert isinstance(error, AmiliError), (call.__name__, error)
            assert leaks(error, Secrets(token=token, secret="hidden-secret")) == [], call.__name__
            assert size(error) < 250_000


@pytest.mark.parametrize("status", [301, 407, 502])
async def test_no_proxy_that_fails_leaves_its_password_in_the_error(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(b"HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n" % status) as proxy:
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.replace("http://", f"http://me:{PASSWORD}@"))
        for root in ("https://127.0.0.1:9", "http://127.0.0.1:9"):
            async with AmiliClient("hidden-static-token", base_url=root, retry=ONCE) as client:
                for call in CALLS:
                    error = await failed(call, client)
                    assert isinstance(error, AmiliError)
                    assert leaks(error, Secrets(token="hidden-static-token", basic="bWU6aGlkZGVu")) == []


async def test_no_server_that_cannot_be_reached_leaves_a_secret_in_the_error() -> None:
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as plain:
        for root in ("http://127.0.0.1:9", plain.replace("http://", "https://"), "https://nowhere.invalid"):
            async with AmiliClient("hidden-static-token", base_url=root, retry=ONCE) as client:
                for call in CALLS:
                    error = await failed(call, client)
                    assert isinstance(error, AmiliError)
                    assert leaks(error, Secrets(token="hidden-static-token")) == []


# -- callers' own code


async def test_what_a_token_callable_raises_is_the_cause_without_our_variables(sandbox: Sandbox) -> None:
    class OwnError(Exception):
        pass

    async def source() -> str:
        raise OwnError

    async with AmiliClient(source, base_url=sandbox.base_url) as client:
        error = await failed(write, client)
    assert error is not None
    assert isinstance(error.__cause__, OwnError)
    assert leaks(error, Secrets()) == []


class Provider:
    """A provider of a caller's own, which asks with aiohttp."""

    async def token(self, _exchange: object, /) -> str:
        headers = CIMultiDictProxy(CIMultiDict({"Authorization": f"Basic {PASSWORD}"}))
        url = URL("https://auth.example/?secret=" + QUERY)
        raise aiohttp.ClientResponseError(aiohttp.RequestInfo(url, "POST", headers, url), (), status=500)

    def reject(self, token: str, /) -> None: ...


async def test_what_aiohttp_raised_in_a_callers_own_code_is_named_and_nothing_more(sandbox: Sandbox) -> None:
    own = Provider()

    async def source() -> str:
        return await own.token(None)

    for auth in (own, source):
        async with AmiliClient(auth, base_url=sandbox.base_url) as client:
            error = await failed(write, client)
        assert isinstance(error, TokenError)
        assert repr(error.__cause__) == "ClientError('ClientResponseError')"
        assert leaks(error, Secrets()) == []


async def test_the_frames_of_a_callers_own_callback_keep_their_variables(
    make_client: ClientFactory, sandbox: Sandbox
) -> None:
    def refuse(_row: object) -> None:
        mine = "the caller's own"
        raise LookupError(mine)

    sandbox.faults.add("batches.list:bad-row")
    error = await failed(walk_all, make_client(on_invalid=refuse), sandbox)
    assert isinstance(error, LookupError)
    frames: list[Any] = []
    step = error.__traceback__
    while step is not None:
        frames.append(step.tb_frame)
        step = step.tb_next
    assert frames[-1].f_locals["mine"] == "the caller's own"
    assert leaks(error, secrets_of(sandbox)) == []


# -- size


@pytest.mark.parametrize("call", [read, raw])
async def test_thirty_kept_errors_of_large_bodies_are_small(call: Call) -> None:
    body = b'{"data": 7, "filler": "' + b"x" * 5_000_000 + b'"}'
    answer = OK + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with answering(answer) as root, AmiliClient("t-1", base_url=root, retry=ONCE) as client:
        await failed(call, client)
        gc.collect()
        tracemalloc.start()
        try:
            kept = [await failed(call, client) for _ in range(30)]
            gc.collect()
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert {type(error) for error in kept} <= {DecodeError, OutcomeUnknownError}
    assert taken < 30 * 100_000  # of which 64 KiB are each one's body
    assert sum(size(error) for error in kept if error is not None) < 30 * 150_000


async def test_the_walk_itself_finds_what_an_error_holds() -> None:
    def fail() -> None:
        raise DecodeError("x") from ValueError("a cause with " + PASSWORD)

    with pytest.raises(DecodeError) as caught:
        fail()
    caught.value.add_note(f"note of {QUERY}")
    assert leaks(caught.value, Secrets()) == [
        "query in what is printed",
        "password in what is printed",
        "query at DecodeError.__notes__->",
        "password at DecodeError.__cause__.args->",
    ]
    assert len([*reachable(caught.value)]) > 5
