"""Cases: invoices of one debtor in collection, with who owes and what is left."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar

import msgspec

from amili_async.models._invoices import Currency, InvoiceType
from amili_async.models._open_enum import OpenEnum
from amili_async.models._received import NOT_SENT, Maybe, NumberText, Received


class CaseStatus(OpenEnum):
    """Whether a case is worked on (D: the values seen)."""

    OPEN = "OPEN"
    PAUSED = "PAUSED"


class CaseSubStatus(OpenEnum):
    """What a case waits for (D: one value seen)."""

    DEBT_COLLECTION_LIST_MANUAL = "DEBT_COLLECTION_LIST_MANUAL"


class DebtorType(OpenEnum):
    """What kind of debtor (D: one value seen)."""

    PRIVATE = "PRIVATE"


class CaseInvoice(Received, frozen=True, kw_only=True, gc=False):
    """An invoice within a case (D). Amounts are in major units of the currency."""

    numbers: ClassVar[tuple[str, ...]] = ("invoice_number",)

    invoice_id: Maybe[str] = None
    invoice_number: Maybe[NumberText] = None
    case_id: Maybe[str] = None
    invoice_date: Maybe[Annotated[datetime, msgspec.Meta(tz=True)]] = None
    due_date: Maybe[Annotated[datetime, msgspec.Meta(tz=True)]] = None
    batch_id: Maybe[str] = None
    registered_at: Maybe[Annotated[datetime, msgspec.Meta(tz=True)]] = None
    original_amount: Maybe[Decimal] = None
    remaining_amount: Maybe[Decimal] = None
    remaining_principal: Maybe[Decimal] = None
    unique_source_invoice_id: Maybe[str] = None
    paid_amount: Maybe[Decimal] = None
    credited_amount: Maybe[Decimal] = None
    currency: Maybe[str | Currency] = None
    """ISO 4217; or an object, as the page prints it."""


class Debtor(Received, frozen=True, kw_only=True, gc=False):
    """Who owes (D up to ``full_name``, where the public page is cut off). ``repr`` shows no names."""

    private: ClassVar[frozenset[str]] = frozenset(
        {"debtor_number", "customer_number", "first_name", "last_name", "full_name"}
    )
    numbers: ClassVar[tuple[str, ...]] = ("debtor_number", "customer_number")

    debtor_id: Maybe[str] = None
    type: Maybe[DebtorType] = None
    debtor_number: Maybe[NumberText] = None
    customer_number: Maybe[NumberText] = None
    first_name: Maybe[str] = None
    last_name: Maybe[str] = None
    full_name: Maybe[str] = None


class Case(Received, frozen=True, kw_only=True, gc=False):
    """A case. Documented (D): getcasesbyorganization-4326442e0, cut off within ``debtors``."""

    private: ClassVar[frozenset[str]] = frozenset({"description", "case_token"})
    numbers: ClassVar[tuple[str, ...]] = ("case_number", "creditor_number")

    case_id: str
    case_number: Maybe[NumberText] = None
    """Text, though lists send a number: webhooks and settlements name the same case as text."""
    organization_id: Maybe[str] = None
    creditor_id: Maybe[str] = None
    creditor_number: Maybe[NumberText] = None
    status: Maybe[CaseStatus] = None
    sub_status: Maybe[CaseSubStatus] = None
    type: Maybe[InvoiceType] = None
    description: Maybe[str] = None
    registered_at: Maybe[Annotated[datetime, msgspec.Meta(tz=True)]] = None
    closed_at: Maybe[Annotated[datetime, msgspec.Meta(tz=True)]] = None
    case_token: Maybe[str] = None
    invoices: tuple[CaseInvoice, ...] = NOT_SENT
    debtors: tuple[Debtor, ...] = NOT_SENT
