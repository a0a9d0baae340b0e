"""TimeoutScheduler: ends the waits of one client, each at its own moment, with one timer for all of them.

A timer for each call would be made, sorted in and thrown away with every page. Calls end long before their time, so the
one timer goes off seldom, and then mostly finds nothing to do.
"""

from __future__ import annotations

import asyncio


class TimeoutScheduler:
    """Ends scopes (``asyncio.timeout(None)``) when their time has come."""

    def __init__(self) -> None:
        self._moments: dict[asyncio.Timeout, float | None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._moments)

    def set(self, scope: asyncio.Timeout, when: float | None) -> None:
        """End a scope at this moment of the event loop's clock, in place of any before; ``None``: not by time.

        Set it before it is entered, with no await in between, and `forget` it once it is left.
        """
        self._moments[scope] = when
        if when is not None and (self._timer is None or when < self._timer.when()):
            self._wind(when)

    def forget(self, scope: asyncio.Timeout) -> None:
        """Let a scope be that has been left."""
        del self._moments[scope]

    def ring(self) -> None:
        """End every scope at once."""
        self._stop()
        for scope in self._moments:
            _end(scope)

    def _wind(self, when: float) -> None:
        self._stop()
        self._timer = asyncio.get_running_loop().call_at(when, self._go_off, when)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_off(self, now: float) -> None:
        self._timer = None
        ahead: list[float] = []
        for scope, when in self._moments.items():
            if when is None:
                continue
            if when <= now:
                _end(scope)
            else:
                ahead.append(when)
        if ahead:
            self._wind(min(ahead))


def _end(scope: asyncio.Timeout) -> None:
    if not scope.expired():
        scope.reschedule(asyncio.get_running_loop().time())
