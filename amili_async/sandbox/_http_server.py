"""HTTP/1.1 as far as the sandbox needs it: requests in, answers out, straight on asyncio's transports.

Written by hand for two reasons. Half of the faults are below what a web framework lets one write: a cut body, a reset,
a gzip stream that does not end. And pages must leave faster than a client can take them: aiohttp.web spends 40 to 60 µs
on a page of 65 kB before it has looked at a token, this 17 to 23 with token and log (measured); so one server does all.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from amili_async.sandbox import _payload_faults as payload_faults
from amili_async.sandbox._log import LoggedRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from amili_async.sandbox._faults import Fault

ON_THE_WIRE: frozenset[str] = frozenset(
    {
        "close",
        "reset",
        "hang",
        "close-after-headers",
        "close-in-body",
        "reset-in-body",
        "cut-chunks",
        "cut-unmarked",
        "slow-body",
        "close-idle",
        "close-reused",
        "oversize",
    }
)
"""The kinds that this module carries out."""

_PIECES = 20
_SLOW_BODY_SECONDS = 10.0


def send_wrongly(connection: Connection, response: Response, fault: Fault) -> None:
    """Send an answer as a fault has it."""
    transport, body = connection.transport, response.body
    half = body[: len(body) // 2]
    match fault.kind:
        case "hang":
            # The connection's loss ends it.
            return
        case "close" | "close-reused":
            transport.close()
        case "reset":
            reset(transport)
        case "close-idle":
            connection.write(response, response.head(), body)
            transport.close()
        case "close-after-headers":
            connection.write(response, response.head(), b"")
            transport.close()
        case "close-in-body":
            connection.write(response, response.head(), half)
            transport.close()
        case "reset-in-body":
            connection.write(response, response.head(), half)
            reset(transport)
        case "cut-chunks":
            head = response.head(length=-1).replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
            connection.write(response, head, f"{len(body):x}\r\n".encode() + half)
            transport.close()
        case "cut-unmarked":
            connection.write(response, response.head(length=-1, close=True), half)
            transport.close()
        case "oversize":
            size = payload_faults.OVERSIZE if fault.size is None else fault.size
            connection.write(response, response.head(length=size + len(body)), b"")
            connection.stream(payload_faults.blanks(size, body), 0.0, response)
            return
        case _:
            duration = _SLOW_BODY_SECONDS if fault.seconds is None else fault.seconds
            connection.write(response, response.head(), b"")
            connection.stream(_pieces(body), duration / _PIECES, response)
            return
    connection.done(response)


def reset(transport: asyncio.Transport) -> None:
    """End a connection with RST, as a crashed peer or a stern firewall does."""
    peer = transport.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _pieces(body: bytes) -> Iterator[bytes]:
    step = max(1, -(-len(body) // _PIECES))
    return (body[start : start + step] for start in range(0, len(body), step))


_MAX_HEAD = 64 * 1024
_MAX_BODY = 64 * 2**20
_JSON = "application/json; charset=utf-8"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Response:
    """An answer, ready to be sent."""

    __slots__ = ("body", "content_type", "date", "delay", "fault", "headers", "request", "status")

    def __init__(
        self,
        request: LoggedRequest,
        status: int = 200,
        body: bytes = b"",
        *,
        content_type: str | None = _JSON,
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
        fault: Fault | None = None,
        date: str,
    ) -> None:
        self.request = request
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers
        self.delay = delay
        """Seconds to wait before anything of it is sent."""
        self.fault = fault
        """What goes wrong with it on the wire."""
        self.date = date
        """The server's time, as HTTP writes it."""

    def head(self, *, length: int | None = None, close: bool = False) -> bytes:
        """Return status line and headers. Every answer has a request id, as real ones are likely to (I)."""
        phrase = _PHRASES.get(self.status, "Unknown")
        size = len(self.body) if length is None else length
        fields = {"Date": self.date, "X-Amili-Request-Id": f"sandbox-{self.request.number}"}
        if size >= 0:
            fields["Content-Length"] = str(size)
        if self.content_type and size:
            fields["Content-Type"] = self.content_type
        if close:
            fields["Connection"] = "close"
        if self.headers:
            # A fault's own take the place of the usual ones, however they are spelled.
            own = {name.lower() for name in self.headers}
            fields = {**{name: value for name, value in fields.items() if name.lower() not in own}, **self.headers}
        lines = "".join([f"{name}: {value}\r\n" for name, value in fields.items()])
        return f"HTTP/1.1 {self.status} {phrase}\r\n{lines}\r\n".encode("latin-1")


class Application(Protocol):
    """What answers requests."""

    def answer(self, request: LoggedRequest) -> Response:
        """Return the answer to a request, and write it into the log."""
        ...


