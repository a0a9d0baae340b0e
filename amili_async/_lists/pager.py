"""Pager and Page: a list streamed page by page, the next page on its way while the caller works on this one.

Only an absent, null or empty token ends a list; an empty page with a token does not (I). A token that comes back ends
the walk with `PaginationLoopError`. A walk can stop anywhere and go on from its `Cursor`, row for row.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from amili_async._cursor import Cursor
from amili_async._decoding import PageBody
from amili_async._lists.page_fetcher import PART
from amili_async._lists.prefetcher import Prefetcher
from amili_async.errors import AmiliError, ConfigurationError, DecodeError, PaginationLoopError, detach
from amili_async.events import QuarantinedRow
from amili_async.models import encode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
    from types import TracebackType

    from amili_async._decoding import Reader
    from amili_async._lists.page_fetcher import DecodeWindow, FetchedPage, PageFetcher
    from amili_async._protocol.requests import Body
    from amili_async.models import Summary

T = TypeVar("T")

YIELD_BYTES = 2**18
"""Bytes of rows decoded between two turns of the event loop."""

PAGES_AFTER = 2
"""How many pages after a cursor's own its row is looked for in."""


class Page(Generic[T]):
    """One page of a list: at most ``page_size`` rows, in the order of the wire."""

    __module__ = "amili_async"  # where it is imported from

    __slots__ = ("_body", "_reader", "_rows", "cursor", "extra", "items", "quarantined", "summary")

    def __init__(
        self,
        *,
        items: tuple[T, ...],
        quarantined: tuple[QuarantinedRow, ...],
        summary: Summary | None,
        extra: Mapping[str, object],
        cursor: Cursor,
        body: Body,
        rows: slice,
        reader: Reader[T],
    ) -> None:
        self.items: tuple[T, ...] = items
        self.quarantined: tuple[QuarantinedRow, ...] = quarantined
        """The rows that could not be read, with their bytes; empty with ``on_invalid="raise"``."""
        self.summary: Summary | None = summary
        self.extra: Mapping[str, object] = extra
        """What Amili sent beside ``summary`` and ``data``, by its names on the wire."""
        self.cursor: Cursor = cursor
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
        return _token_in(self.summary)

    @property
    def raw(self) -> bytes:
        """The page's body as received, unpacked."""
        return bytes(self._body)

    def encode(self) -> bytes:
        """Return the page as Amili writes one: its items and what stands beside them, no quarantined rows."""
        return encode(PageBody(summary=self.summary, data=[*self.items], extra=self.extra))

    def raw_items(self) -> Iterator[msgspec.Raw]:
        """Return each row's JSON as received, in the order of the wire: items and quarantined rows."""
        return iter(self._reader.split(self._body).rows[self._rows])


