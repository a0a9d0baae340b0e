"""Rows as the columns of their tables: tuples in the order of the columns, in the types that the driver takes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from amili_async.models import (
    Batch,
    Case,
    FailedEntry,
    Invoice,
    InvoiceSuccess,
    Settlement,
    SucceededEntry,
    UnknownEntry,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Dialect

    from amili_async.sync._store import Row

T = TypeVar("T")

Columns: TypeAlias = tuple[object, ...]


class Values(NamedTuple):
    """Makes values what the driver takes."""

    moment: Callable[[datetime | None], object]
    day: Callable[[date | None], object]
    number: Callable[[Decimal | None], object]


def moment_as_text(moment: datetime | None) -> str | None:
    """Return a moment for SQLite: of one length and in UTC, so that it sorts as text."""
    if moment is None:
        return None
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat(timespec="microseconds")


def _as_text(value: date | Decimal | None) -> str | None:
    return None if value is None else str(value)


def _as_is(value: T) -> T:
    return value


SQLITE = Values(moment=moment_as_text, day=_as_text, number=_as_text)
POSTGRESQL = Values(moment=_as_is, day=_as_is, number=_as_is)


def values_for(dialect: Dialect) -> Values:
    """Return what a database's driver takes."""
    return POSTGRESQL if dialect.name == "postgresql" else SQLITE


def text(raw: bytes) -> str:
    """Return a row's JSON as text. Bytes that are no UTF-8, in members that nobody reads, become replacement marks."""
    return str(raw, "utf-8", "replace")


def plain(value: str | None) -> str | None:
    """Return an open enum's text as a plain one: drivers look twice at anything else."""
    return None if value is None else str(value)


def batch_columns(organization_id: str, row: Row, raw: str, synced_at: object, values: Values) -> Columns:
    """Return a row of ``batches``."""
    batch = row.value
    assert isinstance(batch, Batch)  # noqa: S101  # rows of this resource are batches
    return (
        organization_id,
        row.id,
        plain(batch.type),
        plain(batch.state),
        values.moment(batch.created_at),
        values.moment(batch.finished_at),
        batch.created_by,
        len(batch.succeeded),
        len(batch.failed),
        synced_at,
        raw,
    )


def entry_columns(organization_id: str, row: Row) -> Iterator[Columns]:
    """Return the rows of ``batch_entries`` that a batch has."""
    batch = row.value
    assert isinstance(batch, Batch)  # noqa: S101  # rows of this resource are batches
    for position, entry in enumerate(batch.succeeded):
        if type(entry) is InvoiceSuccess:
            yield (
                organization_id,
                row.id,
                "succeeded",
                position,
                "invoiceSuccess",
                entry.invoice_id,
                entry.invoice_number,
                entry.case_id,
                None,
                None,
                None,
            )
        else:
            yield (organization_id, row.id, "succeeded", position, *_other(entry), None, None, text(encode(entry)))
    for position, failed in enumerate(batch.failed):
        yield (organization_id, row.id, "failed", position, *_failed(failed))


def _other(entry: SucceededEntry) -> Columns:
    """Return the type and the ids of an entry that is not the documented one, as far as it has them."""
    tag = entry.type if isinstance(entry, UnknownEntry) else type(entry).__struct_config__.tag
    return (tag, *(_text_of(getattr(entry, name, None)) for name in ("invoice_id", "invoice_number", "case_id")))


def _text_of(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _failed(entry: FailedEntry) -> Columns:
    return (None, None, None, None, entry.message, entry.reference, text(entry.raw))


def invoice_columns(organization_id: str, row: Row, raw: str, synced_at: object, values: Values) -> Columns:
    """Return a row of ``invoices``."""
    invoice = row.value
    assert isinstance(invoice, Invoice)  # noqa: S101  # rows of this resource are invoices
    return (
        organization_id,
        row.id,
        invoice.invoice_number,
        invoice.collection_case_number,
        plain(invoice.type),
        plain(invoice.status),
        values.moment(invoice.created_at),
        synced_at,
        raw,
    )


def case_columns(organization_id: str, row: Row, raw: str, synced_at: object, values: Values) -> Columns:
    """Return a row of ``cases``."""
    case = row.value
    assert isinstance(case, Case)  # noqa: S101  # rows of this resource are cases
    return (
        organization_id,
        row.id,
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
        synced_at,
        raw,
    )


def settlement_columns(organization_id: str, row: Row, raw: str, synced_at: object, values: Values) -> Columns:
    """Return a row of ``settlements``."""
    settlement = row.value
    assert isinstance(settlement, Settlement)  # noqa: S101  # rows of this resource are settlements
    return (
        organization_id,
        row.id,
        settlement.case_number,
        plain(settlement.collection_type),
        settlement.currency,
        settlement.customer_reference,
        values.number(settlement.exchange_rate),
        values.day(settlement.settlement_date),
        settlement.invoice_id,
        settlement.invoice_number,
        synced_at,
        raw,
    )
