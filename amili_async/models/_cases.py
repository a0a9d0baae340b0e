"""Cases: invoices of one debtor in collection, with who owes and what is left."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar

import msgspec

from amili_async.models._base import NumberText, StringifiedInts
from amili_async.models._invoices import InvoiceType
from amili_async.models._open_enum import OpenEnum


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


class CaseInvoice(StringifiedInts, frozen=True, kw_only=True, gc=False):
    """An invoice within a case (D). Amounts are in major units of the currency."""

    numbers: ClassVar[tuple[str, ...]] = ("invoice_number",)

    invoice_id: str | None = None
    invoice_number: NumberText | None = None
    case_id: str | None = None
    invoice_date: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    due_date: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    batch_id: str | None = None
    registered_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    original_amount: Decimal | None = None
    remaining_amount: Decimal | None = None
    remaining_principal: Decimal | None = None
    unique_source_invoice_id: str | None = None
    paid_amount: Decimal | None = None
    credited_amount: Decimal | None = None
    currency: str | None = None
    """ISO 4217; ``None`` where Amili sends the empty object that its page prints."""


class Debtor(StringifiedInts, frozen=True, kw_only=True, gc=False):
    """Who owes (D up to ``full_name``, where the public page is cut off). ``repr`` shows no names."""

    private: ClassVar[frozenset[str]] = frozenset(
        {"debtor_number", "customer_number", "first_name", "last_name", "full_name"}
    )
    numbers: ClassVar[tuple[str, ...]] = ("debtor_number", "customer_number")

    debtor_id: str | None = None
    type: DebtorType | None = None
    debtor_number: NumberText | None = None
    customer_number: NumberText | None = None
    first_name: str | None = None
    last_name: str | None = None
    full_name: str | None = None


class Case(StringifiedInts, frozen=True, kw_only=True, gc=False):
    """A case. Documented (D): getcasesbyorganization-4326442e0, cut off within ``debtors``."""

    private: ClassVar[frozenset[str]] = frozenset({"description", "case_token"})
    numbers: ClassVar[tuple[str, ...]] = ("case_number", "creditor_number")

    case_id: str
    case_number: NumberText | None = None
    """Text, though lists send a number: webhooks and settlements name the same case as text."""
    organization_id: str | None = None
    creditor_id: str | None = None
    creditor_number: NumberText | None = None
    status: CaseStatus | None = None
    sub_status: CaseSubStatus | None = None
    type: InvoiceType | None = None
    description: str | None = None
    registered_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    closed_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    case_token: str | None = None
    invoices: tuple[CaseInvoice, ...] = ()
    debtors: tuple[Debtor, ...] = ()
