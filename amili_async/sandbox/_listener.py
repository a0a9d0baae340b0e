"""The listening socket: where the sandbox takes connections, and for a while refuses them."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from amili_async.sandbox._http_server import Server

_BACKLOG = 1024
_TURNS_TO_END = 10
"""Turns of the event loop in which a connection that asyncio is accepting has become one of ours, and has ended."""


class Listener:
    """Takes connections for a server, in the loop in which it was started; told to refuse from any thread."""

    def __init__(self, server: Server, *, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._server = server
        self._host = host
        self._tls = tls
        self._listening: asyncio.Server | None = None
        self._reserved: socket.socket | None = None
        self._opening: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.port = port

    async def start(self) -> None:
        """Listen in the running loop."""
        if self._loop is not None:
            raise RuntimeError("this sandbox runs already; make another for another server")
        self._loop = asyncio.get_running_loop()
        self._server.open = True
        try:
            await self._listen(_bound(self._host, self.port))
        except BaseException:
            self._loop = None
            raise

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        if self._opening is not None:
            await self._opening
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        self._server.open = False
        self._server.drop_all()
        if self._listening is not None:
            self._listening.close()
            await self._listening.wait_closed()
            self._listening = None
        for _ in range(_TURNS_TO_END):
            await asyncio.sleep(0)
        self._loop = None

    def refuse(self) -> None:
        """Refuse connections, and end those that are there."""
        self._within_loop(self._close)

    def accept(self) -> None:
        """Take connections again."""
        self._within_loop(self._reopen)

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something after a while, if the server still runs then."""
        loop = self._loop
        if loop is not None:
            self._within_loop(lambda: loop.call_later(seconds, action))

    async def _listen(self, bound: socket.socket) -> None:
        assert self._loop is not None  # noqa: S101  # set by start()
        self.port = bound.getsockname()[1]
        bound.listen(_BACKLOG)
        self._listening = await self._loop.create_server(
            self._server.connect, sock=bound, backlog=_BACKLOG, ssl=self._tls
        )

    def _close(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None
            self._server.drop_all()
            # Bound and not listening: the port stays ours, and every connection to it is refused.
            self._reserved = _bound(self._host, self.port)

    def _reopen(self) -> None:
        if self._reserved is not None and self._loop is not None:
            bound, self._reserved = self._reserved, None
            # From here on connections are taken; the loop fetches them as soon as the task has run.
            bound.listen(_BACKLOG)
            self._opening = self._loop.create_task(self._listen(bound))

    def _within_loop(self, action: Callable[[], object]) -> None:
        loop = self._loop
        if loop is None or loop is running_loop():
            action()
            return
        done: Future[None] = Future()

        def act() -> None:
            action()
            done.set_result(None)

        loop.call_soon_threadsafe(act)
        done.result()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's algorithm off only where it sees TCP by its name; with it on,
    # the second small write on a connection waits for the peer's delayed acknowledgement.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    bound.setblocking(False)  # noqa: FBT003  # positional in the standard library
    return bound


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop of this thread, if one runs."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
