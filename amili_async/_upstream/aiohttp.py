"""What aiohttp has no public way to say: when a request was written, which idle connection may carry what, no re-sends.

A connection that has been idle may have been closed by the server, and a request that goes out on it is lost: a read is
repeated, of a write nobody knows. The connector looks before it hands one out.
"""

from __future__ import annotations

import selectors
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import aiohttp

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Coroutine
    from ssl import SSLContext

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.tracing import Trace

    Kept = deque[tuple[ResponseHandler, float]]

WARM = 0.1
"""Seconds of idleness up to which a read takes a connection without a look at it: a walk must not pay for one."""

writing: ContextVar[bool] = ContextVar("writing", default=False)
"""Whether the request that the running task connects for is a write."""

# A poll where there is one: `select` cannot look at a descriptor above 1,023.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


class RequestSentSignal:
    """Tells when a request is on the wire: ``done``, to be looked at for at most ``turns`` turns of the event loop."""

    __slots__ = ("done", "turns")

    def __init__(self, turns: int) -> None:
        self.done: bool = False
        self.turns: int = turns


request_sent_signal: ContextVar[RequestSentSignal | None] = ContextVar("request_sent_signal", default=None)
"""The signal of the request that the running task makes."""


class Response(aiohttp.ClientResponse):
    """A response, which aiohttp starts to wait for in the moment that it has written the request."""

    # Not `__init__`, whose many arguments would be packed and unpacked for every request; nor a coroutine on top.
    def start(  # pyright: ignore[reportIncompatibleMethodOverride]  # the coroutine of an `async def`, handed on
        self, connection: aiohttp.connector.Connection
    ) -> Coroutine[Any, Any, aiohttp.ClientResponse]:
        signal = request_sent_signal.get()
        if signal is not None:
            signal.done = True
        return super().start(connection)


def handler_of(response: aiohttp.ClientResponse) -> ResponseHandler | None:
    """Return the connection of a response: its own end, since it has been given back already and may be idle."""
    return response._protocol  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # kept nowhere else


class Connector(aiohttp.TCPConnector):
    """Keeps connections alive, and hands one that has been idle out only where the request may go out on it.

    A write takes no connection that has been idle for longer than ``write_keepalive`` seconds, or than the server has
    announced; an older one stays for reads. With 0 it takes none. What is readable on an idle connection is its end.
    """

    def __init__(self, *, limit: int, write_keepalive: float, ssl: SSLContext | None) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]  # one of aiohttp's own types
            limit=limit, ssl=True if ssl is None else ssl
        )
        self._write_keepalive = write_keepalive
        self._announced: WeakKeyDictionary[ResponseHandler, float] = WeakKeyDictionary()

    def announce(self, handler: ResponseHandler | None, seconds: float) -> None:
        """Note for how long the server keeps a connection open."""
        if self._write_keepalive and handler is not None:
            self._announced[handler] = seconds

    # Not a coroutine on top, which every page would pay for.
    def _get(  # pyright: ignore[reportIncompatibleMethodOverride]  # the coroutine of an `async def`, handed on
        self, key: ConnectionKey, traces: list[Trace]
    ) -> Coroutine[Any, Any, aiohttp.connector.Connection | None]:
        kept = self._conns.get(key)
        if kept:
            now = monotonic()
            if writing.get():
                if not self._choose_for_write(kept, now):
                    return _none()
            elif now - kept[0][1] > WARM:
                self._drop_closed(kept, now)
        return super()._get(key, traces)

    def _choose_for_write(self, kept: Kept, now: float) -> bool:
        """Put the connection that a write may go out on first in the row; return whether there is one."""
        for place in reversed(range(len(kept))):
            handler, since = kept[place]
            if now - since > self._announced.get(handler, self._write_keepalive):
                continue
            del kept[place]
            if _silent(handler):
                kept.appendleft((handler, since))
                return True
            handler.close()
        return False

    def _drop_closed(self, kept: Kept, now: float) -> None:
        """Drop what the server has closed from the head of the row."""
        while kept and now - kept[0][1] > WARM and not _silent(kept[0][0]):
            kept.popleft()[0].close()


async def _none() -> None:
    """There is no connection to be had from those that are kept."""


def _silent(handler: ResponseHandler) -> bool:
    """Return whether an idle connection is open and nothing has arrived on it.

    The socket itself is asked: a loop that was blocked has not yet seen what has happened on it.
    """
    socket = None if handler.transport is None else handler.transport.get_extra_info("socket")
    if socket is None or socket.fileno() < 0:
        return False
    with _Selector() as selector:
        selector.register(socket.fileno(), selectors.EVENT_READ)
        return not selector.select(0)


def never_resend(session: aiohttp.ClientSession) -> None:
    """Keep a session from sending a GET whose connection dropped a second time by itself: we count, and it cannot."""
    session._retry_connection = False  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # no public switch


def abandon(session: aiohttp.ClientSession) -> None:
    """Close a session without awaiting, as a finaliser or another event loop must.

    `connector.close()` is a coroutine, and `_close()` is what it runs. Without it aiohttp warns of its own connector,
    which the user never made.
    """
    connector = session.connector
    session.detach()
    if connector is not None:
        connector._close()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the only way without awaiting
