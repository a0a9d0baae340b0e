"""What runs on a Dask worker: the engine of `sync` over one shard, with a client and a store of its own.

Credentials come from the worker's environment: what Dask carries, shows and logs holds none.
"""

from __future__ import annotations

import asyncio
import copyreg
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec

from amili_async._client import AmiliClient
from amili_async.errors import AmiliError
from amili_async.sync._dask.signals import Signals
from amili_async.sync._dask.slots import SLOTS
from amili_async.sync._engine import sync
from amili_async.sync._report import Progress, SyncReport
from amili_async.sync._sql.store import SqlStore

OnProgress: TypeAlias = Callable[[Progress], None]


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """Some organizations to be synced, and how. ``repr`` shows how many: Dask logs the arguments of what fails."""

    number: int
    run: str
    organization_ids: tuple[str, ...]
    store_url: str
    client_options: Mapping[str, object]
    resources: tuple[str, ...]
    concurrency: int
    full: bool
    since: datetime | None
    reconcile: timedelta | None
    refresh: timedelta | None
    max_gone: float
    max_failures: int | None

    def __repr__(self) -> str:
        return f"Shard({self.number}, {len(self.organization_ids)} organizations, run={self.run!r})"


def topic(run: str) -> str:
    """Return the name under which the workers of a run tell how far they are."""
    return f"amili-progress-{run}"


def pickle_errors_our_way() -> None:
    """Have errors of this package pickled by themselves again, once `distributed` is imported.

    It has every exception pickled with its cause and context, which may hold a live connection and then do not pickle.
    """
    kinds: list[type[AmiliError]] = [AmiliError]
    while kinds:
        kind = kinds.pop()
        copyreg.dispatch_table.pop(kind, None)
        kinds += kind.__subclasses__()


def work(shard: Shard) -> SyncReport:
    """Sync a shard in this thread of a worker; return its report, ``stopped`` where it was told to stop."""
    from distributed import get_worker  # noqa: PLC0415  # whoever has no cluster need not have Dask

    pickle_errors_our_way()
    worker = get_worker()

    def tell(progress: Progress) -> None:
        said = {"shard": shard.number, "worker": worker.address, "progress": msgspec.to_builtins(progress)}
        worker.log_event(topic(shard.run), said)

    return asyncio.run(synced(shard, tell))


async def synced(shard: Shard, on_progress: OnProgress) -> SyncReport:
    """Sync a shard in the running event loop; return its report, ``stopped`` where it was told to stop."""
    options: dict[str, object] = {"concurrency": shard.concurrency, **shard.client_options}
    with SLOTS.taken(shard.run) as slot:
        async with (
            AmiliClient.from_env(**options) as client,  # type: ignore[arg-type]  # checked before they were sent here
            SqlStore(shard.store_url, run=shard.run) as store,
        ):
            limits = client.caller.transport.limits
            slot.pace = limits.go_on(slot.pace)
            signals = Signals(store, shard.run, limits, slot=slot)
            with client.caller.transport.hooks.with_one_more(signals):
                syncing = sync(
                    client,
                    shard.organization_ids,
                    store,
                    resources=shard.resources,
                    concurrency=shard.concurrency,
                    full=shard.full,
                    since=shard.since,
                    reconcile=shard.reconcile,
                    refresh=shard.refresh,
                    max_gone=shard.max_gone,
                    max_failures=shard.max_failures,
                    on_progress=on_progress,
                )
                return await _until_stopped(asyncio.create_task(syncing), asyncio.create_task(signals.listen()))


async def _until_stopped(working: asyncio.Task[SyncReport], listening: asyncio.Task[None]) -> SyncReport:
    try:
        await asyncio.wait({working, listening}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else SyncReport(stopped=True)
    finally:
        working.cancel()
        listening.cancel()
        await asyncio.wait({working, listening})
