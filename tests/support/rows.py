"""Rows as they come from the API, to be written to a store, and what a store then holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from amili_async._decoding import Reader
from amili_async.events import QuarantinedRow
from amili_async.models import Batch, SucceededEntry
from amili_async.sync._checkpoint import Checkpoint
from amili_async.sync._store import PageWrite, Row

if TYPE_CHECKING:
    import sqlalchemy as sa

    from amili_async.sync._sql.store import SqlStore


class PaymentSuccess(SucceededEntry, tag="paymentSuccess", frozen=True, kw_only=True):
    """An entry type that a user has taught."""

    payment_id: str
    invoice_id: str


READER = Reader(Batch, entry_types=(PaymentSuccess,))


def read(raw: bytes) -> Row:
    """Return the row that a batch's JSON is."""
    batch = READER.row(raw, 0, None)
    assert not isinstance(batch, QuarantinedRow), batch.reason
    return Row(id=batch.batch_id, moment=batch.created_at, final=batch.state.terminal, value=batch, raw=raw)


def batch(row_id: str, **members: object) -> Row:
    """Return a batch with these members beside the usual ones."""
    usual = {"batchId": row_id, "type": "INVOICE", "status": "SUCCESS", "createdAt": "2025-03-09T14:30:00.123Z"}
    return read(msgspec.json.encode({**usual, **members}))


def portion(
    *rows: Row,
    organization_id: str = "organization",
    checkpoint: Checkpoint | None = None,
    gone: tuple[str, ...] = (),
    absent: tuple[str, ...] = (),
) -> PageWrite:
    """Return rows with a checkpoint that says nothing."""
    return PageWrite(
        organization_id=organization_id,
        resource="batches",
        rows=rows,
        checkpoint=checkpoint or Checkpoint(),
        gone=gone,
        absent=absent,
    )


def aside(raw: bytes) -> QuarantinedRow:
    """Return a row that could not be read."""
    return QuarantinedRow(index=0, path="$.createdAt", reason="expected a time", raw=raw)


async def held(store: SqlStore, table: str, *columns: str) -> list[tuple[object, ...]]:
    """Return columns of all rows of a table, sorted."""

    def look(connection: sa.Connection) -> list[tuple[object, ...]]:
        return [tuple(row) for row in connection.exec_driver_sql(f"SELECT {', '.join(columns)} FROM {table}")]  # noqa: S608  # our own names

    return sorted(await store.database.run(look), key=repr)
