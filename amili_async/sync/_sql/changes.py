"""changes(): the rows that syncs added or changed, in the order in which they were written, resumable at each."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from amili_async._upstream.msgspec import public_in
from amili_async.errors import ConfigurationError
from amili_async.models import Batch, Case, Invoice, Model, Settlement
from amili_async.sync._arguments import beginning, check_store, checked_resources, named
from amili_async.sync._sql.checkpoints import settled_revision
from amili_async.sync._sql.columns import READERS, values_for
from amili_async.sync._sql.schema import ROW_TABLES, lists, runs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from amili_async.events import QuarantinedRow
    from amili_async.sync._sql.store import SqlStore

AT_ONCE = 500
"""Rows that are read in one go."""


@public_in("amili_async.sync")
class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A row that a sync added or changed, or found to be gone, as it is now. ``repr`` shows no personal data."""

    resource: str
    organization_id: str
    id: str
    gone: bool
    """Whether the server was proved not to have it any more."""
    synced_at: datetime
    position: str
    """Where this change stands: give it as ``since`` to go on behind it."""
    raw: bytes
    """The row's JSON as received."""

    def read(self) -> Batch | Invoice | Case | Settlement:
        """Return the row as its model. It was read once, when it was synced, so it can be read again."""
        value: Model | QuarantinedRow = READERS[self.resource].row(self.raw, 0, None)
        assert isinstance(value, Batch | Invoice | Case | Settlement)  # noqa: S101  # only such rows are kept
        return value

    def __repr__(self) -> str:
        return f"Change({self.resource}, {self.id!r}, gone={self.gone}, position={self.position!r})"


class _Position(msgspec.Struct, frozen=True):
    """Behind which row to go on: by the number of its write, and its own among those of that write."""

    revision: int
    key: int

    def __str__(self) -> str:
        return f"{self.revision}.{self.key}"


async def changes(
    store: SqlStore,
    since: datetime | date | str | None = None,
    *,
    resources: Iterable[str] = ("batches", "invoices", "cases", "settlements"),
    organization_id: str | None = None,
) -> AsyncGenerator[Change, None]:
    """Iterate over the rows that were added or changed, in the order in which they were written.

    A row that changed several times comes once, as it is now, at the place of its last change; so whoever remembers the
    last `Change.position` and goes on from there misses no row, and meets one again only when it has changed again.
    What is written while this iterates comes the next time.

    Args:
        store: an open `SqlStore`.
        since: a moment, a day in UTC, a run by its id (``report.run``), or a `Change.position`; ``None``: everything.
        resources: which rows.
        organization_id: whose rows; ``None``: everybody's.

    Raises:
        ConfigurationError: ``since`` is none of these, or names no run of this store.
        StoreError: the store cannot be read, or a write has been under way for longer than the store's patience.
    """
    names = checked_resources(resources)
    check_store(store)
    named(organization_id, "organization_id")
    moment = None if isinstance(since, str) else beginning(since)
    last = await store.database.run(settled_revision)
    position = await _position(store, since) if isinstance(since, str) else _Position(0, 0)
    while True:
        page = _Page(names, position, last, moment, organization_id)
        found = await store.database.read(page.read)
        for _, change in found:
            yield change
        if len(found) < AT_ONCE:
            return
        position = found[-1][0]


async def _position(store: SqlStore, since: str) -> _Position:
    revision, point, key = since.partition(".")
    if point and revision.isdecimal() and key.isdecimal():
        return _Position(int(revision), int(key))
    begun = sa.select(runs.c.first_revision).where(runs.c.id == since)
    found = await store.database.read(lambda connection: connection.execute(begun).scalar_one_or_none())
    if found is None:
        raise ConfigurationError(f"since={since!r} is no position of a change, and this store knows no run of that id")
    return _Position(found, 2**62)


class _Page:
    """Some changes behind a position, up to the last write that is settled."""

    def __init__(
        self,
        resources: Iterable[str],
        position: _Position,
        last: int,
        moment: datetime | None,
        organization_id: str | None,
    ) -> None:
        self._resources = resources
        self._position = position
        self._last = last
        self._moment = moment
        self._organization_id = organization_id

    def read(self, connection: sa.Connection) -> list[tuple[_Position, Change]]:
        """Return them in their order: the first ones of all tables are among the first ones of each."""
        found = [one for resource in self._resources for one in self._changes_of(connection, resource)]
        found.sort(key=lambda one: (one[0].revision, one[0].key))
        return found[:AT_ONCE]

    def _changes_of(self, connection: sa.Connection, resource: str) -> list[tuple[_Position, Change]]:
        table = ROW_TABLES[resource]
        row, position = table.c, self._position
        behind = sa.or_(
            row.revision > position.revision, sa.and_(row.revision == position.revision, row.key > position.key)
        )
        raw = sa.cast(row.raw, sa.Text)
        shown = (row.revision, row.key, lists.c.organization_id, row.id, row.gone_at, row.synced_at, raw)
        rows = (
            sa.select(*shown)
            .join_from(table, lists, lists.c.key == row.list_key)
            .where(row.revision >= position.revision, row.revision <= self._last, behind)
            .order_by(row.revision, row.key)
            .limit(AT_ONCE)
        )
        if self._moment is not None:
            rows = rows.where(row.synced_at >= values_for(connection.dialect).moment(self._moment))
        if self._organization_id is not None:
            rows = rows.where(lists.c.organization_id == self._organization_id)
        return [_change(resource, tuple(row)) for row in connection.execute(rows)]


def _change(resource: str, row: tuple[Any, ...]) -> tuple[_Position, Change]:
    revision, key, organization_id, row_id, gone_at, synced_at, raw = row
    position = _Position(revision, key)
    return position, Change(
        resource=resource,
        organization_id=organization_id,
        id=row_id,
        gone=gone_at is not None,
        synced_at=synced_at if isinstance(synced_at, datetime) else datetime.fromisoformat(synced_at),
        position=str(position),
        raw=raw.encode(),
    )
