"""Worker slots: what a worker process keeps between two shards of a run: the pace that it has learnt, and its name.

A client is made for each shard. One that knew nothing would send as fast as it can until it is refused, and what it is
refused is what the other workers are refused too; so it goes on with what the shard before it has learnt here.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from amili_async._clock import current
from amili_async._protocol.rate import FORGOTTEN_AFTER

if TYPE_CHECKING:
    from collections.abc import Generator

    from amili_async._protocol.rate import LearnedPace

KEPT = FORGOTTEN_AFTER
"""Seconds for which what was learnt is kept while no shard is worked on."""


class WorkerSlot:
    """A place of a worker process in which one shard of a run is worked on after the other."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.pace: LearnedPace | None = None
        """What was learnt of the server's limit; ``None`` before the first shard has ended, and where none is."""
        self.name = uuid.uuid4().hex
        """The name under which the others know that this one is at work."""
        self.told: dict[str, float | None] = {}
        """Who was at work at the last look, and the requests a second that each had learnt to send."""
        self.left_at = 0.0
        """When the last shard ended, by the monotonic clock."""


class WorkerSlots:
    """The slots of this process that are free: a process with several threads has several."""

    def __init__(self) -> None:
        self.free: list[WorkerSlot] = []
        self._lock = Lock()

    @contextmanager
    def taken(self, run: str) -> Generator[WorkerSlot, None, None]:
        """Take a slot of the run for a shard, or a new one where there is none, or none any more."""
        with self._lock:
            since = current().monotonic() - KEPT
            self.free = [slot for slot in self.free if slot.left_at > since]
            slot = next((slot for slot in self.free if slot.run == run), None)
            if slot is None:
                slot = WorkerSlot(run)
            else:
                self.free.remove(slot)
        try:
            yield slot
        finally:
            slot.left_at = current().monotonic()
            with self._lock:
                self.free.append(slot)


SLOTS = WorkerSlots()
"""Those of this process."""
