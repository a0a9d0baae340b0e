"""OperationClient: what every resource calls with, from an operation's name and its ids to a value or a pager.

And raw requests: what ``client.request`` sends for operations that have no method.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from amili_async._decoding import MAX_ROWS, Reader
from amili_async._http.endpoints import check_url
from amili_async._lists.page_fetcher import PageFetcher
from amili_async._lists.pager import Pager
from amili_async._protocol.options import check_on_invalid
from amili_async._protocol.requests import NO_CONTENT, Call, check_headers, encode_query, fill, percent, placeholders
from amili_async._routes import ROUTES, Route
from amili_async.errors import ConfigurationError, InvalidArgumentError
from amili_async.models._request import as_sent, problems_in
from amili_async.resources._arguments import check_key, count

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from amili_async._call.transport import Transport
    from amili_async._cursor import Cursor
    from amili_async._decoding import DriftSink
    from amili_async._profile import Profile
    from amili_async._protocol.options import OnInvalid, Options
    from amili_async._protocol.requests import Body
    from amili_async.events import Drift
    from amili_async.models import SucceededEntry
    from amili_async.resources._route_registry import RouteRegistry

T = TypeVar("T")

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")

_PAGE_SIZES = ("PageSize", "pageSize")

_PATH_SAFE = "/%:@!$&'()*+,;=~-._"
_LOST = re.compile(r"[\x00-\x1f\x7f#]")
"""What `urlsplit` drops without a word, and so leads elsewhere."""

_encoder = msgspec.json.Encoder(decimal_format="number")

Query: TypeAlias = "Sequence[tuple[str, str | None]]"
"""Names as on the wire, with values; those that are ``None`` are not sent."""


class Readers:
    """The readers of one client: one for each type of row, with the entry types that it was taught."""

    def __init__(self, entry_types: Sequence[type[SucceededEntry]], max_rows: int = MAX_ROWS) -> None:
        self._entry_types = tuple(entry_types)
        self._max_rows = max_rows
        self._readers: dict[object, Reader[Any]] = {}
        Reader(object, entry_types=self._entry_types)  # two types of one tag are refused while the client is made

    def of(self, row_type: type[T]) -> Reader[T]:
        """Return the reader for a type of row."""
        reader = self._readers.get(row_type)
        if reader is None:
            reader = self._readers[row_type] = Reader(row_type, entry_types=self._entry_types, max_rows=self._max_rows)
        return reader


class OperationClient:
    """Makes the calls of one client, or of one copy of it, with that copy's options."""

    def __init__(
        self,
        transport: Transport,
        options: Options,
        routes: RouteRegistry,
        readers: Readers,
        profile: Profile | None = None,
    ) -> None:
        self.transport = transport
        self.options = options
        self.routes = routes
        self.readers = readers
        self.profile = profile

    def with_options(self, options: Options) -> OperationClient:
        """Return a caller over the same transport with other options."""
        return OperationClient(self.transport, options, self.routes, self.readers, self.profile)

    # Plain functions that return the coroutine, here and in the resources: an error then has no frame of theirs, in
    # which ids, filters and bodies would be kept.

    def get(self, operation: str, *ids: object, type: type[T], query: Query = ()) -> Coroutine[Any, Any, T]:
        """Return the one object that a read answers with."""
        reader, drift = self.readers.of(type), self.drift(operation)
        return self.send(operation, *ids, read=lambda body: reader.one(body, drift), query=query)

    def send(
        self,
        operation: str,
        *ids: object,
        read: Callable[[Body], T],
        query: Query = (),
        body: bytes | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        basic: str | None = None,
        recovery_hint: str | None = None,
    ) -> Coroutine[Any, Any, T]:
        """Return what ``read`` makes of the answer to an operation."""
        path = self.routes.path(operation, ids)
        route = self.routes.route(operation)
        call = Call(
            route=route,
            method=route.method,
            path=path,
            query=encode_query(query),
            body=body,
            content_type=content_type,
            headers=check_headers(headers) if headers else None,
            idempotency_key=check_key(idempotency_key),
            repeatable=route.repeatable,
            basic=basic,
            recovery_hint=recovery_hint,
        )
        return self.transport.send(call, read, self.options)

    def pager(
        self,
        operation: str,
        *ids: object,
        row_type: type[T],
        query: Query = (),
        token_name: str = "PageToken",  # noqa: S107  # a query name, no secret
        page_token: str | None = None,
        limit: int | None = None,
        cursor: Cursor | None = None,
        prefetch: bool = True,
        on_invalid: OnInvalid | None = None,
    ) -> Pager[T]:
        """Return a pager over an operation's list. Nothing is sent before it is iterated.

        Raises:
            ConfigurationError: an argument that cannot be right, by its name.
        """
        options = self.options
        if on_invalid is not None:
            options = msgspec.structs.replace(options, on_invalid=check_on_invalid(on_invalid))
        listing = PageFetcher(
            self.transport,
            options,
            self.readers.of(row_type),
            path=self.routes.path(operation, ids),
            route=self.routes.route(operation),
            query=self._with_page_size(query),
            token_name=token_name,
        )
        return Pager(
            listing, cursor=cursor, page_token=page_token, limit=count(limit, "limit", least=0), prefetch=prefetch
        )

    def _with_page_size(self, query: Query) -> Query:
        """Return a list's query with the page size that the server was found to keep to, where none is named."""
        size = None if self.profile is None else self.profile.page_size
        if size is None:
            return query
        return [(name, str(size) if value is None and name in _PAGE_SIZES else value) for name, value in query]

    def drift(self, operation: str) -> DriftSink | None:
        """Return where an operation's differences from the documentation go; ``None`` where nobody listens."""
        hooks = self.transport.hooks
        if not hooks.listening("on_drift"):
            return None

        def tell(drift: Drift) -> None:
            hooks.drift(msgspec.structs.replace(drift, operation=operation))

        return tell


