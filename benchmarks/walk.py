"""One organization from the first page to the last: pages a second and CPU for 1,000 pages, for every peer."""

from __future__ import annotations

import statistics
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.measuring import Row, Settings, cpu_per_unit, interleave, rates, ratio
from benchmarks.peers.peer import BARE, HTTPX_PYDANTIC, OPENERS, OURS
from benchmarks.report import main
from benchmarks.server import Listing, serving
from benchmarks.worker import workers

if TYPE_CHECKING:
    from collections.abc import Mapping


def size(count: int) -> str:
    """Return a number of bytes as the table shows it."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def compare(
    listing: Listing, rounds: int, openers: Mapping[str, str], *, targets: tuple[float, float] | None = None
) -> list[Row]:
    """Walk one listing with every peer, print them side by side, return the rows of the table."""
    with serving(listing) as server, workers(openers) as running:
        organization = server.organization_ids[:1]
        sides = {name: partial(worker.walk, server, organization) for name, worker in running.items()}
        samples = interleave(sides, rounds)
        page = size(server.page_bytes)
    shape = f"{listing.rows} batches of {listing.entries} entries, {page}"
    print(f"\n{listing.pages} pages of {shape}; medians of {rounds} rounds")
    print(f"{'':30}{'pages/s':>10}{'CPU s / 1,000 pages':>22}{'CPU against bare':>20}")
    for name, rounds_of in samples.items():
        against = ratio(cpu_per_unit(rounds_of), cpu_per_unit(samples[BARE]))
        print(
            f"{name:30}{statistics.median(rates(rounds_of)):>10,.0f}"
            f"{statistics.median(cpu_per_unit(rounds_of)) * 1000:>22.3f}"
            f"{against.value:>14.2f} ± {against.noise:.2f}"
        )
    cpu, speed = targets or (None, None)
    ours, bare = samples[OURS], samples[BARE]
    against_bare = ratio(cpu_per_unit(ours), cpu_per_unit(bare))
    rows = [
        Row(
            what=f"walk, {shape}: CPU per page against the bare loop",
            value=against_bare.value,
            noise=against_bare.noise,
            at_most=cpu,
            detail=" : ".join(f"{statistics.median(cpu_per_unit(side)) * 1e6:.0f}" for side in (ours, bare)) + " us",
        )
    ]
    for name, rounds_of in samples.items():
        if name == OURS:
            continue
        against = ratio(rates(ours), rates(rounds_of))
        rows.append(
            Row(
                what=f"walk, {page}: pages/s against {name}",
                value=against.value,
                noise=against.noise,
                at_least=speed if name == HTTPX_PYDANTIC else None,
                detail=f"{statistics.median(rates(ours)):,.0f} : {statistics.median(rates(rounds_of)):,.0f} pages/s",
            )
        )
    return rows


def measure(settings: Settings) -> list[Row]:
    """Walk the pages of the design with every peer, and the other shapes with those that matter for them."""
    rows = compare(Listing(pages=settings.scaled(200)), settings.rounds, OPENERS, targets=(1.15, 3.5))
    rows += compare(Listing(pages=settings.scaled(200), entries=25), settings.rounds, OPENERS, targets=(1.10, 4.5))
    return rows


def measure_shapes(settings: Settings) -> list[Row]:
    """Walk pages of 100 and 1,000 batches with 0, 10 and 50 entries: this client against the bare loop and pydantic."""
    chosen = {name: OPENERS[name] for name in (OURS, BARE, HTTPX_PYDANTIC)}
    rows: list[Row] = []
    for batches in (100, 1000):
        for entries in (0, 10, 50):
            pages = max(5, settings.scaled(100_000) // (batches * (entries + 5)))
            listing = Listing(pages=pages, rows=batches, entries=entries, distinct=10)
            rows += compare(listing, settings.rounds, chosen)
    return rows


if __name__ == "__main__":
    raise SystemExit(main(measure))
