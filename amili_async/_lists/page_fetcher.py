"""PageFetcher: one list of the API, fetched a page at a time: its address, its filters, how its rows are read."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from amili_async._protocol.requests import Call, encode_query, join, percent
from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.errors import DecodeError
from amili_async.events import Drift, QuarantinedRow
from amili_async.models import RawValue

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from amili_async._call.transport import Transport
    from amili_async._decoding import DriftSink, PageBody, Reader, SplitPage
    from amili_async._protocol.options import Options
    from amili_async._protocol.requests import Body
    from amili_async._routes import Route
    from amili_async._upstream.aiohttp import RequestSentSignal
    from amili_async.models import Summary

T = TypeVar("T")
R = TypeVar("R")

_IDS = {
    "batches.list": ("batch_id", "batchId"),
    "batches.list_all": ("batch_id", "batchId"),
    "cases.list": ("case_id", "caseId"),
    "invoices.list": ("id", "id"),
    "settlements.list": ("settlement_id", "settlementId"),
}
"""The member of a list's rows that is their id, here and on the wire. Rows of others are known by all that they are."""

LARGE = 2**21
"""Bytes from which a page is decoded in parts, so that the event loop never stalls for long."""

PART = 2**16
"""Bytes of rows that are decoded in one pass, about."""

LENIENT = 8
"""How many times as long it takes to read rows one by one."""


class FetchedPage(Generic[T]):
    """A page as it came: read whole, or with rows to be decoded in parts."""

    __slots__ = ("_envelope", "body", "items", "rows", "summary")

    def __init__(
        self,
        body: Body,
        envelope: PageBody | SplitPage,
        *,
        items: Sequence[T] = (),
        rows: Sequence[msgspec.Raw] | None = None,
    ) -> None:
        self.body = body
        self.summary: Summary | None = envelope.summary
        self._envelope = envelope
        self.items = items
        """Every row, where all of them could be read in one pass."""
        self.rows = rows
        """The JSON of every row, where they are to be decoded in parts; else ``None``."""

    def __len__(self) -> int:
        return len(self.all_rows)

    @property
    def extra(self) -> Mapping[str, object]:
        """What stands beside summary and rows."""
        return self._envelope.extra

    @property
    def all_rows(self) -> Sequence[T | msgspec.Raw]:
        """Every row, in the order of the wire."""
        return self.items if self.rows is None else self.rows


class DecodeWindow:
    """How much of many walks is decoded that their caller is not done with: a megabyte of JSON, or one page.

    Pages that come at once would else all be decoded before he works on the first, and be out of the processor's cache
    by then.
    """

    def __init__(self, most: int = 2**20) -> None:
        self._most = most
        self._held = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    @property
    def full(self) -> bool:
        """Whether the next page has to wait."""
        return self._held >= self._most

    async def enter(self, size: int) -> None:
        """Return once a page of so many bytes may be decoded: first come, first served."""
        if not self.full:
            self._held += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, size))
        await turn

    def leave(self, size: int) -> None:
        """Let go of a page, and let those in that wait."""
        self._held -= size
        while self._waiting and not self.full:
            turn, size = self._waiting.popleft()
            if not turn.done():
                self._held += size
                turn.set_result(None)


