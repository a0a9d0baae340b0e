"""A shard's work, in this process: what a worker does with what Dask brings it."""

from __future__ import annotations

import asyncio
from typing import Any

import distributed
import pytest
from msgspec.structs import replace

from amili_async.sandbox import Fault, Sandbox
from amili_async.sync import Progress, SqlStore
from amili_async.sync._dask.signals import Signals
from amili_async.sync._dask.slots import WorkerSlots
from amili_async.sync._dask.worker import Shard, synced, topic, work
from tests.sync.dask.test_scheduler import served, stored


def shard(sandbox: Sandbox, url: str, patch: pytest.MonkeyPatch) -> Shard:
    patch.setenv("AMILI_CLIENT_ID", sandbox.credentials.client_id)
    patch.setenv("AMILI_CLIENT_SECRET", sandbox.credentials.client_secret)
    return Shard(
        number=7,
        run="run",
        organization_ids=tuple(sandbox.organization_ids),
        store_url=url,
        client_options={"base_url": sandbox.base_url, "token_url": sandbox.token_url},
        resources=("batches",),
        concurrency=2,
        full=False,
        since=None,
        reconcile=None,
        refresh=None,
        max_gone=0.05,
        max_failures=None,
    )


@pytest.mark.postgres
def test_a_shard_is_synced_and_its_progress_told_to_the_cluster(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, dict[str, Any]]] = []

    class Worker:
        address = "tcp://127.0.0.1:1"

        def log_event(self, name: str, message: dict[str, Any]) -> None:
            told.append((name, message))

    monkeypatch.setattr(distributed, "get_worker", Worker)
    with Sandbox(organizations=2, batches=30, page_size=10) as sandbox:
        report = work(shard(sandbox, postgresql_url, monkeypatch))
        assert asyncio.run(stored(postgresql_url)) == served(sandbox)
    assert report.total.new == 60
    assert {name for name, _ in told} == {topic("run")}
    assert {message["shard"] for _, message in told} == {7}
    assert Progress(**told[-1][1]["progress"]).rows == 60


@pytest.mark.postgres
async def test_a_shard_that_is_told_to_stop_ends_after_its_page(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = asyncio.Event()

    def tell(progress: Progress) -> None:
        if progress.rows:
            reading.set()

    with Sandbox(organizations=1, batches=100_000, page_size=10) as sandbox:
        running = asyncio.create_task(synced(shard(sandbox, postgresql_url, monkeypatch), tell))
        await reading.wait()
        async with SqlStore(postgresql_url, run="run") as store:
            await Signals(store, "run").stop()
        assert (await running).stopped
        assert len(await stored(postgresql_url)) % 10 == 0


@pytest.mark.postgres
async def test_the_next_shard_of_a_run_goes_on_with_the_rate_that_was_learnt_in_the_one_before(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = WorkerSlots()
    monkeypatch.setattr("amili_async.sync._dask.worker.SLOTS", slots)
    monkeypatch.setattr("amili_async.sync._dask.slots.KEPT", 3600.0)  # however slow the machine is
    with Sandbox(organizations=2, batches=30, page_size=10) as sandbox:
        sandbox.faults.add(Fault("batches.list", status=429, count=1, skip=1))
        both = shard(sandbox, postgresql_url, monkeypatch)
        first, second = (replace(both, organization_ids=(name,)) for name in both.organization_ids)
        await synced(first, lambda _progress: None)
        (slot,) = slots.free
        assert slot.pace is not None
        assert slot.pace.rate is not None
        learnt = slot.pace
        await synced(second, lambda _progress: None)
        assert slots.free == [slot]
        assert slot.pace is learnt
        assert learnt.rate is not None
        await synced(replace(first, run="another"), lambda _progress: None)
        (other,) = (each for each in slots.free if each is not slot)
        assert other.pace is not None
        assert other.pace.rate is None
        assert await stored(postgresql_url) == served(sandbox)
