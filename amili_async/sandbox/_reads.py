"""The operations that read: batches, invoices, cases and settlements."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING

from amili_async.sandbox import _shapes as shapes
from amili_async.sandbox._identifiers import Kind
from amili_async.sandbox._pages import Answer, Page, Refusal
from amili_async.sandbox._shapes import array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from amili_async.sandbox._collection import Collection
    from amili_async.sandbox._pages import Pages, Position, Request
    from amili_async.sandbox._seed_data import Batch, Invoice, Organization
    from amili_async.sandbox._shapes import Dialect
    from amili_async.sandbox._state import State


class BatchReads:
    """Answers what asks for batches.

    Lists are newest first; ``SortDirection=ASC`` turns them round, unless the server is one that does not heed it. The
    documentation says nothing of either, so both are settings of the sandbox.
    """

    def __init__(self, state: State, pages: Pages, *, dialect: Dialect, heeds_sort: bool, newest_first: bool) -> None:
        self._state = state
        self._pages = pages
        self._dialect = dialect
        self._heeds_sort = heeds_sort
        self._newest_first = newest_first

    def list(self, request: Request) -> Page:
        """Return a page of an organization's batches."""
        organization = organization_of(self._state, request)
        wanted = self._filter(request)
        descending = self._descending(request)

        def walk(after: Position | None) -> Iterator[tuple[Position, Callable[[], str]]]:
            start = after[0] if after is not None else None
            for sequence in self._state.sequences(organization, descending=descending, after=start):
                batch = self._state.batch(organization, sequence)
                if wanted(batch):
                    yield (sequence,), partial(self._render, batch)

        return self._pages.cut(request, walk)

    def list_all(self, request: Request) -> Page:
        """Return a page of all organizations' batches: those of a sequence side by side, which is the order of time."""
        wanted = self._filter(request)
        descending = self._descending(request)
        organizations = self._state.organizations

        def walk(after: Position | None) -> Iterator[tuple[Position, Callable[[], str]]]:
            longest = max(self._state.length(organization) for organization in organizations)
            sequences = range(longest - 1, -1, -1) if descending else range(longest)
            for sequence in sequences[sequences.index(after[0]) if after else 0 :]:
                for organization in reversed(organizations) if descending else organizations:
                    place = (sequence, organization.ordinal)
                    if after and (place >= after if descending else place <= after):
                        continue
                    if sequence < self._state.length(organization):
                        batch = self._state.batch(organization, sequence)
                        if wanted(batch):
                            yield place, partial(self._render, batch)

        return self._pages.cut(request, walk)

    def get(self, request: Request) -> Answer:
        """Return a batch of an organization."""
        organization = organization_of(self._state, request)
        batch = self._state.find_batch(request.value("batch_id"))
        if batch is None or batch.organization != organization:
            raise Refusal(404, "no such batch in this organization")
        return self._single(self._state.poll(batch))

    def get_by_id(self, request: Request) -> Answer:
        """Return a batch."""
        batch = self._state.find_batch(request.value("batch_id"))
        if batch is None:
            raise Refusal(404, "no such batch")
        return self._single(self._state.poll(batch))

    def _single(self, batch: Batch) -> Answer:
        return Answer(200, shapes.envelope(shapes.summary(), self._render(batch), self._dialect))

    def _render(self, batch: Batch) -> str:
        seed_data = self._state.seed_data
        return shapes.batch(batch, seed_data.successes(batch), seed_data.failures(batch), self._dialect)

    def _descending(self, request: Request) -> bool:
        direction = request.query.get("SortDirection", "").upper()
        if direction not in {"", "ASC", "DESC"}:
            raise Refusal(400, "SortDirection must be ASC or DESC", query_name="SortDirection")
        return direction == "DESC" if direction and self._heeds_sort else self._newest_first

    def _filter(self, request: Request) -> Callable[[Batch], bool]:
        state, kind = request.query.get("State"), request.query.get("Type")
        key, subject = request.query.get("IdempotencyKey"), request.query.get("SubjectId")

        def wanted(batch: Batch) -> bool:
            return (
                (state is None or batch.state == state)
                and (kind is None or batch.type == kind)
                and (key is None or batch.idempotency_key == key)
                and (subject is None or self._matches(batch, subject))
            )

        return wanted

    def _matches(self, batch: Batch, subject: str) -> bool:
        """Return whether a batch has an entry for an invoice, case or payment."""
        place = self._state.seed_data.identifiers.read(subject)
        if place is None or place.kind not in {Kind.INVOICE, Kind.CASE, Kind.PAYMENT, Kind.CORRECTION}:
            return False
        if place.organization != batch.organization.ordinal:
            return False
        entries = self._state.seed_data.successes(batch)
        return any(subject in {entry.invoice_id, entry.case_id, entry.own_id} for entry in entries)


