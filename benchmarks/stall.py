"""The longest time for which the event loop does not come round while one large page is streamed by item.

A task beats every half millisecond; the worst lateness of a beat is the stall. Beside the time by the clock, which on a
busy machine holds the turns of other processes too, stands the CPU that this process used in it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from amili_async import AmiliClient
from benchmarks.measuring import Row, Settings, figure, heartbeat
from benchmarks.peers.rows import DECODER
from benchmarks.report import main
from benchmarks.server import TOKEN, Listing, Server, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from benchmarks.measuring import Heartbeat


async def _streamed(server: Server) -> Heartbeat:
    async with AmiliClient(TOKEN, base_url=server.base_url, max_response_bytes=2**27) as amili:
        await amili.batches.list(server.warm_up_id).collect()
        async with heartbeat() as watch:
            rows = 0
            async for _ in amili.batches.list(server.organization_ids[0]):
                rows += 1
    assert rows == server.listing.rows  # noqa: S101  # a benchmark that reads nothing is fast
    return watch


async def _whole(server: Server) -> Heartbeat:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{server.base_url}/orgs/{server.warm_up_id}/batches") as response:
            DECODER.decode(await response.read())
        async with heartbeat() as watch:
            url = f"{server.base_url}/orgs/{server.organization_ids[0]}/batches"
            async with session.get(url) as response:
                page = DECODER.decode(await response.read())
    assert len(page.data) == server.listing.rows  # noqa: S101  # a benchmark that reads nothing is fast
    return watch


def measure(settings: Settings) -> list[Row]:
    """Stream pages of 10 and 50 MB, and decode them whole with the bare loop."""
    rows: list[Row] = []
    for megabytes, target in ((10, 10.0), (50, None)):
        with serving(Listing(pages=1, rows=megabytes * 1_600)) as server:
            sides: dict[str, Callable[[Server], Coroutine[None, None, Heartbeat]]] = {
                "streamed": _streamed,
                "whole": _whole,
            }
            wall: dict[str, list[float]] = {name: [] for name in sides}
            cpu: dict[str, list[float]] = {name: [] for name in sides}
            for _ in range(settings.rounds):
                for name, run in sides.items():
                    watch = asyncio.run(run(server))
                    wall[name].append(watch.longest * 1000)
                    cpu[name].append(watch.longest_cpu * 1000)
            stall, whole = figure(wall["streamed"]), figure(wall["whole"])
            rows.append(
                Row(
                    what=f"longest stall of the loop, one page of {server.page_bytes / 1e6:.0f} MB streamed by item",
                    value=stall.value,
                    noise=stall.noise,
                    unit="ms",
                    at_most=target,
                    detail=f"of it CPU {figure(cpu['streamed']).value:.1f} ms; bare loop {whole.value:.1f} ms",
                )
            )
    return rows


if __name__ == "__main__":
    raise SystemExit(main(measure))
