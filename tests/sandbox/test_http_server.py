from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from amili_async.sandbox import Fault
from tests.support.turns import until

if TYPE_CHECKING:
    from amili_async.sandbox import Sandbox
    from tests.support.raw_client import RawClient


async def exchange(sandbox: Sandbox, *parts: bytes, end: bool = True) -> bytes:
    """Send bytes, part by part, and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        for _ in range(3):  # the server runs in this loop: it has read what was sent
            await asyncio.sleep(0)
    if end:
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


HEALTH = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
TOKEN = b"POST /token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"


def form(sandbox: Sandbox) -> bytes:
    client_id, client_secret = sandbox.credentials
    return f"grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}".encode()


async def test_requests_in_one_packet_are_answered_in_order(sandbox: Sandbox) -> None:
    answer = await exchange(sandbox, HEALTH + TOKEN + b"Content-Length: 0\r\n\r\n" + HEALTH)
    assert statuses(answer) == [404, 400, 404]
    assert {request.connection for request in sandbox.requests} == {1}
    assert [request.reused for request in sandbox.requests] == [False, True, True]


async def test_a_request_may_come_byte_by_byte(sandbox: Sandbox) -> None:
    body = form(sandbox)
    request = TOKEN + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    assert statuses(await exchange(sandbox, *(request[n : n + 1] for n in range(len(request))))) == [200]


async def test_a_chunked_body_is_put_together(sandbox: Sandbox) -> None:
    body = form(sandbox)
    chunks = f"5\r\n{body[:5].decode()}\r\n{len(body) - 5:x};note=1\r\n{body[5:].decode()}\r\n0\r\n\r\n".encode()
    head = TOKEN + b"Transfer-Encoding: chunked\r\n\r\n"
    assert statuses(await exchange(sandbox, head + chunks)) == [200]
    assert sandbox.requests.last().body == body
    pieces = [chunks[n : n + 7] for n in range(0, len(chunks), 7)]
    assert statuses(await exchange(sandbox, head, *pieces)) == [200]


async def test_a_client_that_asks_first_is_told_to_go_on(sandbox: Sandbox) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
    body = form(sandbox)
    writer.write(TOKEN + f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body[:10])
    await asyncio.sleep(0)
    writer.write(body[10:])
    assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
    writer.close()


@pytest.mark.parametrize(
    "request_line", [b"GET /nowhere HTTP/1.0\r\n\r\n", b"GET /nowhere HTTP/1.1\r\nConnection: Close\r\n\r\n"]
)
async def test_a_client_that_wants_the_connection_closed_gets_it_closed(sandbox: Sandbox, request_line: bytes) -> None:
    answer = await exchange(sandbox, request_line, end=False)
    assert statuses(answer) == [404]
    assert b"Connection: close\r\n" in answer


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (TOKEN + b"Content-Length: many\r\n\r\n", 400),
        (TOKEN + b"Content-Length: 99999999999\r\n\r\n", 413),
        (TOKEN + b"Transfer-Encoding: chunked\r\n\r\nmany\r\n", 400),
        (b"GET /" + b"x" * 70_000, 431),
    ],
)
async def test_what_is_no_request_is_refused_and_the_connection_closed(
    sandbox: Sandbox, sent: bytes, status: int
) -> None:
    answer = await exchange(sandbox, sent, end=False)
    assert statuses(answer) == [status]
    assert len(sandbox.requests) == 0


async def test_a_chunked_body_that_grows_without_end_is_refused(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amili_async.sandbox._http_server._MAX_BODY", 1000)
    sent = TOKEN + b"Transfer-Encoding: chunked\r\n\r\n" + b"3e8\r\n" + b"x" * 1000 + b"\r\n5\r\n"
    assert statuses(await exchange(sandbox, sent, end=False)) == [413]


async def test_a_client_that_leaves_in_the_middle_of_a_request_leaves_nothing(sandbox: Sandbox) -> None:
    assert await exchange(sandbox, b"GET /nowhere HTT") == b""
    assert len(sandbox.requests) == 0


async def test_a_head_request_gets_no_body(sandbox: Sandbox) -> None:
    answer = await exchange(sandbox, b"HEAD /nowhere HTTP/1.1\r\nConnection: close\r\n\r\n", end=False)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Length: " in head
    assert body == b""


async def test_a_client_that_takes_the_sandbox_for_its_proxy_names_the_whole_url(raw: RawClient) -> None:
    target = f"http://api.example/collection/v1/orgs/{raw.organization}/batches?PageSize=3"
    head = f"GET {target} HTTP/1.1\r\nAuthorization: {raw.headers['Authorization']}\r\nConnection: close\r\n\r\n"
    answer = await exchange(raw.sandbox, head.encode(), end=False)
    assert statuses(answer) == [200]
    assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["data"]) == 3
    assert raw.sandbox.requests.last().target == target


async def test_requests_that_follow_a_delayed_one_wait_for_its_answer(sandbox: Sandbox) -> None:
    sandbox.faults.add("unknown:latency=5ms,count=1")
    answer = await exchange(sandbox, HEALTH + b"GET /other HTTP/1.1\r\nConnection: close\r\n\r\n", end=False)
    assert statuses(answer) == [404, 404]
    first, second = sandbox.requests
    assert first.ended is not None
    assert first.ended <= second.started


async def test_a_client_that_leaves_before_a_delayed_answer_ends_it(sandbox: Sandbox) -> None:
    sandbox.faults.add("unknown:latency=1000")
    _, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
    writer.write(HEALTH)
    await until(sandbox.requests.under_way)
    writer.close()
    await until(lambda: not sandbox.requests.under_way())
    assert sandbox.requests.last().status is None


async def test_a_large_answer_waits_for_a_client_that_takes_it_slowly(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("unknown", body=b"x" * 12 * 2**20))
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
    writer.write(HEALTH + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    assert len(await reader.readexactly(12 * 2**20)) == 12 * 2**20
    assert (await reader.read()).endswith(b"x")
    writer.close()


async def test_every_answer_has_a_request_id_of_its_own(raw: RawClient) -> None:
    ids = [(await raw.batches()).headers["X-Amili-Request-Id"] for _ in range(2)]
    assert ids == ["sandbox-1", "sandbox-2"]


async def test_a_status_that_nobody_has_heard_of_is_sent(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:status=599")
    response = await raw.batches()
    assert response.status == 599
    assert response.json["title"] == "Error"
