"""A sync on a cluster ends complete whatever dies, and stays one polite client."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import sqlalchemy as sa
from dask import config as dask_config
from distributed import LocalCluster
from yarl import URL

from amili_async import ClusterError, ConfigurationError, StoreError, TokenError, UnauthorizedError
from amili_async._call.limits import Limits
from amili_async._clock import SystemClock
from amili_async._protocol.rate import LearnedPace
from amili_async.events import GateClosed
from amili_async.sandbox import Fault, Sandbox
from amili_async.sync import SqlStore, sync_on_dask
from amili_async.sync._dask import cluster as cluster_module
from amili_async.sync._dask import scheduler as dask
from amili_async.sync._dask.cluster import connected
from amili_async.sync._dask.signals import Signals
from amili_async.sync._dask.worker import Shard
from amili_async.sync._sql.schema import gates as gates_table
from tests.outside.fronts import running_nginx
from tests.support.postgresql import nobody_else_at
from tests.support.processes import child
from tests.support.rows import held

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

    from amili_async.sync import Progress, SyncReport
    from tests.support.figures import Figures


distributed: Any = import_module("distributed")  # typed in parts only


def set_worker_environment(patch: pytest.MonkeyPatch) -> None:
    """Put what workers inherit into the environment: the credentials of every sandbox with seed 1."""
    credentials = Sandbox(seed=1).credentials
    patch.setenv("AMILI_CLIENT_ID", credentials.client_id)
    patch.setenv("AMILI_CLIENT_SECRET", credentials.client_secret)
    patch.setenv("POISON", "poisoned")


@pytest.fixture(autouse=True)
def worker_environment(bare_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a worker that is started again in the middle of a test inherit the same."""
    assert bare_environment is None
    set_worker_environment(monkeypatch)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two worker processes."""
    with pytest.MonkeyPatch.context() as patch:
        set_worker_environment(patch)
        # Two kills within this time, and the cluster gives a worker up for good that is being started again.
        settings: Any = dask_config  # untyped
        patch.setitem(settings.config["distributed"]["deploy"], "lost-worker-timeout", "10 minutes")
        started: Any = LocalCluster  # typed in parts only
        with started(n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as made:
            yield made


def options(sandbox: Sandbox, **more: object) -> dict[str, object]:
    return {"base_url": sandbox.base_url, "token_url": sandbox.token_url, **more}


async def stored(postgresql_url: str) -> list[tuple[str, str]]:
    """Return organization and id of every batch in the store."""
    connection = await asyncpg.connect(postgresql_url)
    try:
        rows = await connection.fetch("select organization_id, id from batches order by 1, 2")
    finally:
        await connection.close()
    return [(row[0], row[1]) for row in rows]


def served(sandbox: Sandbox) -> list[tuple[str, str]]:
    return sorted((name, batch) for name in sandbox.organization_ids for batch in sandbox.batch_ids(name))


async def one_by_one(ids: list[str]) -> AsyncIterator[str]:
    for name in ids:
        yield name


class Moment:
    """Progress that a test waits for."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self.reached = asyncio.Event()

    def __call__(self, progress: Progress) -> None:
        if progress.rows >= self._rows:
            self.reached.set()


def workers() -> list[int]:
    """Return the process numbers of this process's Dask workers: the children of its children's nannies."""
    mine = str(os.getpid())
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = path.read_text().rpartition(")")[2].split()[1]
            command = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == mine and b"spawn_main" in command:
            found.append(int(path.parent.name))
    return found


@pytest.mark.dask
@pytest.mark.postgres
async def test_a_cluster_syncs_what_one_process_would_and_a_second_run_adds_nothing(
    cluster: Any, postgresql_url: str
) -> None:
    with Sandbox(organizations=24, batches=120, seed=1) as sandbox:
        told: list[Progress] = []
        first = await sync_on_dask(
            cluster,
            sandbox.organization_ids,
            postgresql_url,
            client_options=options(sandbox),
            concurrency=3,
            on_progress=told.append,
        )
        assert await stored(postgresql_url) == served(sandbox)
        assert first.ok
        async with SqlStore(postgresql_url) as store:
            assert await held(store, "runs", "id") == [(first.run,)]
        assert (first.organizations, first.total.new) == (24, 24 * 120)
        assert sandbox.requests.overlapping("batches.list") <= 3
        assert (told[-1].organizations_done, told[-1].organizations_total, told[-1].rows) == (24, 24, 24 * 120)
        second = await sync_on_dask(
            cluster.scheduler_address,
            one_by_one(sandbox.organization_ids),
            postgresql_url,
            client_options=options(sandbox),
            shards=3,
        )
        assert (second.organizations, second.total.new, second.total.changed) == (24, 0, 0)
        assert await stored(postgresql_url) == served(sandbox)