class Server:
    """What all connections of one listening socket share."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.connections: set[Connection] = set()
        self.open = True
        """Whether connections are served; one that was about to be accepted when the server stopped is dropped."""
        self.accepted = 0
        self.received = 0

    def connect(self) -> Connection:
        """Return what serves one connection."""
        return Connection(self)

    def drop_all(self) -> None:
        """End every connection at once."""
        for connection in list(self.connections):
            connection.abort()


class Connection(asyncio.Protocol):
    """One connection: requests are answered one after the other, also when they come in one packet."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._application = server.application
        self._received = b""
        self._responding: Response | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last = False
        self._continued = False
        self._reused = False
        self._full = False
        self._stream: tuple[Iterator[bytes], float, Response] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # No look at its class: uvloop's transports have none of asyncio's among their bases.
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]  # a server on TCP makes no other
        self._server.accepted += 1
        self.number = self._server.accepted
        self._server.connections.add(self)
        if not self._server.open:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the protocol's signature
        """End, and with it what was still to be sent."""
        self._server.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._responding is not None:
            self._responding.request.ended = asyncio.get_running_loop().time()
            self._responding = None

    def data_received(self, data: bytes) -> None:
        """Take what has come and answer each request that is whole."""
        self._received = self._received + data if self._received else data
        self._serve()

    def pause_writing(self) -> None:
        """Hold a stream back: the client takes it too slowly."""
        self._full = True

    def resume_writing(self) -> None:
        """Let a stream go on."""
        self._full = False
        if self._stream is not None and self._timer is None:
            self._flow()

    def abort(self) -> None:
        """End at once."""
        self.transport.abort()

    def _serve(self) -> None:
        while self._received and self._responding is None and not self.transport.is_closing():
            request = self._take()
            if request is None:
                return
            response = self._application.answer(request)
            self._responding = response
            if response.delay > 0:
                self._timer = asyncio.get_running_loop().call_later(response.delay, self._send, response)
            else:
                self._send(response)

    def _take(self) -> LoggedRequest | None:
        """Return the next request once all of it has come."""
        received = self._received
        end = received.find(b"\r\n\r\n")
        if end < 0:
            if len(received) > _MAX_HEAD:
                self._refuse(431)
            return None
        head = received[:end]
        first, _, fields = head.partition(b"\r\n")
        parts = first.decode("latin-1").split(" ")
        if len(parts) != 3:  # noqa: PLR2004  # method, target, version
            self._refuse(400)
            return None
        lower = fields.lower()
        self._last = parts[2] != "HTTP/1.1" or b"connection: close" in lower
        body, rest = b"", end + 4
        if b"transfer-encoding:" in lower:
            taken = _chunks(received, rest)
        elif b"content-length:" in lower:
            taken = _sized(received, rest, lower)
        else:
            taken = (body, rest)
        if taken is None:
            if b"100-continue" in lower and not self._continued:
                self._continued = True
                self.transport.write(_CONTINUE)
            elif len(received) > _MAX_BODY:
                self._refuse(413)
            return None
        if isinstance(taken, int):
            self._refuse(taken)
            return None
        body, rest = taken
        self._continued = False
        self._received = received[rest:]
        self._server.received += 1
        request = LoggedRequest(
            number=self._server.received,
            connection=self.number,
            method=parts[0],
            target=parts[1],
            head=head,
            body=body,
            started=asyncio.get_running_loop().time(),
            reused=self._reused,
        )
        self._reused = True
        return request

    def _refuse(self, status: int) -> None:
        self.transport.write(
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        self.transport.close()

    def _send(self, response: Response) -> None:
        self._timer = None
        if response.fault is not None:
            send_wrongly(self, response, response.fault)
            return
        self.write(
            response, response.head(close=self._last), b"" if response.request.method == "HEAD" else response.body
        )
        self.done(response)

    def write(self, response: Response, head: bytes, body: bytes) -> None:
        """Send status line, headers and the body, or as much of it as is given."""
        self.transport.write(b"".join((head, body)))
        response.request.status = response.status

    def stream(self, pieces: Iterator[bytes], pause: float, response: Response) -> None:
        """Send the rest of an answer piece by piece, no faster than the client takes it."""
        self._stream = (pieces, pause, response)
        self._flow()

    def _flow(self) -> None:
        self._timer = None
        assert self._stream is not None  # noqa: S101  # set before, unset at its end
        pieces, pause, response = self._stream
        for piece in pieces:
            self.transport.write(piece)
            if pause:
                self._timer = asyncio.get_running_loop().call_later(pause, self._flow)
            if pause or self._full:
                return
        self._stream = None
        self.done(response)

    def done(self, response: Response) -> None:
        """Note that an answer is out, and turn to the next request."""
        response.request.ended = asyncio.get_running_loop().time()
        self._responding = None
        if self._last:
            self.transport.close()
        elif self._received and not self.transport.is_closing():
            self._serve()


def _sized(received: bytes, start: int, fields: bytes) -> tuple[bytes, int] | int | None:
    """Return a body of a stated length and where it ends; ``None`` while it has not all come, a status if it cannot."""
    value = fields.partition(b"content-length:")[2].partition(b"\r\n")[0].strip()
    if not value.isdigit():
        return 400
    end = start + int(value)
    if end - start > _MAX_BODY:
        return 413
    return (received[start:end], end) if len(received) >= end else None


def _chunks(received: bytes, start: int) -> tuple[bytes, int] | int | None:
    """Return a chunked body and where it ends; ``None`` while it has not all come, a status if it is none."""
    parts: list[bytes] = []
    while True:
        line = received.find(b"\r\n", start)
        if line < 0:
            return None
        try:
            size = int(received[start:line].partition(b";")[0], 16)
        except ValueError:
            return 400
        start = line + 2
        if size == 0:
            # Trailers, which nobody sends here, would stand before the empty line.
            return (b"".join(parts), start + 2) if len(received) >= start + 2 else None
        if len(received) < start + size + 2:
            return None
        parts.append(received[start : start + size])
        start += size + 2
