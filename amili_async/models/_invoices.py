"""Invoices: what Amili answers of one, and a new one to be sent."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import msgspec

from amili_async.models._base import Model, NumberText, StringifiedInts
from amili_async.models._open_enum import OpenEnum
from amili_async.models._request import Moment, Request


class InvoiceType(OpenEnum):
    """How far an invoice is in collection (D); cases have the same."""

    NOTICE = "NOTICE"
    PAYMENT_REMINDER = "PAYMENT_REMINDER"
    COLLECTION_NOTICE = "COLLECTION_NOTICE"


class InvoiceStatus(OpenEnum):
    """Whether an invoice is open (D: one value seen)."""

    OPEN = "OPEN"


class Creditor(Model, frozen=True, kw_only=True, gc=False):
    """The organization that an invoice belongs to (D)."""

    id: str | None = None
    organization_number: str | None = None
    name: str | None = None


class Invoice(StringifiedInts, frozen=True, kw_only=True, gc=False):
    """An invoice as Amili has it. Documented (D) up to ``created_at``, where the public page is cut off.

    Pages: getinvoicesbyorganization-4148068e0, getinvoicebyid-4148069e0.
    """

    numbers = ("invoice_number", "collection_case_number")

    id: str
    organization: Creditor | None = None
    invoice_number: NumberText | None = None
    collection_case_number: NumberText | None = None
    type: InvoiceType | None = None
    status: InvoiceStatus | None = None
    created_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


if TYPE_CHECKING:
    GivenType = InvoiceType | str
else:
    GivenType = InvoiceType


class NewInvoice(Request, frozen=True, kw_only=True):
    """An invoice for Amili to collect (D, createinvoices-4148067e0; the public page is cut off after ``description``).

    Members that it does not show, such as debtor and address, go into ``extra``. Which members Amili requires is not
    public, so none but number and amount is asked for here.
    """

    amounts = ("original_invoice_amount",)
    moments = ("invoice_date", "due_date", "collection_notice_date")
    enums = (("type", InvoiceType),)

    type: GivenType | None = None
    invoice_number: str
    vat: bool | None = None
    fees: bool | None = None
    original_invoice_amount: Decimal
    """In major units of the currency. A ``float`` is refused."""
    currency: str | None = None
    """ISO 4217, such as ``NOK``."""
    invoice_date: Moment | None = None
    due_date: Moment | None = None
    collection_notice_date: Moment | None = None
    unique_source_invoice_id: str | None = None
    """Your own id of the invoice; `invoices.list` finds it by this."""
    description: str | None = None