def organization_of(state: State, request: Request) -> Organization:
    """Return the organization that the path names.

    Raises:
        Refusal: there is none.
    """
    organization = state.organization(request.value("organization_id"))
    if organization is None:
        raise Refusal(404, "no such organization")
    return organization


class CollectionReads:
    """Answers what asks for invoices, cases and settlements. Lists are those of the newest batch first."""

    def __init__(self, state: State, collection: Collection, pages: Pages, *, dialect: Dialect) -> None:
        self._state = state
        self._collection = collection
        self._pages = pages
        self._identifiers = state.seed_data.identifiers
        self._dialect = dialect

    # Invoices

    def list_invoices(self, request: Request) -> Page:
        """Return a page of an organization's invoices."""
        query = request.query
        earliest, latest = _moment(query, "From"), _moment(query, "To")
        wanted = _equal(
            query,
            Status=lambda invoice: invoice.status,
            Type=lambda invoice: invoice.type,
            InvoiceNumber=lambda invoice: invoice.number,
            UniqueSourceInvoiceId=lambda invoice: invoice.source_id,
            CustomerNumber=lambda invoice: invoice.customer_number,
        )
        return self._page(
            request,
            lambda invoice: wanted(invoice) and earliest <= invoice.created_at <= latest,
            self._invoice,
            size_name=None,
        )

    def get_invoice(self, request: Request) -> Answer:
        """Return an invoice."""
        return self._single(self._invoice(self._asked(request)))

    def payments(self, request: Request) -> Answer:
        """Return what was paid for an invoice."""
        invoice = self._asked(request)
        paid = self._collection.payments(invoice)
        return self._several(shapes.payment(payment, invoice, self._dialect) for payment in paid)

    def documents(self, request: Request) -> Answer:
        """Return which papers belong to an invoice."""
        invoice = self._asked(request)
        return self._several([shapes.document(invoice, self._identifiers.make(Kind.DOCUMENT, *invoice.place))])

    def history(self, request: Request) -> Answer:
        """Return what has happened to an invoice."""
        happened = self._collection.history(self._asked(request))
        return self._several(shapes.history_entry(at, word, self._dialect.generation) for at, word in happened)

    # Cases

    def list_cases(self, request: Request) -> Page:
        """Return a page of an organization's cases."""
        query = request.query
        earliest, latest = _moment(query, "FromCreatedAt"), _moment(query, "ToCreatedAt")
        term = query.get("SearchTerm", "").casefold()
        wanted = _equal(
            query,
            Status=lambda invoice: invoice.status,
            Type=lambda invoice: invoice.type,
            CaseNumber=lambda invoice: str(invoice.case_number),
            UniqueSourceInvoiceId=lambda invoice: invoice.source_id,
            CustomerNumber=lambda invoice: invoice.customer_number,
        )

        def found(invoice: Invoice) -> bool:
            words = f"{invoice.first_name} {invoice.last_name} {invoice.description} {invoice.number}".casefold()
            return wanted(invoice) and earliest <= invoice.created_at <= latest and term in words

        return self._page(request, found, self._case)

    # Settlements

    def list_settlements(self, request: Request) -> Page:
        """Return a page of what was paid out to an organization."""
        earliest = request.query.get("fromDate", "")[:10]
        latest = request.query.get("toDate", "9999")[:10]
        for name in ("fromDate", "toDate"):
            _moment(request.query, name)
        return self._page(
            request,
            lambda invoice: invoice.paid > 0 and earliest <= shapes.settlement_date(invoice) <= latest,
            self._settlement,
            token_name="pageToken",  # noqa: S106  # a query name
            size_name="pageSize",
        )

    def get_settlement(self, request: Request) -> Answer:
        """Return a settlement."""
        organization = organization_of(self._state, request)
        invoice = self._collection.find(request.value("settlement_id"), Kind.SETTLEMENT, organization)
        if invoice is None or not invoice.paid:
            raise Refusal(404, "no such settlement in this organization")
        return self._single(self._settlement(invoice))

    # Rendering

    def _invoice(self, invoice: Invoice) -> str:
        return shapes.invoice(invoice, self._collection.credited(invoice), self._dialect)

    def _case(self, invoice: Invoice) -> str:
        collection = self._collection
        return shapes.case(
            invoice,
            collection.credited(invoice),
            collection.sub_status(invoice),
            self._identifiers,
            self._dialect,
            closed_at=collection.closed_at(invoice),
        )

    def _settlement(self, invoice: Invoice) -> str:
        return shapes.settlement(invoice, self._identifiers.make(Kind.SETTLEMENT, *invoice.place), self._dialect)

    def _asked(self, request: Request) -> Invoice:
        organization = organization_of(self._state, request)
        return asked_invoice(self._collection, request, organization)

    def _page(
        self,
        request: Request,
        wanted: Callable[[Invoice], bool],
        render: Callable[[Invoice], str],
        *,
        token_name: str = "PageToken",  # noqa: S107  # a query name
        size_name: str | None = "PageSize",
    ) -> Page:
        organization = organization_of(self._state, request)

        def walk(after: Position | None) -> Iterator[tuple[Position, Callable[[], str]]]:
            place = (after[0], after[1]) if after is not None else None
            for invoice in self._collection.all(organization, place):
                if wanted(invoice):
                    yield (invoice.sequence, invoice.entry), partial(render, invoice)

        return self._pages.cut(request, walk, token_name=token_name, size_name=size_name)

    def _single(self, data: str) -> Answer:
        return Answer(200, shapes.envelope(shapes.summary(), data, self._dialect))

    def _several(self, rows: Iterable[str]) -> Answer:
        return self._single(array(rows))


