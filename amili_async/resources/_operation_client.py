"""OperationClient: what every resource calls with, from an operation's name and its ids to a value or a pager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from amili_async._decoding import Reader
from amili_async._lists.page_fetcher import PageFetcher
from amili_async._lists.pager import Pager
from amili_async._protocol.options import check_on_invalid
from amili_async._protocol.requests import Call, check_headers, encode_query, join
from amili_async.resources._base import check_key, count

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from amili_async._call.transport import Transport
    from amili_async._cursor import Cursor
    from amili_async._decoding import DriftSink
    from amili_async._protocol.options import OnInvalid, Options
    from amili_async._protocol.requests import Body
    from amili_async.events import Drift
    from amili_async.models._entries import SucceededEntry
    from amili_async.resources._route_registry import RouteRegistry

T = TypeVar("T")

Query: TypeAlias = "Sequence[tuple[str, str | None]]"
"""Names as on the wire, with values; those that are ``None`` are not sent."""


class Readers:
    """The readers of one client: one for each type of row, with the entry types that it was taught."""

    def __init__(self, entry_types: Sequence[type[SucceededEntry]]) -> None:
        self._entry_types = tuple(entry_types)
        self._readers: dict[object, Reader[Any]] = {}
        Reader(object, entry_types=self._entry_types)  # two types of one tag are refused while the client is made

    def of(self, row_type: type[T]) -> Reader[T]:
        """Return the reader for a type of row."""
        reader = self._readers.get(row_type)
        if reader is None:
            reader = self._readers[row_type] = Reader(row_type, entry_types=self._entry_types)
        return reader


class OperationClient:
    """Makes the calls of one client, or of one copy of it, with that copy's options."""

    def __init__(self, transport: Transport, options: Options, routes: RouteRegistry, readers: Readers) -> None:
        self.transport = transport
        self.options = options
        self.routes = routes
        self.readers = readers

    def with_options(self, options: Options) -> OperationClient:
        """Return a caller over the same transport with other options."""
        return OperationClient(self.transport, options, self.routes, self.readers)

    async def get(self, operation: str, *ids: object, type: type[T], query: Query = ()) -> T:
        """Return the one object that a read answers with."""
        reader, drift = self.readers.of(type), self.drift(operation)
        return await self.send(operation, *ids, read=lambda body: reader.one(body, drift), query=query)

    async def send(
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
    ) -> T:
        """Return what ``read`` makes of the answer to an operation."""
        target = join(self.routes.path(operation, ids), encode_query(query))
        route = self.routes.route(operation)
        call = Call(
            route=route,
            method=route.method,
            target=target,
            body=body,
            content_type=content_type,
            headers=check_headers(headers) if headers else None,
            idempotency_key=check_key(idempotency_key),
            repeatable=route.repeatable,
            basic=basic,
            recovery_hint=recovery_hint,
        )
        return await self.transport.send(call, read, self.options)

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
            query=query,
            token_name=token_name,
        )
        return Pager(
            listing, cursor=cursor, page_token=page_token, limit=count(limit, "limit", least=0), prefetch=prefetch
        )

    def drift(self, operation: str) -> DriftSink | None:
        """Return where an operation's differences from the documentation go; ``None`` where nobody listens."""
        hooks = self.transport.hooks
        if not hooks.listening("on_drift"):
            return None

        def tell(drift: Drift) -> None:
            hooks.drift(msgspec.structs.replace(drift, operation=operation))

        return tell
