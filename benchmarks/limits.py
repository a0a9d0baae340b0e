"""What a sync makes of what it is given: of a server's rate, of its list where rows are open, of `refresh`.

Waiting is what counts here, so one process runs on virtual time against the server of `tests.simulation`: the figures
are exact, leave out the CPU, and are the same on every machine. Two clients show what workers do to each other's rate.
Real workers of a Dask cluster are measured by the clock, against `benchmarks.server` with a limit; a busy machine shows
in that, so it has no target.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from typing import Any

from distributed import LocalCluster

from amili_async.sync import SyncReport, sync_on_dask
from amili_async.sync._dask.signals import INTERVAL
from benchmarks.measuring import Row, Settings
from benchmarks.report import main
from benchmarks.server import TOKEN, Listing, Server, serving
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


def _within(who: str, clients: int) -> Row:
    """Let so many clients share the organizations, each of which learns the rate by itself.

    As on a cluster, those that are left hear within a second that another has done its work.
    """
    rows: list[Row] = []

    async def work(job: Job) -> None:
        names = [f"organization-{number}" for number in range(ORGANIZATIONS)]
        for name in names:
            job.list_of(name, rows=PAGES * ROWS).page_size = ROWS
        job.server.limit = limited_to(RATE, job.clock.monotonic)
        job.server.latency = 0.02

        async def part(*some: str) -> SyncReport:
            report = await job.run(*some, concurrency=8 // clients)
            left = len(job.at_work)
            await job.clock.sleep(2 * INTERVAL)
            for client in job.at_work:
                client.caller.transport.limits.share(left + 1, left)
            return report

        reports = await asyncio.gather(*(part(*names[number::clients]) for number in range(clients)))
        report = SyncReport.merged(reports, max(each.seconds for each in reports))
        _check(report, ORGANIZATIONS * PAGES * ROWS)
        rows.append(_rate_row(who, report))

    on_virtual_time(work)
    return rows[0]


def _check(report: SyncReport, rows: int) -> None:
    if not report.ok or report.total.new != rows:
        raise RuntimeError(f"{report.total.new} of {rows} rows, {report.failures[:1]}")


def _rate_row(who: str, report: SyncReport, *, at_least: float | None = 0.95) -> Row:
    pages = report.total.pages
    return Row(
        what=f"12,500 rows under {RATE:g} requests/s, 429 without Retry-After, {who}: of what the limit allows",
        value=_of_the_rate(pages, report.seconds),
        at_least=at_least,
        detail=f"{pages} pages in {report.seconds:.1f} s; {report.requests - pages} requests refused; no failure",
    )


def _on_dask() -> Row:
    os.environ["AMILI_TOKEN"] = TOKEN
    cluster: Any = LocalCluster(  # type: ignore[no-untyped-call]  # distributed is typed in parts only
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    )
    listing = Listing(organizations=ORGANIZATIONS, pages=PAGES, rows=ROWS, latency=0.02, rate=RATE)

    async def run(server: Server, url: str) -> SyncReport:
        return await sync_on_dask(
            cluster, server.organization_ids, url, client_options={"base_url": server.base_url}, concurrency=8
        )

    try:
        cluster.wait_for_workers(2)
        with throwaway_postgresql() as postgres, serving(listing) as server:
            report = asyncio.run(run(server, postgres.url()))
    finally:
        cluster.close()
    _check(report, ORGANIZATIONS * PAGES * ROWS)
    return _rate_row("two Dask workers by the clock", report, at_least=None)


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
        _within("two clients side by side, as on two workers", 2),
        _within("four clients side by side, as on four workers", 4),
        _on_dask(),
    ]
    return [*rates, *_open_rows(), _refreshed(settings)]


if __name__ == "__main__":
    sys.exit(main(measure))
