"""How many workers one PostgreSQL takes, from parts that two cores can measure; writes ``benchmarks/scaling.md``.

More machines than one are not to be had here, so nothing is timed by the clock. Measured are the seconds of CPU that a
page costs a worker, those that it costs PostgreSQL, and the bytes of its log, with one worker and with two that write
at the same time, each a process of its own with organizations of its own. A worker uses one core at most, and works on
other organizations while PostgreSQL writes; so the database is the limit from as many workers on as these parts say.
What a page costs PostgreSQL with two workers, against one, says whether they get in each other's way.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import create_async_engine

from amili_async._client import AmiliClient
from amili_async.sync import SqlStore, sync
from benchmarks.measuring import ROOT, Figure, figure, ratio
from benchmarks.report import machine, parser, settings_of
from benchmarks.server import TOKEN, Listing, serving
from tests.support.postgresql import throwaway_postgresql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measuring import Settings
    from benchmarks.server import Server
    from tests.support.postgresql import Server as Postgres

PAGE = ROOT / "benchmarks" / "scaling.md"
CONCURRENCY = 8
CORES = (2, 4, 8, 16)
"""Of the machines that the page tells the limit for."""

ROOM = 0.7
"""How much of a database's CPU is to be planned with: checkpoints, vacuum and queries of others take the rest."""

_TICK = os.sysconf("SC_CLK_TCK")


class Job(msgspec.Struct, frozen=True):
    """What one worker syncs."""

    base_url: str
    store: str
    warm_up_ids: list[str]
    """Synced before it counts: decoders, connections and the caches of PostgreSQL's sessions are there."""
    organization_ids: list[str]


class Done(msgspec.Struct, frozen=True):
    """What it took."""

    pages: int
    rows: int
    cpu: float


class Parts(NamedTuple):
    """What a page costs, in seconds of CPU and bytes."""

    worker: float
    database: float
    log: float


async def _work(job: Job) -> Done:
    async with AmiliClient(TOKEN, base_url=job.base_url) as client, SqlStore(job.store) as store:
        await sync(client, job.warm_up_ids, store, concurrency=CONCURRENCY)
        print("ready", flush=True)
        sys.stdin.buffer.readline()  # everybody is
        begun = time.process_time()
        report = await sync(client, job.organization_ids, store, concurrency=CONCURRENCY)
        cpu = time.process_time() - begun
    if not report.ok:
        raise RuntimeError(f"the sync failed: {report.failures[:1]}")
    return Done(report.total.pages, report.total.new, cpu)


