"""The operations that read invoices, cases and settlements."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING

from amili_async.sandbox import _collection_shapes as collection_shapes
from amili_async.sandbox import _shapes as shapes
from amili_async.sandbox._identifiers import Kind
from amili_async.sandbox._json_text import array
from amili_async.sandbox._pages import Answer, Page, Refusal
from amili_async.sandbox._reads import organization_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from amili_async.sandbox._collection import Collection
    from amili_async.sandbox._pages import Pages, Request
    from amili_async.sandbox._paging import Position
    from amili_async.sandbox._seed_data import Invoice, Organization
    from amili_async.sandbox._shapes import Generation
    from amili_async.sandbox._state import State


class CollectionReads:
    """Answers what asks for invoices, cases and settlements. Lists are those of the newest batch first."""

    def __init__(self, world: State, collection: Collection, pages: Pages, *, generation: Generation) -> None:
        self._world = world
        self._collection = collection
        self._pages = pages
        self._identifiers = world.population.identifiers
        self._generation: Generation = generation

    # Invoices

    def list_invoices(self, question: Request) -> Page:
        """Return a page of an organization's invoices."""
        query = question.query
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
            question,
            lambda invoice: wanted(invoice) and earliest <= invoice.created_at <= latest,
            self._invoice,
            size_name=None,
        )

    def get_invoice(self, question: Request) -> Answer:
        """Return an invoice."""
        return self._single(self._invoice(self._asked(question)))

    def payments(self, question: Request) -> Answer:
        """Return what was paid for an invoice."""
        invoice = self._asked(question)
        paid = self._collection.payments(invoice)
        return self._several(collection_shapes.payment(payment, invoice, self._generation) for payment in paid)

    def documents(self, question: Request) -> Answer:
        """Return which papers belong to an invoice."""
        invoice = self._asked(question)
        return self._several(
            [collection_shapes.document(invoice, self._identifiers.make(Kind.DOCUMENT, *invoice.place))]
        )

    def history(self, question: Request) -> Answer:
        """Return what has happened to an invoice."""
        happened = self._collection.history(self._asked(question))
        return self._several(collection_shapes.happening(at, word, self._generation) for at, word in happened)

    # Cases

    def list_cases(self, question: Request) -> Page:
        """Return a page of an organization's cases."""
        query = question.query
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

        return self._page(question, found, self._case)

    # Settlements

    def list_settlements(self, question: Request) -> Page:
        """Return a page of what was paid out to an organization."""
        earliest = question.query.get("fromDate", "")[:10]
        latest = question.query.get("toDate", "9999")[:10]
        for name in ("fromDate", "toDate"):
            _moment(question.query, name)
        return self._page(
            question,
            lambda invoice: invoice.paid > 0 and earliest <= collection_shapes.settlement_date(invoice) <= latest,
            self._settlement,
            token_name="pageToken",  # noqa: S106  # a query name
            size_name="pageSize",
        )

    def get_settlement(self, question: Request) -> Answer:
        """Return a settlement."""
        organization = organization_of(self._world, question)
        invoice = self._collection.find(question.value("settlement_id"), Kind.SETTLEMENT, organization)
        if invoice is None or not invoice.paid:
            raise Refusal(404, "no such settlement in this organization")
        return self._single(self._settlement(invoice))

    # Rendering

    def _invoice(self, invoice: Invoice) -> str:
        return collection_shapes.invoice(invoice, self._collection.credited(invoice), self._generation)

    def _case(self, invoice: Invoice) -> str:
        collection = self._collection
        return collection_shapes.case(
            invoice, collection.credited(invoice), collection.substanding(invoice), self._identifiers, self._generation
        )

    def _settlement(self, invoice: Invoice) -> str:
        return collection_shapes.settlement(invoice, self._identifiers.make(Kind.SETTLEMENT, *invoice.place))

    def _asked(self, question: Request) -> Invoice:
        organization = organization_of(self._world, question)
        return asked_invoice(self._collection, question, organization)

    def _page(
        self,
        question: Request,
        wanted: Callable[[Invoice], bool],
        render: Callable[[Invoice], str],
        *,
        token_name: str = "PageToken",  # noqa: S107  # a query name
        size_name: str | None = "PageSize",
    ) -> Page:
        organization = organization_of(self._world, question)

        def walk(after: Position | None) -> Iterator[tuple[Position, Callable[[], str]]]:
            place = (after[0], after[1]) if after is not None else None
            for invoice in self._collection.all(organization, place):
                if wanted(invoice):
                    yield (invoice.sequence, invoice.entry), partial(render, invoice)

        return self._pages.cut(question, walk, token_name=token_name, size_name=size_name)

    def _single(self, data: str) -> Answer:
        return Answer(200, shapes.envelope(shapes.summary(), data, self._generation))

    def _several(self, rows: Iterable[str]) -> Answer:
        return self._single(array(rows))


def asked_invoice(collection: Collection, question: Request, organization: Organization) -> Invoice:
    """Return the invoice that the path names by its own id or by its case's.

    Raises:
        Refusal: there is none in the organization.
    """
    values = question.match.values
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
        raise Refusal(400, f"{name} must be a date or a moment in ISO 8601") from None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1000
