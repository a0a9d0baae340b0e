"""Store: where a sync puts rows, and what it asks of whoever keeps them.

A store has three methods, and one promise: what one `Store.write` is given is kept whole or not at all. The checkpoint
in it says where the scan stands after those rows; so a process killed at any moment has either both or neither, and the
next run goes on with nothing lost and nothing twice. A fourth method, `ReconcilingStore.absences`, is for stores that
are to learn which rows the server no longer has.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, runtime_checkable

import msgspec

from amili_async._upstream.msgspec import public_in
from amili_async.errors import StoreError
from amili_async.events import Drift, QuarantinedRow
from amili_async.models import Model
from amili_async.sync._checkpoint import Checkpoint
from amili_async.sync._report import SyncReport


class InvalidValueError(StoreError):
    """A store refuses a value, such as a text with a zero character: no other list or row is concerned."""

    __module__ = "amili_async.sync"  # where it is imported from


@public_in("amili_async.sync")
class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of a list, read, beside its JSON."""

    id: str
    moment: datetime | None
    """What lists are ordered by: when the row came to be."""
    final: bool
    """Whether nothing will change about it any more."""
    value: Model
    raw: bytes
    """Its JSON, byte for byte as received."""


@public_in("amili_async.sync")
class PageWrite(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction holds: rows of one list of one organization, and where its scan stands after them.

    A store that is not a `ReconcilingStore` leaves `met`, `forget_met`, `absent` and `gone` alone; they are empty then.
    """

    organization_id: str
    resource: str
    rows: tuple[Row, ...] = ()
    """No id twice. A row that the store has already takes its place, and is no longer gone."""
    quarantined: tuple[QuarantinedRow, ...] = ()
    """Rows that no reading makes sense of, with their bytes."""
    checkpoint: Checkpoint
    met: tuple[str, ...] = ()
    """The ids on a page of a scan that reconciles, those of unreadable rows and of rows that are not kept among them.

    They are remembered beside the checkpoint until the list is reconciled, as such a scan may go on in another process.
    """
    forget_met: bool = False
    """Whether a scan that reconciles begins: ids met before count no more (those of this write do)."""
    absent: tuple[str, ...] = ()
    """Rows that a complete scan has not met, which is no proof yet: remembered until they are met, or are gone."""
    gone: tuple[str, ...] = ()
    """Rows that are proven not to be on the server any more. They stay; when they went is kept beside them."""


@public_in("amili_async.sync")
class WriteResult(msgspec.Struct, frozen=True):
    """What became of a write's rows; those that are neither new nor changed were there, byte for byte."""

    new: int
    changed: int
    new_ids: tuple[str, ...] = ()
    """Which ones; filled by a `ReconcilingStore` where the write says `PageWrite.met`, and empty otherwise."""
    changed_ids: tuple[str, ...] = ()
    returned: int = 0
    """How many of the rows were gone before, whether or not they changed."""
    quarantined: int = 0
    """How many of the rows hold a value that the store's database refuses, and were set aside by it."""


@public_in("amili_async.sync")
class LeaseConflict(msgspec.Struct, frozen=True):
    """Another run is busy with this list."""

    seconds: float
    """Until it loses its hold on it, unless it renews it."""
    owner: str = ""
    """Who it is, for a person: machine and process; empty where that is not known."""
    since: datetime | None = None
    """When it took the list on."""
    until: datetime | None = None
    """Until when it holds the list, unless it renews it."""


class Store(Protocol):
    """Keeps rows and checkpoints. Errors of the database are raised as `StoreError`; they end the run.

    Calls for different lists come from several tasks at once, those for one list one after the other. A store that
    several runs share at once leases a list from `begin` to `finish`, and answers with `LeaseConflict` to whoever
    has no lease; one that has a single user need not know of leases.
    """

    __module__: str = "amili_async.sync"  # where it is imported from

    async def begin(self, organization_id: str, resource: str, /) -> Checkpoint | LeaseConflict:
        """Return what was last written for this list; ``Checkpoint()`` for nothing.

        Raises:
            InvalidValueError: the id has no place in the store, so that this organization fails and no other.
        """
        ...

    async def write(self, page: PageWrite, /) -> WriteResult | LeaseConflict:
        """Keep rows, quarantined rows and the checkpoint, all of them or none, for good once this returns.

        Upsert by organization and id: after a crash, rows may come that were written before.
        """
        ...

    async def finish(self, organization_id: str, resource: str, error: str | None, /) -> None:
        """Learn that the run is done with this list, with what ended it where that was an error."""
        ...


@public_in("amili_async.sync")
class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended, for a `RunKeepingStore`."""

    outcome: str
    """``ok``, ``failed`` (some organizations), ``stopped``, ``interrupted``, or the class of what ended it."""
    report: SyncReport
    """What it did, up to its end."""
    drift: tuple[Drift, ...] = ()
    """Where answers differed from the documentation, each once."""


@runtime_checkable
class RunKeepingStore(Protocol):
    """What a store can be besides: one that keeps what runs did."""

    __module__: str = "amili_async.sync"  # where it is imported from

    async def begin_run(self, resources: tuple[str, ...], /) -> str:
        """Learn that a run begins; return a name for it."""
        ...

    async def end_run(self, run: str, summary: RunSummary, /) -> None:
        """Learn how it ended. A run that was killed never says."""
        ...


@public_in("amili_async.sync")
class AbsentRow(msgspec.Struct, frozen=True):
    """A row that is kept and was not met by a complete scan."""

    id: str
    before: bool
    """Whether it was said to be absent before (`PageWrite.absent`), and has not been met since."""


@public_in("amili_async.sync")
class Absences(msgspec.Struct, frozen=True):
    """What a complete scan has not met of the rows that are kept."""

    known: int
    """How many rows are kept that are not gone: those that were looked for."""
    absent: int
    """How many of them were not met."""
    rows: tuple[AbsentRow, ...]
    """Those, as many as were asked for, in any order."""


@runtime_checkable
class ReconcilingStore(Store, Protocol):
    """A store that can tell which of its rows a complete scan has not met, and keeps what is known to be gone.

    A store without `absences` is synced all the same: nothing is marked as gone in it.
    """

    __module__: str = "amili_async.sync"  # where it is imported from

    async def absences(
        self, organization_id: str, resource: str, since: datetime | None, limit: int, /
    ) -> Absences | LeaseConflict:
        """Return which rows of a list are kept, are not gone, and were in no write's ``rows`` or ``met`` of this scan.

        Rows from before ``since`` are left out of all counts: such a scan does not look for them. Called between
        `begin` and `finish`, after the page that ends the list and before the write that completes the scan.
        """
        ...
