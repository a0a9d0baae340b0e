"""All of it: ``python -m benchmarks`` runs every workload, prints one table and writes ``benchmarks/results.md``.

``--only walk,decode`` runs some of them and writes no file, ``--quick`` sees that everything runs. The exit status is 1
where a row falls short of the design by more than its noise.
"""

from __future__ import annotations

import importlib
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.measuring import ROOT, Row, Settings
from benchmarks.report import lines, machine, parser, settings_of, status

if TYPE_CHECKING:
    from collections.abc import Callable

WORKLOADS = {
    "walk": ("benchmarks.walk", "measure"),
    "shapes": ("benchmarks.walk", "measure_shapes"),
    "many": ("benchmarks.many", "measure"),
    "consumer": ("benchmarks.consumer", "measure"),
    "stall": ("benchmarks.stall", "measure"),
    "memory": ("benchmarks.memory", "measure"),
    "decode": ("benchmarks.decode", "measure"),
    "packing": ("benchmarks.packing", "measure"),
    "sync": ("benchmarks.sync", "measure"),
    "indexes": ("benchmarks.sync", "measure_indexes"),
    "dask": ("benchmarks.dask", "measure"),
    "limits": ("benchmarks.limits", "measure"),
    "startup": ("benchmarks.startup", "measure"),
    "rates": ("benchmarks.rates", "measure"),
    "calls": ("benchmarks.calls", "measure"),
    "layers": ("benchmarks.layers", "measure"),
}
RESULTS = ROOT / "benchmarks" / "results.md"


def _results(rows: list[Row], settings: Settings, seconds: float) -> str:
    kind = "quick run, not to be quoted" if settings.quick else f"medians of {settings.rounds} rounds"
    return "\n".join(
        [
            "# Results",
            "",
            f"Written by `python -m benchmarks` ({kind}, {seconds / 60:.0f} minutes).",
            "Ratios of interleaved rounds, with the half-width of the median's 95 % interval.",
            "How each is measured stands at the top of its module.",
            "",
            *machine(),
            "",
            *lines([row for row in rows if row.target]),
            "",
            "Without a target of their own:",
            "",
            *lines([row for row in rows if not row.target]),
            "",
        ]
    )


def main() -> int:
    """Run what was asked for; return the exit status."""
    options = parser(__doc__)
    options.add_argument("--only", default="", help=f"some of: {','.join(WORKLOADS)}")
    options.add_argument("--write", action="store_true", help="write benchmarks/results.md for a part of them too")
    arguments = options.parse_args()
    chosen = arguments.only.split(",") if arguments.only else list(WORKLOADS)
    unknown = [name for name in chosen if name not in WORKLOADS]
    if unknown:
        options.error(f"--only: {', '.join(unknown)} is not one of {', '.join(WORKLOADS)}")
    settings = settings_of(arguments)
    begun = time.monotonic()
    rows: list[Row] = []
    for name in chosen:
        module, function = WORKLOADS[name]
        measure: Callable[[Settings], list[Row]] = getattr(importlib.import_module(module), function)
        print(f"\n## {name}", flush=True)
        found = measure(settings)
        print("\n".join(lines(found)), flush=True)
        rows += found
        if not settings.quick and (arguments.write or not arguments.only):
            # After each workload: a run that is broken off has measured something too.
            RESULTS.write_text(_results(rows, settings, time.monotonic() - begun), encoding="utf-8")
    print("\n## All\n")
    print("\n".join(lines(rows)))
    return status(rows)


if __name__ == "__main__":
    sys.exit(main())
