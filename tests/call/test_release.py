"""No failure keeps a connection or the live response: with a pool of one the next call after each succeeds."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING

import aiohttp
import pytest

from amili_async import AmiliClient, RetryPolicy
from amili_async.errors import AmiliError, APIError, TransportError
from amili_async.sandbox import Fault
from tests.support.calls import READ

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from amili_async.sandbox import Sandbox, VirtualClock
    from tests.support.calls import Calls

FAULTS = [
    *(f"status={status}" for status in (300, 400, 401, 403, 404, 408, 409, 422, 423, 425, 429, 500, 501, 502, 503)),
    "status=400,body=''",
    "oversize,status=500",
    "hang",
    "close",
    "reset",
    "close-after-headers",
    "close-in-body",
    "reset-in-body",
    "cut-chunks",
    "cut-unmarked",
    "cut-gzip",
    "slow-body,seconds=100",
    "truncate",
    "corrupt",
    "empty",
    "html",
    "wrong-schema",
    "body='" + "[" * 5_000 + "'",
    "oversize",
    "bomb",
]


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[AmiliClient]:
    """A client over a pool of one connection, which nothing may keep."""
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
    async with session:
        yield AmiliClient(
            sandbox.issue_token(),
            base_url=sandbox.base_url,
            session=session,
            timeout=5.0,
            deadline=None,
            retry=RetryPolicy(attempts=1, max_wait=0.0),
            max_response_bytes=2**20,
        )


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[:40])
async def test_the_call_after_a_failure_succeeds_though_its_error_is_kept(
    fault: str, client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    with sandbox.faults.during(f"{READ}:{fault}"), pytest.raises(AmiliError) as kept:
        await calls.read(client)
    assert (await calls.read(client)).batch_id == calls.batch
    assert kept.value.operation == READ


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[:40])
async def test_no_error_keeps_the_response_alive(
    fault: str, client: AmiliClient, sandbox: Sandbox, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: weakref.WeakSet[aiohttp.ClientResponse] = weakref.WeakSet()
    plain = aiohttp.ClientResponse.__init__

    def noticed(self: aiohttp.ClientResponse, *args: object, **options: object) -> None:
        plain(self, *args, **options)  # type: ignore[arg-type]  # passed on as they come
        alive.add(self)

    monkeypatch.setattr(aiohttp.ClientResponse, "__init__", noticed)
    with sandbox.faults.during(f"{READ}:{fault}"), pytest.raises(AmiliError) as kept:
        await calls.read(client)
    error = kept.value
    del kept
    error.__traceback__ = None
    await asyncio.sleep(1.0)
    gc.collect()
    assert error.operation == READ
    assert not list(alive)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"type":"about:blank","title":"Bad","detail":"dueDate is missing"}', "dueDate is missing"),
        (b'{"message":"no such debtor Kari"}', "no such debtor Kari"),
        (b'{"error":{"message":"deep"}}', "deep"),
        (b"plain words", "plain words"),
        (b"<html><head><title>502 Bad Gateway</title></head></html>", "502 Bad Gateway"),
        (b"[" * 5_000, "[" * 299 + "…"),
        (b"", None),
    ],
)
async def test_any_body_gives_one_readable_line_that_does_not_quote_it(
    body: bytes, said: str | None, client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(Fault(READ, status=422, body=body))
    with pytest.raises(APIError) as caught:
        await calls.read(client)
    error = caught.value
    assert error.body == body
    assert error.detail == said
    assert str(error).startswith("batches.get: 422 ")
    assert "\n" not in str(error)
    assert not said or said not in str(error)


async def test_the_body_of_an_error_is_cut_at_64_kib(client: AmiliClient, sandbox: Sandbox, calls: Calls) -> None:
    sandbox.faults.add(Fault(READ, status=500, body=b"x" * 200_000))
    with pytest.raises(APIError) as caught:
        await calls.read(client)
    assert caught.value.body == b"x" * 65_536


async def test_the_request_id_is_on_the_error(client: AmiliClient, sandbox: Sandbox, calls: Calls) -> None:
    sandbox.faults.add(f"{READ}:status=404")
    with pytest.raises(APIError) as caught:
        await calls.read(client)
    assert caught.value.request_id == f"sandbox-{sandbox.requests.last().number}"
    assert f"request id {caught.value.request_id})" in str(caught.value)


@pytest.mark.parametrize("fault", ["close-in-body", "reset-in-body", "close-after-headers", "cut-chunks"])
async def test_a_body_that_broke_off_before_anybody_looked_at_it_is_noticed_at_once(
    fault: str, sandbox: Sandbox, calls: Calls, clock: VirtualClock
) -> None:
    async def dawdle(*_args: object) -> None:
        await asyncio.sleep(1.0)

    slow = aiohttp.TraceConfig()
    slow.on_request_end.append(dawdle)
    sandbox.faults.add(f"{READ}:{fault}")
    async with aiohttp.ClientSession(trace_configs=[slow]) as session:
        client = AmiliClient(
            sandbox.issue_token(), base_url=sandbox.base_url, session=session, retry=RetryPolicy(attempts=1)
        )
        begun = clock.monotonic()
        with pytest.raises(TransportError):
            await calls.read(client)
        assert clock.monotonic() - begun == pytest.approx(1.0)
