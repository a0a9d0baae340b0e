"""A server that limits the rate: what is let in of it and what is refused, learnt and with the right number.

Ten seconds to warm up, then a minute, in real time and through real sockets, all servers of one rate side by side. For
comparison aiolimiter in front of bare aiohttp, told the very rate; it is given a new call for each that was refused.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
from aiolimiter import AsyncLimiter

from amili_async import AmiliClient
from benchmarks.answering import OK, answering, too_many
from benchmarks.measuring import Row, Settings
from benchmarks.report import main

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

WARM_UP = 10.0


class Case(NamedTuple):
    """A server's limit and who meets it."""

    rate: float
    burst: float
    """Requests that a bucket holds; 1 is nginx's ``limit_req`` without ``burst``: the whole interval between two."""
    told: bool
    tasks: int

    @property
    def name(self) -> str:
        """What it is called in the table."""
        kind = "limit_req" if self.burst == 1 else "bucket"
        told = ", Retry-After: 1" if self.told else ""
        return f"{kind} of {self.rate:g}/s{told}, {self.tasks:,} task{'s' if self.tasks > 1 else ''}"


SLOW = [Case(20, burst, told, tasks) for burst in (20, 1) for told in (False, True) for tasks in (1, 8, 200)]
FAST = [Case(200, 200, told, 1_000) for told in (False, True)]


class _Limit:
    def __init__(self, case: Case) -> None:
        self._case = case
        self._tokens, self._seen = case.burst, 0.0
        self._refusal = too_many(1 if case.told else None)
        self.arrivals: list[tuple[float, bool]] = []

    def answer(self, _line: bytes, now: float) -> bytes:
        self._tokens = min(self._case.burst, self._tokens + (now - self._seen) * self._case.rate)
        self._seen = now
        ok = self._tokens >= 1
        self._tokens -= ok
        self.arrivals.append((now, ok))
        return OK if ok else self._refusal

    def outcome(self, seconds: float) -> tuple[float, float]:
        """Return which part of the limit was used after the warm-up, and which part of the requests was refused."""
        begin = self.arrivals[0][0] + WARM_UP
        outcomes = [ok for moment, ok in self.arrivals if begin <= moment < begin + seconds]
        return outcomes.count(True) / (self._case.rate * seconds), outcomes.count(False) / max(1, len(outcomes))


async def _keep_calling(call: Callable[[], Awaitable[object]], tasks: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds

    async def one() -> None:
        while loop.time() < ends:
            await call()

    await asyncio.gather(*(one() for _ in range(tasks)))


async def _learnt(url: str, case: Case, seconds: float) -> None:
    async with AmiliClient("token", base_url=url) as amili:
        await _keep_calling(lambda: amili.request("GET", "/x"), case.tasks, seconds)


async def _given(url: str, case: Case, seconds: float) -> None:
    limiter = AsyncLimiter(case.burst, case.burst / case.rate)
    async with aiohttp.ClientSession() as session:

        async def call() -> None:
            async with limiter, session.get(f"{url}/x") as response:
                await response.read()

        await _keep_calling(call, case.tasks, seconds)


async def _all(
    run: Callable[[str, Case, float], Awaitable[None]], cases: Sequence[Case], seconds: float
) -> list[tuple[float, float]]:
    limits = [_Limit(case) for case in cases]
    with ExitStack() as servers:
        urls = [servers.enter_context(answering(limit.answer)) for limit in limits]
        await asyncio.gather(*(run(url, case, WARM_UP + seconds) for url, case in zip(urls, cases, strict=True)))
    return [limit.outcome(seconds) for limit in limits]


def measure(settings: Settings) -> list[Row]:
    """Meet each limit for 70 seconds, learnt and with the number."""
    logging.getLogger("amili_async").setLevel(logging.ERROR)  # each refusal would be told
    seconds = float(settings.scaled(60))
    rows: list[Row] = []
    for cases in (SLOW, FAST):
        learnt, given = (asyncio.run(_all(run, cases, seconds)) for run in (_learnt, _given))
        for case, (kept, refused), (theirs, theirs_refused) in zip(cases, learnt, given, strict=True):
            rows.append(
                Row(
                    what=f"{case.name}: calls/s against the rate",
                    value=kept,
                    at_least=0.95 if case.burst > 1 else None,
                    detail=f"refused {refused:.1%}; aiolimiter, told the rate, {theirs:.3f} and {theirs_refused:.1%}",
                )
            )
        rows.append(
            Row(
                what=f"limits of {cases[0].rate:g}/s: refused at most",
                value=max(refused for _, refused in learnt),
                unit="of the requests",
                at_most=0.05,
            )
        )
    return rows


if __name__ == "__main__":
    raise SystemExit(main(measure))
