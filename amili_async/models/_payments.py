"""Payments that a creditor received, and corrections of what is owed, to be told to Amili."""

from typing import TYPE_CHECKING, TypeAlias

from msgspec import UNSET, UnsetType

from amili_async.models._open_enum import OpenEnum
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
