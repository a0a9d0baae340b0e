"""Bookmarks in SQL, and the leases that keep two runs from walking one list at the same time.

A lease is a number in the list's row of ``walks``, counted up by whoever takes the list on. Every write names its
number, in the same transaction as its rows; so a run that was taken for dead, and was not, writes nothing any more.
That is what makes taking over safe; expiry only decides when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from amili_async.sync._checkpoint import Checkpoint
from amili_async.sync._sql.lease_owner import LeaseOwner
from amili_async.sync._sql.schema import quarantine, walks
from amili_async.sync._sql.statements import Statement
from amili_async.sync._store import LeaseConflict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Dialect

    from amili_async.sync._sql.columns import Values

Key = tuple[str, str]
"""Organization and resource: which list."""


class Lease(NamedTuple):
    """A list taken on."""

    bookmark: Checkpoint
    number: int
    quarantined: bool
    """Whether rows of this list are in quarantine."""


class _Found(NamedTuple):
    """A row of ``walks``, as it is looked at before a list is taken on."""

    bookmark: str
    number: int
    holder: str | None
    expires_at: float
    quarantined: bool


class Leases:
    """Takes lists on, keeps their bookmarks, and gives them back, all for one holder."""

    def __init__(self, dialect: Dialect, holder: LeaseOwner, *, seconds: float, values: Values) -> None:
        self._holder = holder
        self._text = holder.encode()
        self._seconds = seconds
        self._values = values
        this = (
            walks.c.organization_id == sa.bindparam("organization_id"),
            walks.c.resource == sa.bindparam("resource"),
        )
        mine = (*this, walks.c.lease == sa.bindparam("number"))
        aside = sa.exists().where(
            quarantine.c.organization_id == walks.c.organization_id, quarantine.c.resource == walks.c.resource
        )
        look = sa.select(
            sa.cast(walks.c.bookmark, sa.Text), walks.c.lease, walks.c.holder, walks.c.expires_at, aside
        ).where(*this)
        insert = (postgresql if dialect.name == "postgresql" else sqlite).insert(walks)
        given = ("organization_id", "resource", "holder", "expires_at", "bookmark")
        zero, one = sa.literal_column("0", sa.Integer), sa.literal_column("1", sa.Integer)
        first = insert.values({name: sa.bindparam(name) for name in given}).values(walks=zero, seconds=zero, lease=one)
        self._look = Statement(look, dialect)
        self._first = Statement(first.on_conflict_do_nothing(), dialect)
        self._take = Statement(
            sa.update(walks)
            .where(*mine)
            .values(holder=sa.bindparam("holder"), expires_at=sa.bindparam("expires_at"), lease=walks.c.lease + one),
            dialect,
        )
        self._save = Statement(
            sa.update(walks)
            .where(*mine)
            .values(
                {name: sa.bindparam(name) for name in ("bookmark", "walks", "finished_at", "seconds", "expires_at")}
            ),
            dialect,
        )
        self._renew = Statement(sa.update(walks).where(*mine).values(expires_at=sa.bindparam("expires_at")), dialect)
        self._finish = Statement(
            sa.update(walks).where(*mine).values(holder=sa.null(), expires_at=zero, error=sa.bindparam("error")),
            dialect,
        )

    def take(self, connection: sa.Connection, key: Key, now: float) -> Lease | LeaseConflict:
        """Take a list on, or tell how long somebody else has it."""
        organization_id, resource = key
        this = {"organization_id": organization_id, "resource": resource}
        mine = {"holder": self._text, "expires_at": now + self._seconds}
        rows = self._look.rows(connection, **this)
        if not rows:
            made = self._first.run(connection, **this, **mine, bookmark=_encoded(Checkpoint()))
            return Lease(Checkpoint(), 1, quarantined=False) if made else LeaseConflict(self._seconds)
        found = msgspec.convert(rows[0], _Found, strict=False)
        if (
            found.holder is not None
            and found.expires_at > now
            and not LeaseOwner.decode(found.holder).yields_to(self._holder)
        ):
            return LeaseConflict(found.expires_at - now)
        if not self._take.run(connection, **this, **mine, number=found.number):
            return LeaseConflict(self._seconds)
        bookmark = msgspec.json.decode(found.bookmark, type=Checkpoint)
        return Lease(bookmark, found.number + 1, quarantined=found.quarantined)

    def save(self, connection: sa.Connection, key: Key, number: int, bookmark: Checkpoint, now: float) -> bool:
        """Keep a bookmark; return whether the list is still ours. If not, nothing was kept."""
        saved = self._save.run(
            connection,
            organization_id=key[0],
            resource=key[1],
            number=number,
            bookmark=_encoded(bookmark),
            walks=bookmark.walks,
            finished_at=self._values.moment(bookmark.finished_at),
            seconds=bookmark.seconds,
            expires_at=now + self._seconds,
        )
        return saved > 0

    def renew(self, connection: sa.Connection, held: Iterable[tuple[Key, int]], now: float) -> None:
        """Hold lists for longer."""
        for (organization_id, resource), number in held:
            self._renew.run(
                connection,
                organization_id=organization_id,
                resource=resource,
                number=number,
                expires_at=now + self._seconds,
            )

    def finish(self, connection: sa.Connection, key: Key, number: int, error: str | None) -> None:
        """Give a list back, with what ended the run on it."""
        self._finish.run(connection, organization_id=key[0], resource=key[1], number=number, error=error)


def _encoded(bookmark: Checkpoint) -> str:
    return msgspec.json.encode(bookmark).decode()
