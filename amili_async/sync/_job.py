"""Job: an organization on its way through a run, and how the list it has taken on is given back whatever happens."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from amili_async.sync._clients import Reading
    from amili_async.sync._list_sync import ListSync
    from amili_async.sync._store import Store

T = TypeVar("T")

FIRST_PAUSE = 0.1
"""Seconds after which an organization is asked about again that another run has, at first."""

LIMITED_PAUSE = 1.0
"""Seconds that an organization whose requests are refused for load makes way for others, at first."""


class Job:
    """An organization on its way: which of its lists are left, and the scan over the first of them."""

    __slots__ = (
        "conflict",
        "failed",
        "given_up_at",
        "left",
        "limited_pause",
        "limited_since",
        "list_sync",
        "organization_id",
        "pause",
        "reading",
        "resources",
    )

    def __init__(self, organization_id: str, resources: tuple[str, ...], reading: Reading) -> None:
        self.organization_id = organization_id
        self.resources = deque(resources)
        self.reading = reading
        self.list_sync: ListSync | None = None
        self.failed = False
        self.left = False
        """Whether it was left to another run."""
        self.given_up_at: float | None = None
        """When another run that has it is no longer waited for, by the event loop's time."""
        self.pause = FIRST_PAUSE
        self.limited_since: float | None = None
        """Since when the server has refused all of its requests for load, by the client's clock."""
        self.limited_pause = LIMITED_PAUSE

    async def give_back(self, store: Store, error: str | None) -> None:
        """Give back the list that is taken on, if one is, whoever cancels meanwhile."""
        if self.list_sync is None:
            return
        self.list_sync = None
        _, cancelled = await to_its_end(store.finish(self.organization_id, self.resources[0], error))
        if cancelled is not None:
            raise cancelled


async def to_its_end(work: Coroutine[object, object, T]) -> tuple[T, asyncio.CancelledError | None]:
    """Return what comes of work that must not be cut off, and how it was tried."""
    task = asyncio.create_task(work, name="amili lease")
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None and (failed := task.exception()) is not None:
        raise cancelled from failed
    return task.result(), cancelled
