"""HTTP in memory: a connector whose connections end in a function of this process, byte for byte, on any event loop.

aiohttp writes its requests and parses the answers as it does over a socket; there is only no socket. So thousands of
histories run in minutes, and nothing of the client is replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler


class Request(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What is sent back, after so many seconds."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}
    latency: float = 0.0
    disconnects: bool = False
    """Whether the connection ends in the middle of the body."""


class Server(Protocol):
    """What answers."""

    def answer(self, request: Request, /) -> Answer:
        """Return the answer to a request, as things stand when it arrives."""
        ...


class _Pipe(asyncio.Transport):
    """One end of a connection: what is written is read by the server, whose answer arrives after its latency."""

    def __init__(self, protocol: ResponseHandler, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._protocol = protocol
        self._server = server
        self._loop = loop
        self._received = b""
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._received += bytes(data)
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        request = _parsed(head, body)
        if len(body) < int(request.headers.get("content-length", "0")):
            return
        self._received = b""
        answer = self._server.answer(request)
        self._loop.call_later(answer.latency, self._deliver, answer)

    def _deliver(self, answer: Answer) -> None:
        if self._closing:
            return
        body = answer.body
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode()
        if answer.disconnects:
            self._protocol.data_received(head + body[: len(body) // 2])
            self.close()
            return
        self._protocol.data_received(head + body)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        del name
        return default

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def _parsed(head: bytes, body: bytes) -> Request:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    parts = urlsplit(target)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Request(method, unquote(parts.path), query, headers, body)


class InMemory(aiohttp.BaseConnector):
    """A connector to one server in this process, whatever the address."""

    def __init__(self, server: Server) -> None:
        super().__init__(limit=0)
        self._server = server

    async def _create_connection(self, *_: Any, **__: Any) -> ResponseHandler:
        loop = asyncio.get_running_loop()
        protocol = ResponseHandler(loop=loop)
        protocol.connection_made(_Pipe(protocol, self._server, loop))
        return protocol


def session(server: Server) -> aiohttp.ClientSession:
    """Return a session over connections to this server alone."""
    return aiohttp.ClientSession(
        connector=InMemory(server),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    )