@pytest.mark.dask
@pytest.mark.postgres
@pytest.mark.kill
async def test_a_killed_worker_s_shard_is_taken_up_by_another_from_where_it_stood(
    cluster: Any, postgresql_url: str
) -> None:
    with Sandbox(organizations=12, batches=1500, seed=1, latency=0.1) as sandbox:
        # Whoever comes there waits until the other worker is in the middle of its lists too.
        sandbox.faults.add(Fault("batches.list", latency=8, page=6))

        def in_the_middle() -> int:
            """Return how many of the lists of 15 pages are neither at their first nor at their last ones."""
            pages = Counter(request.path for request in sandbox.requests.of("batches.list"))
            return sum(3 <= count <= 8 for count in pages.values())

        running = asyncio.create_task(
            sync_on_dask(
                cluster,
                sandbox.organization_ids,
                postgresql_url,
                client_options=options(sandbox),
                shards=4,
                concurrency=4,
            )
        )
        while in_the_middle() < 3:  # of four, two of each worker: however slow one of them was to begin
            assert not running.done()
            await asyncio.sleep(0.01)
        victim, *_ = workers()
        os.kill(victim, signal.SIGKILL)
        sandbox.faults.clear()
        rows = Counter(name for name, _ in await stored(postgresql_url))
        begun = [name for name, count in rows.items() if count < 1500]
        asked = len(sandbox.requests)
        report = await running
        assert report.ok
        assert await stored(postgresql_url) == served(sandbox)
        after = [request for request in [*sandbox.requests][asked:] if request.operation == "batches.list"]
        # The other worker may have come to the end of its own meanwhile.
        firsts = [next((request for request in after if name in request.path), None) for name in begun]
        taken_up = [first for first in firsts if first is not None]
        for first in taken_up:
            assert "PageToken" in first.query, "a list that somebody had begun was begun again"
        assert taken_up


@pytest.mark.dask
@pytest.mark.postgres
@pytest.mark.kill
@pytest.mark.parametrize(("deed", "error"), [("work", "KilledWorker"), ("broken", "ZeroDivisionError")])
async def test_a_shard_that_fails_again_and_again_is_reported_and_the_rest_goes_on(
    cluster: Any, postgresql_url: str, monkeypatch: pytest.MonkeyPatch, deed: str, error: str
) -> None:
    from tests.support import poisoned_shard  # noqa: PLC0415  # the workers import it by this name too

    monkeypatch.setattr(dask, "work", getattr(poisoned_shard, deed))
    with Sandbox(organizations=3, batches=20, seed=1) as sandbox:
        report = await sync_on_dask(
            cluster,
            [*sandbox.organization_ids, "poisoned"],
            postgresql_url,
            client_options=options(sandbox),
            shards=4,
            concurrency=2,
        )
        assert [(failure.organization_id, failure.error) for failure in report.failures] == [("poisoned", error)]
        assert "of no interest" not in report.failures[0].message
        assert report.organizations == 3
        assert await stored(postgresql_url) == served(sandbox)


@pytest.mark.dask
@pytest.mark.postgres
async def test_two_runs_at_once_do_no_harm(cluster: Any, postgresql_url: str) -> None:
    with Sandbox(organizations=8, batches=300, seed=1, latency=0.01) as sandbox:

        def run() -> Coroutine[Any, Any, SyncReport]:
            return sync_on_dask(
                cluster,
                sandbox.organization_ids,
                postgresql_url,
                client_options=options(sandbox),
                shards=2,
                concurrency=4,
            )

        reports = await asyncio.gather(run(), run())
        assert all(report.ok for report in reports)
        assert sum(report.total.new for report in reports) == 8 * 300
        assert await stored(postgresql_url) == served(sandbox)


