"""The quarantine in SQL: rows that could not be read, byte for byte, until they can."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa

from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.sync._sql import schema
from amili_async.sync._sql.statements import Statement, Upsert, among, listed, without_nul

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Dialect

    from amili_async.events import QuarantinedRow

_IDS = ("batchId", "id", "caseId", "settlementId")
"""The members that name a row, whatever it is."""

_LONGEST = 200
"""The characters of an id past which a hash stands for it: databases bound what they find rows by."""


class Quarantine:
    """Rows set aside, by list and id; those without an id by a hash of their bytes."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        table = schema.quarantine
        self._upsert = Upsert(table, dialect)
        self._forget = Statement(
            sa.delete(table).where(table.c.list_key == sa.bindparam("list_key"), among(table.c.key, "keys", dialect)),
            dialect,
        )

    def write(
        self, connection: sa.Connection, list_key: int, rows: Sequence[QuarantinedRow], synced_at: object
    ) -> None:
        """Set rows aside."""
        columns = {
            name: (list_key, name, without_nul(row.path), without_nul(row.reason), synced_at, row.raw)
            for row in rows
            for name in (_name(row),)
        }
        self._upsert.run(connection, columns.values())

    def forget(self, connection: sa.Connection, list_key: int, ids: Sequence[str]) -> None:
        """Take out what has become readable."""
        keys = listed([_key(row_id) for row_id in ids], self._dialect)
        self._forget.run(connection, list_key=list_key, keys=keys)


def _name(row: QuarantinedRow) -> str:
    """Return what a row that cannot be read goes by: its id, where that much can be read."""
    try:
        members = msgspec.json.decode(row.raw, type=dict[str, msgspec.Raw])
        for name in _IDS:
            if name in members:
                return _key(msgspec.json.decode(members[name], type=str))
    except READING_ERRORS:
        pass
    return _hash(row.raw)


def _key(row_id: str) -> str:
    """Return an id as it can be looked up on every database."""
    return _hash(row_id.encode()) if len(row_id) > _LONGEST or "\0" in row_id else row_id


def _hash(content: bytes) -> str:
    return f"blake2b:{blake2b(content, digest_size=16).hexdigest()}"
