"""AutoCollect's batch: the older API's one object, all in lower case on the wire.

Members are documented by name only (D), their kinds are inferred (I); dates are the text that Amili wrote.
``settlement`` is cut off on the public page. What was read is written as it came, kinds of values and nulls included:
`autocollect.get_batch` and `autocollect.send_batch` are the two halves of one exchange.
"""

from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import msgspec
from msgspec import UNSET

from amili_async.models._base import lower
from amili_async.models._extra import value_of
from amili_async.models._inputs import is_bounded
from amili_async.models._received import NOT_SENT, Maybe, NumberText, Received, show

if TYPE_CHECKING:
    OpenValue: TypeAlias = str | int | Decimal | bool | list[object] | dict[str, object] | None
    """A JSON value of which not even the kind is documented; numbers in it are ``int`` or `Decimal`."""
    Amount: TypeAlias = Decimal | None
    ABSENT: Any = None
else:
    # Kept as they came, null told apart from absent; what users see of them is made when they look.
    OpenValue = Amount = object
    ABSENT = UNSET


class _Object(Received, frozen=True, kw_only=True, rename=lower):
    """An object with members of which not even the kind is known, and with amounts: numbers, or text."""

    open_values: ClassVar[tuple[str, ...]] = ()
    amounts: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in vars(cls).get("open_values", ()):
            show(cls, name, value_of)
        for name in vars(cls).get("amounts", ()):
            show(cls, name, _amount)

    def __post_init__(self) -> None:
        for name in self.amounts:
            try:
                getattr(self, name)
            except ValueError:
                raise ValueError(f"Expected an amount in {name}") from None


def _amount(value: Any) -> Decimal | None:
    if value is UNSET or value is None:
        return None
    if isinstance(value, str | int | Decimal) and not isinstance(value, bool):
        with suppress(InvalidOperation):
            found = Decimal(value)
            if is_bounded(found):
                return found
    raise ValueError


class AutoCollectContact(Received, frozen=True, kw_only=True, gc=False, rename=lower):
    """A person at a creditor. ``repr`` shows nothing of them."""

    private: ClassVar[frozenset[str]] = frozenset({"full_name", "work_phone", "email"})

    full_name: Maybe[str] = None
    work_phone: Maybe[str] = None
    email: Maybe[str] = None
    is_invoice_query: Maybe[bool] = None
    is_remittance_report: Maybe[bool] = None
    is_order_confirmation: Maybe[bool] = None
    is_collection_list: Maybe[bool] = None
    is_web: Maybe[bool] = None


class AutoCollectCreditor(_Object, frozen=True, kw_only=True):
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
    open_values: ClassVar[tuple[str, ...]] = (
        "vat_type",
        "reminder_flow",
        "debt_collection_transfer",
        "invoice_archive",
    )

    id_number: Maybe[NumberText] = None
    parent_id_number: Maybe[NumberText] = None
    only_debt_collection: Maybe[bool] = None
    vat_type: OpenValue = ABSENT
    full_name: Maybe[str] = None
    street: Maybe[str] = None
    city: Maybe[str] = None
    zip_code: Maybe[NumberText] = None
    country_code: Maybe[str] = None
    bank_account_no: Maybe[NumberText] = None
    contact: Maybe[AutoCollectContact] = None
    case_handler: Maybe[AutoCollectContact] = None
    source_id: Maybe[NumberText] = None
    reminder_flow: OpenValue = ABSENT
    debt_collection_transfer: OpenValue = ABSENT
    invoice_archive: OpenValue = ABSENT
    has_foreign_debtors: Maybe[bool] = None
    has_foreign_currency: Maybe[bool] = None
    disabled: Maybe[bool] = None
    last_settlement_id: Maybe[NumberText] = None


class AutoCollectEvent(Received, frozen=True, kw_only=True, gc=False, rename=lower):
    """Something that happened in a case."""

    private: ClassVar[frozenset[str]] = frozenset({"message", "subject"})
    numbers: ClassVar[tuple[str, ...]] = ("conversation_id", "attachment_id")

    type: Maybe[str] = None
    logged_at: Maybe[str] = None
    message: Maybe[str] = None
    subject: Maybe[str] = None
    conversation_id: Maybe[NumberText] = None
    attachment_id: Maybe[NumberText] = None
    """What ``autocollect.attachment`` takes."""