@pytest.mark.dask
@pytest.mark.postgres
async def test_interrupted_it_leaves_whole_pages_and_the_next_run_goes_on(
    cluster: Any, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "PATIENCE_TO_STOP", 600.0)  # a slow machine is at its last pages for longer than usual
    with Sandbox(organizations=6, batches=2000, seed=1) as sandbox:
        sandbox.faults.add(Fault("batches.list", latency=0.1))  # so that much is left when it is told
        moment = Moment(rows=500)
        running = asyncio.create_task(
            sync_on_dask(
                cluster,
                sandbox.organization_ids,
                postgresql_url,
                client_options=options(sandbox),
                shards=2,
                concurrency=2,
                on_progress=moment,
            )
        )
        await moment.reached.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        half = await stored(postgresql_url)
        assert 0 < len(half) < 6 * 2000
        assert len(half) % 100 == 0
        done = sum(count == 2000 for count in Counter(name for name, _ in half).values())
        asked = sandbox.requests.count("batches.list")
        sandbox.faults.clear()
        report = await sync_on_dask(
            cluster, sandbox.organization_ids, postgresql_url, client_options=options(sandbox), concurrency=8
        )
        assert report.ok
        assert report.total.new == 6 * 2000 - len(half)
        assert await stored(postgresql_url) == served(sandbox)
        # A list that is read to its end is looked through again where rows may have come in late: 500 rows of it.
        assert sandbox.requests.count("batches.list") - asked <= (6 * 2000 - len(half)) / 100 + 2 * 6 + 6 * done


@pytest.mark.dask
@pytest.mark.postgres
async def test_a_429_that_one_worker_meets_holds_the_others_back(cluster: Any, postgresql_url: str) -> None:
    # Work that outlasts the pause by far: 400 pages, 80 a second at most.
    with Sandbox(organizations=8, batches=1000, page_size=20, entries=0, seed=1, latency=0.05) as sandbox:
        sandbox.faults.add(Fault("batches.list", status=429, retry_after=12, count=1, skip=60))
        # Without a learnt rate, which would make up for a worker that does not hear of the pause.
        report = await sync_on_dask(
            cluster,
            sandbox.organization_ids,
            postgresql_url,
            client_options=options(sandbox, rate=None),
            shards=2,
            concurrency=4,
        )
        assert report.ok
        (refused,) = [request for request in sandbox.requests if request.status == 429]
        assert refused.ended is not None
        told, opens = refused.ended + 8.0, refused.ended + 12.0  # they look at the store twice a second
        lists = sandbox.requests.of("batches.list")
        assert [request for request in lists if told < request.started < opens] == []

        def asked(*, before: bool) -> set[int]:
            """Return whose lists were asked for: each shard has half of the organizations."""
            return {
                sandbox.organization_ids.index(name)
                for request in lists
                for name in sandbox.organization_ids
                if name in request.path and (request.started < refused.started) == before
            }

        # Both were at it before, and had more to do after.
        assert len(asked(before=True)) > 1
        assert len(asked(before=False)) > 4
        assert sum(request.started >= opens for request in lists) > 100
        assert report.waited >= 12


@pytest.mark.dask
@pytest.mark.postgres
async def test_a_worker_goes_on_with_the_rate_that_it_has_learnt_in_the_shard_before(
    cluster: Any, postgresql_url: str
) -> None:
    def patient() -> None:
        """Let a worker keep what it has learnt however long it waits for its turn."""
        from amili_async.sync._dask import slots  # noqa: PLC0415  # as below

        slots.KEPT = 3600.0

    def rates() -> dict[str, float | None]:
        """Return, on a worker, what was learnt in the slots that are free."""
        from amili_async.sync._dask.slots import SLOTS  # noqa: PLC0415  # the worker's, not this process's

        return {slot.name: None if slot.pace is None else slot.pace.rate for slot in SLOTS.free}

    async with distributed.Client(cluster.scheduler_address, asynchronous=True, set_as_default=False) as client:

        async def kept() -> dict[str, float | None]:
            return {name: rate for each in (await client.run(rates)).values() for name, rate in each.items()}

        with Sandbox(organizations=6, batches=200, page_size=20, entries=0, seed=1) as sandbox:
            sandbox.faults.add(Fault("batches.list", status=429, count=1, skip=5))
            await client.run(patient)
            before = await kept()
            report = await sync_on_dask(
                cluster, sandbox.organization_ids, postgresql_url, client_options=options(sandbox), shards=6
            )
            assert report.ok
            assert len([request for request in sandbox.requests if request.status == 429]) == 1
        new = {name: rate for name, rate in (await kept()).items() if name not in before}
        # Six shards on two workers: some were worked on where another one was before.
        assert len(new) <= 2
        assert len([rate for rate in new.values() if rate is not None]) == 1


