"""What it costs a client to unpack its pages: gzip, brotli and zstd against plain JSON, by CPU and by size on the wire.

Over loopback the plain page always wins. The rows say from which bandwidth on that is true of a network: where the
bytes saved take as long as the unpacking. Ids here are random in half of their digits, so that real pages pack to more.
aiohttp accepts gzip as it comes, brotli and zstd with the extra `speedups`.
"""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.measuring import Row, Sample, Settings, cpu_per_unit, figure, interleave
from benchmarks.peers.peer import OPENERS, OURS
from benchmarks.report import main
from benchmarks.server import Listing, Packing, Server, serving
from benchmarks.walk import size
from benchmarks.worker import Worker, workers

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKINGS: tuple[Packing, ...] = ("identity", "gzip", "br", "zstd")


def _rows(servers: Mapping[str, Server], samples: Mapping[str, list[Sample]]) -> list[Row]:
    plain = [cost * 1e6 for cost in cpu_per_unit(samples["identity"])]
    whole = servers["identity"].page_bytes
    rows: list[Row] = []
    for packing, server in servers.items():
        if packing == "identity":
            continue
        costs = [cost * 1e6 for cost in cpu_per_unit(samples[packing])]
        beside = figure([cost - other for cost, other in zip(costs, plain, strict=True)])
        megabits = (whole - server.page_bytes) * 8 / beside.value
        rows.append(
            Row(
                what=f"page of {size(whole)} packed with {packing}: CPU beside the plain page",
                value=beside.value,
                noise=beside.noise,
                unit="us",
                detail=(
                    f"{size(server.page_bytes)} on the wire; {statistics.median(costs):.0f} : "
                    f"{statistics.median(plain):.0f} us a page; pays below {megabits:,.0f} Mbit/s"
                ),
            )
        )
    return rows


def _round(worker: Worker, server: Server) -> Sample:
    return worker.walk(server, server.organization_ids[:1])


def measure(settings: Settings) -> list[Row]:
    """Walk pages of 65 and 440 kB in each packing."""
    rows: list[Row] = []
    with workers({OURS: OPENERS[OURS]}) as running:
        for entries in (2, 25):
            with ExitStack() as stack:
                servers: dict[str, Server] = {
                    packing: stack.enter_context(
                        serving(Listing(pages=settings.scaled(200), entries=entries, distinct=20, packing=packing))
                    )
                    for packing in PACKINGS
                }
                sides = {packing: partial(_round, running[OURS], server) for packing, server in servers.items()}
                rows += _rows(servers, interleave(sides, settings.rounds))
    return rows


if __name__ == "__main__":
    raise SystemExit(main(measure))
