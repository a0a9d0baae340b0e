"""Many organizations at a time: pages a second through `batches.stream` and through what a user would write instead."""

from __future__ import annotations

import statistics
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.measuring import Row, Sample, Settings, cpu_per_unit, interleave, rates, ratio
from benchmarks.peers.peer import BARE, HTTPX2, HTTPX_PYDANTIC, OPENERS, OURS
from benchmarks.report import main
from benchmarks.server import Listing, serving
from benchmarks.worker import workers

if TYPE_CHECKING:
    from collections.abc import Sequence


def _rows(samples: dict[str, list[Sample]], shape: str, names: Sequence[str], *, target: float | None) -> list[Row]:
    ours = samples[OURS]
    cpu = ratio(cpu_per_unit(ours), cpu_per_unit(samples[BARE]))
    both = (statistics.median(cpu_per_unit(samples[name])) * 1e6 for name in (OURS, BARE))
    rows = [
        Row(
            what=f"{shape}: CPU per page against {BARE}",
            value=cpu.value,
            noise=cpu.noise,
            detail=" : ".join(f"{cost:.0f}" for cost in both) + " us",
        )
    ]
    for name in names:
        if name == OURS or name not in samples:
            continue
        theirs = rates(samples[name])
        against = ratio(rates(ours), theirs)
        rows.append(
            Row(
                what=f"{shape}: pages/s against {name}",
                value=against.value,
                noise=against.noise,
                at_least=target if name == BARE else None,
                detail=f"{statistics.median(rates(ours)):,.0f} : {statistics.median(theirs):,.0f} pages/s",
            )
        )
    return rows


def measure(settings: Settings) -> list[Row]:
    """Walk 50 organizations of 10 pages, 1, 8 and 32 at a time, with 0 and 20 ms of latency."""
    names = [OURS, BARE, HTTPX2, HTTPX_PYDANTIC]
    rows: list[Row] = []
    with workers({name: OPENERS[name] for name in names}) as running:
        for latency in (0.0, 0.02):
            listing = Listing(organizations=max(8, settings.scaled(50)), pages=10, latency=latency)
            with serving(listing) as server:
                for concurrency in (1, 8, 32):
                    # One after the other, each page takes its latency whoever asks: a few organizations show that.
                    few = 10 if latency and concurrency == 1 else listing.organizations
                    organizations = server.organization_ids[:few]
                    shape = f"{len(organizations)} organizations, {latency * 1000:.0f} ms, {concurrency} at a time"
                    sides = {
                        name: partial(worker.walk, server, organizations, concurrency)
                        for name, worker in running.items()
                    }
                    samples = interleave(sides, settings.rounds)
                    print(f"\n{shape}, 10 pages each; medians of {settings.rounds} rounds")
                    for name, runs in samples.items():
                        print(f"{name:30}{statistics.median(rates(runs)):>10,.0f} pages/s")
                    rows += _rows(samples, shape, names, target=0.95)
    return rows


if __name__ == "__main__":
    raise SystemExit(main(measure))