@pytest.mark.dask
@pytest.mark.postgres
@pytest.mark.outside
async def test_workers_that_know_nothing_of_each_others_rate_share_one_limit(
    cluster: Any, postgresql_url: str, figures: Figures
) -> None:
    """Two workers before one real limit of 20/s: few requests are refused, and how much of it is used is written down.

    How much that is, is for a quiet machine to say: where workers get no turn to ask, they ask too seldom, or too many
    at once. How few are refused to the hundredth is held by `tests.protocol.test_rate`, where time is simulated: there,
    with timers that are late by up to 50 ms, it was at most 0.1 in 900 runs of this kind.
    """
    warm_up = 10.0
    with Sandbox(organizations=8, batches=1500, page_size=20, entries=0, seed=1) as sandbox:
        root = URL(sandbox.base_url)
        limit = "limit_req_zone $server_port zone=all:1m rate=20r/s; limit_req_status 429;"
        with running_nginx(
            f"{root.host}:{root.port}", http=limit, server="limit_req zone=all burst=5 nodelay;"
        ) as front:
            report = await sync_on_dask(
                cluster,
                sandbox.organization_ids,
                postgresql_url,
                client_options={**options(sandbox), "base_url": f"{front.url}{root.path}"},
                shards=2,
                concurrency=8,
            )
            answers = [line.split('" ')[1].partition(" ")[0] for line in front.access_log() if "/batches" in line]
        assert report.ok
        assert await stored(postgresql_url) == served(sandbox)
        moments = sorted(request.started for request in sandbox.requests.of("batches.list"))
        begins, ends = moments[0] + warm_up, moments[-1] - 2.0  # at its end, a shard has nothing to do any more
        kept = sum(begins <= moment < ends for moment in moments) / (20 * (ends - begins))
        settled = answers
        for _ in range(sum(moment < begins for moment in moments)):
            settled = settled[settled.index("200") + 1 :]  # the others were answered while the limit was learnt
        refused = settled.count("429") / len(settled)
        figures.write(
            "two Dask workers behind one nginx that takes 20/s", f"{kept:.0%} of the limit, {refused:.1%} refused"
        )
        assert refused < 0.15
        assert "429" in answers or kept < 0.9  # a machine without a turn for the workers does not come up to the limit


@pytest.mark.dask
@pytest.mark.postgres
async def test_a_cluster_over_tls_is_used_with_its_own_certificates(
    cluster: Any, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del cluster  # its environment is
    with Sandbox(organizations=2, batches=10, seed=1) as sandbox:
        monkeypatch.setenv("AMILI_CLIENT_ID", sandbox.credentials.client_id)
        monkeypatch.setenv("AMILI_CLIENT_SECRET", sandbox.credentials.client_secret)
        security = distributed.Security.temporary()
        async with distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=True,
            asynchronous=True,
            dashboard_address="127.0.0.1:0",
            protocol="tls://",
            security=security,
        ) as encrypted:
            assert encrypted.scheduler_address.startswith("tls://")
            report = await sync_on_dask(
                encrypted, sandbox.organization_ids, postgresql_url, client_options=options(sandbox)
            )
    assert report.ok
    assert report.total.new == 20


@pytest.mark.dask
async def test_processes_of_this_machine_take_nobody_without_their_certificate() -> None:
    async with connected("local:1") as cluster:
        address = cluster.client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        with pytest.raises(OSError, match=r"(?i)timed out|tls|ssl|reset"):
            await distributed.Client(address.replace("tls://", "tcp://"), asynchronous=True, timeout=1)


@pytest.mark.dask
async def test_processes_of_this_machine_stand_in_nobody_s_way() -> None:
    async with connected("local:1") as first, connected("local:1") as second:
        assert first.client.scheduler.address != second.client.scheduler.address