class AutoCollectPaymentDetails(_Object, frozen=True, kw_only=True, rename="camel"):
    """How a case is to be paid; the one object of AutoCollect that is camelCase."""

    private: ClassVar[frozenset[str]] = frozenset({"kid", "bank_account"})
    numbers: ClassVar[tuple[str, ...]] = ("kid", "bank_account")
    amounts: ClassVar[tuple[str, ...]] = ("payment_value",)

    payment_value: Amount = ABSENT
    currency: Maybe[str] = None
    kid: Maybe[NumberText] = None
    bank_account: Maybe[NumberText] = None
    due_date: Maybe[str] = None


class AutoCollectCase(_Object, frozen=True, kw_only=True):
    """A case. Amounts are in major units of the currency."""

    private: ClassVar[frozenset[str]] = frozenset({"customer_ref", "customer_name"})
    numbers: ClassVar[tuple[str, ...]] = (
        "customer_ref",
        "ledger_ref",
        "reference_number",
        "case_number",
        "status_statuscode",
    )
    open_values: ClassVar[tuple[str, ...]] = ("reminders", "debt_collection_list")
    amounts: ClassVar[tuple[str, ...]] = (
        *("original_sum", "paid_sum", "remaining_sum"),
        *("original_principal", "paid_principal", "remaining_principal"),
        *("original_fee", "paid_fee", "remaining_fee"),
        *("original_interest", "paid_interest", "remaining_interest"),
    )

    customer_ref: Maybe[NumberText] = None
    customer_name: Maybe[str] = None
    ledger_ref: Maybe[NumberText] = None
    reference_number: Maybe[NumberText] = None
    case_number: Maybe[NumberText] = None
    currency_code: Maybe[str] = None
    reg_date: Maybe[str] = None
    closure_date: Maybe[str] = None
    is_debt_collection: Maybe[bool] = None
    bill_date: Maybe[str] = None
    due_date: Maybe[str] = None
    original_sum: Amount = ABSENT
    paid_sum: Amount = ABSENT
    remaining_sum: Amount = ABSENT
    original_principal: Amount = ABSENT
    paid_principal: Amount = ABSENT
    remaining_principal: Amount = ABSENT
    original_fee: Amount = ABSENT
    paid_fee: Amount = ABSENT
    remaining_fee: Amount = ABSENT
    original_interest: Amount = ABSENT
    paid_interest: Amount = ABSENT
    remaining_interest: Amount = ABSENT
    service_description: Maybe[str] = msgspec.field(default=None, name="service_description")
    status_statuscode: Maybe[NumberText] = msgspec.field(default=None, name="status_statuscode")
    reminders: OpenValue = ABSENT
    debt_collection_list: OpenValue = ABSENT
    history: tuple[AutoCollectEvent, ...] = NOT_SENT
    payment_details: Maybe[AutoCollectPaymentDetails] = msgspec.field(default=None, name="paymentDetails")


class AutoCollectSettlement(Received, frozen=True, kw_only=True, gc=False, rename=lower):
    """A settlement, as far as the public page goes."""

    private: ClassVar[frozenset[str]] = frozenset({"customer_ref"})
    numbers: ClassVar[tuple[str, ...]] = (
        "creditor_id",
        "customer_ref",
        "ledger_ref",
        "reference_number",
        "case_number",
    )

    creditor_id: Maybe[NumberText] = None
    customer_ref: Maybe[NumberText] = None
    ledger_ref: Maybe[NumberText] = None
    reference_number: Maybe[NumberText] = None
    case_number: Maybe[NumberText] = None


class AutoCollectBatch(Received, frozen=True, kw_only=True, rename=lower):
    """What ``autocollect.get_batch`` returns and ``autocollect.send_batch`` takes."""

    numbers: ClassVar[tuple[str, ...]] = ("batch_id",)

    batch_id: Maybe[NumberText] = None
    offline: Maybe[bool] = None
    creditors: tuple[AutoCollectCreditor, ...] = msgspec.field(default=NOT_SENT, name="creditor")
    cases: tuple[AutoCollectCase, ...] = msgspec.field(default=NOT_SENT, name="case")
    settlements: tuple[AutoCollectSettlement, ...] = msgspec.field(default=NOT_SENT, name="settlement")
