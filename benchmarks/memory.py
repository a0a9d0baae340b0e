"""The memory that a walk takes: one page of 50 MB at its peak, and a million batches from the first to the last.

Each is measured in a fresh process, as the peak of its resident memory (VmHWM) above what it held after a few small
pages through another client: all modules are loaded, nothing else is. The same by the bare loop stands beside it.
"""

from __future__ import annotations

import asyncio
import gc
import sys

import aiohttp
import msgspec

from amili_async import AmiliClient
from benchmarks.measuring import Row, Settings, figure, forget_peak, in_subprocess, resident, resident_peak
from benchmarks.peers.rows import DECODER
from benchmarks.report import main
from benchmarks.server import TOKEN, Listing, Server, serving


async def _ours(base_url: str, organization_id: str) -> int:
    rows = 0
    async with AmiliClient(TOKEN, base_url=base_url, max_response_bytes=2**27) as amili:
        async for _ in amili.batches.list(organization_id):
            rows += 1
    return rows


async def _bare(base_url: str, organization_id: str) -> int:
    rows = 0
    params: dict[str, str] = {}
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{base_url}/orgs/{organization_id}/batches", params=params) as response:
                page = DECODER.decode(await response.read())
            rows += len(page.data)
            if not page.summary.next_page_token:
                return rows
            params["PageToken"] = page.summary.next_page_token


async def _measured(side: str, base_url: str, warm_up_id: str, organization_id: str) -> dict[str, float]:
    walk = _ours if side == "ours" else _bare
    await walk(base_url, warm_up_id)
    gc.collect()
    start = resident()
    forget_peak()
    rows = await walk(base_url, organization_id)
    return {"rows": rows, "above": resident_peak() - start}


def _above(side: str, server: Server) -> float:
    """Return the bytes above the start that a fresh process takes to walk the server's first organization."""
    numbers = in_subprocess("benchmarks.memory", side, server.base_url, server.warm_up_id, server.organization_ids[0])
    assert numbers["rows"] == server.listing.pages * server.listing.rows  # noqa: S101  # reading nothing is lean
    return numbers["above"]


def _large_page(settings: Settings) -> Row:
    ours: list[float] = []
    bare: list[float] = []
    listing = Listing(pages=1, rows=80_000)
    with serving(listing) as server:
        for _ in range(3 if settings.quick else settings.rounds):
            for side, found in (("ours", ours), ("bare", bare)):
                found.append(_above(side, server) / server.page_bytes)
        peak = figure(ours)
        return Row(
            what=f"peak memory, one page of {server.page_bytes / 1e6:.0f} MB streamed by item, against its JSON",
            value=peak.value,
            noise=peak.noise,
            at_most=1.2,
            detail=f"bare loop (read and decode all): {figure(bare).value:.2f} x",
        )


def _million(settings: Settings) -> Row:
    ours: list[float] = []
    bare: list[float] = []
    listing = Listing(pages=settings.scaled(1_000), rows=1_000, distinct=4)
    rounds = 1 if settings.quick else 3
    with serving(listing) as server:
        for _ in range(rounds):
            for side, found in (("ours", ours), ("bare", bare)):
                found.append(_above(side, server) / 1e6)
    peak = figure(ours)
    return Row(
        what=f"memory while {listing.pages * listing.rows:,} batches stream, above the start",
        value=peak.value,
        noise=peak.noise,
        unit="MB",
        at_most=20,
        detail=f"bare loop: {figure(bare).value:.1f} MB; pages of {server.page_bytes / 1e3:.0f} kB",
    )


def measure(settings: Settings) -> list[Row]:
    """Stream one large page, and a million batches."""
    return [_large_page(settings), _million(settings)]


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in {"ours", "bare"}:
        print(msgspec.json.encode(asyncio.run(_measured(*sys.argv[1:]))).decode())
        raise SystemExit(0)
    raise SystemExit(main(measure))
