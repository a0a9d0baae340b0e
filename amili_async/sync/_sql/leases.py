"""Checkpoints in SQL, and the leases that keep two runs from walking one list at the same time.

A lease is a fencing token in the list's row of ``lists``, counted up by whoever takes the list on. Every write names its
token, in the same transaction as its rows; so a run that was taken for dead, and was not, writes nothing any more. That
is what makes taking over safe; expiry only decides when. Time is the database's.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import sqlalchemy as sa

from amili_async.sync._checkpoint import Checkpoint
from amili_async.sync._sql.lease_owner import LeaseOwner
from amili_async.sync._sql.schema import lists, quarantine, revisions, schema
from amili_async.sync._sql.statements import Statement, epoch, insert_into
from amili_async.sync._sql.tables import Stamp
from amili_async.sync._store import LeaseConflict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Dialect

    from amili_async.sync._sql.columns import Values

ListName = tuple[str, str]
"""Organization and resource."""

_WRITING = 5_277_143
"""A number of our own: the PostgreSQL lock that is shared by all who write, and taken alone to learn that none does."""


class Lease(NamedTuple):
    """A list taken on."""

    list_key: int
    fencing_token: int
    checkpoint: Checkpoint
    quarantined: bool
    """Whether rows of this list are in quarantine."""


class _Found(NamedTuple):
    """A row of ``lists``, as it is looked at before a list is taken on."""

    key: int
    checkpoint: str
    fencing_token: int
    owner: str | None
    leased_at: float | None
    expires_at: float
    quarantined: bool
    now: float


class Leases:
    """Takes lists on, keeps their checkpoints, and gives them back, all for one owner."""

    def __init__(self, dialect: Dialect, owner: LeaseOwner, *, seconds: float, values: Values) -> None:
        self._owner = owner
        self._text = owner.encode()
        self._seconds = seconds
        self._values = values
        now = epoch(dialect)
        until = now + sa.literal_column(repr(float(seconds)), sa.Float)
        this = (
            lists.c.organization_id == sa.bindparam("organization_id"),
            lists.c.resource == sa.bindparam("resource"),
        )
        mine = (lists.c.key == sa.bindparam("list_key"), lists.c.fencing_token == sa.bindparam("fencing_token"))
        aside = sa.exists().where(quarantine.c.list_key == lists.c.key)
        look = sa.select(
            lists.c.key,
            sa.cast(lists.c.checkpoint, sa.Text),
            lists.c.fencing_token,
            lists.c.owner,
            lists.c.leased_at,
            lists.c.expires_at,
            aside,
            now,
        )
        zero, one = sa.literal_column("0", sa.Integer), sa.literal_column("1", sa.Integer)
        given = {name: sa.bindparam(name) for name in ("organization_id", "resource", "owner", "checkpoint")}
        first = insert_into(lists, dialect).values(
            **given, walks=zero, seconds=zero, fencing_token=one, leased_at=now, expires_at=until
        )
        self._look = Statement(look.where(*this), dialect)
        self._first = Statement(first.on_conflict_do_nothing().returning(lists.c.key), dialect)
        self._take = Statement(
            sa.update(lists)
            .where(*mine)
            .values(
                owner=sa.bindparam("owner"),
                leased_at=now,
                expires_at=until,
                fencing_token=lists.c.fencing_token + one,
            ),
            dialect,
        )
        kept = ("checkpoint", "walks", "finished_at", "seconds")
        save = sa.update(lists).where(*mine).values({name: sa.bindparam(name) for name in kept} | {"expires_at": until})
        if dialect.name == "postgresql":
            # The lock is shared before the number is drawn, and held until the end of the transaction: see `changes`.
            locked = sa.cast(sa.func.pg_advisory_xact_lock_shared(sa.literal_column(str(_WRITING))), sa.Text)
            number = sa.case((locked == sa.literal_column("''"), revisions.next_value()))
            self._count = None
            self._save = Statement(save.returning(now, number), dialect)
        else:
            count = sa.update(schema).values(revision=schema.c.revision + one).returning(schema.c.revision)
            self._count = Statement(count, dialect)
            self._save = Statement(save.returning(now), dialect)
        self._renew = Statement(sa.update(lists).where(*mine).values(expires_at=until), dialect)
        self._finish = Statement(
            sa.update(lists)
            .where(*mine)
            .values(owner=sa.null(), leased_at=sa.null(), expires_at=zero, error=sa.bindparam("error")),
            dialect,
        )

    def take(self, connection: sa.Connection, name: ListName) -> Lease | LeaseConflict:
        """Take a list on, or tell who has it, and until when."""
        organization_id, resource = name
        rows = self._look.rows(connection, organization_id=organization_id, resource=resource)
        if not rows:
            made = self._first.rows(
                connection,
                organization_id=organization_id,
                resource=resource,
                owner=self._text,
                checkpoint=_encoded(Checkpoint()),
            )
            if not made:
                return self.conflict()
            return Lease(int(str(made[0][0])), 1, Checkpoint(), quarantined=False)
        found = msgspec.convert(rows[0], _Found, strict=False)
        if found.owner is not None and found.expires_at > found.now:
            owner = LeaseOwner.decode(found.owner)
            if not owner.yields_to(self._owner):
                return LeaseConflict(
                    found.expires_at - found.now,
                    owner=str(owner),
                    since=None if found.leased_at is None else datetime.fromtimestamp(found.leased_at, UTC),
                    until=datetime.fromtimestamp(found.expires_at, UTC),
                )
        if not self._take.run(connection, list_key=found.key, fencing_token=found.fencing_token, owner=self._text):
            return self.conflict()
        checkpoint = msgspec.json.decode(found.checkpoint, type=Checkpoint)
        return Lease(found.key, found.fencing_token + 1, checkpoint, quarantined=found.quarantined)

    def conflict(self) -> LeaseConflict:
        """Return that somebody else was quicker; who it was is not known."""
        return LeaseConflict(self._seconds)

    def save(self, connection: sa.Connection, lease: Lease, checkpoint: Checkpoint) -> Stamp | None:
        """Keep a checkpoint; return what to stamp rows with, or nothing where the list is not ours any more."""
        saved = self._save.rows(
            connection,
            list_key=lease.list_key,
            fencing_token=lease.fencing_token,
            checkpoint=_encoded(checkpoint),
            walks=checkpoint.walks,
            finished_at=self._values.moment(checkpoint.finished_at),
            seconds=checkpoint.seconds,
        )
        if not saved:
            return None
        now, *revision = saved[0]
        [number] = revision or self._count.rows(connection)[0] if self._count else revision
        moment = datetime.fromtimestamp(float(str(now)), UTC)
        return Stamp(self._values.moment(moment), int(str(number)))

    def renew(self, connection: sa.Connection, leases: Iterable[Lease]) -> None:
        """Hold lists for longer."""
        for lease in leases:
            self._renew.run(connection, list_key=lease.list_key, fencing_token=lease.fencing_token)

    def finish(self, connection: sa.Connection, lease: Lease, error: str | None) -> None:
        """Give a list back, with what ended the run on it."""
        self._finish.run(connection, list_key=lease.list_key, fencing_token=lease.fencing_token, error=error)


def _encoded(checkpoint: Checkpoint) -> str:
    return msgspec.json.encode(checkpoint).decode()
