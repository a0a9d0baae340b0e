"""Pager and Page: a list streamed page by page, the next page on its way while the caller works on this one.

Only an absent, null or empty token ends a list; an empty page with a token does not (I). A token that comes back ends
the walk with `PaginationLoopError`. A walk can stop anywhere and go on from its `Cursor`, row for row.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

import msgspec

from amili_async.cursor import Cursor
from amili_async.errors import AmiliError, ConfigurationError, DecodeError, PaginationLoopError
from amili_async.events import QuarantinedRow

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator
    from types import TracebackType

    from amili_async.decoding import Reader
    from amili_async.listing import Listing, Loaded
    from amili_async.models.envelope import Summary
    from amili_async.protocol import Body

T = TypeVar("T")

BITE = 2**18
"""Bytes of rows decoded between two turns of the event loop."""


class Page(Generic[T]):
    """One page of a list: at most ``page_size`` rows, in the order of the wire."""

    __slots__ = ("_body", "_reader", "_rows", "cursor", "items", "quarantined", "summary")

    def __init__(
        self,
        *,
        items: tuple[T, ...],
        quarantined: tuple[QuarantinedRow, ...],
        summary: Summary | None,
        cursor: Cursor,
        body: Body,
        rows: slice,
        reader: Reader[T],
    ) -> None:
        self.items = items
        self.quarantined = quarantined
        """The rows that could not be read, with their bytes; empty with ``on_invalid="raise"``."""
        self.summary = summary
        self.cursor = cursor
        """Points at the start of this page."""
        self._body = body
        self._rows = rows
        self._reader = reader

    def __repr__(self) -> str:
        return (
            f"Page({len(self.items)} items, {len(self.quarantined)} quarantined, last={self.next_page_token is None})"
        )

    @property
    def next_page_token(self) -> str | None:
        """The token of the next page; ``None`` on the last one."""
        return None if self.summary is None else self.summary.next_page_token or None

    @property
    def raw(self) -> bytes:
        """The page's body as received, unpacked."""
        return bytes(self._body)

    def raw_items(self) -> Iterator[msgspec.Raw]:
        """Return each row's JSON as received, in the order of the wire: items and quarantined rows."""
        return iter(self._reader.split(self._body).rows[self._rows])


