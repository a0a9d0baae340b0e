"""What goes on the wire and what comes back, as pure functions: a call into request parts, an answer into an error.

Nothing here waits, and nothing here knows a socket: `transport` sends what this module builds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote, urlsplit
from uuid import UUID

import msgspec

from amili_async._routes import Route
from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.errors import (
    MAX_BODY,
    APIError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    ForbiddenError,
    InvalidArgumentError,
    LockedError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    UnauthorizedError,
    UnprocessableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

Identifier: TypeAlias = str | UUID
"""What names an organization, a batch, an invoice …: opaque text, or a UUID, which is sent as text."""

Body: TypeAlias = "bytes | bytearray"

NO_CONTENT: Body = bytearray()
"""The body of a 204: this object itself. Any other empty body may be one that was cut short."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*\Z")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_REQUEST_ID_HEADERS = ("X-Amili-Request-Id", "X-Request-Id", "Request-Id", "X-Correlation-Id")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}\Z")

_CODE = re.compile(r"[A-Z_]{3,40}")
_PLAIN_HOST = re.compile(r"[A-Za-z0-9 ._:-]{1,253}")
_REDIRECTS = range(300, 400)
_PAGE = 2048
"""The bytes of a web server's own page in which its reason stands."""
_TLS_PAGES = (
    (b"plain HTTP request was sent to HTTPS port", "the port speaks TLS: use https"),
    (b"No required SSL certificate was sent", "it asks for a client certificate: pass ssl="),
    (b"The SSL certificate error", "it refused the client certificate"),
)
"""What nginx says of TLS, and what that means."""

_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableError,
    423: LockedError,
    429: RateLimitedError,
}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One operation with everything that its request needs, the token and the host excepted."""

    route: Route
    path: str
    """Below the server's root, percent-encoded."""
    query: str = ""
    """Percent-encoded, without the question mark."""
    root: str | None = None
    """The root of another server than the route's own."""
    method: str
    body: bytes | None = None
    content_type: str = "application/json"
    headers: dict[str, str] | None = None
    idempotency_key: str | None = None
    repeatable: bool = True
    """Whether sending the same request twice does no more than sending it once."""
    basic: str | None = None
    """An Authorization value that stands in for the bearer token."""
    recovery_hint: str | None = None
    """For a write: how to find out whether it took effect."""

    def __repr__(self) -> str:
        return f"Call({self.route.operation}, {self.route.method} {self.route.path})"

    def organization(self) -> str:
        """Return the organization in its path as it stands there; empty where there is none."""
        template, path = self.route.path.split("/"), self.path.split("/")
        return next((value for name, value in zip(template, path, strict=False) if name == "{organization_id}"), "")


def identifier(value: object, name: str) -> str:
    """Return an id as the text that is sent.

    Raises:
        InvalidArgumentError: it is empty, no text, or ``.`` or ``..``, which servers and proxies take for folders.
    """
    if isinstance(value, UUID):
        return str(value)
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{name} must be text or a UUID, not {type(value).__name__}")
    if not value.strip() or value in {".", ".."}:
        raise InvalidArgumentError(f"{name} must be an id such as a UUID's text; it is empty or a path of dots")
    return value


def fill(template: str, values: Mapping[str, object]) -> str:
    """Return the path of a template with its placeholders filled in, each value kept to one path segment.

    Raises:
        InvalidArgumentError: a value that is no id; the placeholder's name is in the message.
    """
    return _PLACEHOLDER.sub(lambda found: percent(identifier(values.get(found[1]), found[1]), found[1]), template)


def placeholders(template: str) -> tuple[str, ...]:
    """Return the names that a path template asks for, in order."""
    return tuple(_PLACEHOLDER.findall(template))


def percent(text: str, name: str, *, safe: str = "") -> str:
    """Return text percent-encoded for a URL.

    Raises:
        InvalidArgumentError: it holds half a character (a surrogate without its other half).
    """
    if _UNRESERVED.match(text):
        return text  # an id or a token mostly is; `quote` would be half of what building a page's request costs
    try:
        return quote(text, safe=safe)
    except UnicodeEncodeError:
        raise InvalidArgumentError(
            f"{name} holds half a character, which cannot be sent; is it text of a file name?"
        ) from None


def encode_query(pairs: Iterable[tuple[str, str | None]]) -> str:
    """Return a query string, percent-encoded, without those that are ``None``.

    Raises:
        ConfigurationError: as `percent`.
    """
    return "&".join(
        f"{percent(name, 'query')}={percent(value, f'query: {name}')}" for name, value in pairs if value is not None
    )


