"""What a run leaves behind in a store that keeps it: how it went, and where answers were not as documented."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from amili_async.errors import StoreError
from amili_async.sync._store import RunSummary

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from amili_async.events import Drift
    from amili_async.sync._report import SyncReport
    from amili_async.sync._store import RunKeepingStore

MOST = 10_000
"""Differences kept of one run: a server that makes up names does not fill the store with them."""


class RunRecord:
    """Keeps a run in its store, from its beginning to its end. A hook of the run's clients, for their drift."""

    def __init__(self, store: RunKeepingStore, resources: tuple[str, ...]) -> None:
        self._store = store
        self._resources = resources
        self._drift: dict[Drift, None] = {}

    def on_drift(self, record: Drift, /) -> None:
        """Keep a difference, once."""
        if len(self._drift) < MOST:
            self._drift.setdefault(record)

    @asynccontextmanager
    async def keeping(self, report: Callable[[], SyncReport]) -> AsyncGenerator[str, None]:
        """Keep the run that is the block, with its report at the end; yield the store's name for it."""
        run = await self._store.begin_run(self._resources)
        try:
            yield run
        except BaseException as error:
            # The error says more than that its record could not be kept, which most likely has the same reason.
            with suppress(StoreError):
                await self._end(run, report(), error)
            raise
        await self._end(run, report(), None)

    async def _end(self, run: str, report: SyncReport, error: BaseException | None) -> None:
        named = replace(report, run=run)
        summary = RunSummary(outcome=outcome_of(report, error), report=named, drift=tuple(self._drift))
        await self._store.end_run(run, summary)


def outcome_of(report: SyncReport, error: BaseException | None) -> str:
    """Return how a run ended, in a word."""
    if error is not None:
        return "interrupted" if isinstance(error, asyncio.CancelledError) else type(error).__name__
    if report.stopped:
        return "stopped"
    return "failed" if report.failures else "ok"
