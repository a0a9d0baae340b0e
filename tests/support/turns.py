"""Turns of the event loop, counted: what a test waits by where time would prove nothing."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

MANY = 10_000
"""Turns in which anything that happens at all on this machine's own sockets has happened."""


async def turns(count: int) -> None:
    """Let every other task run so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], *, most: int = MANY) -> int:
    """Let other tasks run until a condition holds; return how many turns it took."""
    for turn in range(most):
        if condition():
            return turn
        await asyncio.sleep(0)
    raise AssertionError(f"not within {most} turns of the event loop")


def running(prefix: str = "amili") -> list[str]:
    """Return the names of the package's own tasks that are alive."""
    return sorted(name for task in asyncio.all_tasks() if (name := task.get_name()).startswith(prefix))


class Heartbeat:
    """Counts the turns that other tasks get."""

    def __init__(self) -> None:
        self.beats = 0

    async def _beat(self) -> None:
        while True:
            self.beats += 1
            await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
