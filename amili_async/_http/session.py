"""Connection: the aiohttp session behind a client, made at the first call, kept to one event loop, closed once."""

from __future__ import annotations

import asyncio
import warnings
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import aiohttp

from amili_async.errors import ClientClosedError, ConfigurationError, WrongLoopError

if TYPE_CHECKING:
    from collections.abc import Coroutine

_TURNS_TO_CONNECT = 8
_READ_BUFFER = 2**20
"""Bytes that aiohttp takes in before it stops reading from a connection; every ordinary page is smaller."""


class RequestSentSignal:
    """Tells when a request is on the wire: ``done``, to be looked at for at most ``turns`` turns of the event loop."""

    __slots__ = ("done", "turns")

    def __init__(self, turns: int) -> None:
        self.done = False
        self.turns = turns


request_sent_signal: ContextVar[RequestSentSignal | None] = ContextVar("handing_over", default=None)
"""The handover of the request that the running task makes."""


class _Response(aiohttp.ClientResponse):
    """A response, which aiohttp starts to wait for in the moment that it has written the request."""

    # Not `__init__`, whose many arguments would be packed and unpacked for every request; nor a coroutine on top.
    def start(  # pyright: ignore[reportIncompatibleMethodOverride]  # the coroutine of an `async def`, handed on
        self, connection: aiohttp.connector.Connection
    ) -> Coroutine[Any, Any, aiohttp.ClientResponse]:
        sent_signal = request_sent_signal.get()
        if sent_signal is not None:
            sent_signal.done = True
        return super().start(connection)


class Connection:
    """The session of one client and all its copies."""

    def __init__(self, session: aiohttp.ClientSession | None, *, limit: int, label: str) -> None:
        self._given = session
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._limit = limit
        self._label = label
        self.closed = False

    def open(self) -> aiohttp.ClientSession:
        """Return the session, made inside the running loop at the first call.

        Raises:
            ClientClosedError: the client, or the session given to it, was closed.
            WrongLoopError: the client was first used in another event loop.
        """
        if self.closed:
            raise ClientClosedError(f"{self._label} is closed; make another one, or keep it open while calls run")
        session = self._session
        if session is None:
            session = self._start()
        elif asyncio.get_running_loop() is not self._loop:
            raise WrongLoopError(
                f"{self._label} was first used in another event loop, which its connections belong to; "
                "make one client per loop (asyncio.run() starts a loop of its own every time)"
            )
        if session is self._given and session.closed:
            raise ClientClosedError(f"the session given to {self._label} is closed")
        return session

    def _start(self) -> aiohttp.ClientSession:
        self._loop = asyncio.get_running_loop()
        if self._given is not None:
            if self._given.auth is not None:
                raise ConfigurationError(
                    "session must have no auth of its own: aiohttp refuses it beside the client's bearer token"
                )
            self._session = self._given
            return self._given
        # Above the client's own concurrency, so that no call waits for a connection that the limit let through; token
        # requests and downloads hold no slot and need some more.
        connector = aiohttp.TCPConnector(limit=self._limit + 16)
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=_Response,
            read_bufsize=_READ_BUFFER,
            timeout=aiohttp.ClientTimeout(total=None),
        )
        # aiohttp sends a GET whose connection dropped a second time by itself; our count of attempts would be wrong,
        # and there is no public switch.
        session._retry_connection = False  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # no public switch
        self._session = session
        return session

    def sent_signal(self) -> RequestSentSignal:
        """Return what tells when a request is on the wire; a given session cannot tell, so it gets two turns."""
        return RequestSentSignal(_TURNS_TO_CONNECT if self._given is None else 2)

    async def close(self) -> None:
        """Close the session, unless it was given. Closing twice does nothing."""
        self.closed = True
        session, self._session = self._session, None
        if session is None or session is self._given:
            return
        if asyncio.get_running_loop() is self._loop:
            await session.close()
        else:
            _abandon(session)

    def __del__(self) -> None:
        session = self._session
        if session is None or session is self._given or session.closed:
            return
        warnings.warn(
            f"{self._label} was not closed; use `async with AmiliClient(...)` or `await client.aclose()`",
            ResourceWarning,
            source=self,
            stacklevel=1,
        )
        _abandon(session)


def _abandon(session: aiohttp.ClientSession) -> None:
    """Close a session without awaiting, as a finaliser or another event loop must.

    `connector.close()` is a coroutine, and `_close()` is what it runs. Without it aiohttp warns of its own connector,
    which the user never made.
    """
    connector = session.connector
    session.detach()
    if connector is not None:
        connector._close()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the only way without awaiting
