"""What a sync did, and how far it is while it runs: frozen records that encode to JSON."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from amili_async._cursor import Cursor
from amili_async._upstream.msgspec import public_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from amili_async.errors import AmiliError


@public_in("amili_async.sync")
class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the rows of one resource."""

    rows: int = 0
    """Rows read, whether or not the store had them."""
    new: int = 0
    changed: int = 0
    quarantined: int = 0
    """Rows that no reading makes sense of; their bytes are in the store."""
    pages: int = 0
    """List pages read."""
    reread: int = 0
    """Rows read again by their id because they were not final."""
    missed: int = 0
    """New rows that a scan of everything found where earlier runs had looked, or did not look any more."""
    stale: int = 0
    """Changed rows that it found there."""
    gone: int = 0
    """Rows that are proven not to be on the server any more."""
    returned: int = 0
    """Rows that were gone and are there again."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


@public_in("amili_async.sync")
class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An organization that was not synced to its end. The next run goes on from ``cursor``."""

    organization_id: str
    resource: str
    error: str
    """The error's class."""
    message: str
    """One line without personal data."""
    cursor: Cursor | None = None

    @classmethod
    def of(cls, organization_id: str, resource: str, error: AmiliError, cursor: Cursor | None) -> Failure:
        """Return the failure that an error is."""
        return cls(
            organization_id=organization_id,
            resource=resource,
            error=type(error).__name__,
            message=str(error),
            cursor=cursor,
        )


@public_in("amili_async.sync")
class HeldOrganization(msgspec.Struct, frozen=True, kw_only=True):
    """An organization that another run was busy with until the end of this one."""

    organization_id: str
    owner: str = ""
    """Who that is: machine and process, as far as the store knows."""
    since: datetime | None = None
    until: datetime | None = None
    """Until when it holds the organization, unless it goes on with it."""


@public_in("amili_async.sync")
class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """A scan that began anew because the page where it stood could not be asked for again."""

    organization_id: str
    resource: str
    reason: str


@public_in("amili_async.sync")
class SyncReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a sync did. ``msgspec.json.encode(report)`` is its JSON."""

    organizations: int = 0
    """Organizations that this run finished."""
    failures: tuple[Failure, ...] = ()
    held: tuple[HeldOrganization, ...] = ()
    """Organizations that another run was busy with until the end of this one."""
    restarts: tuple[Restart, ...] = ()
    stopped: bool = False
    """Whether ``max_failures`` ended the run before all organizations had their turn."""
    resources: dict[str, Counts] = {}
    requests: int = 0
    """Requests sent, repeats included."""
    retries: int = 0
    waited: float = 0.0
    """Seconds for which the server told the client to wait (429)."""
    seconds: float = 0.0
    run: str | None = None
    """Its id in the table ``runs``, which `changes` takes as ``since``; ``None`` where the store keeps no runs."""

    @property
    def ok(self) -> bool:
        """Whether every organization was synced to its end, by this run or by one that is at it."""
        return not self.failures and not self.stopped

    @property
    def total(self) -> Counts:
        """The counts of all resources together."""
        return sum(self.resources.values(), Counts())

    @staticmethod
    def merged(reports: Iterable[SyncReport], seconds: float) -> SyncReport:
        """Return several runs over different organizations, at the same time, as one."""
        parts = tuple(reports)
        resources: dict[str, Counts] = {}
        for part in parts:
            for name, counts in part.resources.items():
                resources[name] = resources.get(name, Counts()) + counts
        return SyncReport(
            organizations=sum(part.organizations for part in parts),
            failures=tuple(failure for part in parts for failure in part.failures),
            held=tuple(held for part in parts for held in part.held),
            restarts=tuple(restart for part in parts for restart in part.restarts),
            stopped=any(part.stopped for part in parts),
            resources=resources,
            requests=sum(part.requests for part in parts),
            retries=sum(part.retries for part in parts),
            waited=sum(part.waited for part in parts),
            seconds=seconds,
        )


@public_in("amili_async.sync")
class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a sync is: handed to ``on_progress`` a few times a second, at each end of an organization at most."""

    organizations_done: int
    """Organizations finished, failed ones among them."""
    organizations_total: int | None
    """``None`` while the ids are still being handed over."""
    failed: int
    rows: int
    new: int
    changed: int
    rows_per_second: float
    """Over the last seconds."""
    requests: int
    requests_per_second: float = 0.0
    """Over the last seconds: where the server holds the client back, the rate that it takes."""
    limited: bool = False
    """Whether the server lately refused requests for load, so that the run goes as fast as it is let."""
    retries: int
    waiting: float
    """Seconds for which the server has told the client to wait, from this moment; 0 where it has not."""
    seconds: float
    """Since the run began."""
    seconds_left: float | None
    """A guess from the organizations done; ``None`` where there is nothing to guess from."""
