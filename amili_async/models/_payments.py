"""Payments that a creditor received directly, to be told to Amili."""

from decimal import Decimal
from typing import TYPE_CHECKING

from amili_async.models._open_enum import OpenEnum
from amili_async.models._request import Request


class PaymentType(OpenEnum):
    """How a payment came in (D: one value seen)."""

    DIRECT_PAYMENT = "DIRECT_PAYMENT"


if TYPE_CHECKING:
    GivenType = PaymentType | str
else:
    GivenType = PaymentType


class NewPayment(Request, frozen=True, kw_only=True):
    """A payment to be told to Amili (D, createpayments-4148070e0; the public page is cut off after ``currency``).

    Members that it does not show go into ``extra``.
    """

    enums = (("type", PaymentType),)

    invoice_id: str
    type: GivenType | None = None
    amount: Decimal
    """In major units of the currency. A ``float`` is refused."""
    currency: str | None = None
    """ISO 4217, such as ``NOK``."""
