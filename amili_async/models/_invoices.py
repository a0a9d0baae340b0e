"""Invoices: what Amili answers of one, and a new one to be sent."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from amili_async.models._inputs import day_of
from amili_async.models._open_enum import OpenEnum
from amili_async.models._received import Maybe, NumberText, Received
from amili_async.models._request import AnyText, Day, Flag, PositiveAmount, Request, Text, chosen


class InvoiceType(OpenEnum):
    """How far an invoice is in collection (D); cases have the same."""

    NOTICE = "NOTICE"
    PAYMENT_REMINDER = "PAYMENT_REMINDER"
    COLLECTION_NOTICE = "COLLECTION_NOTICE"


class InvoiceStatus(OpenEnum):
    """Whether an invoice is open (D: one value seen)."""

    OPEN = "OPEN"


class Currency(Received, frozen=True, kw_only=True, gc=False):
    """A currency that is sent as an object, ``{}`` on the page of cases: all of its members are in ``extra``."""


class Creditor(Received, frozen=True, kw_only=True, gc=False):
    """The organization that an invoice belongs to (D)."""

    id: Maybe[str] = None
    organization_number: Maybe[str] = None
    name: Maybe[str] = None


class Invoice(Received, frozen=True, kw_only=True, gc=False):
    """An invoice as Amili has it. Documented (D) up to ``created_at``, where the public page is cut off.

    The members after it are those of an invoice within a case, taken to be the same here (I); amounts are in major
    units of the currency. Pages: getinvoicesbyorganization-4148068e0, getinvoicebyid-4148069e0.
    """

    numbers: ClassVar[tuple[str, ...]] = ("invoice_number", "collection_case_number")

    id: str
    organization: Maybe[Creditor] = None
    invoice_number: Maybe[NumberText] = None
    collection_case_number: Maybe[NumberText] = None
    type: Maybe[InvoiceType] = None
    status: Maybe[InvoiceStatus] = None
    created_at: Maybe[Annotated[datetime, msgspec.Meta(tz=True)]] = None
    case_id: Maybe[str] = None
    batch_id: Maybe[str] = None
    unique_source_invoice_id: Maybe[str] = None
    invoice_date: Maybe[Annotated[datetime, msgspec.Meta(tz=True)]] = None
    due_date: Maybe[Annotated[datetime, msgspec.Meta(tz=True)]] = None
    registered_at: Maybe[Annotated[datetime, msgspec.Meta(tz=True)]] = None
    original_amount: Maybe[Decimal] = None
    remaining_amount: Maybe[Decimal] = None
    remaining_principal: Maybe[Decimal] = None
    paid_amount: Maybe[Decimal] = None
    credited_amount: Maybe[Decimal] = None
    currency: Maybe[str | Currency] = None
    """ISO 4217; or an object."""


if TYPE_CHECKING:
    GivenType: TypeAlias = InvoiceType | str
else:
    GivenType = chosen(InvoiceType)


class NewInvoice(Request, frozen=True, kw_only=True):
    """An invoice for Amili to collect (D, createinvoices-4148067e0; the public page is cut off after ``description``).

    Members that it does not show, such as debtor and address, go into ``extra``. Which members Amili requires is not
    public, so none but number and amount is asked for here. A member that is not given is not sent; ``None`` is sent as
    ``null``.
    """

    type: GivenType | UnsetType | None = UNSET
    invoice_number: Text
    vat: Flag | UnsetType | None = UNSET
    fees: Flag | UnsetType | None = UNSET
    original_invoice_amount: PositiveAmount
    """In major units of the currency, above zero. A ``float`` is refused."""
    currency: Text | UnsetType | None = UNSET
    """ISO 4217, such as ``NOK``."""
    invoice_date: Day | UnsetType | None = UNSET
    """A calendar day, sent as ``2024-01-15`` (D); of a datetime its own day, text with a time as it is."""
    due_date: Day | UnsetType | None = UNSET
    collection_notice_date: Day | UnsetType | None = UNSET
    """The page prints it as ``null``."""
    unique_source_invoice_id: Text | UnsetType | None = UNSET
    """Your own id of the invoice; `invoices.list` finds it by this."""
    description: AnyText | UnsetType | None = UNSET

    def unusual(self) -> Iterator[str]:
        """Yield what is worth a warning."""
        yield from super().unusual()
        invoiced, due = day_of(self.invoice_date), day_of(self.due_date)
        if invoiced is not None and due is not None and due < invoiced:
            yield "due_date is before invoice_date"
