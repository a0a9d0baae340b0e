"""The lists that can be synced: how each is asked for, what identifies a row, when it came to be, when it is final.

What a list's order and its rows' moments are worth is said in `Traits`, and for people in this folder's README.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import aclosing
from enum import Enum
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from amili_async._cursor import Cursor
from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.errors import APIError
from amili_async.events import QuarantinedRow
from amili_async.models._base import Model
from amili_async.models._batches import Batch
from amili_async.models._cases import Case
from amili_async.models._invoices import Invoice
from amili_async.models._payments import Settlement
from amili_async.sync._store import Row

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

    from amili_async._client import AmiliClient
    from amili_async._lists.pager import Page, Pager
    from amili_async._protocol.requests import Body

M = TypeVar("M", bound=Model)

Sort = Literal["DESC"]

MAX_OPEN = 200
"""How many rows to be asked for again are kept by name, and read by id, for one list."""

_NOT_THERE = frozenset({404, 410})
"""What a server says that has no such row."""

_NO_ROUTE = frozenset({404, 405, 410, 501})
"""What a server says that has no such route; one of another generation may have the other."""

BY_CONTENT = "blake2b:"
"""How the names of rows begin that have no id and go by what they say."""


class Traits(NamedTuple):
    """What holds for all lists of one resource."""

    moments: bool = True
    """Whether rows say when they came to be, so that a list can be newest first."""
    by_id: bool = False
    """Whether a row can be read by its id."""
    max_open: int = 0
    """How many rows that may still change are kept by name; 0 where they are looked for in the list."""
    refreshable: bool = False
    """Whether so many rows may still change, for so long, that a run need not read all of them again."""


class SourcePage(NamedTuple):
    """One page of a list."""

    rows: tuple[Row, ...]
    """In the order of the wire; of an id that stands there twice, the later row in the place of the first."""
    quarantined: tuple[QuarantinedRow, ...]
    unread: tuple[str | None, ...]
    """The ids of the quarantined rows, as far as they can be read."""
    cursor: Cursor
    """Points at the start of this page."""
    following: Cursor | None
    """Points at the start of the next one; ``None`` on the last."""
    scattered: bool = False
    """Whether value dates both rise and fall from row to row."""


class NotRead(Enum):
    """Why a row could not be had by its id."""

    ABSENT = "the server says that it has none of this id"
    NO_ROUTE = "the server has no way to ask for it"


Refetched: TypeAlias = "Row | QuarantinedRow | NotRead"


class Source(Protocol):
    """One list of one organization."""

    @property
    def organization_id(self) -> str:
        """Whose list."""
        ...

    @property
    def resource(self) -> str:
        """Of what."""
        ...

    @property
    def traits(self) -> Traits:
        """What holds for it."""
        ...

    @property
    def sort(self) -> str | None:
        """The direction to ask for; ``None`` where the server knows none."""
        ...

    def pages(self, cursor: Cursor | None, sort: str | None, /, *, ahead: bool) -> AsyncGenerator[SourcePage, None]:
        """Iterate over the pages, from the first or from a cursor, with ``ahead`` the next one on its way meanwhile."""
        ...

    def readable_by_id(self, row_id: str, /) -> bool:
        """Return whether this row has an id by which it can be asked for."""
        ...

    async def refetch(self, row_id: str, /) -> Refetched:
        """Return one row as it is at this moment."""
        ...

    def disable_sort(self) -> None:
        """Learn that the server refuses the direction for this organization."""
        ...


class Paging(NamedTuple):
    """How a list is paged through."""

    cursor: Cursor | None
    sort: Sort | None
    prefetch: bool


class Lists(ABC, Generic[M]):
    """The lists of one resource, of every organization, as one client reads them."""

    resource: ClassVar[str]
    id_name: ClassVar[str]
    """The member that holds a row's id."""
    model: type[M]
    traits: ClassVar[Traits]
    newest_first: ClassVar[Sort | None] = None
    """How to ask for the newest first, where the API has a way to."""

    def __init__(self, client: AmiliClient) -> None:
        self._client = client
        self._reader = client.caller.readers.of(self.model)
        self._by_id: str | None = None
        """The operation that found a row by its id: a server of another generation knows one of them only."""
        self._learning = asyncio.Lock()

    @abstractmethod
    def pager(self, organization_id: str, paging: Paging) -> Pager[M]:
        """Return a pager that sets unreadable rows aside."""

    @abstractmethod
    def row(self, value: M, raw: bytes) -> Row:
        """Return a row as the store gets it."""

    def by_id(self, organization_id: str, row_id: str) -> Sequence[tuple[str, ...]]:
        """Return the operations that read one row, each with its ids, the likelier one first."""
        del organization_id, row_id
        return ()

    async def refetch(self, organization_id: str, row_id: str) -> Refetched:
        """Return one row as it is at this moment."""
        routes = self.by_id(organization_id, row_id)
        if len(routes) > 1 and self._by_id is None:
            # One asks first, so that not all who come at once ask the wrong way.
            async with self._learning:
                if self._by_id is None:
                    return await self._refetch(routes)
        return await self._refetch(routes)

    async def _refetch(self, routes: Sequence[tuple[str, ...]]) -> Refetched:
        said = NotRead.NO_ROUTE
        for operation, *ids in sorted(routes, key=lambda route: route[0] != self._by_id):
            try:
                found = await self._client.caller.send(operation, *ids, read=self._read_one)
            except APIError as error:
                if error.status not in _NO_ROUTE:
                    raise
                if error.status in _NOT_THERE:
                    said = NotRead.ABSENT
            else:
                self._by_id = operation
                return found
        return said

    def _read_one(self, body: Body) -> Row | QuarantinedRow:
        raw = bytes(self._reader.raw(body))
        value = self._reader.row(raw, 0, None)
        return value if isinstance(value, QuarantinedRow) else self.row(value, raw)

    def page(self, page: Page[M]) -> SourcePage:
        """Return a page with each row beside its JSON."""
        raws = page.raw_items()
        if page.quarantined:
            aside = {row.index for row in page.quarantined}
            raws = (raw for index, raw in enumerate(raws) if index not in aside)
        read = [self.row(value, bytes(raw)) for value, raw in zip(page.items, raws, strict=True)]
        rows = {row.id: row for row in self._named(read)}
        token = page.next_page_token
        return SourcePage(
            rows=tuple(rows.values()),
            quarantined=page.quarantined,
            unread=tuple(self._id_of(row.raw) for row in page.quarantined),
            cursor=page.cursor,
            following=None if token is None else replace(page.cursor, token=token, row=0, last=msgspec.UNSET),
            scattered=self._scattered(page.items),
        )

    def _named(self, rows: Iterable[Row]) -> Iterable[Row]:
        """Return a page's rows with names that tell them apart."""
        return rows

    def _scattered(self, values: Sequence[M]) -> bool:
        """Return whether value dates both rise and fall from row to row."""
        del values
        return False

    def _id_of(self, raw: bytes) -> str | None:
        """Return the id of a row that cannot be read, where that much can be."""
        try:
            members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
            return str(msgspec.json.decode(members[self.id_name], type=str | int)) or None
        except (KeyError, *READING_ERRORS):
            return None


