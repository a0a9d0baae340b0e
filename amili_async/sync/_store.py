"""Store: where a sync puts rows, and what it asks of whoever keeps them.

A store has three methods, and one promise: what one `Store.write` is given is kept whole or not at all. The bookmark in
it says where the walk stands after those rows; so a process killed at any moment has either both or neither, and the
next run goes on with nothing lost and nothing twice.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec

from amili_async.events import QuarantinedRow
from amili_async.models._base import Model
from amili_async.sync._checkpoint import Checkpoint


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a list, read, beside its JSON."""

    id: str
    moment: datetime | None
    """What lists are ordered by: when the row came to be."""
    final: bool
    """Whether nothing will change about it any more."""
    value: Model
    raw: bytes
    """Its JSON, byte for byte as received."""


class PageWrite(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction holds: rows of one list of one organization, and where its walk stands after them."""

    organization_id: str
    resource: str
    rows: tuple[Row, ...] = ()
    """No id twice. A row that the store has already takes its place."""
    quarantined: tuple[QuarantinedRow, ...] = ()
    """Rows that no reading makes sense of, with their bytes."""
    bookmark: Checkpoint


class WriteResult(msgspec.Struct, frozen=True):
    """What became of a portion's rows; those that are neither new nor changed were there, byte for byte."""

    new: int
    changed: int


class LeaseConflict(msgspec.Struct, frozen=True):
    """Another run is busy with this list."""

    seconds: float
    """Until it loses its hold on it, unless it renews it."""


class Store(Protocol):
    """Keeps rows and bookmarks. Errors of the database are raised as `StoreError`; they end the run.

    Calls for different lists come from several tasks at once, those for one list one after the other. A store that
    several runs share at once leases a list from `begin` to `finish`, and answers with `LeaseConflict` to whoever
    has no lease; one that has a single user need not know of leases.
    """

    async def begin(self, organization_id: str, resource: str, /) -> Checkpoint | LeaseConflict:
        """Return what was last written for this list; ``Checkpoint()`` for nothing."""
        ...

    async def write(self, portion: PageWrite, /) -> WriteResult | LeaseConflict:
        """Keep rows, quarantined rows and the bookmark, all of them or none, for good once this returns.

        Upsert by organization and id: after a crash, rows may come that were written before.
        """
        ...

    async def finish(self, organization_id: str, resource: str, error: str | None, /) -> None:
        """Learn that the run is done with this list, with what ended it where that was an error."""
        ...
