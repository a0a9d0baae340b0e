"""Rows as the columns of their tables: tuples in the order of the columns, in the types that the driver takes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from amili_async.models.batches import Batch
from amili_async.models.encoding import encode
from amili_async.models.entries import FailedEntry, InvoiceSuccess, SucceededEntry, UnknownEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amili_async.sync.store import Row

Columns: TypeAlias = tuple[object, ...]
Moments: TypeAlias = "Callable[[datetime | None], object]"
"""Makes a moment what the driver takes."""


def moment_as_text(moment: datetime | None) -> str | None:
    """Return a moment for SQLite: of one length and in UTC, so that it sorts as text."""
    if moment is None:
        return None
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat(timespec="microseconds")


def moment_as_is(moment: datetime | None) -> datetime | None:
    """Return a moment for PostgreSQL."""
    return moment


def text(raw: bytes) -> str:
    """Return a row's JSON as text. Bytes that are no UTF-8, in members that nobody reads, become replacement marks."""
    return str(raw, "utf-8", "replace")


def plain(value: str | None) -> str | None:
    """Return an open enum's text as a plain one: drivers look twice at anything else."""
    return None if value is None else str(value)


def batch_columns(organization_id: str, row: Row, raw: str, synced_at: object, moments: Moments) -> Columns:
    """Return a row of ``batches``."""
    batch = row.value
    assert isinstance(batch, Batch)  # noqa: S101  # rows of this resource are batches
    return (
        organization_id,
        row.id,
        plain(batch.type),
        plain(batch.state),
        moments(batch.created_at),
        moments(batch.finished_at),
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
