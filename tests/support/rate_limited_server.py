"""A server that answers 429 to what comes too fast, in place of the HTTP client: without sockets it costs no time."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from multidict import CIMultiDict

if TYPE_CHECKING:
    from amili_async import AmiliClient
    from amili_async._protocol.call_state import CallState
    from tests.support.rate_limits import Limiter


class RateLimitedServer:
    """Takes any request; what its limiter refuses, by the running loop's clock, is answered 429."""

    def __init__(self, limiter: Limiter, *, seed: int = 7) -> None:
        self.limiter = limiter
        self.arrivals: list[tuple[float, bool]] = []
        """When each request came, and whether it was let in."""
        self.headers: dict[str, str] = {}
        """Further headers of every answer."""
        self._random = random.Random(seed)  # noqa: S311  # the same ways in every run

    def serve(self, client: AmiliClient) -> AmiliClient:
        """Answer a client's requests."""
        client.caller.transport._http = self  # type: ignore[assignment]  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]  # what stands in for it
        return client

    async def exchange(self, state: CallState, _authorization: str | None) -> bytes:
        """Do what `HTTPClient.exchange` does."""
        await asyncio.sleep(0.005 + 0.0003 * self._random.random())
        now = asyncio.get_running_loop().time()
        ok, retry_after = self.limiter.admit(now)
        self.arrivals.append((now, ok))
        await asyncio.sleep(0.005 + 0.0003 * self._random.random())
        state.status = 200 if ok else 429
        told = {} if retry_after is None else {"Retry-After": f"{retry_after:.0f}"}
        state.answer_headers = CIMultiDict({**self.headers, **told})
        return b"{}" if ok else b""

    def kept(self, rate: float, start: float, end: float) -> float:
        """Return which part of a rate was used, between two moments from the first request on."""
        first = self.arrivals[0][0]
        return sum(ok for moment, ok in self.arrivals if start <= moment - first < end) / (rate * (end - start))

    def refused(self, start: float = 0.0) -> float:
        """Return which part of the requests was refused, from a moment on."""
        first = self.arrivals[0][0]
        outcomes = [ok for moment, ok in self.arrivals if moment - first >= start]
        return outcomes.count(False) / len(outcomes)
