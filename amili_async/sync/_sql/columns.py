"""Rows as the columns of their tables: tuples in the order of the columns, in the types that the driver takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from amili_async._decoding import Reader
from amili_async.models import (
    Batch,
    Case,
    CaseInvoice,
    Invoice,
    InvoiceSuccess,
    Settlement,
    SucceededEntry,
    UnknownEntry,
    encode,
)
from amili_async.models._batches import json_of_failed, message_and_reference

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

    from amili_async.models._base import Model

T = TypeVar("T")

Columns: TypeAlias = tuple[object, ...]

READERS: dict[str, Reader[Any]] = {
    "batches": Reader(Batch),
    "invoices": Reader(Invoice),
    "cases": Reader(Case),
    "settlements": Reader(Settlement),
}
"""What makes a row's JSON a model again."""

_MOST_DIGITS = 100
"""The digits of a number, before or behind the point, past which it is no amount and no rate."""


class Values(NamedTuple):
    """Makes values what the driver takes. What cannot be made so raises `ValueError` or `OverflowError`."""

    moment: Callable[[datetime | None], object]
    day: Callable[[date | None], object]
    number: Callable[[Decimal | None], object]


def moment_as_text(moment: datetime | None) -> str | None:
    """Return a moment for SQLite: of one length and in UTC, so that it sorts as text."""
    if moment is None:
        return None
    # msgspec writes it in a sixth of the time of `isoformat`: with a Z, and with microseconds where there are any.
    written = _encode(moment if moment.tzinfo is UTC else moment.astimezone(UTC)).decode("ascii")
    return f"{written[1:27]}+00:00" if len(written) > _WHOLE_SECONDS else f"{written[1:20]}.000000+00:00"


_encode = msgspec.json.Encoder().encode
_WHOLE_SECONDS = len('"2026-01-31T12:00:00Z"')


def _moment(moment: datetime | None) -> datetime | None:
    # In UTC already here: the driver would find out later, and for a whole page, that a moment has no place there.
    return moment if moment is None or moment.tzinfo is UTC else moment.astimezone(UTC)


def _day(day: date | None) -> date | None:
    """Return the calendar day that stands in a day or a moment, in whatever zone it was written."""
    return day.date() if isinstance(day, datetime) else day


def _day_as_text(day: date | None) -> str | None:
    return None if day is None else str(_day(day))


def _number(value: Decimal | None) -> Decimal | None:
    if value is not None:
        _, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int) or len(digits) > _MOST_DIGITS or abs(exponent) > _MOST_DIGITS:
            raise ValueError("too many digits")
    return value


def _number_as_text(value: Decimal | None) -> str | None:
    return None if value is None else format(_number(value) or value, "f")


SQLITE = Values(moment=moment_as_text, day=_day_as_text, number=_number_as_text)
POSTGRESQL = Values(moment=_moment, day=_day, number=_number)


def values_for(dialect: Dialect) -> Values:
    """Return what a database's driver takes."""
    return POSTGRESQL if dialect.name == "postgresql" else SQLITE


def text(raw: bytes) -> str:
    """Return a row's JSON as text. Bytes that are no UTF-8, in members that nobody reads, become replacement marks."""
    return str(raw, "utf-8", "replace")


def plain(value: str | None) -> str | None:
    """Return an open enum's text as a plain one: drivers look twice at anything else."""
    return None if value is None else str(value)


def batch_columns(batch: Model, values: Values) -> Columns:
    """Return what ``batch_rows`` says of a batch."""
    assert isinstance(batch, Batch)  # noqa: S101  # rows of this resource are batches
    moment, kind = values.moment, batch.type
    return (
        None if kind is None else str(kind),
        str(batch.state),
        moment(batch.created_at),
        moment(batch.finished_at),
        batch.created_by,
        len(batch.succeeded),
        len(json_of_failed(batch)),
    )


_OK = "succeeded"


