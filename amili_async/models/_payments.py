"""Money that moves: payments and corrections that a creditor tells Amili of, settlements that Amili pays out."""

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from msgspec import UNSET, UnsetType

from amili_async.models._open_enum import OpenEnum
from amili_async.models._received import Maybe, NumberText, Received
from amili_async.models._request import Amount, AnyText, Moment, Request, Text, chosen


class PaymentType(OpenEnum):
    """How a payment came in (D: one value seen)."""

    DIRECT_PAYMENT = "DIRECT_PAYMENT"


if TYPE_CHECKING:
    GivenType: TypeAlias = PaymentType | str
else:
    GivenType = chosen(PaymentType)


class NewPayment(Request, frozen=True, kw_only=True):
    """A payment to be told to Amili (D, createpayments-4148070e0; the public page is cut off after ``currency``).

    Members that it does not show go into ``extra``. A member that is not given is not sent; ``None`` is sent as
    ``null``.
    """

    invoice_id: Text
    type: GivenType | UnsetType | None = UNSET
    amount: Amount
    """In major units of the currency. A ``float`` is refused."""
    currency: Text | UnsetType | None = UNSET
    """ISO 4217, such as ``NOK``."""


class NewCorrection(Request, frozen=True, kw_only=True):
    """A correction of an invoice's amount, such as a credit note (D and complete, createcorrections-4148074e0)."""

    invoice_id: Text
    amount: Amount
    """In major units of the currency. A ``float`` is refused."""
    currency: Text | UnsetType | None = UNSET
    """ISO 4217, such as ``NOK``."""
    date: Moment | UnsetType | None = UNSET
    """A moment, sent in UTC; of a mere date its midnight, text as it is."""
    description: AnyText | UnsetType | None = UNSET


class CollectionType(OpenEnum):
    """What kind of collection a settlement comes from (D: one value seen)."""

    REMINDER = "REMINDER"


class Settlement(Received, frozen=True, kw_only=True, gc=False):
    """A settlement. Documented (D) up to ``exchange_rate``, where the public page is cut off.

    The members after it are those of the webhook ``SETTLEMENT_CREATED``, taken to be the same here (I). Page:
    getsettlements-4148071e0.
    """

    numbers: ClassVar[tuple[str, ...]] = ("case_number", "invoice_number")

    case_number: Maybe[NumberText] = None
    collection_type: Maybe[CollectionType] = None
    currency: Maybe[str] = None
    customer_reference: Maybe[str] = None
    exchange_rate: Maybe[Decimal] = None
    settlement_id: Maybe[str] = None
    settlement_date: Maybe[date] = None
    invoice_id: Maybe[str] = None
    invoice_number: Maybe[NumberText] = None
