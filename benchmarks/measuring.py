"""How everything here is measured: in interleaved rounds, as medians of paired ratios, with the noise beside them.

A figure of one run says little on a machine that others use too, a ratio of two runs a second apart says a lot. So each
round runs every side once, in a shuffled order; the ratio is taken within the round; the median over the rounds is the
result, and its noise is the half-width of the 95 % interval of that median, estimated from the spread of the rounds.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent

MIN_ROUNDS = 7
"""No median of fewer rounds is reported as a result."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line decides for every workload."""

    rounds: int = 9
    quick: bool = False
    """Small workloads and few rounds: to see that everything runs, not to quote."""

    def scaled(self, count: int) -> int:
        """Return the size of a workload: all of it, or a tenth in a quick run."""
        return max(1, count // 10) if self.quick else count


class Sample(NamedTuple):
    """One run of one side."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds of this process, all threads."""
    units: int
    """Pages, rows or calls, whatever the workload counts."""

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.units / self.wall

    @property
    def cpu_per_unit(self) -> float:
        """Seconds of CPU a unit."""
        return self.cpu / self.units


class Figure(NamedTuple):
    """A median and the half-width of its 95 % interval."""

    value: float
    noise: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: what was measured, and the number of the design that it has to hold, if there is one."""

    what: str
    value: float
    noise: float = 0.0
    unit: str = "x"
    at_most: float | None = None
    at_least: float | None = None
    detail: str = ""
    """The absolute figures behind it."""

    @property
    def short(self) -> bool:
        """Whether the row misses its target by more than its noise."""
        if self.at_most is not None and self.value - self.noise > self.at_most:
            return True
        return self.at_least is not None and self.value + self.noise < self.at_least

    @property
    def missed(self) -> bool:
        """Whether the median itself misses the target, noise or not."""
        if self.at_most is not None and self.value > self.at_most:
            return True
        return self.at_least is not None and self.value < self.at_least

    @property
    def target(self) -> str:
        """The target as the table shows it."""
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        return f"at least {self.at_least:g}" if self.at_least is not None else ""

    @property
    def verdict(self) -> str:
        """What the table says of this row."""
        if self.at_most is None and self.at_least is None:
            return ""
        return "SHORT" if self.short else ("within noise" if self.missed else "holds")


def figure(values: Sequence[float]) -> Figure:
    """Return the median of some rounds and its noise."""
    middle = statistics.median(values)
    if len(values) < 2:
        return Figure(middle, 0.0)
    spread = 1.4826 * statistics.median(abs(value - middle) for value in values)
    # A median's standard error is 1.2533 times a mean's; 1.96 of them on each side hold 95 %.
    return Figure(middle, 1.96 * 1.2533 * spread / math.sqrt(len(values)))


def ratio(above: Sequence[float], below: Sequence[float]) -> Figure:
    """Return the median ratio of two sides that ran in the same rounds."""
    return figure([one / other for one, other in zip(above, below, strict=True)])


def rates(samples: Sequence[Sample]) -> list[float]:
    """Return the units a second of each round."""
    return [sample.rate for sample in samples]


def cpu_per_unit(samples: Sequence[Sample]) -> list[float]:
    """Return the seconds of CPU a unit of each round."""
    return [sample.cpu_per_unit for sample in samples]


class Stopwatch:
    """Wall and CPU time of the block that it surrounds."""

    def __init__(self) -> None:
        self.wall = 0.0
        self.cpu = 0.0

    def __enter__(self) -> Self:
        # Garbage that another side left behind is that side's cost.
        gc.collect()
        self._cpu = time.process_time()
        self._wall = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.perf_counter() - self._wall
        self.cpu = time.process_time() - self._cpu

    def sample(self, units: int) -> Sample:
        """Return what the block took for so many units."""
        return Sample(self.wall, self.cpu, units)


def interleave(sides: Mapping[str, Callable[[], Sample]], rounds: int, *, seed: int = 1) -> dict[str, list[Sample]]:
    """Run every side once a round, in an order that is shuffled each time; return the samples of each side."""
    order = list(sides)
    shuffle = random.Random(seed)
    samples: dict[str, list[Sample]] = {name: [] for name in sides}
    for _ in range(rounds):
        shuffle.shuffle(order)
        for name in order:
            samples[name].append(sides[name]())
    return samples


class Heartbeat:
    """How long the event loop did not come round, while the block ran."""

    def __init__(self, every: float = 0.0005) -> None:
        self.every = every
        self.longest = 0.0
        """Seconds by which the worst beat came late."""
        self.longest_cpu = 0.0
        """The most CPU that this thread used between two beats: what remains on a busy machine."""

    async def beat(self) -> None:
        """Watch until cancelled."""
        last, last_cpu = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(self.every)
            now, now_cpu = time.perf_counter(), time.thread_time()
            self.longest = max(self.longest, now - last - self.every)
            self.longest_cpu = max(self.longest_cpu, now_cpu - last_cpu)
            last, last_cpu = now, now_cpu


@asynccontextmanager
async def heartbeat() -> AsyncGenerator[Heartbeat, None]:
    """Measure the longest stall of the running loop while the block runs."""
    watch = Heartbeat()
    task = asyncio.create_task(watch.beat())
    await asyncio.sleep(0.01)
    watch.longest = watch.longest_cpu = 0.0
    try:
        yield watch
        # The stall may be the very last thing that happened: let the beat that it delayed come.
        await asyncio.sleep(2 * watch.every)
    finally:
        task.cancel()


def use_core(number: int) -> None:
    """Keep this process to one of the cores that it may use, counted from 0; does nothing where there are too few."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(0, {cores[number % len(cores)]})


def resident_peak() -> int:
    """Return the most memory that this process has held since `forget_peak`, in bytes (VmHWM; Linux)."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Let the peak begin anew at what the process holds."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def resident() -> int:
    """Return the memory that this process holds, in bytes (VmRSS; Linux)."""
    return _status("VmRSS")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        key, _, rest = line.partition(":")
        if key == name:
            return int(rest.split()[0]) * 1024
    raise RuntimeError(f"/proc/self/status has no {name}")


def in_subprocess(module: str, *arguments: str) -> dict[str, float]:
    """Run a module (or a script, after ``-c``) in a process of its own and return the JSON numbers of its last line.

    Peaks of memory and costs of importing can be measured in a fresh process only.
    """
    command = [sys.executable, *([] if module == "-c" else ["-m"]), module, *arguments]
    # With bytecode, as an installed package has it, wherever the environment says that none is to be written.
    cached = {
        "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir(), "amili-benchmarks")),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    output = subprocess.run(  # noqa: S603  # our own module
        command, cwd=ROOT, env=os.environ | cached, check=True, stdout=subprocess.PIPE
    ).stdout
    return msgspec.json.decode(output.splitlines()[-1], type=dict[str, float])