@pytest.mark.dask
@pytest.mark.postgres
async def test_a_cluster_that_starts_with_no_worker_grows_with_the_work(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox(organizations=6, batches=300, page_size=10, entries=0, seed=1) as sandbox:
        sandbox.faults.add(Fault("batches.list", latency=0.5))  # until it has grown, which takes a slow machine long
        monkeypatch.setenv("AMILI_CLIENT_ID", sandbox.credentials.client_id)
        monkeypatch.setenv("AMILI_CLIENT_SECRET", sandbox.credentials.client_secret)
        async with distributed.LocalCluster(
            n_workers=0, threads_per_worker=1, processes=True, asynchronous=True, dashboard_address="127.0.0.1:0"
        ) as growing:
            growing.adapt(minimum=0, maximum=2, interval="200ms", target_duration="1s")
            most = 0

            def look(_progress: Progress) -> None:
                nonlocal most
                most = max(most, len(growing.scheduler.workers))
                if most > 1:
                    sandbox.faults.clear()

            report = await sync_on_dask(
                growing,
                sandbox.organization_ids,
                postgresql_url,
                client_options=options(sandbox),
                concurrency=4,
                shards=6,
                on_progress=look,
            )
    assert report.ok
    assert most == 2


@pytest.mark.postgres
async def test_a_cluster_that_never_has_a_worker_is_told(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask, "NO_WORKER", 0.5)
    monkeypatch.setattr(dask, "PATIENCE_TO_STOP", 600.0)  # which a run that nobody is at has no need of
    async with distributed.LocalCluster(
        n_workers=0, processes=False, asynchronous=True, dashboard_address="127.0.0.1:0"
    ) as empty:
        async with asyncio.timeout(300):
            with pytest.raises(ClusterError, match=r"has work, and had no worker for 0.5 seconds"):
                await sync_on_dask(empty, ["a"], postgresql_url)


@pytest.mark.dask
@pytest.mark.postgres
async def test_a_cluster_that_loses_all_workers_for_good_is_told_and_the_next_run_goes_on(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "NO_WORKER", 1.0)
    moment = Moment(rows=100)
    with Sandbox(organizations=4, batches=400, seed=1) as sandbox:
        sandbox.faults.add(Fault("batches.list", "hang", skip=8))  # so that half of it is left when the workers go
        async with distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, asynchronous=True, dashboard_address="127.0.0.1:0"
        ) as cluster:
            running = asyncio.create_task(
                sync_on_dask(
                    cluster,
                    sandbox.organization_ids,
                    postgresql_url,
                    client_options=options(sandbox),
                    on_progress=moment,
                )
            )
            async with asyncio.timeout(300):
                await moment.reached.wait()
                await cluster.scale(0)
                with pytest.raises(ClusterError, match=r"had no worker for 1 seconds; run again, and it goes on"):
                    await running
        await nobody_else_at(postgresql_url)
        kept = await stored(postgresql_url)
        assert 100 <= len(kept) < 1600
        sandbox.faults.clear()

        report = await sync_on_dask(
            "local:1", sandbox.organization_ids, postgresql_url, client_options=options(sandbox)
        )

        assert (report.ok, report.total.new) == (True, 1600 - len(kept))
        assert await stored(postgresql_url) == served(sandbox)


async def test_a_scheduler_that_does_not_answer_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "SCHEDULER", 0.01)

    class Frozen:
        async def nthreads(self) -> dict[str, int]:
            never: asyncio.Future[dict[str, int]] = asyncio.get_running_loop().create_future()
            return await never

    with pytest.raises(ClusterError, match="was lost; run again"):
        await cluster_module.Cluster(Frozen(), None).worker_slots()