def encode_body(value: object) -> bytes:
    """Return a value as wire JSON, money as digits, models as they are sent; bytes are JSON that is written already.

    Raises:
        InvalidArgumentError: the value holds something that JSON cannot say, such as an amount that is no number.
    """
    if isinstance(value, bytes):
        return value
    # Before it is written: NaN would be `null` for a float, and no JSON for a Decimal.
    problems = [*problems_in(value, "json", floats=True)]
    if problems:
        raise InvalidArgumentError("; ".join(problems), problems=problems)
    return _encoder.encode(as_sent(value))


def raw_request(
    method: str,
    path: str,
    *,
    path_params: Mapping[str, object] | None,
    query: Mapping[str, str] | None,
    body: bytes | None,
    headers: Mapping[str, str] | None,
    idempotency_key: str | None,
    repeatable: bool | None,
) -> Call:
    """Return the call for a method, and a path below the API root or an absolute URL.

    Raises:
        ConfigurationError: an argument that cannot be right, by its name.
    """
    name = str(method).upper()
    if name not in METHODS:
        raise ConfigurationError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    root, below, own = _target(path if path_params is None else _filled(path, path_params))
    return Call(
        route=Route("request", name, _template(below) if path_params is None else path.partition("?")[0], mark="U"),
        method=name,
        path=below,
        query="&".join(part for part in (own, encode_query(_pairs(query))) if part),
        root=root,
        body=body,
        headers=check_headers(headers) if headers else None,
        idempotency_key=idempotency_key,
        repeatable=name == "GET" if repeatable is None else repeatable,
    )


def read_optional(reader: Reader[T], method: str) -> Callable[[Body], T | None]:
    """Return what reads an answer that may have no body: 204, or a success of anything but a GET."""

    def read(body: Body) -> T | None:
        nothing = body is NO_CONTENT or (not body and method.upper() != "GET")
        return None if nothing else reader.one(body, None)

    return read


def _filled(path: object, params: object) -> str:
    """Return a path template with each of its placeholders filled in, kept to one segment."""
    if not isinstance(path, str) or not isinstance(params, Mapping):
        raise ConfigurationError("path_params must be a dict of the names in path's braces, such as {organization_id}")
    values: dict[Any, Any] = {**params}
    names = placeholders(path)
    if {*names} != {*values}:
        missing = ", ".join(sorted({*names} ^ {*map(str, values)}))
        raise ConfigurationError(f"path_params and the braces in path must name the same; one of them lacks {missing}")
    return fill(path, values)


_WORDS = frozenset(segment for route in ROUTES.values() for segment in route.path.split("/"))
_MOST_SEGMENTS = 12


def _template(path: str) -> str:
    """Return what may be told of a path: the words of the route table, and ``{...}`` for all that may be an id."""
    segments = path.split("/")
    shown = [segment if segment in _WORDS else "{...}" for segment in segments[:_MOST_SEGMENTS]]
    return "/".join(shown if len(segments) <= _MOST_SEGMENTS else [*shown, "..."])


def _pairs(query: object) -> Iterable[tuple[str, str]]:
    """Return a query's names and values."""
    if query is None:
        return ()
    if isinstance(query, Mapping):
        given: list[tuple[Any, Any]] = [*query.items()]
        if all(isinstance(name, str) and isinstance(value, str) for name, value in given):
            return given
    raise ConfigurationError("query must be a dict of names and values, all of them text")


def _target(path: object) -> tuple[str | None, str, str]:
    """Return the root of a whole URL, and path and query percent-encoded."""
    if not isinstance(path, str) or not path:
        raise ConfigurationError("path must be text, such as /orgs/…/batches")
    if _LOST.search(path):
        raise ConfigurationError("path must hold no # and no control characters; a # in an id is written %23")
    try:
        parts = urlsplit(path)
    except ValueError:
        raise ConfigurationError("path is neither a path nor a URL") from None
    if any(unquote(segment) in {".", ".."} for segment in parts.path.split("/")):
        raise ConfigurationError("path must have no segments of dots: they lead out of the API")
    below = percent(parts.path, "path", safe=_PATH_SAFE)
    query = percent(parts.query, "path", safe=_PATH_SAFE + "?")
    if parts.scheme or parts.netloc:
        return check_url(f"{parts.scheme}://{parts.netloc}", "path"), below or "/", query
    if not path.startswith("/"):
        raise ConfigurationError("path must begin with /, or be an absolute https URL")
    return None, below, query
