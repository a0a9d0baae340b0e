"""Leases, which keep two runs from scanning one list at the same time.

A lease is a fencing token in the list's row of ``lists``, counted up by whoever takes the list on. Every write names
its token, in the same transaction as its rows; so a run that was taken for dead, and was not, writes nothing any more.
That is what makes taking over safe; expiry only decides when. Time is the database's.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import sqlalchemy as sa

from amili_async.sync._checkpoint import Checkpoint
from amili_async.sync._sql.lease_owner import LeaseOwner
from amili_async.sync._sql.schema import ROW_TABLES, lists, quarantine, sightings
from amili_async.sync._sql.statements import Statement, epoch, insert_into
from amili_async.sync._store import LeaseConflict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Dialect

ListName = tuple[str, str]
"""Organization and resource."""


class Lease(msgspec.Struct):
    """A list taken on. What it says of its rows may be said too often, never too seldom: it saves looking for them."""

    list_key: int
    fencing_token: int
    checkpoint: Checkpoint = Checkpoint()
    quarantined: bool = False
    """Whether rows of it are in quarantine."""
    missing: bool = False
    """Whether rows of it are marked as missing or gone."""
    sighted: bool = False
    """Whether it is remembered which of its rows a scan has met."""

    @property
    def scanned(self) -> bool:
        """Whether it was scanned before this run."""
        return self.checkpoint.scans > 0


class _Found(NamedTuple):
    """A row of ``lists``, as it is looked at before a list is taken on."""

    key: int
    checkpoint: str
    fencing_token: int
    owner: str | None
    leased_at: float | None
    expires_at: float
    now: float
    quarantined: bool
    sighted: bool
    missing: bool


class Leases:
    """Takes lists on, keeps their checkpoints, and gives them back, all for one owner."""

    def __init__(self, dialect: Dialect, owner: LeaseOwner, *, seconds: float) -> None:
        self._owner = owner
        self._text = owner.encode()
        self._seconds = seconds
        now = epoch(dialect)
        until = now + float(seconds)
        this = (
            lists.c.organization_id == sa.bindparam("organization_id"),
            lists.c.resource == sa.bindparam("resource"),
        )
        mine = (lists.c.key == sa.bindparam("list_key"), lists.c.fencing_token == sa.bindparam("fencing_token"))
        looks = {
            resource: sa.select(
                lists.c.key,
                sa.cast(lists.c.checkpoint, sa.Text),
                lists.c.fencing_token,
                lists.c.owner,
                lists.c.leased_at,
                lists.c.expires_at,
                now,
                sa.exists().where(quarantine.c.list_key == lists.c.key),
                sa.exists().where(sightings.c.list_key == lists.c.key),
                sa.exists().where(rows.c.list_key == lists.c.key, rows.c.missing_since.is_not(None)),
            ).where(*this)
            for resource, rows in ROW_TABLES.items()
        }
        given: dict[str, Any] = {
            name: sa.bindparam(name) for name in ("organization_id", "resource", "owner", "checkpoint")
        }
        first = insert_into(lists, dialect).values(
            **given, scans=0, seconds=0, fencing_token=1, leased_at=now, expires_at=until
        )
        self._look = {resource: Statement(look, dialect) for resource, look in looks.items()}
        self._first = Statement(first.on_conflict_do_nothing().returning(lists.c.key), dialect)
        self._take = Statement(
            sa.update(lists)
            .where(*mine)
            .values(
                owner=sa.bindparam("owner"),
                leased_at=now,
                expires_at=until,
                fencing_token=lists.c.fencing_token + 1,
            ),
            dialect,
        )
        self._holds = Statement(sa.select(lists.c.key).where(*mine), dialect)
        self._renew = Statement(sa.update(lists).where(*mine).values(expires_at=until), dialect)
        self._finish = Statement(
            sa.update(lists)
            .where(*mine)
            .values(owner=sa.null(), leased_at=sa.null(), expires_at=0, error=sa.bindparam("error")),
            dialect,
        )

    def take(self, connection: sa.Connection, name: ListName) -> Lease | LeaseConflict:
        """Take a list on, or tell who has it, and until when."""
        organization_id, resource = name
        rows = self._look[resource].rows(connection, organization_id=organization_id, resource=resource)
        if not rows:
            made = self._first.rows(
                connection,
                organization_id=organization_id,
                resource=resource,
                owner=self._text,
                checkpoint="{}",
            )
            if not made:
                return self.conflict()
            return Lease(int(str(made[0][0])), 1)
        found = msgspec.convert(rows[0], _Found, strict=False)
        if found.owner is not None and found.expires_at > found.now:
            owner = LeaseOwner.decode(found.owner)
            if not owner.yields_to(self._owner):
                return LeaseConflict(
                    found.expires_at - found.now,
                    owner=owner.described(),
                    since=None if found.leased_at is None else datetime.fromtimestamp(found.leased_at, UTC),
                    until=datetime.fromtimestamp(found.expires_at, UTC),
                )
        if not self._take.run(connection, list_key=found.key, fencing_token=found.fencing_token, owner=self._text):
            return self.conflict()
        checkpoint = msgspec.json.decode(found.checkpoint, type=Checkpoint)
        return Lease(
            found.key,
            found.fencing_token + 1,
            checkpoint,
            quarantined=found.quarantined,
            missing=found.missing,
            sighted=found.sighted,
        )

    def conflict(self) -> LeaseConflict:
        """Return that somebody else was quicker; who it was is not known."""
        return LeaseConflict(self._seconds)

    def holds(self, connection: sa.Connection, lease: Lease) -> bool:
        """Return whether a list is still ours."""
        return bool(self._holds.rows(connection, list_key=lease.list_key, fencing_token=lease.fencing_token))

    def renew(self, connection: sa.Connection, leases: Iterable[Lease]) -> None:
        """Hold lists for longer."""
        for lease in leases:
            self._renew.run(connection, list_key=lease.list_key, fencing_token=lease.fencing_token)

    def finish(self, connection: sa.Connection, lease: Lease, error: str | None) -> None:
        """Give a list back, with what ended the run on it."""
        self._finish.run(connection, list_key=lease.list_key, fencing_token=lease.fencing_token, error=error)