def asked_invoice(collection: Collection, request: Request, organization: Organization) -> Invoice:
    """Return the invoice that the path names by its own id or by its case's.

    Raises:
        Refusal: there is none in the organization.
    """
    values = request.match.values
    if "case_id" in values:
        invoice, noun = collection.find(values["case_id"], Kind.CASE, organization), "case"
    else:
        invoice, noun = collection.find(values["invoice_id"], Kind.INVOICE, organization), "invoice"
    if invoice is None:
        raise Refusal(404, f"no such {noun} in this organization")
    return invoice


def _equal(query: Mapping[str, str], **members: Callable[[Invoice], str]) -> Callable[[Invoice], bool]:
    """Return what tells whether an invoice is as the query's filters say."""
    filters = [(read, query[name]) for name, read in members.items() if name in query]
    return lambda invoice: all(read(invoice) == value for read, value in filters)


def _moment(query: Mapping[str, str], name: str) -> float:
    """Return the moment that a filter names in Unix milliseconds, one without bound where it is not given.

    A day alone is its first moment, or as an upper bound its last.
    """
    upper = name.lower().startswith("to")
    text = query.get(name)
    if text is None:
        return float("inf") if upper else float("-inf")
    try:
        if len(text) == len("2024-01-15"):
            start = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC).timestamp() * 1000
            return start + 86_399_999 if upper else start
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(400, f"{name} must be a date or a moment in ISO 8601", query_name=name) from None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1000