class BatchLists(Lists[Batch]):
    """Batches are final once their state is a terminal one (D), and came to be at ``createdAt`` (D)."""

    resource = "batches"
    id_name = "batchId"
    model = Batch
    traits = Traits(by_id=True, max_open=MAX_OPEN)
    newest_first = "DESC"

    def pager(self, organization_id: str, paging: Paging) -> Pager[Batch]:
        """Return a pager over an organization's batches."""
        return self._client.batches.list(
            organization_id, cursor=paging.cursor, sort=paging.sort, prefetch=paging.prefetch, on_invalid="skip"
        )

    def row(self, value: Batch, raw: bytes) -> Row:
        """Return a batch as the store gets it."""
        return Row(id=value.batch_id, moment=value.created_at, final=value.state.terminal, value=value, raw=raw)

    def by_id(self, organization_id: str, row_id: str) -> Sequence[tuple[str, ...]]:
        """Return G3's route and the older one."""
        return (("batches.get", organization_id, row_id), ("batches.get_by_id", row_id))


class InvoiceLists(Lists[Invoice]):
    """Invoices are never taken as final: no status that ends one is documented. ``createdAt`` (D) is their moment."""

    resource = "invoices"
    id_name = "id"
    model = Invoice
    traits = Traits(by_id=True, refreshable=True)

    def pager(self, organization_id: str, paging: Paging) -> Pager[Invoice]:
        """Return a pager over an organization's invoices; the API sorts them its own way."""
        return self._client.invoices.list(
            organization_id, cursor=paging.cursor, prefetch=paging.prefetch, on_invalid="skip"
        )

    def row(self, value: Invoice, raw: bytes) -> Row:
        """Return an invoice as the store gets it."""
        return Row(id=value.id, moment=value.created_at, final=False, value=value, raw=raw)

    def by_id(self, organization_id: str, row_id: str) -> Sequence[tuple[str, ...]]:
        """Return the one route."""
        return (("invoices.get", organization_id, row_id),)


