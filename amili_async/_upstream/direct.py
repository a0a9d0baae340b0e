"""DirectReads: a plain GET over aiohttp's connector and parser, past what its session prepares for every request.

Cookies, redirects, authentication, traces, middlewares, a request and a response object: a read uses none of them, and
together they take as long as decoding a page of 40 kB. What moves bytes is kept: connector, TLS, pool, protocol,
parser, stream. Only in the session that a client makes for itself, and only of an aiohttp that this was held against;
with another one, or where somebody stands in the place of the session's requests, reads go through the session.
"""

from __future__ import annotations

import asyncio
import re
from types import FunctionType
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.http import HttpProcessingError

from amili_async._upstream.aiohttp import request_sent_signal, writing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.client_proto import ResponseHandler
    from multidict import CIMultiDict
    from yarl import URL

_HELD_AGAINST = "3.14."
_BREAKS = re.compile(r"[\r\n\0]")
_INTERIM = range(100, 200)
_SWITCHING = 101

# What mocks and instrumentations put themselves in the place of, in order to see every request.
_request = aiohttp.ClientSession._request  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # what they replace


def reads_directly(session: aiohttp.ClientSession) -> bool:
    """Return whether a session of our own may be gone past."""
    return (
        aiohttp.__version__.startswith(_HELD_AGAINST)
        and isinstance(_request, FunctionType)
        and _request.__code__.co_qualname == "ClientSession._request"
        and not session.trace_configs
    )


class ReadHead:
    """What the plain reads of one server have in common: where they go, and their headers as they are sent."""

    __slots__ = ("request", "sent")

    def __init__(self, session: aiohttp.ClientSession, root: URL, headers: CIMultiDict[str]) -> None:
        # It is never sent: the connector sees by it where to connect, and it brings aiohttp's own headers.
        self.request: aiohttp.ClientRequest = aiohttp.ClientRequest(
            "GET", root, headers=headers, loop=asyncio.get_running_loop(), session=session
        )
        lines = [f"{name}: {value}" for name, value in self.request.headers.items()]
        if any(map(_BREAKS.search, lines)):
            raise ValueError("a header with a line break")
        self.sent: bytes = "\r\n".join((" HTTP/1.1", *lines, "", "")).encode()


class DirectAnswer:
    """An answer whose body may still come. Its connection is free again at the body's end."""

    __slots__ = ("_connection", "content", "handler", "headers", "status")

    def __init__(
        self,
        connection: aiohttp.connector.Connection,
        handler: ResponseHandler,
        status: int,
        headers: Mapping[str, str],
        content: aiohttp.StreamReader,
    ) -> None:
        self._connection = connection
        self.handler = handler
        self.status = status
        self.headers = headers
        self.content = content

    def release(self) -> None:
        """Give the connection back; one on which the body has not come to its end is closed."""
        self._connection.release()


class DirectReads:
    """Sends plain reads over the connector of one session."""

    def __init__(self, connector: aiohttp.BaseConnector, *, read_buffer: int) -> None:
        self._connector = connector
        self._read_buffer = read_buffer

    @property
    def possible(self) -> bool:
        """Whether nobody stands in the place of the session's requests."""
        return aiohttp.ClientSession._request is _request  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the same

    async def read(self, target: str, head: ReadHead, timeout: aiohttp.ClientTimeout) -> DirectAnswer:  # noqa: ASYNC109  # the connector's
        """Send a read and return its answer once the headers are there; `DirectAnswer.release` it.

        Raises:
            aiohttp.ClientError: as a session's request; what else it raises, `OSError` and `ValueError`, too.
        """
        if _BREAKS.search(target):
            raise ValueError("a target with a line break")
        if writing.get():
            writing.set(False)
        try:
            connection = await self._connector.connect(head.request, traces=[], timeout=timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"Connection timeout to host {head.request.url}") from error
        try:
            handler = self._send(connection, target, head)
            message, content = await handler.read()
            while message.code in _INTERIM and message.code != _SWITCHING:
                message, content = await handler.read()
        except BaseException as error:
            connection.close()
            if isinstance(error, HttpProcessingError):
                raise aiohttp.ClientResponseError(
                    head.request.request_info, (), status=error.code, message=error.message
                ) from error
            raise
        content.on_eof(connection.release)
        return DirectAnswer(connection, handler, message.code, message.headers, content)

    def _send(self, connection: aiohttp.connector.Connection, target: str, head: ReadHead) -> ResponseHandler:
        """Write a read's request; return what its answer comes from."""
        handler = connection.protocol
        transport = None if handler is None else handler.transport
        if handler is None or transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")
        handler.set_response_params(read_until_eof=True, read_bufsize=self._read_buffer)
        transport.write(b"GET %b%b" % (target.encode(), head.sent))
        signal = request_sent_signal.get()
        if signal is not None:
            signal.done = True
        return handler
