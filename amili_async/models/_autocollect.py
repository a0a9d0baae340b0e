"""AutoCollect's batch: the older API's one object, all in lower case on the wire.

Members are documented by name only (D), their kinds are inferred (I); dates are the text that Amili wrote.
``settlement`` is cut off on the public page.
"""

from decimal import Decimal
from typing import ClassVar, TypeAlias

import msgspec

from amili_async.models._base import Model, NumberText, StringifiedInts, lower

Scalar: TypeAlias = str | int | float | bool | None
"""A member of which not even the kind is known."""


class AutoCollectContact(Model, frozen=True, kw_only=True, gc=False, rename=lower):
    """A person at a creditor. ``repr`` shows nothing of them."""

    private: ClassVar[frozenset[str]] = frozenset({"full_name", "work_phone", "email"})

    full_name: str | None = None
    work_phone: str | None = None
    email: str | None = None
    is_invoice_query: bool | None = None
    is_remittance_report: bool | None = None
    is_order_confirmation: bool | None = None
    is_collection_list: bool | None = None
    is_web: bool | None = None


class AutoCollectCreditor(StringifiedInts, frozen=True, kw_only=True, gc=False, rename=lower):
    """A creditor."""

    private: ClassVar[frozenset[str]] = frozenset({"full_name", "street", "city", "zip_code", "bank_account_no"})
    numbers: ClassVar[tuple[str, ...]] = (
        "id_number",
        "parent_id_number",
        "zip_code",
        "bank_account_no",
        "source_id",
        "last_settlement_id",
    )

    id_number: NumberText | None = None
    parent_id_number: NumberText | None = None
    only_debt_collection: bool | None = None
    vat_type: Scalar = None
    full_name: str | None = None
    street: str | None = None
    city: str | None = None
    zip_code: NumberText | None = None
    country_code: str | None = None
    bank_account_no: NumberText | None = None
    contact: AutoCollectContact | None = None
    case_handler: AutoCollectContact | None = None
    source_id: NumberText | None = None
    reminder_flow: Scalar = None
    debt_collection_transfer: Scalar = None
    invoice_archive: Scalar = None
    has_foreign_debtors: bool | None = None
    has_foreign_currency: bool | None = None
    disabled: bool | None = None
    last_settlement_id: NumberText | None = None


class AutoCollectEvent(StringifiedInts, frozen=True, kw_only=True, gc=False, rename=lower):
    """Something that happened in a case."""

    private: ClassVar[frozenset[str]] = frozenset({"message", "subject"})
    numbers: ClassVar[tuple[str, ...]] = ("conversation_id", "attachment_id")

    type: str | None = None
    logged_at: str | None = None
    message: str | None = None
    subject: str | None = None
    conversation_id: NumberText | None = None
    attachment_id: NumberText | None = None
    """What ``autocollect.attachment`` takes."""


class AutoCollectPaymentDetails(StringifiedInts, frozen=True, kw_only=True, gc=False):
    """How a case is to be paid; the one object of AutoCollect that is camelCase."""

    private: ClassVar[frozenset[str]] = frozenset({"kid", "bank_account"})
    numbers: ClassVar[tuple[str, ...]] = ("kid", "bank_account")

    payment_value: Decimal | None = None
    currency: str | None = None
    kid: NumberText | None = None
    bank_account: NumberText | None = None
    due_date: str | None = None


class AutoCollectCase(StringifiedInts, frozen=True, kw_only=True, gc=False, rename=lower):
    """A case. Amounts are in major units of the currency."""

    private: ClassVar[frozenset[str]] = frozenset({"customer_ref", "customer_name"})
    numbers: ClassVar[tuple[str, ...]] = (
        "customer_ref",
        "ledger_ref",
        "reference_number",
        "case_number",
        "status_statuscode",
    )

    customer_ref: NumberText | None = None
    customer_name: str | None = None
    ledger_ref: NumberText | None = None
    reference_number: NumberText | None = None
    case_number: NumberText | None = None
    currency_code: str | None = None
    reg_date: str | None = None
    closure_date: str | None = None
    is_debt_collection: bool | None = None
    bill_date: str | None = None
    due_date: str | None = None
    original_sum: Decimal | None = None
    paid_sum: Decimal | None = None
    remaining_sum: Decimal | None = None
    original_principal: Decimal | None = None
    paid_principal: Decimal | None = None
    remaining_principal: Decimal | None = None
    original_fee: Decimal | None = None
    paid_fee: Decimal | None = None
    remaining_fee: Decimal | None = None
    original_interest: Decimal | None = None
    paid_interest: Decimal | None = None
    remaining_interest: Decimal | None = None
    service_description: str | None = msgspec.field(default=None, name="service_description")
    status_statuscode: NumberText | None = msgspec.field(default=None, name="status_statuscode")
    reminders: Scalar = None
    debt_collection_list: Scalar = None
    history: tuple[AutoCollectEvent, ...] = ()
    payment_details: AutoCollectPaymentDetails | None = msgspec.field(default=None, name="paymentDetails")


class AutoCollectSettlement(StringifiedInts, frozen=True, kw_only=True, gc=False, rename=lower):
    """A settlement, as far as the public page goes."""

    private: ClassVar[frozenset[str]] = frozenset({"customer_ref"})
    numbers: ClassVar[tuple[str, ...]] = (
        "creditor_id",
        "customer_ref",
        "ledger_ref",
        "reference_number",
        "case_number",
    )

    creditor_id: NumberText | None = None
    customer_ref: NumberText | None = None
    ledger_ref: NumberText | None = None
    reference_number: NumberText | None = None
    case_number: NumberText | None = None


class AutoCollectBatch(StringifiedInts, frozen=True, kw_only=True, gc=False, rename=lower):
    """What ``autocollect.get_batch`` returns and ``autocollect.send_batch`` takes."""

    numbers: ClassVar[tuple[str, ...]] = ("batch_id",)

    batch_id: NumberText | None = None
    offline: bool | None = None
    creditors: tuple[AutoCollectCreditor, ...] = msgspec.field(default=(), name="creditor")
    cases: tuple[AutoCollectCase, ...] = msgspec.field(default=(), name="case")
    settlements: tuple[AutoCollectSettlement, ...] = msgspec.field(default=(), name="settlement")
