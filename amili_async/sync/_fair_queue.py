"""FairQueue: who is next among many, so that a large one does not hold up the rest.

Those who are new go first; one whose turn ended before it was done stands behind them, at once or after a pause. New
ones come from an iterable of any length, of which a few are taken ahead at most.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

T = TypeVar("T")
J = TypeVar("J")


class FairQueue(Generic[T, J]):
    """Hands out jobs, each made of one item of an iterable."""

    def __init__(self, items: Iterable[T] | AsyncIterable[T], begin: Callable[[T], J | None], *, ahead: int) -> None:
        """Make it ready; ``begin`` makes an item a job, or drops it by returning nothing."""
        self._items = items
        self._begin = begin
        self._ahead = ahead
        self._new: deque[J] = deque()
        self._again: deque[J] = deque()
        self._pauses: dict[asyncio.Task[None], J] = {}
        self._changed = asyncio.Condition()
        self.taken = 0
        """How many items became jobs."""
        self.ended = False
        """Whether the iterable has come to its end."""

    async def feed(self) -> None:
        """Take items as they are needed, to the end of the iterable; to be run in a task of its own."""
        if isinstance(self._items, AsyncIterable):
            async for item in self._items:
                await self._offer(item)
        else:
            for item in self._items:
                await self._offer(item)
        async with self._changed:
            self.ended = True
            self._changed.notify_all()

    async def _offer(self, item: T) -> None:
        job = self._begin(item)
        if job is None:
            return
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._new) < self._ahead)
            self.taken += 1
            self._new.append(job)
            self._changed.notify_all()

    async def next(self) -> J | None:
        """Return whose turn it is; ``None`` where nobody is left who is not having one."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.others or (self.ended and not self._pauses))
            for line in (self._new, self._again):
                if line:
                    self._changed.notify_all()
                    return line.popleft()
            return None

    @property
    def others(self) -> bool:
        """Whether anybody waits for a turn."""
        return bool(self._new or self._again)

    def put_back(self, job: J) -> None:
        """Let a job wait for another turn; whoever puts one back must ask for the next one."""
        self._again.append(job)

    def put_back_after(self, pause: Callable[[], Awaitable[None]], job: J) -> None:
        """Let a job wait for another turn, which it gets after a pause at the earliest."""
        task = asyncio.create_task(self._come_back(pause), name="amili pause")
        self._pauses[task] = job

    async def _come_back(self, pause: Callable[[], Awaitable[None]]) -> None:
        await pause()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # it runs in none other than its own
        async with self._changed:
            self._again.append(self._pauses.pop(task))
            self._changed.notify_all()

    async def left(self) -> list[J]:
        """Take out the jobs that were put back and had no further turn."""
        pauses, self._pauses = self._pauses, {}
        for task in pauses:
            task.cancel()
        if pauses:
            await asyncio.wait(pauses)
        jobs, self._again = [*self._again, *pauses.values()], deque()
        return jobs