@pytest.mark.dask
@pytest.mark.postgres
async def test_an_error_says_on_which_worker_and_the_run_is_kept(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMILI_CLIENT_ID", "nobody")
    monkeypatch.setenv("AMILI_CLIENT_SECRET", "nothing")
    with (
        Sandbox(organizations=2, batches=3, seed=1) as sandbox,
        pytest.raises(TokenError, match=r"\(on worker tls://127\.0\.0\.1:\d+\)"),
    ):
        await sync_on_dask("local:1", sandbox.organization_ids, postgresql_url, client_options=options(sandbox))
    async with SqlStore(postgresql_url) as store:
        assert await held(store, "runs", "outcome") == [("TokenError",)]


@pytest.mark.dask
@pytest.mark.postgres
async def test_what_would_fail_for_every_shard_ends_the_run(cluster: Any, postgresql_url: str) -> None:
    with Sandbox(organizations=4, batches=10, seed=2) as sandbox:  # other credentials than the workers have
        with pytest.raises(TokenError):
            await sync_on_dask(
                cluster, sandbox.organization_ids, postgresql_url, client_options=options(sandbox), concurrency=1
            )
        assert sandbox.requests.count("batches.list") == 0


@pytest.mark.dask
@pytest.mark.postgres
async def test_where_nobody_is_answered_the_refusal_ends_the_run(cluster: Any, postgresql_url: str) -> None:
    with Sandbox(organizations=3, batches=3, seed=1) as sandbox:
        sandbox.faults.add("batches.list:status=401")
        with pytest.raises(UnauthorizedError):
            await sync_on_dask(cluster, sandbox.organization_ids, postgresql_url, client_options=options(sandbox))


@pytest.mark.dask
@pytest.mark.postgres
async def test_a_worker_that_knows_no_credentials_ends_the_run_and_names_what_is_missing(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AMILI_CLIENT_ID", "AMILI_CLIENT_SECRET", "AMILI_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with (
        Sandbox(organizations=2, batches=3, seed=1) as sandbox,
        pytest.raises(ConfigurationError, match="AMILI_CLIENT_ID"),
    ):
        await sync_on_dask("local:1", sandbox.organization_ids, postgresql_url, client_options=options(sandbox))


@pytest.mark.dask
@pytest.mark.postgres
async def test_so_many_failures_end_the_run(cluster: Any, postgresql_url: str) -> None:
    with Sandbox(organizations=9, batches=10, seed=1) as sandbox:
        strangers = [f"stranger-{number}" for number in range(4)]
        report = await sync_on_dask(
            cluster,
            [*strangers, *sandbox.organization_ids],
            postgresql_url,
            client_options=options(sandbox),
            shards=13,
            concurrency=1,
            max_failures=2,
        )
        assert report.stopped
        assert [failure.organization_id for failure in report.failures] == strangers[:2]


@pytest.mark.dask
@pytest.mark.postgres
@pytest.mark.kill
async def test_after_the_scheduler_was_killed_the_same_call_again_completes(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox(organizations=6, batches=1500, seed=1) as sandbox:
        sandbox.faults.add(Fault("batches.list", latency=0.1))  # so that much is left when it is killed
        monkeypatch.setenv("AMILI_CLIENT_ID", sandbox.credentials.client_id)
        monkeypatch.setenv("AMILI_CLIENT_SECRET", sandbox.credentials.client_secret)
        async with child(sys.executable, "-c", CLUSTER, stdout=asyncio.subprocess.PIPE) as scheduler:
            assert scheduler.stdout is not None
            address = await scheduler.stdout.readline()
            moment = Moment(rows=500)
            running = asyncio.create_task(
                sync_on_dask(
                    address.decode().strip(),
                    sandbox.organization_ids,
                    postgresql_url,
                    client_options=options(sandbox),
                    concurrency=2,
                    on_progress=moment,
                )
            )
            await moment.reached.wait()
            scheduler.kill()
            await scheduler.wait()
            with pytest.raises(ClusterError, match="run again"):
                await running
        sandbox.faults.clear()
        report = await sync_on_dask(
            "local:2", sandbox.organization_ids, postgresql_url, client_options=options(sandbox), concurrency=8
        )
        assert report.ok
        assert await stored(postgresql_url) == served(sandbox)


CLUSTER = """
import time
from distributed import LocalCluster
if __name__ == "__main__":
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0")
    print(cluster.scheduler_address, flush=True)
    time.sleep(600)
"""


@pytest.mark.postgres
async def test_workers_tell_each_other_to_wait_and_to_stop(postgresql_url: str) -> None:
    async with SqlStore(postgresql_url) as store:
        limits = [Limits(SystemClock(), concurrency=1) for _ in range(3)]
        gates = [each.gate for each in limits]
        one, other, stranger = (
            Signals(store, run, each) for run, each in zip(("run", "run", "another"), limits, strict=True)
        )
        listening = [asyncio.create_task(each.listen()) for each in (one, other)]
        strange = asyncio.create_task(stranger.listen())
        one.on_gate(GateClosed(operation="batches.list", seconds=120))
        one.on_gate(GateClosed(operation="batches.list", seconds=3))
        async with asyncio.timeout(300):
            while not all(gate.remaining() > 20 for gate in gates):  # noqa: ASYNC110  # other tasks look at a database
                await asyncio.sleep(0)
        await one.stop()
        await asyncio.wait(listening)
        assert not strange.done()
        await one.forget()
        refetch = asyncio.create_task(other.listen())
        await asyncio.sleep(0)
        assert not refetch.done()
        for task in (strange, refetch):
            task.cancel()
        await asyncio.wait({strange, refetch})


@pytest.mark.postgres
async def test_a_machine_s_clock_that_steps_makes_no_pause_longer_and_silences_none(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SqlStore(postgresql_url) as store:
        limits = Limits(SystemClock(), concurrency=1)
        gate = limits.gate
        one, other = Signals(store, "run"), Signals(store, "run", limits)
        listening = [asyncio.create_task(each.listen()) for each in (one, other)]
        now = time.time()
        for step, seconds in ((-3_600.0, 50.0), (-86_400.0, 120.0)):
            one.on_gate(GateClosed(operation="batches.list", seconds=seconds))
            monkeypatch.setattr(time, "time", lambda at=now + step: at)
            async with asyncio.timeout(300):
                while gate.remaining() <= seconds / 2:  # noqa: ASYNC110  # other tasks look at a database
                    await asyncio.sleep(0)
            assert gate.remaining() <= seconds
        await one.stop()
        await asyncio.wait(listening)


@pytest.mark.postgres
async def test_those_who_are_left_take_the_part_of_the_rate_of_a_worker_that_has_done_its_work(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amili_async.sync._dask.signals.INTERVAL", 0.01)
    monkeypatch.setattr("amili_async.sync._dask.signals.SILENCE", 600.0)
    paces = [LearnedPace() for _ in range(3)]
    for number, pace in enumerate(paces):
        pace.refused(0.0, 0.0)
        pace.rescale(number + 1.0, 0.0)  # 4, 8 and 12 a second are taken for the limit
    async with SqlStore(postgresql_url) as store:
        limits = [Limits(SystemClock(), concurrency=1, pace=pace) for pace in paces]
        workers = [Signals(store, "run", each) for each in limits]
        one, two, three = listening = [asyncio.create_task(each.listen()) for each in workers]

        async def said() -> set[str]:
            found = await store.database.run(lambda connection: connection.execute(sa.select(gates_table.c.name)))
            return {row[0] for row in found}

        names = [f"at work run {each.slot.name}" for each in workers]
        async with asyncio.timeout(300):
            while any(len(each.slot.told) < 3 for each in workers):  # noqa: ASYNC110  # other tasks look at a database
                await asyncio.sleep(0)
            assert all(pace.shared for pace in paces)
            assert await said() == {f"{name} {rate}" for name, rate in zip(names, (4, 8, 12), strict=True)}
            # Another shard waits for it, so it is not gone.
            two.cancel()
            await asyncio.wait({two})
            assert f"{names[1]} 8" in await said()
            listening[1] = two = asyncio.create_task(workers[1].listen())
            await workers[0].last()
            three.cancel()
            while [pace.rate for pace in paces[:2]] != [8.0, 16.0]:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0)
            assert paces[2].rate == 12.0
            assert all(pace.shared for pace in paces[:2])
            two.cancel()
            while paces[0].shared:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0)
        assert not any(name.startswith(names[2]) for name in await said())
        for task in (one, two):
            task.cancel()
        await asyncio.wait(listening)
        assert await said() == {"last run"}
        await workers[0].forget()
        assert await said() == set()


@pytest.mark.postgres
async def test_a_worker_that_falls_silent_is_gone_and_what_another_run_sends_is_not_taken_for_a_part_of_this_limit(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amili_async.sync._dask.signals.INTERVAL", 0.01)
    pace = LearnedPace()
    pace.refused(0.0, 0.0)  # four a second are taken for the limit
    async with SqlStore(postgresql_url) as store:
        worker = Signals(store, "run", Limits(SystemClock(), concurrency=1, pace=pace))

        async def say(name: str, moment: float) -> None:
            insert = sa.insert(gates_table).values(name=name, opens_at=moment)
            await store.database.run(lambda connection: connection.execute(sa.delete(gates_table)))
            await store.database.run(lambda connection: connection.execute(insert))

        await say("at work another 0 500", time.time() + 600)
        listening = asyncio.create_task(worker.listen())
        async with asyncio.timeout(300):
            while len(worker.slot.told) < 2:  # noqa: ASYNC110  # another task looks at a database
                await asyncio.sleep(0)
            assert worker.slot.told["0"] is None
            await say("at work another 0 500", 0.0)
            while pace.rate != 8.0:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0)
        listening.cancel()
        await asyncio.wait({listening})


@pytest.mark.postgres
async def test_what_a_lost_worker_said_is_forgotten_with_the_run(postgresql_url: str) -> None:
    async with SqlStore(postgresql_url) as store:
        lost = Signals(store, "run", Limits(SystemClock(), concurrency=1))
        other = Signals(store, "another", Limits(SystemClock(), concurrency=1))
        for each in (lost, other):
            await store.database.run(each.hear)
        # Of a run whose scheduler was lost too.
        names = ("at work older 0", "at work older 1 19.5", "last older")
        long_ago = sa.insert(gates_table).values([{"name": name, "opens_at": 0.0} for name in names])
        await store.database.run(lambda connection: connection.execute(long_ago))
        await Signals(store, "run").forget()
        found = await store.database.run(lambda connection: connection.execute(sa.select(gates_table.c.name)))
        assert [row[0] for row in found] == [f"at work another {other.slot.name}"]


async def test_a_store_out_of_reach_is_no_reason_to_stop_listening() -> None:
    class Database:
        asked = 0

        async def run(self, _work: object) -> dict[str, float]:
            self.asked += 1
            if self.asked == 1:
                raise StoreError("gone for a moment")
            return {"stop run": 0.0}

    class Store:
        database = Database()

    store: Any = Store()
    await Signals(store, "run").listen()
    assert store.database.asked == 2


async def test_a_store_that_workers_cannot_share_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"SQLite file.*cannot share.*postgresql://"):
        await sync_on_dask("local:2", ["a"], "sqlite:///amili.db")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://amili:hemmelig@127.0.0.1/db",
        "postgresql://amili@127.0.0.1/db?password=hemmelig",
        "postgresql://amili@127.0.0.1/db?sslpassword=hemmelig",
    ],
)
async def test_a_password_in_the_url_is_refused_since_it_would_be_seen(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"password.*PGPASSWORD") as caught:
        await sync_on_dask("local:2", ["a"], url)
    assert "hemmelig" not in str(caught.value)


