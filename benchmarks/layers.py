"""What each layer costs: a walk with one layer turned off or on, against the bare loop and against the default."""

from __future__ import annotations

import statistics
from functools import partial

from benchmarks.measuring import Row, Settings, cpu_per_unit, figure, interleave
from benchmarks.peers.peer import BARE, OPENERS
from benchmarks.report import main
from benchmarks.server import Listing, serving
from benchmarks.worker import workers

_DEFAULT = "as it comes: items, prefetch, deadline, no hooks"
_VARIANTS = {
    BARE: OPENERS[BARE],
    _DEFAULT: "benchmarks.peers.variants:items",
    "without prefetch": "benchmarks.peers.variants:without_prefetch",
    "pages in place of items": "benchmarks.peers.variants:pages",
    "pages, without prefetch": "benchmarks.peers.variants:pages_without_prefetch",
    "without deadline": "benchmarks.peers.variants:without_deadline",
    "without deadline and timeouts": "benchmarks.peers.variants:without_timers",
    "without gate and slots": "benchmarks.peers.variants:without_gate",
    "one hook for calls": "benchmarks.peers.variants:call_hook",
    "one hook for everything": "benchmarks.peers.variants:every_hook",
    "log at DEBUG": "benchmarks.peers.variants:debug_log",
    "OpenTelemetry hook": "benchmarks.peers.variants:traced",
}


def measure(settings: Settings) -> list[Row]:
    """Walk pages of 65 kB with each variant; the rows are microseconds of CPU a page beside the default."""
    with serving(Listing(pages=settings.scaled(300))) as server, workers(_VARIANTS) as running:
        sides = {name: partial(worker.walk, server, server.organization_ids[:1]) for name, worker in running.items()}
        samples = interleave(sides, settings.rounds)
    cpu = {name: [cost * 1e6 for cost in cpu_per_unit(runs)] for name, runs in samples.items()}
    rows: list[Row] = []
    for name, costs in cpu.items():
        beside = figure([cost - default for cost, default in zip(costs, cpu[_DEFAULT], strict=True)])
        rows.append(
            Row(
                what=f"layers: {name}, CPU per page beside the default" if name != _DEFAULT else f"layers: {name}",
                value=beside.value if name != _DEFAULT else statistics.median(costs),
                noise=beside.noise,
                unit="us",
                detail=f"{statistics.median(costs):.0f} us a page",
            )
        )
    return rows


if __name__ == "__main__":
    raise SystemExit(main(measure))