def entry_columns(batch: Model, values: Values) -> Sequence[Columns]:
    """Return what ``batch_entry_rows`` says of each entry of a batch, after the batch's number."""
    del values  # entries hold texts only
    assert isinstance(batch, Batch)  # noqa: S101  # rows of this resource are batches
    entries: list[Columns] = []
    for position, raw in enumerate(json_of_failed(batch)):
        message, reference = message_and_reference(raw)
        entries.append(("failed", position, None, None, None, None, message, reference, text(raw)))
    for position, entry in enumerate(batch.succeeded):
        # Each a tuple of one piece: nothing else is made so often.
        if type(entry) is InvoiceSuccess:
            number, case_id = entry.invoice_number, entry.case_id
            columns: Columns = (_OK, position, "invoiceSuccess", entry.invoice_id, number, case_id, None, None, None)
        elif type(entry) is UnknownEntry:
            columns = (_OK, position, entry.type, None, None, None, None, None, text(entry.raw))
        else:
            # Of a type that a user has taught, with those ids that it has.
            invoice_id, number = _text_in(entry, "invoice_id"), _text_in(entry, "invoice_number")
            tag, case_id = type(entry).__struct_config__.tag, _text_in(entry, "case_id")
            columns = (_OK, position, tag, invoice_id, number, case_id, None, None, text(encode(entry)))
        entries.append(columns)
    return entries


def _text_in(entry: SucceededEntry, name: str) -> str | None:
    return _text_of(getattr(entry, name, None))


def _text_of(value: object) -> str | None:
    return value if isinstance(value, str) else None


def invoice_columns(invoice: Model, values: Values) -> Columns:
    """Return what ``invoice_rows`` says of an invoice."""
    assert isinstance(invoice, Invoice)  # noqa: S101  # rows of this resource are invoices
    return (
        invoice.invoice_number,
        invoice.collection_case_number,
        plain(invoice.type),
        plain(invoice.status),
        values.moment(invoice.created_at),
        invoice.case_id,
        invoice.batch_id,
        *_claim(invoice, values),
    )


def case_columns(case: Model, values: Values) -> Columns:
    """Return what ``case_rows`` says of a case."""
    assert isinstance(case, Case)  # noqa: S101  # rows of this resource are cases
    return (
        case.case_number,
        case.creditor_id,
        case.creditor_number,
        plain(case.status),
        plain(case.sub_status),
        plain(case.type),
        values.moment(case.registered_at),
        values.moment(case.closed_at),
        len(case.invoices),
        len(case.debtors),
    )


def case_invoice_columns(case: Model, values: Values) -> Sequence[Columns]:
    """Return what ``case_invoice_rows`` says of each invoice of a case, after the case's number."""
    assert isinstance(case, Case)  # noqa: S101  # rows of this resource are cases
    return [
        (position, invoice.invoice_id, invoice.invoice_number, invoice.batch_id, *_claim(invoice, values))
        for position, invoice in enumerate(case.invoices)
    ]


def _claim(invoice: Invoice | CaseInvoice, values: Values) -> Columns:
    """Return what an invoice and an invoice within a case have in common."""
    return (
        invoice.unique_source_invoice_id,
        values.day(invoice.invoice_date),
        values.day(invoice.due_date),
        values.moment(invoice.registered_at),
        values.number(invoice.original_amount),
        values.number(invoice.remaining_amount),
        values.number(invoice.remaining_principal),
        values.number(invoice.paid_amount),
        values.number(invoice.credited_amount),
        _text_of(invoice.currency),
    )


def debtor_columns(case: Model, values: Values) -> Sequence[Columns]:
    """Return what ``debtor_rows`` says of each debtor of a case, after the case's number."""
    del values  # who owes is described in texts only
    assert isinstance(case, Case)  # noqa: S101  # rows of this resource are cases
    return [
        (
            position,
            debtor.debtor_id,
            plain(debtor.type),
            debtor.debtor_number,
            debtor.customer_number,
            debtor.first_name,
            debtor.last_name,
            debtor.full_name,
        )
        for position, debtor in enumerate(case.debtors)
    ]


def settlement_columns(settlement: Model, values: Values) -> Columns:
    """Return what ``settlement_rows`` says of a settlement."""
    assert isinstance(settlement, Settlement)  # noqa: S101  # rows of this resource are settlements
    return (
        settlement.case_number,
        plain(settlement.collection_type),
        settlement.currency,
        settlement.customer_reference,
        values.number(settlement.exchange_rate),
        values.day(settlement.settlement_date),
        settlement.invoice_id,
        settlement.invoice_number,
    )
