"""Answers sent wrongly: what faults do on the wire, to a connection instead of to a value."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from amili_async.sandbox import _payload_faults as damage

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from amili_async.sandbox._faults import Fault
    from amili_async.sandbox._http_server import Connection, Reply

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


def misbehave(connection: Connection, reply: Reply, fault: Fault) -> None:
    """Send an answer as a fault has it."""
    transport, body = connection.transport, reply.body
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
            connection.write(reply, reply.head(), body)
            transport.close()
        case "close-after-headers":
            connection.write(reply, reply.head(), b"")
            transport.close()
        case "close-in-body":
            connection.write(reply, reply.head(), half)
            transport.close()
        case "reset-in-body":
            connection.write(reply, reply.head(), half)
            reset(transport)
        case "cut-chunks":
            head = reply.head(length=-1).replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
            connection.write(reply, head, f"{len(body):x}\r\n".encode() + half)
            transport.close()
        case "cut-unmarked":
            connection.write(reply, reply.head(length=-1, close=True), half)
            transport.close()
        case "oversize":
            size = damage.OVERSIZE if fault.size is None else fault.size
            connection.write(reply, reply.head(length=size + len(body)), b"")
            connection.stream(damage.blanks(size, body), 0.0, reply)
            return
        case _:
            duration = _SLOW_BODY_SECONDS if fault.seconds is None else fault.seconds
            connection.write(reply, reply.head(), b"")
            connection.stream(_pieces(body), duration / _PIECES, reply)
            return
    connection.done(reply)


def reset(transport: asyncio.Transport) -> None:
    """End a connection with RST, as a crashed peer or a stern firewall does."""
    peer = transport.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _pieces(body: bytes) -> Iterator[bytes]:
    step = max(1, -(-len(body) // _PIECES))
    return (body[start : start + step] for start in range(0, len(body), step))
