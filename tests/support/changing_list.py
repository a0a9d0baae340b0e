"""A list that changes while it is walked, on no server: its tokens are offsets, or name the last row of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qs

import msgspec

from amili_async._call.hooks import Hooks
from amili_async._call.transport import Transport
from amili_async._decoding import Reader
from amili_async._lists.page_fetcher import PageFetcher
from amili_async._lists.pager import Pager
from amili_async._protocol.options import Options
from amili_async._routes import ROUTES
from amili_async._upstream.aiohttp import RequestSentSignal
from amili_async.models import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from amili_async import Cursor
    from amili_async._protocol.requests import Body, Call

T = TypeVar("T")


class ChangingList(Transport):
    """Batches whose ids are numbers, the smallest first: what comes in above is smaller than all."""

    def __init__(self, rows: Iterable[int], *, page_size: int, keyset: bool) -> None:
        self.hooks = Hooks(())
        self.rows = sorted(rows)
        self._page_size = page_size
        self._keyset = keyset

    def sent_signal(self) -> RequestSentSignal:
        return RequestSentSignal(1)

    async def send(
        self, call: Call, read: Callable[[Body], T], options: Options, sent_signal: RequestSentSignal | None = None
    ) -> T:
        del options, sent_signal  # nothing is sent
        (token,) = parse_qs(call.query).get("PageToken", [None])
        if token is None:
            rows = self.rows
        elif self._keyset:
            rows = [row for row in self.rows if row > int(token)]
        else:
            rows = self.rows[int(token) :]
        page, more = rows[: self._page_size], rows[self._page_size :]
        following = page[-1] if self._keyset and page else int(token or 0) + self._page_size
        summary = {"nextPageToken": str(following) if more else None}
        return read(msgspec.json.encode({"summary": summary, "data": [{"batchId": str(row)} for row in page]}))

    def pager(self, *, cursor: Cursor | None = None, limit: int | None = None) -> Pager[Batch]:
        """Return a pager over the list."""
        listing = PageFetcher(
            self, Options(), Reader(Batch), route=ROUTES["batches.list"], path="/batches", token_name="PageToken"
        )
        return Pager(listing, cursor=cursor, limit=limit)
