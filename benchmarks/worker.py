"""A client in a process of its own, which walks when it is told to and answers with what that took.

One process a peer, kept through all rounds: nobody's garbage collector goes through the modules and models of the
others (in one process that cost httpx + pydantic 40 % of its speed), and each is as warm as it gets. Two kinds of luck
are taken out, for all peers alike. glibc gives the memory of each page back to the kernel or keeps it, by how the heap
happens to lie: 17 page faults, up to 80 us a page, for some processes of any client and not for others; so its
thresholds are set. And the kernel may put client and server on one core or on two; so each has one of its own, as over
a network.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import msgspec

from benchmarks.measuring import ROOT, Sample, Stopwatch, use_core

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from benchmarks.peers.peer import Walk
    from benchmarks.server import Server


KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
"""What makes glibc keep freed memory; other C libraries ignore it."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to walk, and how many organizations at a time."""

    base_url: str
    warm_up_ids: list[str]
    """Walked before the clock starts, so many at a time too: connections, caches and decoders are there."""
    organization_ids: list[str]
    concurrency: int
    pages: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What it took, and how many entries were seen."""

    wall: float
    cpu: float
    entries: int


async def perform(job: Job, opened: Callable[[str], AbstractAsyncContextManager[Walk]]) -> Answer:
    """Open, warm up, walk under the clock."""
    async with opened(job.base_url) as walk:
        await walk(job.warm_up_ids, job.concurrency)
        with Stopwatch() as watch:
            entries = await walk(job.organization_ids, job.concurrency)
    return Answer(wall=watch.wall, cpu=watch.cpu, entries=entries)


class Worker:
    """The parent's end of a worker."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.process = process

    def walk(self, server: Server, organization_ids: Sequence[str], concurrency: int = 1) -> Sample:
        """Walk these organizations; return what it took a page."""
        pages = server.listing.pages * len(organization_ids)
        job = Job(
            base_url=server.base_url,
            warm_up_ids=[server.warm_up_id] * concurrency,
            organization_ids=list(organization_ids),
            concurrency=concurrency,
            pages=pages,
        )
        assert self.process.stdin is not None  # noqa: S101  # pipes were asked for
        assert self.process.stdout is not None  # noqa: S101  # the same
        self.process.stdin.write(msgspec.json.encode(job) + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: the worker ended with status {self.process.wait()}")
        answer = msgspec.json.decode(line, type=Answer)
        expected = sum(server.entries[organization_id] for organization_id in organization_ids)
        if answer.entries != expected:
            raise AssertionError(f"{self.name} saw {answer.entries} entries of {expected}")
        return Sample(answer.wall, answer.cpu, pages)


@contextmanager
def workers(openers: Mapping[str, str]) -> Generator[dict[str, Worker], None, None]:
    """Start one worker a peer, and end them with the block. A peer that is not installed is left out, and said so."""
    with ExitStack() as stack:
        running: dict[str, Worker] = {}
        for name, opener in openers.items():
            check = subprocess.run(  # noqa: S603  # our own module
                [sys.executable, "-c", f"import {opener.partition(':')[0]}"],
                cwd=ROOT,
                check=False,
                capture_output=True,
                text=True,
            )
            if check.returncode:
                if "ModuleNotFoundError" not in check.stderr:
                    raise RuntimeError(check.stderr)
                print(f"{name}: left out ({check.stderr.splitlines()[-1]}); see benchmarks/requirements.txt")
                continue
            process = stack.enter_context(
                subprocess.Popen(  # noqa: S603  # the same
                    [sys.executable, "-m", "benchmarks.worker", opener],
                    cwd=ROOT,
                    env=os.environ | KEEP_MEMORY,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            stack.callback(process.kill)
            running[name] = Worker(name, process)
        yield running


def main() -> None:
    """Answer jobs until there are no more."""
    module, _, function = sys.argv[1].partition(":")
    opened = getattr(importlib.import_module(module), function)
    use_core(0)
    for line in sys.stdin.buffer:
        answer = asyncio.run(perform(msgspec.json.decode(line, type=Job), opened))
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
