"""One organization from the first page to the last: pages a second and CPU for 1,000 pages, for every peer."""

from __future__ import annotations

import statistics
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from benchmarks.measuring import Row, Settings, cpu_per_unit, interleave, rates, ratio
from benchmarks.peers.peer import BARE, HTTPX_PYDANTIC, OPENAPI, OPENERS, OURS
from benchmarks.report import main
from benchmarks.server import Listing, serving
from benchmarks.worker import workers

if TYPE_CHECKING:
    from collections.abc import Mapping


def size(count: int) -> str:
    """Return a number of bytes as the table shows it."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def compare(
    listing: Listing,
    rounds: int,
    openers: Mapping[str, str],
    *,
    targets: tuple[float | None, float | None] = (None, None),
) -> list[Row]:
    """Walk one listing with every peer, print them side by side, return the rows of the table."""
    with serving(listing) as server, workers(openers) as running:
        organization = server.organization_ids[:1]
        sides = {name: partial(worker.walk, server, organization) for name, worker in running.items()}
        samples = interleave(sides, rounds)
        page = size(server.page_bytes)
    drawn = "flattering" if listing.flattering else "real"
    shape = f"{listing.rows} {drawn} batches of {listing.entries} entries, {page}"
    print(f"\n{listing.pages} pages of {shape}; medians of {rounds} rounds")
    print(f"{'':30}{'pages/s':>10}{'CPU s / 1,000 pages':>22}{'CPU against bare':>20}")
    for name, rounds_of in samples.items():
        against = ratio(cpu_per_unit(rounds_of), cpu_per_unit(samples[BARE]))
        print(
            f"{name:30}{statistics.median(rates(rounds_of)):>10,.0f}"
            f"{statistics.median(cpu_per_unit(rounds_of)) * 1000:>22.3f}"
            f"{against.value:>14.2f} ± {against.noise:.2f}"
        )
    cpu, speed = targets
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


SIZES = ((25, 1, 1.0), (100, 1, 1.0), (100, 10, 1.0), (1_000, 1, 1.0), (1_000, 10, 1.1), (5_000, 10, 1.1))
"""Batches a page, entries a batch, and what the CPU of a page may be of the bare loop's."""


def measure(settings: Settings) -> list[Row]:
    """Walk pages drawn like real ones from 12 kB to 7 MB, then flattering ones, then ones with unknown members."""
    rows: list[Row] = []
    for entries, pydantic in ((2, 3.5), (25, 4.5)):
        real = Listing(pages=settings.scaled(200), entries=entries)
        # What is generated from a schema ends at the first failed entry that is null or text.
        readers = {name: opener for name, opener in OPENERS.items() if name != OPENAPI}
        rows += compare(real, settings.rounds, readers, targets=(1.0, pydantic))
        flattering = msgspec.structs.replace(real, flattering=True)
        rows += compare(flattering, settings.rounds, OPENERS, targets=(None, pydantic))
    for batches, entries, most in SIZES:
        rows += alone(_of_size(settings, batches, entries), settings, most)
    return rows + unknown_members(settings)


def _of_size(settings: Settings, batches: int, entries: int) -> Listing:
    pages = max(5, settings.scaled(100_000) // (batches * (entries + 3)))
    return Listing(pages=pages, rows=batches, entries=entries, distinct=10)


def alone(listing: Listing, settings: Settings, most: float | None) -> list[Row]:
    """Walk one listing with this client and the bare loop alone."""
    chosen = {name: OPENERS[name] for name in (OURS, BARE)}
    return compare(listing, settings.rounds, chosen, targets=(most, None))


def unknown_members(settings: Settings) -> list[Row]:
    """Walk pages with two members on each row that no model names, against the same pages without them."""
    plain = _of_size(settings, 100, 2)
    strange = msgspec.structs.replace(plain, unknown_members=2)
    with serving(plain) as known, serving(strange) as unknown, workers({OURS: OPENERS[OURS]}) as running:
        sides = {
            name: partial(running[OURS].walk, server, server.organization_ids[:1])
            for name, server in (("known", known), ("unknown", unknown))
        }
        samples = interleave(sides, settings.rounds)
        page = size(unknown.page_bytes)
    against = ratio(cpu_per_unit(samples["unknown"]), cpu_per_unit(samples["known"]))
    return [
        Row(
            what=f"walk, {page}: two unknown members on each row, CPU per page against the page without",
            value=against.value,
            noise=against.noise,
            at_most=1.3,
            detail=" : ".join(
                f"{statistics.median(cpu_per_unit(samples[name])) * 1e6:.0f}" for name in ("unknown", "known")
            )
            + " us",
        )
    ]


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
