"""A consumer that takes as long as the server: how much time the prefetched page saves, blocking and awaiting.

The consumer does all its work for a page at the first batch of it. That is the hardest case: a request that is not on
the wire by then waits until the work is done.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from functools import partial

from amili_async import AmiliClient
from benchmarks.measuring import Row, Sample, Settings, Stopwatch, interleave, rates, ratio
from benchmarks.report import main
from benchmarks.server import TOKEN, Listing, Server, serving

_TAKES = 0.02
"""Seconds that the server takes for a page, and then the consumer."""


async def _walk(server: Server, *, prefetch: bool, blocking: bool) -> Sample:
    async with AmiliClient(TOKEN, base_url=server.base_url) as amili:
        await amili.batches.list(server.warm_up_id).collect()
        with Stopwatch() as watch:
            row = 0
            async for _ in amili.batches.list(server.organization_ids[0], prefetch=prefetch):
                if row % server.listing.rows == 0:
                    if blocking:
                        time.sleep(_TAKES)  # noqa: ASYNC251  # a consumer that computes
                    else:
                        await asyncio.sleep(_TAKES)
                row += 1
        return watch.sample(server.listing.pages)


def _round(server: Server, *, prefetch: bool, blocking: bool) -> Sample:
    return asyncio.run(_walk(server, prefetch=prefetch, blocking=blocking))


def measure(settings: Settings) -> list[Row]:
    """Walk with and without prefetch, with a consumer that blocks the loop and one that awaits."""
    rows: list[Row] = []
    with serving(Listing(pages=20 if settings.quick else 50, latency=_TAKES)) as server:
        for blocking in (True, False):
            sides = {
                "on": partial(_round, server, prefetch=True, blocking=blocking),
                "off": partial(_round, server, prefetch=False, blocking=blocking),
            }
            samples = interleave(sides, settings.rounds)
            against = ratio(rates(samples["on"]), rates(samples["off"]))
            kind = "blocks" if blocking else "awaits"
            rows.append(
                Row(
                    what=f"consumer that {kind} as long as the server takes (20 ms): pages/s against no prefetch",
                    value=against.value,
                    noise=against.noise,
                    at_least=1.8,
                    detail=" : ".join(f"{statistics.median(rates(samples[side])):.1f}" for side in ("on", "off"))
                    + " pages/s",
                )
            )
    return rows


if __name__ == "__main__":
    raise SystemExit(main(measure))