class CaseLists(Lists[Case]):
    """Cases are final once closed (I), and came to be at ``registeredAt`` (I). None can be read by its id."""

    resource = "cases"
    id_name = "caseId"
    model = Case
    traits = Traits(refreshable=True)

    def pager(self, organization_id: str, paging: Paging) -> Pager[Case]:
        """Return a pager over an organization's cases; the API sorts them its own way."""
        return self._client.cases.list(
            organization_id, cursor=paging.cursor, prefetch=paging.prefetch, on_invalid="skip"
        )

    def row(self, value: Case, raw: bytes) -> Row:
        """Return a case as the store gets it."""
        final = value.closed_at is not None
        return Row(id=value.case_id, moment=value.registered_at, final=final, value=value, raw=raw)


class SettlementLists(Lists[Settlement]):
    """Settlements are final: what was paid out was paid out (I). Nothing says when one came to be.

    ``settlementDate`` is a value date (I): it says from when on money counts, and may lie ahead or weeks back.
    """

    resource = "settlements"
    id_name = "settlementId"
    model = Settlement
    traits = Traits(moments=False, by_id=True)

    def pager(self, organization_id: str, paging: Paging) -> Pager[Settlement]:
        """Return a pager over an organization's settlements; the API sorts them its own way."""
        return self._client.settlements.list(
            organization_id, cursor=paging.cursor, prefetch=paging.prefetch, on_invalid="skip"
        )

    def row(self, value: Settlement, raw: bytes) -> Row:
        """Return a settlement as the store gets it.

        The documented list shows no id (the page is cut off). Without one a settlement goes by what it says, however
        its members are arranged.
        """
        return Row(id=value.settlement_id or _by_content(raw), moment=None, final=True, value=value, raw=raw)

    def by_id(self, organization_id: str, row_id: str) -> Sequence[tuple[str, ...]]:
        """Return the one route, for those that have an id."""
        return () if row_id.startswith(BY_CONTENT) else (("settlements.get", organization_id, row_id),)

    def _named(self, rows: Iterable[Row]) -> Iterable[Row]:
        """Number equal rows without an id.

        Across pages they cannot be told from one row that has shifted, so there they stay one.
        """
        seen: Counter[str] = Counter()
        for row in rows:
            seen[row.id] += 1
            twice = row.id.startswith(BY_CONTENT) and seen[row.id] > 1
            yield replace(row, id=f"{row.id}:{seen[row.id]}") if twice else row

    def _scattered(self, values: Sequence[Settlement]) -> bool:
        days = [value.settlement_date for value in values if value.settlement_date is not None]
        steps = list(pairwise(days))
        return any(one < other for one, other in steps) and any(one > other for one, other in steps)


def _by_content(raw: bytes) -> str:
    content = msgspec.json.encode(msgspec.json.decode(raw), order="sorted")
    return f"{BY_CONTENT}{blake2b(content, digest_size=16).hexdigest()}"


class ListSource(Generic[M]):
    """One list of one organization, read through a client."""

    def __init__(self, lists: Lists[M], organization_id: str) -> None:
        self._lists = lists
        self.organization_id = organization_id
        self.resource = lists.resource
        self.traits = lists.traits
        self.sort: Sort | None = lists.newest_first

    async def pages(
        self, cursor: Cursor | None, sort: str | None, /, *, ahead: bool
    ) -> AsyncGenerator[SourcePage, None]:
        """Iterate over the pages."""
        paging = Paging(cursor=cursor, sort="DESC" if sort else None, prefetch=ahead)
        pager = self._lists.pager(self.organization_id, paging)
        async with aclosing(pager.pages()) as pages:
            async for page in pages:
                yield self._lists.page(page)

    def readable_by_id(self, row_id: str, /) -> bool:
        """Return whether this row has an id by which it can be asked for."""
        return bool(self._lists.by_id(self.organization_id, row_id))

    async def refetch(self, row_id: str, /) -> Refetched:
        """Return one row as it is at this moment."""
        return await self._lists.refetch(self.organization_id, row_id)

    def disable_sort(self) -> None:
        """Ask for no direction any more."""
        self.sort = None


LISTS: dict[str, type[Lists[Any]]] = {
    lists.resource: lists for lists in (BatchLists, InvoiceLists, CaseLists, SettlementLists)
}
"""Every resource that can be synced, by its name."""
