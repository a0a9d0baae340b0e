"""FairQueue: who is next among many, so that a large one does not hold up the rest.

Those who are new go first; one whose turn ended before it was done stands behind them. New ones come from an iterable
of any length, of which a few are taken ahead at most.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
            await self._changed.wait_for(lambda: self._new or self._again or self.ended)
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

    def left(self) -> list[J]:
        """Take out the jobs that were put back and had no further turn."""
        refetch, self._again = list(self._again), deque()
        return refetch
