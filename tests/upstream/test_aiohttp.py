"""What leans on aiohttp's insides, tried on the aiohttp that is installed: each test fails when upstream changes it."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from amili_async._upstream import aiohttp as upstream
from amili_async._upstream.aiohttp import (
    WARM,
    Connector,
    RequestSentSignal,
    Response,
    abandon,
    handler_of,
    never_resend,
    request_sent_signal,
    writing,
)
from tests.support.turns import turns, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers every request, keeps every connection open, and closes them when it is told to."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.connections: list[asyncio.StreamWriter] = []
        self.answer = ANSWER
        self.url = ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head.split(b" ", 1)[0].decode())
                if not self.answer:
                    break
                writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[Server]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        try:
            yield self
        finally:
            server.close()
            for writer in self.connections:
                writer.close()
            await turns(20)


class Moments:
    """A clock for idle times, which the connector and aiohttp read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(upstream, "monotonic", self)
        monkeypatch.setattr("aiohttp.connector.monotonic", self)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def server() -> AsyncGenerator[Server]:
    async with Server().serving() as served:
        yield served


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> Moments:
    return Moments(monkeypatch)


@asynccontextmanager
async def session_of(write_keepalive: float = 0.5) -> AsyncGenerator[tuple[aiohttp.ClientSession, Connector]]:
    connector = Connector(limit=10, write_keepalive=write_keepalive, ssl=None)
    async with aiohttp.ClientSession(connector=connector, response_class=Response) as session:
        never_resend(session)
        yield session, connector


async def send(session: aiohttp.ClientSession, method: str, server: Server) -> aiohttp.ClientResponse:
    writing.set(method != "GET")
    async with session.request(method, server.url) as response:
        assert await response.read() == b"ok"
        return response


# -- the moment a request is on the wire


async def test_the_signal_is_set_when_the_request_is_written_and_before_it_is_answered(server: Server) -> None:
    server.answer = b"HTTP/1.1 100 Continue\r\n\r\n"  # no answer yet
    async with session_of() as (session, _):
        signal = RequestSentSignal(8)
        request_sent_signal.set(signal)
        pending = asyncio.ensure_future(session.get(server.url))
        assert not signal.done
        await until(lambda: signal.done)
        assert not pending.done()
        await until(lambda: server.requests)
        pending.cancel()
        await asyncio.wait({pending})


# -- no second sending


@pytest.mark.parametrize(("told", "sent"), [(True, 1), (False, 2)])
async def test_a_dropped_get_is_sent_once_where_aiohttp_is_told_and_twice_by_itself(
    server: Server, *, told: bool, sent: int
) -> None:
    server.answer = b""
    async with aiohttp.ClientSession() as session:
        if told:
            never_resend(session)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.get(server.url)
    assert server.requests == ["GET"] * sent


# -- the end without awaiting


async def test_an_abandoned_session_is_closed_without_a_word(server: Server) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    session = aiohttp.ClientSession(connector=Connector(limit=1, write_keepalive=1.0, ssl=None))
    connector = session.connector
    assert connector is not None
    await send(session, "GET", server)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        abandon(session)
        del session
        gc.collect()
        await turns(5)
    assert connector.closed
    assert caught == []
    assert reported == []


# -- idle connections


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_write_takes_no_connection_that_was_idle_for_too_long_and_leaves_it_to_reads(
    method: str, server: Server, moments: Moments
) -> None:
    async with session_of(0.5) as (session, _):
        await send(session, "GET", server)
        moments.now += 0.5
        await send(session, method, server)
        assert len(server.connections) == 1
        moments.now += 0.6
        await send(session, method, server)
        assert len(server.connections) == 2
        moments.now += 0.6
        await send(session, "GET", server)
        await send(session, "GET", server)
        assert len(server.connections) == 2


async def test_a_write_takes_the_connection_that_was_used_last(server: Server, moments: Moments) -> None:
    async with session_of(0.5) as (session, connector):
        await asyncio.gather(*(send(session, "GET", server) for _ in range(3)))
        moments.now += 0.6
        await send(session, "GET", server)
        await send(session, "POST", server)
        assert len(server.connections) == 3
        assert connector.limit == 10


async def test_what_a_server_announces_counts_for_its_connection(server: Server, moments: Moments) -> None:
    async with session_of(0.5) as (session, connector):
        connector.announce(handler_of(await send(session, "GET", server)), 4.0)
        moments.now += 3.9
        await send(session, "POST", server)
        assert len(server.connections) == 1
        moments.now += 4.1
        await send(session, "POST", server)
        assert len(server.connections) == 2


async def test_without_keep_alive_for_writes_each_has_a_connection_of_its_own(server: Server, moments: Moments) -> None:
    async with session_of(0.0) as (session, connector):
        connector.announce(handler_of(await send(session, "GET", server)), 4.0)
        moments.now += 0.001
        await send(session, "POST", server)
        moments.now += 0.001
        await send(session, "POST", server)
        assert len(server.connections) == 3


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_connection_that_ended_while_the_loop_was_blocked_is_not_used(
    method: str, server: Server, moments: Moments
) -> None:
    async with session_of(60.0) as (session, _):
        await send(session, "GET", server)
        # The end is in the kernel and the loop has had no turn since, as if it had been blocked.
        raw = server.connections[0].get_extra_info("socket")
        with socket.fromfd(raw.fileno(), raw.family, raw.type) as end:
            end.shutdown(socket.SHUT_RDWR)
        moments.now += 2 * WARM
        await send(session, method, server)
    assert server.requests == ["GET", method]
    assert len(server.connections) == 2


async def test_a_warm_connection_is_taken_by_reads_without_a_look(
    server: Server, moments: Moments, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with session_of() as (session, _):
        await send(session, "GET", server)
        monkeypatch.setattr(upstream, "_silent", None)
        moments.now += WARM / 2
        await send(session, "GET", server)
        assert len(server.connections) == 1


class Socketless:
    """A transport that says nothing of its socket."""

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def get_extra_info(self, _name: str) -> None:
        return None

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)


async def test_a_connection_without_a_socket_is_not_used(
    server: Server, moments: Moments, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with session_of() as (session, _):
        response = await send(session, "GET", server)
        handler = response._protocol  # pyright: ignore[reportPrivateUsage]  # as the package does
        assert handler is not None
        assert handler.transport is not None
        monkeypatch.setattr(handler, "transport", Socketless(handler.transport))
        moments.now += 0.2
        await send(session, "POST", server)
        assert len(server.connections) == 2
