"""HTTPClient: one HTTP exchange over the session, from request parts to status, headers and the body's bytes.

The only module that awaits a socket. It decides nothing: `transport` says what is sent and what to make of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from amili_async._http.failures import wire_error
from amili_async._protocol.call_state import SendState
from amili_async._protocol.outcomes import SUCCESS
from amili_async._protocol.requests import NO_CONTENT
from amili_async._upstream.aiohttp import handler_of, writing
from amili_async._upstream.direct import ReadHead
from amili_async.errors import MAX_BODY, DecodeError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aiohttp.abc import AbstractStreamWriter

    from amili_async._http.endpoints import Endpoints, Proxy, Unproxied
    from amili_async._http.session import Connection
    from amili_async._protocol.call_state import CallState
    from amili_async._protocol.options import Timeout
    from amili_async._protocol.outcomes import WireError
    from amili_async._protocol.requests import Body
    from amili_async._upstream.direct import DirectReads

_WRITE_CHUNK = 64 * 1024

# Looked up once: CPython 3.11 calls a function to find a member of an enum.
_NO_CONTENT = HTTPStatus.NO_CONTENT.value

MAX_RATIO = 200
"""How many times as large as it came an answer may be unpacked; what an API sends seldom packs to a thirtieth."""

RATIO_FROM = 2**20
"""The unpacked bytes from which on that is looked at."""


class _WatchedBody(aiohttp.Payload):
    """The body of a write, which notes when it is first handed to a connection.

    aiohttp holds the headers back until the body is written, so an untouched body means that nothing was sent.
    """

    _autoclose = True

    def __init__(self, value: bytes, content_type: str, sending: SendState) -> None:
        super().__init__(value, content_type=content_type)
        self._size = len(value)
        self._bytes = value
        self._sending = sending

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._bytes.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        self._sending.begun = True
        for start in range(0, max(1, len(self._bytes)), _WRITE_CHUNK):
            await writer.write(self._bytes[start : start + _WRITE_CHUNK])


def _fits(headers: Mapping[str, str], content: aiohttp.StreamReader, limit: int) -> bool:
    """Return whether the body is known to fit into a limit and into aiohttp's own buffer, as it comes and unpacked."""
    length = headers.get(hdrs.CONTENT_LENGTH)
    return (
        length is not None
        and hdrs.CONTENT_ENCODING not in headers
        and hdrs.TRANSFER_ENCODING not in headers
        # One that broke off before it was looked at has no end to wait for; reading it raises.
        and content.exception() is None
        and int(length) <= min(limit, content.get_read_buffer_limits()[0])
    )


def _is_plain(state: CallState) -> bool:
    """Return whether a request has the headers that its client's requests have, and neither more nor a body."""
    call = state.call
    return not (call.headers or state.hook_headers or call.idempotency_key or call.body is not None)


def _for_proxy(headers: Mapping[str, str], url: URL, proxy: Proxy | None) -> Mapping[str, str]:
    """Return a request's headers with the proxy's credentials, where it is the proxy that reads them.

    On the way to https it reads those of the tunnel alone, which aiohttp makes of ``proxy_headers``.
    """
    if proxy is None or proxy.headers is None or url.scheme == "https":
        return headers
    return CIMultiDict({**headers, **proxy.headers})


def _wire_error(error: Exception, url: URL, proxy: Proxy | None, limits: Timeout) -> WireError:
    """Return what an error of aiohttp means, in our own words."""
    return wire_error(error, url, proxy=None if proxy is None else proxy.place, connect=limits.connect)


