"""Settlements: what Amili pays out to a creditor."""

from datetime import date
from decimal import Decimal
from typing import ClassVar

from amili_async.models._open_enum import OpenEnum
from amili_async.models._received import Maybe, NumberText, Received


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