def _cpu_of(postgres: Postgres) -> float:
    """Return the seconds of CPU of a server's processes, those that have ended among them (Linux)."""
    folder = Path(str(asyncio.run(_ask(postgres, "SHOW data_directory"))))
    head = int(Path(folder, "postmaster.pid").read_text("ascii").split()[0])
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("ascii", "replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if stat.parent.name == str(head):
            ticks += sum(map(int, fields[11:15]))  # its own, and its ended children's
        elif int(fields[1]) == head:
            ticks += sum(map(int, fields[11:13]))
    return ticks / _TICK


async def _ask(postgres: Postgres, statement: str) -> object:
    engine = create_async_engine(
        postgres.url().replace("postgresql", "postgresql+asyncpg", 1), isolation_level="AUTOCOMMIT"
    )
    async with engine.connect() as connection:
        found = await connection.exec_driver_sql(statement)
        value: object = found.scalar() if found.returns_rows else None
    await engine.dispose()
    return value


def _log_position(postgres: Postgres) -> float:
    return float(str(asyncio.run(_ask(postgres, "SELECT pg_current_wal_insert_lsn() - '0/0'"))))


class Pipe(NamedTuple):
    """A worker's process, and the way to it."""

    process: subprocess.Popen[bytes]
    input: IO[bytes]
    output: IO[bytes]


def _start(job: Job) -> Pipe:
    process = subprocess.Popen(  # our own module
        [sys.executable, "-m", "benchmarks.scaling", "worker"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None  # noqa: S101  # pipes were asked for
    assert process.stdout is not None  # noqa: S101  # the same
    process.stdin.write(msgspec.json.encode(job) + b"\n")
    process.stdin.flush()
    return Pipe(process, process.stdin, process.stdout)


async def _prepare(url: str) -> None:
    """Make the tables, which is no page's cost."""
    async with SqlStore(url) as store:
        await store.count("batches")


def _run(postgres: Postgres, server: Server, workers: int, name: str) -> Parts:
    """Sync all organizations with so many workers into a database of their own."""
    asyncio.run(_ask(postgres, f"CREATE DATABASE {name}"))
    asyncio.run(_prepare(postgres.url(name)))
    shares = [server.organization_ids[number::workers] for number in range(workers)]
    running = [_start(Job(server.base_url, postgres.url(name), ids[:CONCURRENCY], ids[CONCURRENCY:])) for ids in shares]
    for pipe in running:
        pipe.output.readline()
    cpu, log = _cpu_of(postgres), _log_position(postgres)
    for pipe in running:
        pipe.input.write(b"go\n")
        pipe.input.close()
    done = [msgspec.json.decode(pipe.output.read(), type=Done) for pipe in running]
    for pipe in running:
        pipe.process.wait()
    pages = sum(one.pages for one in done)
    parts = Parts(
        worker=sum(one.cpu for one in done) / pages,
        database=(_cpu_of(postgres) - cpu) / pages,
        log=(_log_position(postgres) - log) / pages,
    )
    asyncio.run(_ask(postgres, f"DROP DATABASE {name} WITH (FORCE)"))
    return parts


def _text(samples: dict[int, list[Parts]], server: Server, settings: Settings) -> str:
    """Return the page."""
    one, two = ([_middle(samples[workers], part) for part in range(3)] for workers in (1, 2))
    same = ratio([parts.database for parts in samples[2]], [parts.database for parts in samples[1]])
    worker, database, log = (max(part.value, other.value) for part, other in zip(one, two, strict=True))
    rows = server.listing.rows
    return "\n".join(
        [
            "# How many workers one PostgreSQL takes",
            "",
            f"Written by `python -m benchmarks.scaling` (medians of {settings.rounds} rounds).",
            "How it is measured, and why not by the clock, stands at the top of `benchmarks/scaling.py`.",
            "",
            *machine(),
            f"- Pages: {rows} batches drawn like real ones, {server.page_bytes / 1e3:.0f} kB; all of them new",
            "",
            "| a page costs | one worker | two at the same time |",
            "| --- | --- | --- |",
            f"| a worker, CPU | {_ms(one[0])} | {_ms(two[0])} |",
            f"| PostgreSQL, CPU | {_ms(one[1])} | {_ms(two[1])} |",
            f"| PostgreSQL's log (WAL) | {one[2].value / 1e3:.0f} kB | {two[2].value / 1e3:.0f} kB |",
            "",
            f"Two workers' pages cost PostgreSQL {same.value:.2f} ± {same.noise:.2f} of what one worker's cost.",
            "The figures below take the dearer of the two, and hold as long as further workers do not get in each",
            "other's way more than that.",
            "",
            f"A worker is one process on one core: {1 / worker:,.0f} pages a second at most.",
            f"A core of PostgreSQL takes {1 / database:,.0f} a second, what {worker / database:.1f} workers send.",
            f"With {ROOM:.0%} of its CPU to be planned with:",
            "",
            "| cores of PostgreSQL | workers from which on it is the limit | pages a second there | batches | log |",
            "| --- | --- | --- | --- | --- |",
            *(_limit(cores, worker, database, log, rows) for cores in CORES),
            "",
            "Beyond that, more workers wait: a database with more cores helps, or a store of its own for a part of the",
            "organizations. An API that takes its time to answer keeps workers idle, not the database: a higher",
            "`concurrency` helps there, not more workers. Rows that are known already cost less of both.",
            "",
        ]
    )


def _middle(samples: Sequence[Parts], part: int) -> Figure:
    return figure([parts[part] for parts in samples])


def _ms(seconds: Figure) -> str:
    return f"{seconds.value * 1e3:.2f} ± {seconds.noise * 1e3:.2f} ms"


def _limit(cores: int, worker: float, database: float, log: float, rows: int) -> str:
    rate = ROOM * cores / database
    return f"| {cores} | {rate * worker:.0f} | {rate:,.0f} | {rate * rows:,.0f} | {rate * log / 1e6:.0f} MB/s |"


def main() -> int:
    """Measure with one worker and with two, and write the page; a quick run prints it alone."""
    settings = settings_of(parser(__doc__).parse_args())
    samples: dict[int, list[Parts]] = {1: [], 2: []}
    listing = Listing(organizations=48, pages=settings.scaled(10), entries=2)
    with serving(listing) as server, throwaway_postgresql() as postgres:
        for number in range(settings.rounds):
            for workers, kept in samples.items():
                kept.append(_run(postgres, server, workers, f"run_{number}_{workers}"))
                print(f"{workers} of {number + 1}: {kept[-1]}", flush=True)
        text = _text(samples, server, settings)
    print(text)
    if not settings.quick:
        PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        print(
            msgspec.json.encode(asyncio.run(_work(msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)))).decode()
        )
        raise SystemExit(0)
    raise SystemExit(main())