def refusals() -> list[tuple[dict[str, Any], str]]:
    def local() -> None:
        """Stay at home: what is made inside a function does not pickle."""

    return [
        ({"client_options": {"hooks": ()}}, "hooks"),
        ({"client_options": {"on_invalid": local}}, "do not pickle"),
        ({"concurrency": 0}, "concurrency"),
        ({"shards": 0}, "shards"),
        ({"max_failures": 0}, "max_failures"),
        ({"resources": ("people",)}, "resources"),
        ({"organization_ids": "a"}, "organization_ids"),
    ]


@pytest.mark.parametrize(("given", "named"), refusals())
async def test_an_argument_that_cannot_be_right_is_refused_by_name(given: dict[str, Any], named: str) -> None:
    arguments: dict[str, Any] = {"organization_ids": ["a"], **given}
    ids = arguments.pop("organization_ids")
    with pytest.raises(ConfigurationError, match=named):
        await sync_on_dask("local:2", ids, "postgresql://amili@127.0.0.1/db", **arguments)


@pytest.mark.postgres
@pytest.mark.parametrize("target", ["local:", "local:0", "local:many", "scheduler", 8786])
async def test_what_names_no_cluster_is_refused(postgresql_url: str, target: object) -> None:
    with pytest.raises(ConfigurationError, match=r"cluster|local"):
        await sync_on_dask(target, ["a"], postgresql_url)