class Pager(Generic[T]):
    """A list, iterated once: ``async for item in pager`` or ``async for page in pager.pages()``.

    The next page is requested while the caller works on this one. Leave early with ``async with pager`` or
    ``await pager.aclose()``, which stop at once; a bare ``break`` stops within a few turns of the event loop.

    Errors that end the iteration carry ``cursor``: pass it to the same list call to go on exactly there.
    """

    __module__ = "amili_async"  # where it is imported from

    def __init__(
        self,
        listing: PageFetcher[T],
        *,
        cursor: Cursor | None = None,
        page_token: str | None = None,
        limit: int | None = None,
        prefetch: bool = True,
    ) -> None:
        self._listing = listing
        self._left = limit
        self._prefetch = prefetch
        self._token, self._row = _start(cursor, page_token, listing.fingerprint)
        self._rows: Sequence[T | QuarantinedRow | msgspec.Raw] = ()
        """All rows of the page that is being handed out."""
        self._before: T | QuarantinedRow | str | UnsetType = UNSET if cursor is None else cursor.last
        """The row before those, or its hash."""
        self._next: str | None = None
        self._seen: set[int] = set()
        self._ahead = Prefetcher(listing, self._follow)
        self._decoded = 0
        """Bytes of rows decoded since other tasks had a turn."""
        self._iterated = self._begun = self._stopped = False

    def __repr__(self) -> str:
        return f"Pager({self._listing.route.operation}, {self.cursor!r})"

    @property
    def cursor(self) -> Cursor:
        """Where the walk stands: right behind the last item, or the last page, that was handed out."""
        return self._cursor_at(self._row)

    def __aiter__(self) -> AsyncGenerator[T, None]:
        # The pager keeps no reference to its generator: after a bare `break` nothing else does, so it is finalised at
        # once, and with it the request for the next page.
        self._iterate()
        return self._items()

    def pages(self) -> AsyncGenerator[Page[T], None]:
        """Iterate over pages in place of items. A ``limit`` cuts the page that reaches it, and ends the walk there.

        A page is handed out whole or not at all: the error of a row that cannot be read points at its page's start.
        """
        self._iterate()
        return self._pages()

    async def collect(self) -> list[T]:
        """Return all items as a list; mind the memory.

        Raises:
            AmiliError: as of any read; with the `Cursor` to go on from.
        """
        return [item async for item in self]

    async def first(self) -> T | None:
        """Return the first item, ``None`` for an empty list; nothing is requested ahead.

        Raises:
            AmiliError: as of any read.
        """
        async with aclosing(aiter(self)) as items:
            self._prefetch = False
            return await anext(items, None)

    async def aclose(self) -> None:
        """Stop: end the request under way, and the iteration, from whatever task. The cursor stays where it is."""
        self._stopped = True
        await self._ahead.close()

    async def __aenter__(self) -> Pager[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    if TYPE_CHECKING:
        __iter__: None
    else:

        def __iter__(self) -> NoReturn:
            raise ConfigurationError(f"{self._listing.route.operation} is iterated with `async for`, not with `for`")

    def __await__(self) -> Generator[None, None, NoReturn]:
        raise ConfigurationError(
            f"{self._listing.route.operation} is a list and cannot be awaited: "
            "use `async for item in pager` or `await pager.collect()`"
        )

    def _iterate(self) -> None:
        if self._iterated or self._stopped:
            raise ConfigurationError(
                f"a pager is iterated once, and this one was {'iterated' if self._iterated else 'closed'}; "
                "make another one, from `cursor=pager.cursor` to go on where it stands"
            )
        self._iterated = True

    async def _items(self) -> AsyncGenerator[T, None]:
        try:
            while (loaded := await self._advance()) is not None:
                if loaded.rows is None:
                    # The common page, by far: nothing but hand out and count. It is let go before the next one comes:
                    # memory that is still in the processor's cache is the cheapest to fill.
                    items = self._ready(loaded.items)
                    del loaded
                    for item in items:
                        self._row += 1
                        yield item
                        if self._stopped:
                            return
                    del items
                    continue
                for part in self._read(loaded.rows):
                    if isinstance(part, QuarantinedRow):
                        self._row += 1
                    else:
                        for item in part:
                            self._row += 1
                            yield item
                            if self._stopped:
                                return
                    if self._decoded > YIELD_BYTES:
                        await self._turn()
                    if self._stopped:
                        return
        except BaseException as error:
            self._left_by(error)
            raise
        finally:
            self._let_go()
            await self._ahead.stop()

    async def _pages(self) -> AsyncGenerator[Page[T], None]:
        try:
            while (loaded := await self._advance()) is not None:
                page, end = await self._page(loaded)
                del loaded
                if self._stopped:
                    return
                self._row = end
                yield page
                del page
        except BaseException as error:
            self._left_by(error)
            raise
        finally:
            self._let_go()
            await self._ahead.stop()

    async def next_items(self, window: DecodeWindow) -> tuple[Sequence[T], int] | None:
        """Return the items of the next page and its size, ``None`` at the end: `pages` without the rest of a page.

        For this package's own streams of many lists, to which a generator each would cost more than it orders. With so
        many bytes the page has entered the window: whoever is done with the items has it leave.

        Raises:
            AmiliError: as of any read; with the `Cursor` to go on from.
        """
        self._ahead.window = window
        try:
            loaded = await self._advance()
            if loaded is None:
                return None
            if loaded.rows is None:
                items = self._ready(loaded.items)
                self._row += len(items)
                return items, len(loaded.body)
            page, self._row = await self._page(loaded)
        except BaseException as error:
            self._left_by(error)
            raise
        return page.items, len(loaded.body)

    def _left_by(self, error: BaseException) -> None:
        """Prepare an error that ends the walk for the caller."""
        if isinstance(error, AmiliError):
            error.cursor = self.cursor
        detach(error)

    async def _page(self, loaded: FetchedPage[T]) -> tuple[Page[T], int]:
        """Return a page for the caller, and the row behind its last one."""
        items: list[T] = []
        quarantined: list[QuarantinedRow] = []
        if loaded.rows is None:
            items += self._ready(loaded.items)
        else:
            for part in self._read(loaded.rows):
                if isinstance(part, QuarantinedRow):
                    quarantined.append(part)
                else:
                    items += part
                if self._decoded > YIELD_BYTES:
                    await self._turn()
        end = self._row + len(items) + len(quarantined)
        page = Page(
            items=tuple(items),
            quarantined=tuple(quarantined),
            summary=loaded.summary,
            extra=loaded.extra,
            cursor=self.cursor,
            body=loaded.body,
            rows=slice(self._row, end),
            reader=self._listing.reader,
        )
        return page, end

    # Rows

    def _ready(self, items: Sequence[T]) -> Sequence[T]:
        """Return what a page that was read whole still has to give."""
        return self._within_limit(items[self._row :] if self._row else items)

    def _within_limit(self, items: Sequence[T]) -> Sequence[T]:
        """Return those that the limit leaves, and count them."""
        if self._left is not None:
            items = items[: self._left]
            self._left -= len(items)
        return items

    def _read(self, rows: Sequence[msgspec.Raw]) -> Iterator[Sequence[T] | QuarantinedRow]:
        """Yield what any other page still has to give: items that follow each other, and each row that is set aside."""
        end = self._row
        while end < len(rows) and self._left != 0:
            part, end, size = self._listing.part(rows, end, min(PART, YIELD_BYTES))
            self._decoded += size
            for found in part:
                if self._left == 0:
                    return
                yield self._set_aside(found) if isinstance(found, QuarantinedRow) else self._within_limit(found)

    def _set_aside(self, row: QuarantinedRow) -> QuarantinedRow:
        """Do with an unreadable row what ``on_invalid`` says."""
        route, on_invalid = self._listing.route, self._listing.options.on_invalid
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
        row = msgspec.structs.replace(row, operation=route.operation, cursor=self._cursor_at(row.index))
        self._listing.tell_quarantined(row)
        if callable(on_invalid):
            on_invalid(row)
        return row

    async def _turn(self) -> None:
        """Let other tasks run."""
        self._decoded = 0
        await asyncio.sleep(0)

    def _cursor_at(self, row: int) -> Cursor:
        last = self._rows[row - 1] if 0 < row <= len(self._rows) else self._before
        if not isinstance(last, str | UnsetType):
            last = self._listing.row_hash(last)
        return Cursor(token=self._token, row=row, fingerprint=self._listing.fingerprint, last=last)

    def _let_go(self) -> None:
        """Let the page go that was handed out, and keep its last row that was."""
        if 0 < self._row <= len(self._rows):
            last = self._rows[self._row - 1]
            # JSON would keep its whole page alive.
            self._before = self._listing.row_hash(last) if isinstance(last, msgspec.Raw) else last
        self._rows = ()

    # Pages

    async def _advance(self) -> FetchedPage[T] | None:
        """Return the next page with the one after it already requested, or ``None`` at the end."""
        if self._stopped or self._left == 0:
            return None
        if self._begun:
            if self._next is None:
                return None
            # Before the walk moves on: the error of a token that came back points behind the last row handed out.
            self._remember(self._next)
            self._let_go()
            self._token, self._row = self._next, 0
            loaded = await self._ahead.page(self._token, ahead=self._prefetch)
        else:
            self._remember(self._token)
            self._begun = True
            loaded = await self._ahead.page(self._token, ahead=self._prefetch)
            if loaded is not None and self._before is not UNSET:
                loaded = await self._find_place(loaded)
        if loaded is None or self._stopped:
            return None
        self._next, self._rows = _token_in(loaded.summary), loaded.all_rows
        return loaded

    async def _find_place(self, begun: FetchedPage[T]) -> FetchedPage[T] | None:
        """Return the page that the walk goes on in, and set the row: behind the last one that was handed out before.

        Rows that have come in above push it on, those that have gone pull it back: it is looked for in its page and the
        two after it. Where it is in none of them, its page is handed out from its start. ``None`` once stopped.
        """
        page, token, passed = begun, self._token, list[str]()
        while True:
            row = await self._row_behind_last(page)
            if row is not None:
                self._token, self._row = token, row
                self._seen.update(map(hash, passed))
                return page
            if self._row == 0:
                return begun  # at the start of a page the last row is in the one before, if nothing has moved
            token = _token_in(page.summary)
            if token is None or len(passed) == PAGES_AFTER or hash(token) in self._seen:
                break
            passed.append(token)
            following = await self._ahead.page(token, ahead=self._prefetch)
            if following is None:
                return None
            page = following
        await self._ahead.stop()
        self._row = 0
        self._listing.tell_lost_place()
        return begun

    async def _row_behind_last(self, page: FetchedPage[T]) -> int | None:
        """Return the row behind the last one that was handed out before; ``None`` where that is not on this page."""
        rows = page.all_rows
        if 0 < self._row <= len(rows) and self._listing.row_hash(rows[self._row - 1]) == self._before:
            return self._row
        for index, row in enumerate(rows):
            if self._listing.row_hash(row) == self._before:
                return index + 1
            if isinstance(row, msgspec.Raw):
                self._decoded += memoryview(row).nbytes
                if self._decoded > YIELD_BYTES:
                    await self._turn()
        return None

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

    def _follow(self, loaded: FetchedPage[T]) -> str | None:
        """Return the token of the page behind this one; ``None`` where it should not be requested before it is due."""
        token = _token_in(loaded.summary)
        ends_here = self._left is not None and self._left <= len(loaded) - self._row
        return None if not self._prefetch or ends_here or token is None or hash(token) in self._seen else token


def _token_in(summary: Summary | None) -> str | None:
    """Return the token of the page that follows; ``None`` at the end of the list."""
    return None if summary is None else summary.next_page_token or None


def _start(cursor: Cursor | None, page_token: str | None, fingerprint: str) -> tuple[str | None, int]:
    """Return page and row where a walk begins.

    Raises:
        ConfigurationError: the cursor is of another list, there is a page token beside it, or that is no token.
    """
    if cursor is None:
        if page_token is not None and (not isinstance(page_token, str) or not page_token):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
            raise ConfigurationError("page_token must be text that is not empty; without it a list begins at its start")
        return page_token, 0
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
