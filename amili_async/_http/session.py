"""Connection: the aiohttp session behind a client, made at the first call, kept to one event loop, closed once."""

from __future__ import annotations

import asyncio
import re
import warnings
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import hdrs

from amili_async._upstream.aiohttp import Connector, RequestSentSignal, Response, abandon, never_resend
from amili_async._upstream.direct import DirectReads, reads_directly
from amili_async.errors import ClientClosedError, ConfigurationError, WrongLoopError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ssl import SSLContext

    from aiohttp.client_proto import ResponseHandler

_TURNS_TO_CONNECT = 8
_READ_BUFFER = 2**20
"""Bytes that aiohttp takes in before it stops reading from a connection; every ordinary page is smaller."""

_ANNOUNCED = re.compile(r"\btimeout\s*=\s*\"?(\d{1,9})", re.IGNORECASE)


class Connection:
    """The session of one client and all its copies."""

    def __init__(
        self,
        session: aiohttp.ClientSession | None,
        *,
        limit: int,
        label: str,
        write_keepalive: float,
        ssl: SSLContext | None = None,
    ) -> None:
        self._given = session
        self._ssl = ssl
        self._write_keepalive = write_keepalive
        self._connector: Connector | None = None
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._limit = limit
        self._label = label
        self.direct: DirectReads | None = None
        """What plain reads are sent by, where that need not be the session."""
        self.closed: bool = False
        if session is not None and not isinstance(session, aiohttp.ClientSession):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
            raise ConfigurationError(f"session must be an aiohttp.ClientSession, not {type(session).__name__}")

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

    def opened(self) -> aiohttp.ClientSession:
        """Return the session of a call that has been let begin by `open` in this loop."""
        session = self._session
        return self.open() if session is None or self.closed or session is self._given else session

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
        self._connector = Connector(limit=self._limit + 16, write_keepalive=self._write_keepalive, ssl=self._ssl)
        session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=Response,
            read_bufsize=_READ_BUFFER,
            timeout=aiohttp.ClientTimeout(total=None),
        )
        never_resend(session)
        self._session = session
        if reads_directly(session):
            self.direct = DirectReads(self._connector, read_buffer=_READ_BUFFER)
        return session

    def note_keep_alive(self, handler: ResponseHandler | None, headers: Mapping[str, str]) -> None:
        """Heed for how long the server says that it keeps a connection open."""
        seconds = read_keep_alive(headers.get(hdrs.KEEP_ALIVE, ""))
        if seconds is not None and self._connector is not None:
            self._connector.announce(handler, seconds)

    def sent_signal(self) -> RequestSentSignal:
        """Return a signal set once the request is written; a given session cannot tell, so it gets two turns."""
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
            abandon(session)

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
        abandon(session)


def read_keep_alive(value: str) -> float | None:
    """Return for how long a connection may idle and still carry a write, by its ``Keep-Alive: timeout=``.

    A second less than announced, half of it where that is more: what is on its way when the time is up is lost.
    """
    found = _ANNOUNCED.search(value)
    return None if found is None else max(int(found[1]) - 1.0, int(found[1]) / 2)
