"""The time that deadlines, pauses and token lifetimes are measured by, exchangeable in tests.

Everything that waits in this package asks a `Clock`; a client takes `current()` when it is made. The pytest plugin's
``amili_clock`` installs a clock on which waiting takes no time.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator


class Clock(Protocol):
    """What tells the time and waits."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow: what deadlines and lifetimes are measured by."""
        ...

    def time(self) -> float:
        """Return Unix seconds, which may step: only for reading dates that a server wrote."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds; at once, but not before other tasks had a turn, for none."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Return the monotonic time in seconds."""
        return time.monotonic()

    def time(self) -> float:
        """Return the Unix time in seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Sleep in the running event loop."""
        await asyncio.sleep(seconds)


_installed: list[Clock] = [SystemClock()]


def current() -> Clock:
    """Return the clock in force: the machine's, unless a test has installed another."""
    return _installed[-1]


@contextmanager
def installed(clock: Clock) -> Generator[None]:
    """Put another clock in force for clients that are made inside the block."""
    _installed.append(clock)
    try:
        yield
    finally:
        _installed.remove(clock)
