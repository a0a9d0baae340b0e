"""Which webhook deliveries were handled: the `DeduplicationStore` protocol, and one in memory.

Handling a delivery twice is prevented in three steps: it is *claimed*, handled, and *confirmed*, or *released* if
handling it failed. So a failed one is handled when it is delivered again, and two deliveries at once are handled once.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal, Protocol

from amili_async.errors import ConfigurationError


class DeduplicationStore(Protocol):
    """Remembers deliveries by their keys. A store that outlives the process must let claims expire."""

    async def claim(self, key: str, /) -> Literal["claimed", "busy", "seen"]:
        """Take a delivery on: ``claimed`` for this caller alone, ``busy`` if somebody has it, ``seen`` if handled."""
        ...

    async def confirm(self, key: str, /) -> None:
        """Remember that a claimed delivery was handled."""
        ...

    async def release(self, key: str, /) -> None:
        """Give a claim up: whoever claims next gets it."""
        ...


class MemoryDeduplicationStore:
    """Remembers the last ``capacity`` handled deliveries of this process.

    It forgets all with the process, and other workers know nothing of it: a service of several needs a store that they
    share, such as ``amili_async.sync.SqlDeduplicationStore``.
    """

    def __init__(self, capacity: int = 10_000) -> None:
        if capacity < 1:
            raise ConfigurationError(f"capacity must be at least 1, not {capacity}")
        self._capacity = capacity
        self._claimed: set[str] = set()
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def claim(self, key: str, /) -> Literal["claimed", "busy", "seen"]:
        """Take a delivery on, unless it was handled or is being handled."""
        if key in self._seen:
            self._seen.move_to_end(key)
            return "seen"
        if key in self._claimed:
            return "busy"
        self._claimed.add(key)
        return "claimed"

    async def confirm(self, key: str, /) -> None:
        """Remember that a delivery was handled; the longest unheard-of one is forgotten for it."""
        self._claimed.discard(key)
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > self._capacity:
            self._seen.popitem(last=False)

    async def release(self, key: str, /) -> None:
        """Give a claim up."""
        self._claimed.discard(key)
