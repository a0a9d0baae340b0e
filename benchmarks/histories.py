"""As many histories of the sync as there is time for: ``nice -n 19 python -m benchmarks.histories --histories 100000``.

They are those of `tests.simulation`, a thousand from each seed, in one process. It stops at the first that loses a row,
shrunk, with the seed that leads there again; ``--figures benchmarks/reliability.md`` keeps what came out.
"""

from __future__ import annotations

import argparse
import logging
import platform
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hypothesis import Phase, given, seed, settings

from tests.simulation.history import History, play
from tests.simulation.strategies import CHECKS, histories
from tests.support.figures import with_row

if TYPE_CHECKING:
    from collections.abc import Sequence

EACH = 1_000
"""Histories from one seed."""

LONGEST = 30.0
"""Seconds of CPU from which on a history counts as one that never ends; most take a twentieth of one."""


class Played:
    """Histories drawn from one seed, one after the other."""

    def __init__(self, number: int) -> None:
        self.count = 0
        self._number = number

    def play(self, count: int, phases: Sequence[Phase]) -> None:
        """Play so many, up to the first that loses a row; equal ones are not played twice."""

        @seed(self._number)
        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=CHECKS,
        )
        @given(histories)
        def hold(history: History) -> None:
            self.count += 1
            signal.setitimer(signal.ITIMER_PROF, LONGEST)
            play(history)

        signal.signal(signal.SIGPROF, _give_up)
        try:
            hold()
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)


def _give_up(*_: object) -> NoReturn:
    raise TimeoutError("the history does not end")


def main() -> int:
    """Play what was asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.histories", description=__doc__)
    parser.add_argument("--histories", type=int, default=EACH, help=f"how many, at least (rounded up to {EACH:,})")
    parser.add_argument("--seed", type=int, default=1, help="the first seed; each thousand has the next one")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further thousand after so many")
    parser.add_argument("--figures", type=Path, metavar="FILE", help="write what came out into the table of this page")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    begun, total, number = time.monotonic(), 0, options.seed
    while total < options.histories and time.monotonic() - begun < options.seconds:
        played = Played(number)
        played.play(EACH, (Phase.generate, Phase.shrink))
        total += played.count
        each = time.process_time() / total * 1000
        row = f"{total:,}, none red; seeds {options.seed} to {number}, {each:.0f} ms of CPU each"
        print(row, flush=True)
        if options.figures is not None:
            when = f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}"
            page = with_row(options.figures.read_text("utf-8"), "random histories of the sync", row, when)
            options.figures.write_text(page, "utf-8")
        number += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
