"""Settlements: what Amili pays out to a creditor."""

from datetime import date
from decimal import Decimal
from typing import ClassVar

from amili_async.models._base import NumberText, StringifiedInts
from amili_async.models._open_enum import OpenEnum


class CollectionType(OpenEnum):
    """What kind of collection a settlement comes from (D: one value seen)."""

    REMINDER = "REMINDER"


class Settlement(StringifiedInts, frozen=True, kw_only=True, gc=False):
    """A settlement. Documented (D) up to ``exchange_rate``, where the public page is cut off.

    The members after it are those of the webhook ``SETTLEMENT_CREATED``, taken to be the same here (I). Page:
    getsettlements-4148071e0.
    """

    numbers: ClassVar[tuple[str, ...]] = ("case_number", "invoice_number")

    case_number: NumberText | None = None
    collection_type: CollectionType | None = None
    currency: str | None = None
    customer_reference: str | None = None
    exchange_rate: Decimal | None = None
    settlement_id: str | None = None
    settlement_date: date | None = None
    invoice_id: str | None = None
    invoice_number: NumberText | None = None