class Pager(Generic[T]):
    """A list, iterated once: ``async for item in pager`` or ``async for page in pager.pages()``.

    The next page is requested while the caller works on this one. Leave early with ``async with pager`` or
    ``await pager.aclose()``, which stop at once; a bare ``break`` stops within a few turns of the event loop.

    Errors that end the iteration carry ``cursor``: pass it to the same list call to go on exactly there.
    """

    def __init__(
        self,
        listing: Listing[T],
        *,
        cursor: Cursor | None = None,
        page_token: str | None = None,
        limit: int | None = None,
        prefetch: bool = True,
    ) -> None:
        self._listing = listing
        self._limit = limit
        self._prefetch = prefetch
        self._token, self._row = page_token, 0
        if cursor is not None:
            self._token, self._row = _start(cursor, page_token, listing.fingerprint)
        self._next: str | None = self._token
        self._seen: set[int] = set()
        self._ahead: asyncio.Task[Loaded[T]] | None = None
        self._begun = self._iterated = self._stopped = False
        self._left = limit

    def __repr__(self) -> str:
        return f"Pager({self._listing.route.operation}, {self.cursor!r})"

    @property
    def cursor(self) -> Cursor:
        """Where the walk stands: right behind the last item handed out."""
        return Cursor(token=self._token, row=self._row, fingerprint=self._listing.fingerprint)

    def __aiter__(self) -> AsyncGenerator[T, None]:
        # The pager keeps no reference to its generator: after a bare `break` nothing else does, so it is finalised at
        # once, and with it the request for the next page.
        self._iterate()
        return self._items()

    def pages(self) -> AsyncGenerator[Page[T], None]:
        """Iterate over pages in place of items. A ``limit`` ends the walk with the page that reaches it."""
        self._iterate()
        return self._pages()

    async def collect(self) -> list[T]:
        """Return all items as a list; mind the memory."""
        return [item async for item in self]

    async def first(self) -> T | None:
        """Return the first item, ``None`` for an empty list; nothing is requested ahead."""
        self._prefetch = False
        async with self:
            async for item in self:
                return item
        return None

    async def aclose(self) -> None:
        """Stop: cancel the request for the next page. The cursor stays where it is."""
        self._stopped = True
        await self._cancel_ahead()

    async def __aenter__(self) -> Pager[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __await__(self) -> Generator[None, None, NoReturn]:
        raise ConfigurationError(
            f"{self._listing.route.operation} is a list and cannot be awaited: "
            "use `async for item in pager` or `await pager.collect()`"
        )

    def _iterate(self) -> None:
        if self._iterated:
            raise ConfigurationError(
                "a pager is iterated once; make another one, from `cursor=pager.cursor` to go on where this one stands"
            )
        self._iterated = True

    async def _items(self) -> AsyncGenerator[T, None]:
        try:
            while (loaded := await self._advance()) is not None:
                if loaded.raw_rows is None and not loaded.quarantined:
                    # The common page, by far: nothing but hand out and count.
                    rows = loaded.rows[self._row :] if self._row else loaded.rows
                    if self._left is not None:
                        rows = rows[: self._left]
                        self._left -= len(rows)
                    for item in rows:
                        self._row += 1
                        yield item  # type: ignore[misc]  # none of these rows is quarantined, which no type can say
                        if self._stopped:
                            return
                    continue
                bite = 0
                for index in range(self._row, len(loaded)):
                    if bite > BITE:
                        bite = await _turn()
                    row, size = self._listing.row(loaded, index)
                    bite += size
                    if isinstance(row, QuarantinedRow):
                        self._set_aside(row)
                        self._row += 1
                        continue
                    self._row += 1
                    yield row
                    if self._stopped or self._limit_reached():
                        return
        except AmiliError as error:
            error.cursor = self.cursor
            raise
        finally:
            await self._cancel_ahead()

    async def _pages(self) -> AsyncGenerator[Page[T], None]:
        try:
            while (loaded := await self._advance()) is not None:
                yield await self._page(loaded)
                if self._stopped:
                    return
        except AmiliError as error:
            error.cursor = self.cursor
            raise
        finally:
            await self._cancel_ahead()

    async def _page(self, loaded: Loaded[T]) -> Page[T]:
        start, cursor = self._row, self.cursor
        items: list[T] = []
        quarantined: list[QuarantinedRow] = []
        bite = 0
        for index in range(start, len(loaded)):
            if bite > BITE:
                bite = await _turn()
            row, size = self._listing.row(loaded, index)
            bite += size
            if isinstance(row, QuarantinedRow):
                quarantined.append(self._set_aside(row))
                self._row += 1
                continue
            self._row += 1
            items.append(row)
            if self._limit_reached():
                break
        return Page(
            items=tuple(items),
            quarantined=tuple(quarantined),
            summary=loaded.summary,
            cursor=cursor,
            body=loaded.body,
            rows=slice(start, self._row),
            reader=self._listing.reader,
        )

    def _limit_reached(self) -> bool:
        if self._left is None:
            return False
        self._left -= 1
        return self._left == 0

    async def _advance(self) -> Loaded[T] | None:
        """Return the next page with the one after it already requested, or ``None`` at the end."""
        if self._stopped or self._left == 0:
            return None
        if self._begun:
            if self._next is None:
                return None
            self._token, self._row = self._next, 0
        self._begun = True
        self._remember(self._token)
        loaded = await self._awaited()
        if loaded is None:
            return None
        self._next = None if loaded.summary is None else loaded.summary.next_page_token or None
        if (
            self._next is not None
            and self._prefetch
            and not self._ends_in(loaded)
            and hash(self._next) not in self._seen
        ):
            await self._request_ahead(self._next)
        return None if self._stopped else loaded

    def _remember(self, token: str | None) -> None:
        if token is None:
            return
        if hash(token) in self._seen:
            raise PaginationLoopError(
                "the list handed out a page token that it had handed out before; following it would never end",
                operation=self._listing.route.operation,
                method=self._listing.route.method,
                route=self._listing.route.path,
            )
        self._seen.add(hash(token))

    def _ends_in(self, loaded: Loaded[T]) -> bool:
        return self._left is not None and self._left <= len(loaded) - self._row

    async def _awaited(self) -> Loaded[T] | None:
        ahead = self._ahead
        if ahead is None:
            return await self._listing.fetch(self._token)
        try:
            return await ahead
        except asyncio.CancelledError:
            # `aclose()` from another task cancels the request, not the task that waits for it here.
            task = asyncio.current_task()
            if self._stopped and (task is None or not task.cancelling()):
                return None
            raise
        finally:
            self._ahead = None

    async def _request_ahead(self, token: str) -> None:
        """Start the request for the next page, and let the event loop run until it is on the wire."""
        handover = self._listing.handover()
        self._ahead = asyncio.create_task(self._listing.fetch(token, handover), name="amili next page")
        # A task has not run when it is made. One turn puts its request on a warm connection, a cold one takes some
        # more; a caller that never awaits between two pages would otherwise have no overlap at all.
        for _ in range(handover.turns):
            await asyncio.sleep(0)
            if handover.done:
                break

    async def _cancel_ahead(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            return
        ahead.cancel()
        await asyncio.wait({ahead})
        if not ahead.cancelled():
            ahead.exception()  # looked at, or asyncio reports it as never retrieved

    def _set_aside(self, row: QuarantinedRow) -> QuarantinedRow:
        """Do with an unreadable row what ``on_invalid`` says."""
        route, on_invalid = self._listing.route, self._listing.options.on_invalid
        row = msgspec.structs.replace(row, operation=route.operation, cursor=self.cursor)
        if on_invalid == "raise":
            raise DecodeError(
                f"row {row.index} of a page does not fit: {row.reason} at {row.path}",
                path=row.path,
                operation=route.operation,
                method=route.method,
                route=route.path,
                status=200,
                body=row.raw,
            )
        self._listing.tell_quarantined(row)
        if callable(on_invalid):
            on_invalid(row)
        return row


async def _turn() -> int:
    """Let other tasks run; return how much has been decoded since."""
    await asyncio.sleep(0)
    return 0


def _start(cursor: Cursor, page_token: str | None, fingerprint: str) -> tuple[str | None, int]:
    """Return page and row where a walk goes on.

    Raises:
        ConfigurationError: the cursor is of another list, or there is a page token beside it.
    """
    if not isinstance(cursor, Cursor):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError(
            f"cursor must be a Cursor, not {type(cursor).__name__}; text is read by Cursor.decode()"
        )
    if page_token is not None:
        raise ConfigurationError("give cursor or page_token, not both: each says where to start")
    if cursor.fingerprint != fingerprint:
        raise ConfigurationError(
            "cursor is of another list: operation, organization, filters, sort and page_size must be those it came from"
        )
    return cursor.token, cursor.row
