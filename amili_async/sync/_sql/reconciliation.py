"""Which rows of a list a complete scan has met, which it has not, and which are gone: marks, never deletions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from amili_async.sync._sql import schema
from amili_async.sync._sql.schema import sightings
from amili_async.sync._sql.statements import Statement, among, insert_into, listed
from amili_async.sync._store import Absences, AbsentRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.engine import Dialect

    from amili_async.sync._sql.checkpoints import Stamp
    from amili_async.sync._sql.columns import Values

_MOMENTS = {
    "batches": schema.batches.c.created_at,
    "invoices": schema.invoices.c.created_at,
    "cases": schema.cases.c.registered_at,
}
"""When rows came to be; what settles nothing has no such moment."""


class Reconciliation:
    """What is known of the rows of one resource that are missed."""

    def __init__(self, resource: str, dialect: Dialect, values: Values) -> None:
        table = schema.ROW_TABLES[resource]
        self._values = values
        self._dialect = dialect
        mine = table.c.list_key == sa.bindparam("list_key")
        named = (mine, among(table.c.id, "ids", dialect))
        seen = sa.select(table.c.list_key, table.c.key).where(*named)
        see = insert_into(sightings, dialect).from_select(["list_key", "row_key"], seen)
        self._see = Statement(see.on_conflict_do_nothing(), dialect)
        self._forget = Statement(sa.delete(sightings).where(sightings.c.list_key == sa.bindparam("list_key")), dialect)

        now = sa.bindparam("now", type_=schema.Moment)
        revision = sa.bindparam("revision", type_=schema.Number)
        missing = table.c.missing_since.is_not(None)
        met_again = sa.update(table).where(*named, missing, table.c.gone_at.is_(None)).values(missing_since=sa.null())
        back = {"missing_since": sa.null(), "gone_at": sa.null(), "synced_at": now, "revision": revision}
        returned = sa.update(table).where(*named, missing, table.c.gone_at.is_not(None)).values(back)
        absent = sa.update(table).where(*named, ~missing).values(missing_since=now)
        away = {"gone_at": now, "missing_since": sa.func.coalesce(table.c.missing_since, now)}
        gone = sa.update(table).where(*named, table.c.gone_at.is_(None))
        self._met_again = Statement(met_again, dialect)
        self._returned = Statement(returned, dialect)
        self._absent = Statement(absent, dialect)
        self._gone = Statement(gone.values(away | {"synced_at": now, "revision": revision}), dialect)

        moment = _MOMENTS.get(resource)
        since = sa.bindparam("since", type_=schema.Moment)
        recent = sa.true() if moment is None else since.is_(None) | moment.is_(None) | (moment >= since)
        there = (mine, table.c.gone_at.is_(None), recent)
        met = sa.exists().where(sightings.c.list_key == table.c.list_key, sightings.c.row_key == table.c.key)
        looked_for = sa.select(sa.func.count(), sa.func.count(sa.case((~met, 1)))).select_from(table).where(*there)
        self._count = Statement(looked_for, dialect)
        limit = sa.bindparam("limit", type_=sa.Integer)
        self._missed = Statement(sa.select(table.c.id, missing).where(*there, ~met).limit(limit), dialect)

    def see(self, connection: sa.Connection, list_key: int, ids: Sequence[str]) -> None:
        """Remember that a scan has met rows, as far as they are kept."""
        self._see.run(connection, list_key=list_key, ids=listed(ids, self._dialect))

    def forget_sightings(self, connection: sa.Connection, list_key: int) -> None:
        """Forget what was met: another scan begins, or this one has ended."""
        self._forget.run(connection, list_key=list_key)

    def unmark(self, connection: sa.Connection, list_key: int, ids: Sequence[str], stamp: Stamp) -> int:
        """Take back that rows are missing or gone; return how many were gone."""
        given = {"list_key": list_key, "ids": listed(ids, self._dialect)}
        self._met_again.run(connection, **given)
        return self._returned.run(connection, **given, now=stamp.synced_at, revision=stamp.revision)

    def mark(
        self, connection: sa.Connection, list_key: int, absent: Sequence[str], gone: Sequence[str], stamp: Stamp
    ) -> None:
        """Note which rows were missed, and which are gone."""
        ids = listed(absent, self._dialect)
        self._absent.run(connection, list_key=list_key, ids=ids, now=stamp.synced_at)
        ids = listed(gone, self._dialect)
        self._gone.run(connection, list_key=list_key, ids=ids, now=stamp.synced_at, revision=stamp.revision)

    def absences(self, connection: sa.Connection, list_key: int, since: datetime | None, limit: int) -> Absences:
        """Return which rows are kept, are not gone, and were not met."""
        given = {"list_key": list_key, "since": self._values.moment(since)}
        [(known, absent)] = self._count.rows(connection, **given)
        missed = self._missed.rows(connection, **given, limit=limit)
        rows = tuple(AbsentRow(str(row_id), bool(before)) for row_id, before in missed)
        return Absences(int(str(known)), int(str(absent)), rows)
