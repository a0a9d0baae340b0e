"""A sync on a Dask cluster of one and of two worker processes against one process: pages a second, start-up apart.

All sides write into a database of their own on one throwaway PostgreSQL, with the same concurrency over all; the
workers are up before a round begins, and what it takes to start them is a row of its own. Server, database and workers
share this machine's cores, so the figures are those of a machine that is full, not of one more machine.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from distributed import LocalCluster
from sqlalchemy.ext.asyncio import create_async_engine

from amili_async._client import AmiliClient
from amili_async.sync import SqlStore, sync, sync_on_dask
from benchmarks.measuring import Row, Sample, Settings, Stopwatch, figure, interleave, rates, ratio
from benchmarks.report import main
from benchmarks.server import TOKEN, Listing, Server, serving
from tests.support.postgresql import Server as Postgres
from tests.support.postgresql import throwaway_postgresql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from amili_async.sync import SyncReport

CONCURRENCY = 16


async def _one_process(server: Server, url: str) -> SyncReport:
    async with AmiliClient(TOKEN, base_url=server.base_url, concurrency=CONCURRENCY) as client, SqlStore(url) as store:
        return await sync(client, server.organization_ids, store, concurrency=CONCURRENCY)


async def _cluster(cluster: Any, server: Server, url: str) -> SyncReport:
    options = {"base_url": server.base_url}
    return await sync_on_dask(cluster, server.organization_ids, url, client_options=options, concurrency=CONCURRENCY)


class Databases:
    """Empty databases of one server, one for each run."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._count = 0

    def run(self, side: Callable[[Server, str], Any], server: Server) -> Sample:
        """Run a side into a new database; a unit is a page."""
        self._count += 1
        name = f"run_{self._count}"
        asyncio.run(self._administer(f"CREATE DATABASE {name}"))
        with Stopwatch() as watch:
            report: SyncReport = asyncio.run(side(server, self._postgres.url(name)))
        asyncio.run(self._administer(f"DROP DATABASE {name} WITH (FORCE)"))
        if not report.ok:
            raise RuntimeError(f"the sync failed: {report.failures[:1]}")
        return watch.sample(report.total.pages)

    async def _administer(self, statement: str) -> None:
        url = self._postgres.url().replace("postgresql", "postgresql+asyncpg", 1)
        engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.exec_driver_sql(statement)
        await engine.dispose()


def _started(workers: int) -> tuple[Any, float]:
    """Start a cluster; return it and the seconds until all its workers were there."""
    begun = time.monotonic()
    made: Any = LocalCluster(  # type: ignore[no-untyped-call]  # distributed is typed in parts only
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    )
    made.wait_for_workers(workers)
    return made, time.monotonic() - begun


def _compare(databases: Databases, sides: Mapping[str, Any], latency: float, settings: Settings) -> Iterator[Row]:
    listing = Listing(organizations=40, pages=settings.scaled(30), entries=2, latency=latency)
    with serving(listing) as server:
        samples = interleave(
            {name: partial(databases.run, side, server) for name, side in sides.items()}, settings.rounds
        )
    one, *others = sides
    for name in others:
        against = ratio(rates(samples[name]), rates(samples[one]))
        yield Row(
            what=f"sync of 40 organizations, {latency * 1000:.0f} ms: pages/s of {name} against {one}",
            value=against.value,
            noise=against.noise,
            detail=f"{_middle(samples[name]):,.0f} : {_middle(samples[one]):,.0f} pages/s",
        )


def _middle(samples: list[Sample]) -> float:
    return statistics.median(rates(samples))


def measure(settings: Settings) -> list[Row]:
    """Compare one process with one and two workers, at 0 and 20 ms; then tell what it takes to start them."""
    os.environ["AMILI_TOKEN"] = TOKEN
    rows: list[Row] = []
    startups: list[float] = []
    clusters: list[Any] = []
    try:
        for workers in (1, 2):
            cluster, seconds = _started(workers)
            clusters.append(cluster)
            startups.append(seconds)
        sides = {
            "one process": _one_process,
            "Dask, 1 worker": partial(_cluster, clusters[0]),
            "Dask, 2 workers": partial(_cluster, clusters[1]),
        }
        with throwaway_postgresql() as postgres:
            databases = Databases(postgres)
            for latency in (0.0, 0.02):
                rows += _compare(databases, sides, latency, settings)
    finally:
        for cluster in clusters:
            cluster.close()
    return [*rows, Row(what="start of a Dask cluster of 2 workers", value=figure(startups[1:]).value, unit="s")]


if __name__ == "__main__":
    raise SystemExit(main(measure))
