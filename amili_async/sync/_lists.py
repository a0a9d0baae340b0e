"""The lists that can be synced: how each is asked for, what identifies a row, when it came to be, when it is final."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import aclosing
from datetime import UTC, datetime, time
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from amili_async._cursor import Cursor
from amili_async._decoding.envelope import unwrap_one
from amili_async.errors import APIError
from amili_async.events import QuarantinedRow
from amili_async.models import Batch, Case, Invoice, Model, Settlement
from amili_async.sync._scan import MAX_OPEN
from amili_async.sync._source import SourcePage
from amili_async.sync._store import Row

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from amili_async._client import AmiliClient
    from amili_async._lists.pager import Page, Pager
    from amili_async._protocol.requests import Body

M = TypeVar("M", bound=Model)

Sort = Literal["DESC"]

_ABSENT = frozenset({404, 405, 410, 501})
"""What a server says that has no such row, or no such route."""


class Paging(NamedTuple):
    """How a list is paged through."""

    cursor: Cursor | None
    sort: Sort | None
    prefetch: bool


class Lists(ABC, Generic[M]):
    """The lists of one resource, of every organization, as one client reads them."""

    resource: ClassVar[str]
    model: type[M]
    newest_first: ClassVar[Sort | None] = None
    """How to ask for the newest first, where the API has a way to."""
    max_tracked_open: ClassVar[int] = 0
    """How many rows that may still change are kept by name, to be read by id; 0 where that is not possible."""

    def __init__(self, client: AmiliClient) -> None:
        self._client = client
        self._reader = client.caller.readers.of(self.model)
        self.sort: Sort | None = self.newest_first
        self._older_route = False

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

    async def refetch(self, organization_id: str, row_id: str) -> Row | QuarantinedRow | None:
        """Return one row as it is at this moment; ``None`` where the server no longer has it."""
        routes = list(self.by_id(organization_id, row_id))
        if self._older_route:
            routes.reverse()
        for index, (operation, *ids) in enumerate(routes):
            try:
                found = await self._client.caller.send(operation, *ids, read=self._read_one)
            except APIError as error:
                if error.status not in _ABSENT:
                    raise
            else:
                # A server of another generation knows one of the routes only: it is not asked the wrong way each time.
                self._older_route = self._older_route != bool(index)
                return found
        return None

    def _read_one(self, body: Body) -> Row | QuarantinedRow:
        raw = bytes(unwrap_one(body, None))
        value = self._reader.row(raw, 0, None)
        return value if isinstance(value, QuarantinedRow) else self.row(value, raw)

    def sheet(self, page: Page[M]) -> SourcePage:
        """Return a page with each row beside its JSON."""
        raws = page.raw_items()
        if page.quarantined:
            aside = {row.index for row in page.quarantined}
            raws = (raw for index, raw in enumerate(raws) if index not in aside)
        rows: dict[str, Row] = {}
        for value, raw in zip(page.items, raws, strict=True):
            row = self.row(value, bytes(raw))
            rows[row.id] = row
        token = page.next_page_token
        following = None if token is None else replace(page.cursor, token=token, row=0, last=msgspec.UNSET)
        return SourcePage(tuple(rows.values()), page.quarantined, page.cursor, following)


class BatchLists(Lists[Batch]):
    """Batches are final once their state is a terminal one (D)."""

    resource = "batches"
    model = Batch
    newest_first = "DESC"
    max_tracked_open = MAX_OPEN

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
    """Invoices are never taken as final: no status that ends one is documented. So their lists are read to the end."""

    resource = "invoices"
    model = Invoice

    def pager(self, organization_id: str, paging: Paging) -> Pager[Invoice]:
        """Return a pager over an organization's invoices; the API sorts them its own way."""
        return self._client.invoices.list(
            organization_id, cursor=paging.cursor, prefetch=paging.prefetch, on_invalid="skip"
        )

    def row(self, value: Invoice, raw: bytes) -> Row:
        """Return an invoice as the store gets it."""
        return Row(id=value.id, moment=value.created_at, final=False, value=value, raw=raw)


class CaseLists(Lists[Case]):
    """Cases are final once closed (I). None can be read by its id, so lists are read down to the oldest open one."""

    resource = "cases"
    model = Case

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
    """Settlements are final: what was paid out was paid out (I)."""

    resource = "settlements"
    model = Settlement

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
        day = value.settlement_date
        moment = None if day is None else datetime.combine(day, time.min, UTC)
        return Row(id=value.settlement_id or _by_content(raw), moment=moment, final=True, value=value, raw=raw)


def _by_content(raw: bytes) -> str:
    content = msgspec.json.encode(msgspec.json.decode(raw), order="sorted")
    return f"blake2b:{blake2b(content, digest_size=16).hexdigest()}"


class ListSource(Generic[M]):
    """One list of one organization, read through a client."""

    def __init__(self, lists: Lists[M], organization_id: str) -> None:
        self._lists = lists
        self.organization_id = organization_id
        self.resource = lists.resource
        self.max_tracked_open = lists.max_tracked_open

    @property
    def sort(self) -> Sort | None:
        """The direction to ask for."""
        return self._lists.sort

    async def sheets(
        self, cursor: Cursor | None, sort: str | None, /, *, ahead: bool
    ) -> AsyncGenerator[SourcePage, None]:
        """Iterate over the pages."""
        paging = Paging(cursor=cursor, sort="DESC" if sort else None, prefetch=ahead)
        pager = self._lists.pager(self.organization_id, paging)
        async with aclosing(pager.pages()) as pages:
            async for page in pages:
                yield self._lists.sheet(page)

    async def refetch(self, row_id: str, /) -> Row | QuarantinedRow | None:
        """Return one row as it is at this moment."""
        return await self._lists.refetch(self.organization_id, row_id)

    def disable_sort(self) -> None:
        """Ask no list of this resource for a direction any more."""
        self._lists.sort = None


LISTS: dict[str, type[Lists[Any]]] = {
    lists.resource: lists for lists in (BatchLists, InvoiceLists, CaseLists, SettlementLists)
}
"""Every resource that can be synced, by its name."""
