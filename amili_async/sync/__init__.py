"""Bulk sync: the lists of many organizations into a database, exactly once, incrementally, resumable at any moment.

    async with AmiliClient.from_env() as client, SqlStore("sqlite:///amili.db") as store:
        report = await sync(client, organization_ids, store)

`sync` does the work, `SqlStore` keeps it (extra ``sync``; ``postgres`` for PostgreSQL), `Store` is the protocol for
those with another database, and `sync_on_dask` spreads the work over a Dask cluster (extra ``dask``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amili_async.sync._checkpoint import Checkpoint, Scan, Watermark
    from amili_async.sync._clients import ClientPool, Clients
    from amili_async.sync._dask.scheduler import sync_on_dask
    from amili_async.sync._engine import OnProgress, OrganizationIds, sync
    from amili_async.sync._report import Counts, Failure, HeldOrganization, Progress, Restart, SyncReport
    from amili_async.sync._sql.changes import Change, changes
    from amili_async.sync._sql.deduplication import Claim, SqlDeduplicationStore
    from amili_async.sync._sql.files import export
    from amili_async.sync._sql.purging import Purged, purge
    from amili_async.sync._sql.store import SqlStore
    from amili_async.sync._store import (
        Absences,
        AbsentRow,
        InvalidValueError,
        LeaseConflict,
        PageWrite,
        ReconcilingStore,
        Row,
        RunKeepingStore,
        RunSummary,
        Store,
        WriteResult,
    )

_MODULES = {
    "Absences": "_store",
    "AbsentRow": "_store",
    "Change": "_sql.changes",
    "Checkpoint": "_checkpoint",
    "Claim": "_sql.deduplication",
    "ClientPool": "_clients",
    "Clients": "_clients",
    "Counts": "_report",
    "Failure": "_report",
    "HeldOrganization": "_report",
    "InvalidValueError": "_store",
    "LeaseConflict": "_store",
    "OnProgress": "_engine",
    "OrganizationIds": "_engine",
    "PageWrite": "_store",
    "Progress": "_report",
    "Purged": "_sql.purging",
    "ReconcilingStore": "_store",
    "Restart": "_report",
    "Row": "_store",
    "RunKeepingStore": "_store",
    "RunSummary": "_store",
    "Scan": "_checkpoint",
    "SqlDeduplicationStore": "_sql.deduplication",
    "SqlStore": "_sql.store",
    "Store": "_store",
    "SyncReport": "_report",
    "Watermark": "_checkpoint",
    "WriteResult": "_store",
    "changes": "_sql.changes",
    "export": "_sql.files",
    "purge": "_sql.purging",
    "sync": "_engine",
    "sync_on_dask": "_dask.scheduler",
}

__all__ = [
    "Absences",
    "AbsentRow",
    "Change",
    "Checkpoint",
    "Claim",
    "ClientPool",
    "Clients",
    "Counts",
    "Failure",
    "HeldOrganization",
    "InvalidValueError",
    "LeaseConflict",
    "OnProgress",
    "OrganizationIds",
    "PageWrite",
    "Progress",
    "Purged",
    "ReconcilingStore",
    "Restart",
    "Row",
    "RunKeepingStore",
    "RunSummary",
    "Scan",
    "SqlDeduplicationStore",
    "SqlStore",
    "Store",
    "SyncReport",
    "Watermark",
    "WriteResult",
    "changes",
    "export",
    "purge",
    "sync",
    "sync_on_dask",
]


def __getattr__(name: str) -> object:
    """Import a public name's module at its first use: the store needs SQLAlchemy, and only Dask needs Dask."""
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{module}"), name)
    return found


def __dir__() -> list[str]:
    return __all__