class PageFetcher(Generic[T]):
    """What a list is: its route, its filters, how its rows are read. Fetches single pages."""

    def __init__(
        self,
        transport: Transport,
        options: Options,
        reader: Reader[T],
        *,
        route: Route,
        path: str,
        query: Sequence[tuple[str, str | None]] = (),
        token_name: str,
    ) -> None:
        self.reader = reader
        self.options = options
        self.route = route
        self._transport = transport
        self._path = path
        self._first = encode_query(query)
        self._later = f"{self._first}&{token_name}=" if self._first else f"{token_name}="
        self.fingerprint: str = hashlib.sha256(f"{route.operation} {join(path, self._first)}".encode()).hexdigest()[:16]

    def fetch(
        self, token: str | None, sent_signal: RequestSentSignal | None = None
    ) -> Coroutine[Any, Any, FetchedPage[T]]:
        """Return one page; the first for no token."""
        return self._send(token, self._read, sent_signal)

    async def fetch_within(self, token: str | None, window: DecodeWindow) -> FetchedPage[T]:
        """Return one page that has entered a window; whoever is done with it has it leave.

        One that comes while the window is full waits as it came. If that cannot be read it is asked for again, since
        what becomes of such an answer is the transport's to say.
        """

        def read(body: Body) -> FetchedPage[T] | Body:
            return body if window.full and _seems_whole(body) else self._read(body)

        came = await self._send(token, read)
        if not isinstance(came, FetchedPage):
            await window.enter(len(came))
            try:
                return self._read(came)
            except DecodeError:
                window.leave(len(came))
            came = await self.fetch(token)
        await window.enter(len(came.body))
        return came

    def part(
        self, rows: Sequence[msgspec.Raw], start: int, most: int
    ) -> tuple[Sequence[Sequence[T] | QuarantinedRow], int, int]:
        """Return some of a page's rows from one on, the row behind them, and what they took to decode.

        Rows that could be read come several at once. What they took are the bytes of as many that fit; a part ends with
        the row that makes it longer than ``most`` bytes.
        """
        size, end = 0, start
        while end < len(rows) and size <= most:
            size += memoryview(rows[end]).nbytes
            end += 1
        raws = rows[start:end]
        whole = self.reader.several(raws, self.drift)
        if whole is not None:
            return [whole], end, size
        found = (self.reader.row(raw, index, self.drift) for index, raw in enumerate(raws, start))
        return [one if isinstance(one, QuarantinedRow) else (one,) for one in found], end, size * LENIENT

    def row_hash(self, row: T | QuarantinedRow | msgspec.Raw) -> str | UnsetType:
        """Return what tells a row from others, short and without its data; ``UNSET`` for one without an id."""
        key = _key(row, _IDS.get(self.route.operation))
        return UNSET if key is None else hashlib.blake2b(key, digest_size=6).hexdigest()

    def sent_signal(self) -> RequestSentSignal:
        """Return what tells when a request is on the wire."""
        return self._transport.sent_signal()

    def _send(
        self, token: str | None, read: Callable[[Body], R], sent_signal: RequestSentSignal | None = None
    ) -> Coroutine[Any, Any, R]:
        query = self._first if token is None else self._later + percent(token, "page_token")
        call = Call(route=self.route, method=self.route.method, path=self._path, query=query)
        return self._transport.send(call, read, self.options, sent_signal)

    def _read(self, body: Body) -> FetchedPage[T]:
        page = self.reader.whole(body, self.drift) if len(body) < LARGE else None
        if page is None:
            split = self.reader.split(body, self.drift)
            return FetchedPage(body, split, rows=split.rows)
        return FetchedPage(body, page, items=page.data)

    @property
    def drift(self) -> DriftSink | None:
        """Where differences from the documentation go; ``None`` where nobody listens."""
        return self._tell_drift if self._transport.hooks.listening("on_drift") else None

    def _tell_drift(self, drift: Drift) -> None:
        self._transport.hooks.drift(msgspec.structs.replace(drift, operation=self.route.operation))

    def tell_lost_place(self) -> None:
        """Tell hooks that the place of a cursor was not found again."""
        if self.drift is not None:
            found = "row before the cursor not found; page handed out from its start"
            self.drift(Drift(kind="leniency", path="$.data", found=found))

    def tell_quarantined(self, row: QuarantinedRow) -> None:
        """Tell hooks of a row that could not be read."""
        self._transport.hooks.tell("on_quarantine", row)


def _seems_whole(body: Body) -> bool:
    """Return whether a body ends as a JSON object does; one that was cut off rarely does, and a web page never."""
    return body[-8:].rstrip().endswith(b"}")


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_id = msgspec.json.Decoder(str | int | None)


def _key(row: object, names: tuple[str, str] | None) -> bytes | None:
    """Return a row's id; the whole of a row whose list has none."""
    raw = row if isinstance(row, msgspec.Raw) else row.raw if isinstance(row, RawValue | QuarantinedRow) else None
    found: object = None
    if names is None:
        return None if raw is None else bytes(raw)
    if raw is None:
        found = getattr(row, names[0], None)
    else:
        with suppress(KeyError, *READING_ERRORS):
            found = _id.decode(_members.decode(raw)[names[1]])
    return None if found is None else str(found).encode("utf-8", "replace")
