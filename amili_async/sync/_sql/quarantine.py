"""The quarantine in SQL: rows that could not be read, byte for byte, until they can."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa

from amili_async.sync._sql import schema
from amili_async.sync._sql.statements import Statement, Upsert, among, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Dialect

    from amili_async.events import QuarantinedRow
    from amili_async.sync._sql.leases import Key

_IDS = ("batchId", "id", "caseId", "settlementId")
"""The members that name a row, whatever it is."""


class Quarantine:
    """Rows set aside, by organization, resource and id; those without an id by a hash of their bytes."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        table = schema.quarantine
        self._upsert = Upsert(table, dialect)
        self._forget = Statement(
            sa.delete(table).where(
                table.c.organization_id == sa.bindparam("organization_id"),
                table.c.resource == sa.bindparam("resource"),
                among(table.c.key, "keys", dialect),
            ),
            dialect,
        )

    def write(self, connection: sa.Connection, key: Key, rows: Sequence[QuarantinedRow], synced_at: object) -> None:
        """Set rows aside."""
        columns = {
            name: (*key, name, row.path, row.reason, synced_at, row.raw) for row in rows for name in (_name(row),)
        }
        self._upsert.run(connection, list(columns.values()))

    def forget(self, connection: sa.Connection, key: Key, ids: Sequence[str]) -> None:
        """Take out what has become readable."""
        self._forget.run(connection, organization_id=key[0], resource=key[1], keys=listed(ids, self._dialect))


def _name(row: QuarantinedRow) -> str:
    """Return the id of a row that cannot be read, where that much can be."""
    try:
        members = msgspec.json.decode(row.raw, type=dict[str, msgspec.Raw])
        for name in _IDS:
            if name in members:
                return msgspec.json.decode(members[name], type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    return f"blake2b:{blake2b(row.raw, digest_size=16).hexdigest()}"
