"""The rows that the msgspec peers decode: what a careful user writes, open nowhere, as fast as msgspec gets."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class BatchState(StrEnum):
    """The states that the documentation names."""

    QUEUED = "QUEUED"
    SUCCESS = "SUCCESS"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"


class BatchType(StrEnum):
    """The types that have been seen or are to be expected."""

    NONE = "NONE"
    INVOICE = "INVOICE"
    PAYMENT = "PAYMENT"
    CORRECTION = "CORRECTION"


class InvoiceSuccess(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", tag_field="$type", tag="invoiceSuccess"
):
    """An invoice that was taken."""

    invoice_id: str
    invoice_number: str
    case_id: str


class PaymentSuccess(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", tag_field="$type", tag="paymentSuccess"
):
    """A payment that was taken."""

    invoice_id: str
    invoice_number: str
    payment_id: str


class Failed(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """What was refused."""

    message: str | None = None
    reference: str | None = None


class Batch(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """A batch with its outcome."""

    batch_id: str
    type: BatchType
    status: BatchState
    created_at: datetime
    finished_at: datetime | None = None
    organization_id: str
    created_by: str
    succeeded: tuple[InvoiceSuccess | PaymentSuccess, ...]
    failed: tuple[Failed | str | None, ...]


class Summary(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """The part of the envelope that pages."""

    status: str | None = None
    next_page_token: str | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page as it comes."""

    summary: Summary
    data: list[Batch]


DECODER = msgspec.json.Decoder(Page)
