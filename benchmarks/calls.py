"""Single calls that do not go well: how late deadlines are, what stale connections cost writes, what a failure costs.

Deadlines: 10,000 calls that all hang, begun one after the other. Stale connections: POSTs just when the server closes
what is idle, by this client and by bare aiohttp, whose failures a caller has to take for "maybe sent". Failures: CPU
of a call that ends as a 404, with the answer's bytes kept and everything secret taken out, against bare aiohttp's.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from decimal import Decimal

import aiohttp
import msgspec

from amili_async import AmiliClient, DeadlineExceededError, NewPayment, NotFoundError, OutcomeUnknownError
from benchmarks.answering import ACCEPTED, MISSING, answering
from benchmarks.measuring import (
    Row,
    Sample,
    Settings,
    Stopwatch,
    cpu_per_unit,
    heartbeat,
    in_subprocess,
    interleave,
    ratio,
)
from benchmarks.report import main

DEADLINE = 2.0
IDLE = 1.0
"""Seconds after which the server closes a connection, and for which a caller pauses."""


async def _overruns(url: str, count: int) -> dict[str, float]:
    """Return the calls' overruns, and for how long the loop did not come round: a busy machine's part of it."""
    loop = asyncio.get_running_loop()
    async with AmiliClient("token", base_url=url, deadline=DEADLINE, concurrency=64) as amili:

        async def call(number: int) -> float:
            await asyncio.sleep(number * 0.0002)
            begun = loop.time()
            try:
                await amili.request("GET", "/hang")
            except DeadlineExceededError:
                return loop.time() - begun - DEADLINE
            raise AssertionError("nothing answers")

        async with heartbeat() as watch:
            overruns = await asyncio.gather(*(call(number) for number in range(count)))
    return {"longest": max(overruns), "median": statistics.median(overruns), "stall": watch.longest}


def _deadlines(settings: Settings) -> Row:
    count = settings.scaled(10_000)
    # In a process of its own: the garbage collector looks through all that a process holds, while the calls end.
    with answering(lambda _line, _now: None) as url:
        found = in_subprocess("benchmarks.calls", "deadlines", url, str(count))
    return Row(
        what=f"{count:,} calls that all hang, begun one after the other: the deadline's overrun",
        value=found["longest"],
        unit="s",
        at_most=0.1,
        detail=f"median {found['median'] * 1000:.0f} ms; the loop stood still for {found['stall'] * 1000:.0f} ms",
    )


async def _ours_lost(url: str, writers: int) -> int:
    async def write(number: int) -> bool:
        async with AmiliClient("token", base_url=url) as amili:
            lost = False
            for _ in range(4):
                try:
                    await amili.payments.create("organization", [NewPayment(invoice_id="invoice", amount=Decimal(1))])
                except OutcomeUnknownError:
                    lost = True
                await asyncio.sleep(IDLE - 0.01 + 0.02 * number / writers)
            return lost

    return sum(await asyncio.gather(*(write(number) for number in range(writers))))


async def _bare_lost(url: str, writers: int) -> int:
    async def write(number: int) -> bool:
        async with aiohttp.ClientSession() as session:
            lost = False
            for _ in range(4):
                try:
                    async with session.post(f"{url}/x", data=b"[]") as response:
                        await response.read()
                except aiohttp.ClientConnectionError:
                    lost = True
                await asyncio.sleep(IDLE - 0.01 + 0.02 * number / writers)
            return lost

    return sum(await asyncio.gather(*(write(number) for number in range(writers))))


def _stale(settings: Settings) -> Row:
    writers = settings.scaled(200)
    with answering(lambda _line, _now: ACCEPTED, idle=IDLE) as url:
        ours, bare = asyncio.run(_ours_lost(url, writers)), asyncio.run(_bare_lost(url, writers))
    return Row(
        what=f"{writers} writers that pause for as long as connections are kept: with an outcome unknown",
        value=ours,
        unit="writers",
        at_most=0,
        detail=f"bare aiohttp {bare}",
    )


async def _ours_failing(url: str, count: int) -> Sample:
    async with AmiliClient("token", base_url=url) as amili:
        with Stopwatch() as watch:
            for _ in range(count):
                try:
                    await amili.request("GET", "/x")
                except NotFoundError:
                    continue
    return watch.sample(count)


async def _bare_failing(url: str, count: int) -> Sample:
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer token"}) as session:
        with Stopwatch() as watch:
            for _ in range(count):
                try:
                    async with session.get(f"{url}/x") as response:
                        await response.read()
                        response.raise_for_status()
                except aiohttp.ClientResponseError:
                    continue
    return watch.sample(count)


def _failures(settings: Settings) -> Row:
    count = settings.scaled(2_000)
    with answering(lambda _line, _now: MISSING) as url:
        sides = {
            "ours": lambda: asyncio.run(_ours_failing(url, count)),
            "bare": lambda: asyncio.run(_bare_failing(url, count)),
        }
        samples = interleave(sides, settings.rounds)
    ours, bare = (cpu_per_unit(samples[name]) for name in sides)
    against = ratio(ours, bare)
    return Row(
        what="a call that ends as a 404: CPU against bare aiohttp, server's thread included",
        value=against.value,
        noise=against.noise,
        detail=f"{statistics.median(ours) * 1e6:.0f} : {statistics.median(bare) * 1e6:.0f} µs",
    )


def measure(settings: Settings) -> list[Row]:
    """Let calls hang, meet connections that are closed, and fail."""
    return [_deadlines(settings), _stale(settings), _failures(settings)]


if __name__ == "__main__":
    if sys.argv[1:2] == ["deadlines"]:
        print(msgspec.json.encode(asyncio.run(_overruns(sys.argv[2], int(sys.argv[3])))).decode())
        raise SystemExit(0)
    raise SystemExit(main(measure))
