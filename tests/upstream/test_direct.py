"""Reads past aiohttp's session: as its own requests on the wire, with its own errors, and only where nobody minds."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

from amili_async import AmiliClient
from amili_async._upstream.aiohttp import Connector, RequestSentSignal, Response, request_sent_signal, writing
from amili_async._upstream.direct import DirectReads, ReadHead, reads_directly
from tests.support.turns import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BATCH = b'{"summary":{"status":"SUCCESS"},"data":{"batchId":"b"}}'
TIMEOUT = aiohttp.ClientTimeout(total=None, connect=5.0)


class Server:
    """Answers every request with the same bytes, and keeps what it was sent."""

    def __init__(self, answer: bytes = ANSWER) -> None:
        self.answer = answer
        self.requests: list[str] = []
        self.ended = 0
        self.url = URL()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head.decode())
                writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended += 1
        writer.close()

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[Server]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        try:
            yield self
        finally:
            server.close()


@pytest.fixture
async def server() -> AsyncGenerator[Server]:
    async with Server().serving() as served:
        yield served


@asynccontextmanager
async def session_of(**options: Any) -> AsyncGenerator[tuple[aiohttp.ClientSession, DirectReads]]:
    connector = Connector(limit=10, write_keepalive=0.5, ssl=None)
    async with aiohttp.ClientSession(connector=connector, response_class=Response, **options) as session:
        yield session, DirectReads(connector, read_buffer=2**16)


def head_of(session: aiohttp.ClientSession, root: URL, **headers: str) -> ReadHead:
    return ReadHead(session, root, CIMultiDict(headers))


async def _never(*_: object) -> None:
    await asyncio.Event().wait()


def sorted_lines(request: str) -> list[str]:
    return sorted(request.split("\r\n"))


async def test_a_read_is_on_the_wire_what_a_request_of_the_session_is(server: Server) -> None:
    async with session_of() as (session, direct):
        headers = {"Accept": "application/json", "User-Agent": "a", "Authorization": "Bearer t"}
        async with session.get(server.url / "orgs/x" % {"PageToken": "1"}, headers=headers) as response:
            await response.read()
        answer = await direct.read("/orgs/x?PageToken=1", head_of(session, server.url, **headers), TIMEOUT)
        assert (answer.status, answer.headers["Content-Length"]) == (200, "2")
        assert await answer.content.read() == b"ok"
        answer.release()
    own, ours = server.requests
    assert sorted_lines(ours) == sorted_lines(own)
    assert ours.startswith("GET /orgs/x?PageToken=1 HTTP/1.1\r\n")


async def test_reads_use_one_connection_after_the_other_has_come_to_its_end(server: Server) -> None:
    async with session_of() as (session, direct):
        head = head_of(session, server.url)
        for _ in range(3):
            answer = await direct.read("/", head, TIMEOUT)
            await answer.content.read()
            answer.release()
        assert server.ended == 0
        assert session.connector is not None
        assert len(server.requests) == 3
    await until(lambda: server.ended == 1)


async def test_a_read_that_is_let_go_before_its_end_closes_its_connection(server: Server) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok"
    async with session_of() as (session, direct):
        answer = await direct.read("/", head_of(session, server.url), TIMEOUT)
        answer.release()
        await until(lambda: server.ended == 1)


async def test_a_cancelled_read_closes_its_connection_and_tells_when_it_was_sent(server: Server) -> None:
    server.answer = b"HTTP/1.1 100 Continue\r\n\r\n"  # no answer yet
    async with session_of() as (session, direct):
        signal = RequestSentSignal(8)
        request_sent_signal.set(signal)
        pending = asyncio.ensure_future(direct.read("/", head_of(session, server.url), TIMEOUT))
        await until(lambda: server.requests)
        assert signal.done
        pending.cancel()
        await asyncio.wait({pending})
        assert pending.cancelled()
        await until(lambda: server.ended == 1)


async def test_an_interim_answer_is_not_taken_for_the_answer(server: Server) -> None:
    server.answer = b"HTTP/1.1 103 Early Hints\r\n\r\n" + ANSWER
    async with session_of() as (session, direct):
        answer = await direct.read("/", head_of(session, server.url), TIMEOUT)
        assert answer.status == 200
        answer.release()


async def test_what_is_no_http_is_the_error_that_a_session_raises(server: Server) -> None:
    server.answer = b"SSH-2.0-OpenSSH_9.6\r\n\r\n"
    async with session_of() as (session, direct):
        with pytest.raises(aiohttp.ClientResponseError):
            await session.get(server.url)
        with pytest.raises(aiohttp.ClientResponseError):
            await direct.read("/", head_of(session, server.url), TIMEOUT)


async def test_a_connection_that_takes_too_long_is_the_error_that_a_session_raises(server: Server) -> None:
    async with session_of() as (session, direct):
        with (
            patch.object(Connector, "_create_connection", _never),
            pytest.raises(aiohttp.ConnectionTimeoutError),
        ):
            await direct.read("/", head_of(session, server.url), aiohttp.ClientTimeout(total=None, connect=0.001))


async def test_a_connection_that_closes_at_that_moment_is_not_written_to(server: Server) -> None:
    async with session_of() as (session, direct):
        with (
            patch("aiohttp.connector.Connection.protocol", None),
            pytest.raises(aiohttp.ClientConnectionResetError),
        ):
            await direct.read("/", head_of(session, server.url), TIMEOUT)
    assert not server.requests


async def test_a_line_break_reaches_no_server(server: Server) -> None:
    async with session_of() as (session, direct):
        with pytest.raises(ValueError, match="line break"):
            head_of(session, server.url, X="a\r\nY: b")
        with pytest.raises(ValueError, match="line break"):
            await direct.read("/ HTTP/1.1\r\nX: y", head_of(session, server.url), TIMEOUT)
    assert not server.requests


async def test_a_read_after_a_write_is_taken_for_a_read_by_the_connector(server: Server) -> None:
    async with session_of() as (session, direct):
        writing.set(True)
        answer = await direct.read("/", head_of(session, server.url), TIMEOUT)
        answer.release()
        assert not writing.get()


# -- where reads go through the session


async def test_an_aiohttp_that_it_was_not_held_against_is_used_as_it_offers_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with session_of() as (session, _):
        assert reads_directly(session)
        monkeypatch.setattr(aiohttp, "__version__", "3.15.0")
        assert not reads_directly(session)


async def test_a_client_reads_through_such_an_aiohttps_session(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BATCH), BATCH)
    monkeypatch.setattr(aiohttp, "__version__", "3.15.0")
    monkeypatch.setattr(DirectReads, "read", None)
    async with AmiliClient("token", base_url=str(server.url)) as client:
        assert (await client.batches.get("o", "b")).batch_id == "b"
    assert len(server.requests) == 1


async def test_a_session_that_is_traced_sees_every_request() -> None:
    async with session_of(trace_configs=[aiohttp.TraceConfig()]) as (session, _):
        assert not reads_directly(session)


async def test_who_stands_in_the_place_of_the_sessions_requests_sees_every_one(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BATCH), BATCH)
    seen: list[str] = []
    real = aiohttp.ClientSession._request  # pyright: ignore[reportPrivateUsage]  # what others replace

    async def request(session: aiohttp.ClientSession, method: str, url: URL, **options: Any) -> aiohttp.ClientResponse:
        seen.append(method)
        return await real(session, method, url, **options)

    async with AmiliClient("token", base_url=str(server.url)) as client:
        await client.batches.get("o", "b")
        monkeypatch.setattr(aiohttp.ClientSession, "_request", request)
        await client.batches.get("o", "b")
    assert seen == ["GET"]
    assert sorted_lines(server.requests[0]) == sorted_lines(server.requests[1])