@pytest.mark.postgres
async def test_a_cluster_out_of_reach_is_one_clear_error(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "SCHEDULER", 0.5)
    with pytest.raises(ClusterError, match="cannot be reached"):
        await sync_on_dask("tcp://127.0.0.1:9", ["a"], postgresql_url)


def test_beside_dask_errors_still_leave_causes_of_other_libraries_behind() -> None:
    error = ClusterError("lost")
    error.__cause__ = OSError("a live socket")
    error.__context__ = error.__cause__
    assert pickle.loads(pickle.dumps(error)).__cause__ is None  # noqa: S301  # our own bytes


def test_what_dask_carries_and_logs_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMILI_CLIENT_SECRET", "hemmelig")
    shard = Shard(
        number=1,
        run="run",
        organization_ids=("org",),
        store_url="postgresql://amili@127.0.0.1/db",
        client_options={"deadline": 5.0},
        resources=("batches",),
        concurrency=2,
        full=False,
        since=None,
        reconcile=None,
        refresh=None,
        max_gone=0.05,
        max_failures=None,
    )
    assert b"hemmelig" not in pickle.dumps(shard)
    assert pickle.loads(pickle.dumps(shard)) == shard  # noqa: S301  # our own bytes
    assert repr(shard) == "Shard(1, 1 organizations, run='run')"
