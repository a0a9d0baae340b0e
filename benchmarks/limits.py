"""What a sync makes of what it is given: of a server's rate, of its list where rows are open, of `refresh`.

Waiting is what counts here, so one process runs on virtual time against the server of `tests.simulation`: the figures
are exact, leave out the CPU, and are the same on every machine. Several clients show what workers do to each other's
rate. Real workers of a Dask cluster are measured by the clock, against `benchmarks.server` with a limit: that row needs
a quiet machine.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from datetime import timedelta
from typing import Any

from distributed import LocalCluster

from amili_async._protocol.rate import LearnedPace
from amili_async.sync import SyncReport, sync_on_dask
from amili_async.sync._dask.shards import shards
from amili_async.sync._dask.signals import INTERVAL, taken_over
from amili_async.sync._dask.slots import WorkerSlot
from benchmarks.measuring import Row, Settings
from benchmarks.report import main
from benchmarks.server import TOKEN, Listing, serving
from tests.simulation.job import Job, on_virtual_time
from tests.simulation.server import limited_to
from tests.support.postgresql import throwaway_postgresql

RATE = 20.0
"""Requests a second that the server takes, with a burst of as many."""

ORGANIZATIONS, PAGES, ROWS = 10, 50, 25
"""12,500 rows in 500 pages."""


def _of_the_rate(requests: int, seconds: float) -> float:
    """Return the part used of what the server would have taken in this time, its burst among it."""
    return requests / (RATE * seconds + RATE)


def _within(who: str, workers: int) -> Row:
    """Let so many workers share the organizations, each of which learns the rate by itself.

    As on a cluster, one shard after the other is worked on with what was learnt in the one before it, and those that
    are left hear within half a second that another has done its work.
    """
    rows: list[Row] = []

    async def work(job: Job) -> None:
        names = [f"organization-{number}" for number in range(ORGANIZATIONS)]
        for name in names:
            job.list_of(name, rows=PAGES * ROWS).page_size = ROWS
        job.server.limit = limited_to(RATE, job.clock.monotonic)
        job.server.latency = 0.02
        waiting = deque(shards(names, {}, worker_slots=workers) if workers > 1 else [tuple(names)])
        at_work: dict[str, WorkerSlot] = {}
        reports: list[SyncReport] = []
        begun = ended = job.clock.monotonic()

        async def worker() -> None:
            nonlocal ended
            slot = WorkerSlot("run")
            slot.pace = LearnedPace()
            slot.pace.shared = workers > 1
            at_work[slot.name] = slot
            while waiting:
                reports.append(await job.run(*waiting.popleft(), concurrency=8 // workers, slot=slot))
            ended = job.clock.monotonic()
            await job.clock.sleep(INTERVAL)
            before = {name: each.pace.sustained if each.pace else None for name, each in at_work.items()}
            del at_work[slot.name]
            for client in job.at_work:
                client.caller.transport.limits.share(*taken_over(before, at_work), alone=len(at_work) == 1)

        await asyncio.gather(*(worker() for _ in range(workers)))
        report = SyncReport.merged(reports, ended - begun)
        _check(report, ORGANIZATIONS * PAGES * ROWS)
        rows.append(_rate_row(who, report))

    on_virtual_time(work)
    return rows[0]


def _check(report: SyncReport, rows: int) -> None:
    if not report.ok or report.total.new != rows:
        raise RuntimeError(f"{report.total.new} of {rows} rows, {report.failures[:1]}")


def _rate_row(who: str, report: SyncReport) -> Row:
    pages = report.total.pages
    return Row(
        what=f"12,500 rows under {RATE:g} requests/s, 429 without Retry-After, {who}: of what the limit allows",
        value=_of_the_rate(pages, report.seconds),
        at_least=0.95,
        detail=f"{pages} pages in {report.seconds:.1f} s; {report.requests - pages} requests refused; no failure",
    )


def _on_dask() -> Row:
    """Let two real workers share them, that have done a run before.

    In its first one a worker imports the package and a driver, and makes its first TLS context: one to three seconds of
    start-up of a process, which are not the rate's.
    """
    os.environ["AMILI_TOKEN"] = TOKEN
    cluster: Any = LocalCluster(  # type: ignore[no-untyped-call]  # distributed is typed in parts only
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    )
    short = Listing(organizations=8, pages=2, rows=ROWS, latency=0.02)
    listing = Listing(organizations=ORGANIZATIONS, pages=PAGES, rows=ROWS, latency=0.02, rate=RATE)

    def run(of: Listing) -> SyncReport:
        with throwaway_postgresql() as postgres, serving(of) as server:
            options = {"base_url": server.base_url}
            return asyncio.run(
                sync_on_dask(cluster, server.organization_ids, postgres.url(), client_options=options, concurrency=8)
            )

    try:
        cluster.wait_for_workers(2)
        run(short)
        report = run(listing)
    finally:
        cluster.close()
    _check(report, ORGANIZATIONS * PAGES * ROWS)
    return _rate_row("two Dask workers by the clock", report)


def _open_rows() -> list[Row]:
    """150 of 2,000 batches are open, and every answer takes 50 ms."""
    rows: list[Row] = []

    async def work(job: Job) -> None:
        listed = job.list_of(rows=2000)
        for number, row in enumerate(listed.rows.values()):
            row.final = number % 13 != 0 or number >= 13 * 150
        job.server.latency = 0.05
        await job.run()
        before, begun = len(job.server.requests), job.clock.monotonic()
        report = await job.run()
        seconds, requests = job.clock.monotonic() - begun, len(job.server.requests) - before
        full = job.clock.monotonic()
        await job.run(full=True)
        whole = job.clock.monotonic() - full
        detail = f"{report.total.pages} pages and {report.total.reread} reads by id, {requests} requests"
        what = "150 open of 2,000 batches, 50 ms: "
        rows.append(Row(what=f"{what}a run", value=seconds, unit="s", at_most=1.0, detail=detail))
        rows.append(
            Row(
                what=f"{what}against reading the whole list",
                value=seconds / whole,
                detail=f"{seconds:.2f} : {whole:.2f} s",
            )
        )

    on_virtual_time(work)
    return rows


def _refreshed(settings: Settings) -> Row:
    """Invoices with ``refresh``: 100 new ones an hour after all were read."""
    count = settings.scaled(20_000)
    rows: list[Row] = []

    async def work(job: Job) -> None:
        listed = job.list_of(resource="invoices", rows=count)
        for row in listed.rows.values():
            row.final = False
        job.server.latency = 0.05
        refresh = timedelta(hours=24)
        await job.run(resource="invoices", refresh=refresh, reconcile=None)
        for _ in range(100):
            listed.add(job.server.now, final=False)
        await job.clock.sleep(3600)
        begun = job.clock.monotonic()
        brief = await job.run(resource="invoices", refresh=refresh, reconcile=None)
        seconds, begun = job.clock.monotonic() - begun, job.clock.monotonic()
        whole = await job.run(resource="invoices", reconcile=None)
        all_seconds = job.clock.monotonic() - begun
        if brief.total.new != 100:
            raise RuntimeError(f"{brief.total.new} of 100 new invoices")
        rows.append(
            Row(
                what=f"{count:,} invoices and 100 new ones, refresh of 24 h, 50 ms: requests against reading all",
                value=brief.total.pages / whole.total.pages,
                detail=f"{brief.total.pages} : {whole.total.pages} pages, {seconds:.2f} : {all_seconds:.1f} s",
            )
        )

    on_virtual_time(work)
    return rows[0]


def measure(settings: Settings) -> list[Row]:
    """Measure all of it, once: nothing of it is drawn."""
    rates = [
        _within("one process", 1),
        _within("two simulated workers", 2),
        _within("four simulated workers", 4),
        _on_dask(),
    ]
    return [*rates, *_open_rows(), _refreshed(settings)]


if __name__ == "__main__":
    sys.exit(main(measure))
