"""A small HTTP server in a thread of its own, for calls in place of pages: it limits the rate, hangs, or hangs up.

What it answers is a function of the request's line and the moment; it costs next to nothing beside what is measured.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Answer = Callable[[bytes, float], bytes | None]

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
ACCEPTED = (
    b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n{"data":{"batchId":"b"}}'
)
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def too_many(retry_after: float | None) -> bytes:
    """Return a 429."""
    told = "" if retry_after is None else f"Retry-After: {retry_after:.0f}\r\n"
    return f"HTTP/1.1 429 Too Many Requests\r\n{told}Content-Length: 0\r\n\r\n".encode()


class _Connection(asyncio.Protocol):
    def __init__(self, answer: Answer, idle: float | None) -> None:
        self._answer, self._idle = answer, idle
        self._received = b""
        self._closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # what a TCP server has
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._closing is not None:
            self._closing.cancel()
        self._received += data
        loop = asyncio.get_running_loop()
        head, found, body = self._received.partition(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"content-length: ")
        if not found or len(body) < int(length.partition(b"\r\n")[0] or 0):
            return
        self._received = b""
        answer = self._answer(head.partition(b"\r\n")[0], loop.time())
        if answer is not None:
            self._transport.write(answer)
            if self._idle is not None:
                self._closing = loop.call_later(self._idle, self._transport.close)


@contextmanager
def answering(answer: Answer, *, idle: float | None = None) -> Generator[str]:
    """Serve while the block runs; return the root of its URLs.

    Args:
        answer: the bytes for a request's line at a moment; ``None`` for none at all.
        idle: seconds after which a connection that nobody uses is closed.
    """
    ready: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        loop, ends = asyncio.get_running_loop(), asyncio.Event()
        server = await loop.create_server(lambda: _Connection(answer, idle), "127.0.0.1", 0, backlog=4096)
        ready.set_result((server.sockets[0].getsockname()[1], loop, ends))
        await ends.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="server", daemon=True)
    thread.start()
    port, loop, ends = ready.result()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(ends.set)
        thread.join()
