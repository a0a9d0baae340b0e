"""Checkpoints in SQL: where a list's scan stands after a write, which numbers the write and says when it was.

Every write has a number of its own, larger than those before it. On SQLite, which one writes to at a time, that is one
more than the largest there is. On PostgreSQL it comes from a sequence, and writes may be committed in another order
than they were numbered in; so each holds a lock that all share who write, and whoever takes it alone knows that every
number drawn so far is committed, or will never be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import sqlalchemy as sa

from amili_async.sync._sql.schema import ROW_TABLES, Number, lists, revisions, schema
from amili_async.sync._sql.statements import Statement, epoch, moment_now

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

    from amili_async.sync._checkpoint import Checkpoint
    from amili_async.sync._sql.columns import Values
    from amili_async.sync._sql.leases import Lease

WRITING = 5_277_143
"""A number of our own: the PostgreSQL lock that is shared by all who write."""

WAIT_FOR_WRITES = 2.0
"""Seconds that a reader waits at most for the writes that are under way."""


class Stamp(NamedTuple):
    """What a write puts on its rows."""

    synced_at: object
    revision: int


class Checkpoints:
    """Keeps checkpoints, each only while its list is still ours; a lease lasts for so many seconds from then on."""

    def __init__(self, dialect: Dialect, values: Values, seconds: float) -> None:
        self._values = values
        mine = (lists.c.key == sa.bindparam("list_key"), lists.c.fencing_token == sa.bindparam("fencing_token"))
        names = ("checkpoint", "scans", "finished_at", "reconciled_at", "refreshed_at", "seconds")
        kept: dict[str, Any] = {name: sa.bindparam(name, type_=lists.c[name].type) for name in names}
        kept["expires_at"] = epoch(dialect) + float(seconds)
        update = sa.update(lists).where(*mine).values(kept)
        stamp = (moment_now(dialect).label("synced_at"), next_revision(dialect).label("revision"))
        self.saving = update.returning(lists.c.key, *stamp)
        """The statement, for those who write rows in the same one."""
        self._save = Statement(self.saving, dialect)

    def parameters(self, lease: Lease, checkpoint: Checkpoint) -> dict[str, object]:
        """Return the values that the statement is run with."""
        moment, watermark = self._values.moment, checkpoint.watermark
        return {
            "list_key": lease.list_key,
            "fencing_token": lease.fencing_token,
            "checkpoint": msgspec.json.encode(checkpoint).decode(),
            "scans": checkpoint.scans,
            "finished_at": moment(checkpoint.finished_at),
            "reconciled_at": moment(checkpoint.reconciled_at),
            "refreshed_at": moment(None if watermark is None else watermark.refreshed_at),
            "seconds": checkpoint.seconds,
        }

    def save(self, connection: sa.Connection, lease: Lease, checkpoint: Checkpoint) -> Stamp | None:
        """Keep a checkpoint; return what to stamp rows with, or nothing where the list is not ours any more."""
        saved = self._save.rows(connection, **self.parameters(lease, checkpoint))
        return Stamp(*saved[0][1:]) if saved else None


def next_revision(dialect: Dialect) -> sa.ColumnElement[int]:
    """Return the number of a write that is being made."""
    if dialect.name == "postgresql":
        # The lock is shared before the number is drawn, and held until the end of the transaction.
        locked = sa.cast(sa.func.pg_advisory_xact_lock_shared(WRITING), sa.Text)
        return sa.case((locked == "", revisions.next_value()))
    return last_revision(dialect) + 1


def last_revision(dialect: Dialect) -> sa.ColumnElement[int]:
    """Return the number of the last write; on PostgreSQL of those that may not be committed yet."""
    if dialect.name == "postgresql":
        sequence = sa.table(revisions.name, sa.column("last_value", Number), sa.column("is_called", sa.Boolean)).c
        # A new sequence names the number that it will begin with.
        return sa.select(sa.case((sequence.is_called, sequence.last_value), else_=0)).scalar_subquery()
    # What was the largest before rows were purged, or the largest that a row has.
    largest = (sa.select(sa.func.max(table.c.revision)).scalar_subquery() for table in ROW_TABLES.values())
    kept = sa.select(schema.c.revision).scalar_subquery()
    return sa.func.max(kept, *(sa.func.coalesce(one, 0) for one in largest), type_=Number)


def settled_revision(connection: sa.Connection) -> int:
    """Return a number up to which every write is committed, or never will be.

    On PostgreSQL this waits for the writes that are under way, which take milliseconds.

    Raises:
        DBAPIError: one of them takes longer than `WAIT_FOR_WRITES` (SQLSTATE 55P03).
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT_FOR_WRITES * 1000:.0f}ms'")
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(WRITING)))
    found = connection.execute(sa.select(last_revision(connection.dialect))).scalar_one()
    return int(found)