class FormAnswer(NamedTuple):
    """What the token endpoint answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HTTPClient:
    """Exchanges requests for answers over one client's session."""

    def __init__(
        self, connection: Connection, endpoints: Endpoints, *, user_agent: str, max_response_bytes: int
    ) -> None:
        self._connection = connection
        self._endpoints = endpoints
        self._user_agent = user_agent
        self._max_response_bytes = max_response_bytes
        self._read_head: tuple[CIMultiDict[str], Unproxied, ReadHead] | None = None
        self._plain_headers: tuple[str | None, Mapping[str, str], CIMultiDict[str]] | None = None
        self._client_timeout: tuple[Timeout, aiohttp.ClientTimeout] | None = None

    def exchange(self, state: CallState, authorization: str | None) -> Coroutine[Any, Any, Body]:
        """Send a run's request and return the body of the answer; status and headers are noted in the run.

        Raises:
            DecodeError: a success larger than ``max_response_bytes``.
            WireError: what went wrong below HTTP.
        """
        session = self._connection.opened()
        call = state.call
        direct = self._connection.direct
        if direct is not None and call.method == "GET" and direct.possible and _is_plain(state):
            way = self._endpoints.unproxied(call)
            if way is not None:
                return self._read_directly(direct, session, way, state, authorization)
        return self._send(session, state, authorization)

    async def _send(self, session: aiohttp.ClientSession, state: CallState, authorization: str | None) -> Body:
        """Send a request through the session, and return the body of the answer."""
        call = state.call
        url = self._endpoints.url(call)
        proxy = self._endpoints.proxy(url)
        payload = None
        if call.method != "GET" or call.body is not None:
            state.sending = SendState(begun=False)
            payload = _WatchedBody(call.body or b"", call.content_type, state.sending)
        writing.set(payload is not None)
        try:
            async with session.request(
                call.method,
                url,
                headers=_for_proxy(self._headers(state, authorization), url, proxy),
                data=payload,
                allow_redirects=False,
                raise_for_status=False,
                timeout=self._timeout(state.options.timeout),
                proxy=None if proxy is None else proxy.url,
                proxy_headers=None if proxy is None else proxy.headers,
            ) as response:
                state.status, state.answer_headers = response.status, response.headers
                if hdrs.KEEP_ALIVE in response.headers:
                    self._connection.note_keep_alive(handler_of(response), response.headers)
                return await self._receive(state, response.headers, response.content)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            problem = _wire_error(error, url, proxy, state.options.timeout)
        raise problem  # outside of the handler: aiohttp's error would be its context, with all that it holds

    async def _read_directly(
        self,
        direct: DirectReads,
        session: aiohttp.ClientSession,
        way: Unproxied,
        state: CallState,
        authorization: str | None,
    ) -> Body:
        """Send a plain read past the session, and return the body of the answer."""
        call = state.call
        target = f"{way.prefix}{call.path}?{call.query}" if call.query else way.prefix + call.path
        try:
            head = self._head(session, way, state, authorization)
            answer = await direct.read(target, head, self._timeout(state.options.timeout))
            try:
                state.status, state.answer_headers = answer.status, answer.headers
                if hdrs.KEEP_ALIVE in answer.headers:
                    self._connection.note_keep_alive(answer.handler, answer.headers)
                return await self._receive(state, answer.headers, answer.content)
            finally:
                answer.release()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            problem = _wire_error(error, way.root, None, state.options.timeout)
        raise problem  # as in `_send`

    async def _receive(self, state: CallState, headers: Mapping[str, str], content: aiohttp.StreamReader) -> Body:
        """Read the body, counted unpacked: at once where it is small, else in the chunks that arrive."""
        if state.status == _NO_CONTENT:
            return NO_CONTENT
        success = state.status in SUCCESS
        limit = self._max_response_bytes if success else MAX_BODY
        if not content.is_eof() and _fits(headers, content, limit):
            # Nothing stops the connection before the end of the body, so one turn of the event loop at that end is
            # enough, in place of one for each chunk.
            await content.wait_eof()
        # Most pages are there as soon as their headers are.
        complete = content.is_eof()
        body: Body = content.read_nowait() if complete else await content.readany()
        if not complete and len(body) <= limit and (chunk := await content.readany()):
            # One buffer that grows in place: joining a list of chunks would hold a large page twice.
            body = bytearray(body)
            while chunk and len(body) <= limit:
                body += chunk
                if len(body) > RATIO_FROM and len(body) > MAX_RATIO * content.total_raw_bytes:
                    raise DecodeError(f"the answer unpacks to more than {MAX_RATIO} times what was sent")
                chunk = await content.readany()
        state.received = len(body)
        if len(body) <= limit:
            return body
        if success:
            raise DecodeError(f"the answer is larger than max_response_bytes ({limit} bytes, unpacked)")
        return body[:limit]

    async def post_form(self, form: Mapping[str, str], limits: Timeout) -> FormAnswer:
        """Post a form to the token endpoint and return its answer, whatever the status.

        Raises:
            WireError: what went wrong below HTTP.
        """
        url = URL(self._endpoints.token_url, encoded=True)
        proxy = self._endpoints.proxy(url)
        session = self._connection.open()
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": self._user_agent,
        }
        writing.set(True)
        try:
            async with session.request(
                "POST",
                url,
                headers=_for_proxy(headers, url, proxy),
                data=urlencode(form).encode(),
                allow_redirects=False,
                raise_for_status=False,
                timeout=self._timeout(limits),
                proxy=None if proxy is None else proxy.url,
                proxy_headers=None if proxy is None else proxy.headers,
            ) as response:
                body = bytearray()
                while len(body) < MAX_BODY and (chunk := await response.content.readany()):
                    body += chunk
                return FormAnswer(response.status, response.headers, bytes(body[:MAX_BODY]))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            problem = _wire_error(error, url, proxy, limits)
        raise problem  # as in `_send`

    def _timeout(self, timeout: Timeout) -> aiohttp.ClientTimeout:
        """Return what aiohttp bounds: the way to a connection. The total is the attempt's own timer."""
        if self._client_timeout is None or self._client_timeout[0] is not timeout:
            self._client_timeout = (timeout, aiohttp.ClientTimeout(total=None, connect=timeout.connect))
        return self._client_timeout[1]

    def _head(
        self, session: aiohttp.ClientSession, way: Unproxied, state: CallState, authorization: str | None
    ) -> ReadHead:
        """Return where a plain read goes and its headers, made once for all reads that are alike."""
        headers, kept = self._headers(state, authorization), self._read_head
        if kept is None or kept[0] is not headers or kept[1] is not way:
            kept = self._read_head = (headers, way, ReadHead(session, way.root, headers))
        return kept[2]

    def _headers(self, state: CallState, authorization: str | None) -> CIMultiDict[str]:
        """Return the request's headers, the client's own last so that nothing overrides them."""
        call, given = state.call, state.options.headers
        plain = _is_plain(state) and state.sending is None
        kept = self._plain_headers
        if plain and kept is not None and kept[0] == authorization and kept[1] is given:
            return kept[2]
        headers = CIMultiDict({"Accept": "application/json", "User-Agent": self._user_agent})
        headers.update(given)
        headers.update(state.hook_headers or {})
        headers.update(call.headers or {})
        if state.sending is not None:
            headers["Content-Type"] = call.content_type
        if call.idempotency_key is not None:
            headers["IdempotencyKey"] = call.idempotency_key
        if authorization is not None:
            headers["Authorization"] = authorization
        if plain:
            self._plain_headers = (authorization, given, headers)
        return headers