def join(path: str, query: str) -> str:
    """Return path and query string as one target."""
    return f"{path}?{query}" if query else path


def check_headers(headers: Mapping[str, str] | None, argument: str = "headers") -> dict[str, str]:
    """Return a caller's headers as they are sent.

    Raises:
        InvalidArgumentError: a value that would break out of its line, such as one that a service passes on.
        ConfigurationError: a name that would, or `Authorization`, which is the client's.
    """
    checked: dict[str, str] = {}
    if headers is not None and not isinstance(headers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError(f"{argument} must be a dict of names and values, not {type(headers).__name__}")
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not _HEADER_NAME.match(name):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
            raise ConfigurationError(f"{argument}: {name!r} is no header name; use letters, digits and hyphens")
        if not isinstance(value, str) or _UNSENDABLE.search(value):  # pyright: ignore[reportUnnecessaryIsInstance]  # the same
            raise InvalidArgumentError(f"{argument}: the value of {name!r} must be text of one line")
        if name.lower() in {"authorization", "host", "content-length", "transfer-encoding"}:
            raise ConfigurationError(f"{argument}: {name!r} is set by the client and cannot be given")
        checked[name] = value
    return checked


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL, for comparing where two of them lead."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return (parts.scheme.lower(), (parts.hostname or "").lower(), port)


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the id under which the server knows the request.

    ``X-Amili-Request-Id`` is documented (D) for webhooks only; that answers carry it, or one of its common
    spellings, is inferred (I).
    """
    for name in _REQUEST_ID_HEADERS:
        value = headers.get(name)
        if value is not None and _REQUEST_ID.match(value):
            return value
    return None


def error_for(status: int, headers: Mapping[str, str], body: Body, *, retry_after: float | None = None) -> APIError:
    """Return the error of an answer that is no success, readable in one line whatever its body."""
    kind = _BY_STATUS.get(status) or (ServerError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else APIError)
    waiting = "" if retry_after is None else f", asked to wait {retry_after:g} s"
    moved = status in _REDIRECTS
    return kind(
        f"{describe_answer(status, headers, body)}{waiting}{'; is base_url right?' if moved else ''}",
        status=status,
        request_id=request_id(headers),
        body=bytes(body[:MAX_BODY]),
        location=_host(headers.get("Location")) if moved else None,
        code=error_code(body),
        retry_after=retry_after,
    )


def describe_answer(status: int, headers: Mapping[str, str], body: Body) -> str:
    """Say what an answer is that is no success, without a word of what a server wrote but for a bare code."""
    parts = [_phrase(status)]
    if status in _REDIRECTS:
        parts.append(f"a redirect to {_host(headers.get('Location')) or 'nowhere'}, which is not followed")
    elif status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        parts.append("the proxy on the way asks for a user and password")
    elif (found := next((text for mark, text in _TLS_PAGES if mark in body[:_PAGE]), None)) is not None:
        parts.append(found)
    elif (code := error_code(body)) is not None:
        parts.append(code)
    parts.append(_describe(body))
    return ", ".join(parts)


def error_code(body: Body) -> str | None:
    """Return a member ``code`` or ``errorCode`` that is a bare name, such as ``INVOICE_LOCKED``.

    Any other text may quote what is personal.
    """
    try:
        answer = msgspec.json.decode(body[:MAX_BODY], type=_Coded)
    except READING_ERRORS:
        return None
    given = (answer.code, answer.error_code)
    return next((value for value in given if isinstance(value, str) and _CODE.fullmatch(value)), None)


class _Coded(msgspec.Struct, rename="camel"):
    code: object = None
    error_code: object = None


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _host(location: str | None) -> str | None:
    if not location:
        return None
    try:
        host = urlsplit(location).hostname or "the same host"
    except ValueError:
        return None
    return host if _PLAIN_HOST.fullmatch(host) else "a host with an odd name"


def _describe(body: Body) -> str:
    """Say what kind of body it is, without a word of it: it may quote a debtor."""
    if not body:
        return "empty body"
    size = f"{len(body)} bytes, kept in .body"
    head = bytes(body[:64]).lstrip()
    if head[:1] == b"<":
        return f"HTML page ({size})"
    try:
        answer = json.loads(bytes(body[:MAX_BODY]))
    except (ValueError, RecursionError):
        return f"text ({size})"
    if isinstance(answer, dict) and {"type", "title", "detail"} & answer.keys():
        return f"problem details ({size})"
    return f"JSON ({size})"
