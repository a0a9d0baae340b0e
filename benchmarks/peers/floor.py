"""The floor: HTTP written by hand on an asyncio protocol, and msgspec. No client library can be cheaper."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchmarks.peers.peer import in_tasks
from benchmarks.peers.rows import DECODER
from benchmarks.server import TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from benchmarks.peers.peer import Walk


class _Connection(asyncio.Protocol):
    """One keep-alive connection that can send a GET and knows Content-Length."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] | None = None
        self.parts: list[bytes] = []
        self.missing = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # a TCP connection has no other
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.missing < 0:
            if self.parts:
                data = b"".join((*self.parts, data))
                self.parts.clear()
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.parts.append(data)
                return
            head = data[:end].lower()
            if not head.startswith(b"http/1.1 200 "):
                self._fail(ConnectionError(head[:15].decode("latin-1")))
                return
            start = head.index(b"content-length:") + 15
            stop = head.find(b"\r\n", start)
            self.missing = int(head[start : stop if stop >= 0 else len(head)])
            data = data[end + 4 :]
        self.parts.append(data)
        self.missing -= len(data)
        if self.missing == 0:
            body = b"".join(self.parts)
            self.parts.clear()
            self.missing = -1
            if self.answer is not None:
                self.answer.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionResetError("closed by the server"))

    def _fail(self, error: Exception) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error)

    def get(self, request: bytes) -> asyncio.Future[bytes]:
        """Send a request; the future has the body of its 200."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.answer


@asynccontextmanager
async def opened(base_url: str) -> AsyncGenerator[Walk, None]:
    """Keep connections; a walk takes one and asks for page after page on it."""
    parts = urlsplit(base_url)
    host, port = parts.hostname or "", parts.port or 80
    end = f" HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {TOKEN}\r\nAccept: application/json\r\n\r\n"
    idle: list[_Connection] = []
    loop = asyncio.get_running_loop()

    async def walk(organization_id: str) -> int:
        connection = idle.pop() if idle else (await loop.create_connection(_Connection, host, port))[1]
        path = f"GET {parts.path}/orgs/{organization_id}/batches"
        target = path
        entries = 0
        while True:
            page = DECODER.decode(await connection.get(f"{target}{end}".encode()))
            for batch in page.data:
                entries += len(batch.succeeded)
            if not page.summary.next_page_token:
                idle.append(connection)
                return entries
            target = f"{path}?PageToken={page.summary.next_page_token}"

    try:
        yield in_tasks(walk)
    finally:
        for connection in idle:
            connection.transport.close()
