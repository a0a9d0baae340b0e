"""Status: whether Amili is there, by routes of which only the names are public."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.resources._writing import OpenResource

if TYPE_CHECKING:
    from amili_async.models._raw_value import RawValue


class Status(OpenResource):
    """``client.status``. All three are of mark U: their paths are guesses, and calling one warns once. G1 only."""

    async def ping(self) -> RawValue:
        """Return what Amili answers a ping (U). Retried like every read."""
        return await self._open("status.ping")

    async def ping_authorized(self) -> RawValue:
        """Return what Amili answers a ping with a token (U). Retried like every read."""
        return await self._open("status.ping_authorized")

    async def health(self) -> RawValue:
        """Return what Amili says of its health (U). Retried like every read."""
        return await self._open("status.health")
