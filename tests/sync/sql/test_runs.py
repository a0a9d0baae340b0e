"""Every sync is kept in the store: how it went, what ended it, and where answers were not as documented."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from amili_async.errors import StoreError
from amili_async.events import Drift
from amili_async.sandbox import Fault
from amili_async.sync import RunKeepingStore, RunSummary, SqlStore, SyncReport, sync
from amili_async.sync._run_record import MOST, RunRecord
from tests.support.rows import held

if TYPE_CHECKING:
    from amili_async import AmiliClient
    from amili_async.sandbox import Sandbox

pytestmark = pytest.mark.amili(organizations=3, batches=10)


async def test_a_run_is_kept_with_its_counts_and_its_report(url: str, sandbox: Sandbox, client: AmiliClient) -> None:
    async with SqlStore(url) as store:
        assert isinstance(store, RunKeepingStore)
        report = await sync(client, sandbox.organization_ids, store, resources=("batches", "cases"))

        columns = ("outcome", "resources", "organizations", "failed", "rows", "new", "requests", "ended_at IS NOT NULL")
        rows = report.total.rows
        assert await held(store, "runs", *columns) == [("ok", "batches,cases", 3, 0, rows, rows, report.requests, 1)]
        [(text, first, last)] = await held(store, "runs", "CAST(report AS TEXT)", "first_revision", "last_revision")
        kept = json.loads(str(text))
        assert (kept["organizations"], kept["run"]) == (3, report.run)
        assert await held(store, "runs", "id") == [(report.run,)]
        assert first == 0
        assert int(str(last)) > 0


async def test_each_run_has_a_row_of_its_own(sqlite_url: str, sandbox: Sandbox, client: AmiliClient) -> None:
    async with SqlStore(sqlite_url) as store:
        for _ in range(3):
            await sync(client, sandbox.organization_ids, store)

        assert await held(store, "runs", "new") == [(0,), (0,), (30,)]


async def test_what_failed_is_in_the_runs_report(sqlite_url: str, sandbox: Sandbox, client: AmiliClient) -> None:
    refused = sandbox.organization_ids[1]
    sandbox.faults.add(Fault("batches.list", status=403, organization=refused))
    async with SqlStore(sqlite_url) as store:
        await sync(client, sandbox.organization_ids, store)

        [(outcome, failed, text)] = await held(store, "runs", "outcome", "failed", "report")
        assert (outcome, failed) == ("failed", 1)
        assert [failure["organization_id"] for failure in json.loads(str(text))["failures"]] == [refused]


async def test_a_run_that_is_cancelled_says_so(url: str, sandbox: Sandbox, client: AmiliClient) -> None:
    async with SqlStore(url) as store:
        running = asyncio.create_task(sync(client, sandbox.organization_ids, store))
        while not await held(store, "runs", "id"):
            pass
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        assert await held(store, "runs", "outcome", "ended_at IS NOT NULL") == [("interrupted", 1)]


async def test_a_run_that_an_error_ends_names_it(sqlite_url: str, sandbox: Sandbox, client: AmiliClient) -> None:
    async with SqlStore(sqlite_url) as store:

        async def fail(*_: object) -> None:
            raise StoreError("the disk is full")

        store.begin = fail  # type: ignore[method-assign, assignment]  # as a full disk would
        with pytest.raises(StoreError, match="the disk is full"):
            await sync(client, sandbox.organization_ids, store)

        assert await held(store, "runs", "outcome") == [("StoreError",)]


async def test_an_error_is_raised_also_where_its_run_cannot_be_kept(
    sqlite_url: str, sandbox: Sandbox, client: AmiliClient
) -> None:
    async with SqlStore(sqlite_url) as store:

        async def fail(*_: object) -> None:
            raise StoreError("the disk is full")

        store.begin = store.end_run = fail  # type: ignore[method-assign, assignment]  # as a full disk would
        with pytest.raises(StoreError, match="the disk is full"):
            await sync(client, sandbox.organization_ids, store)

        assert await held(store, "runs", "outcome") == [("running",)]


def drift(path: str, found: str = "newMember") -> Drift:
    return Drift(operation="batches.list", kind="member", path=path, found=found)


async def test_differences_are_kept_once_with_how_often_they_were_met(url: str) -> None:
    async with SqlStore(url) as store:
        for found in ((drift("$.a"), drift("$.b")), (drift("$.b"), drift("$.c", "zero \0"))):
            run = await store.begin_run(("batches",))
            await store.end_run(run, RunSummary(outcome="ok", report=SyncReport(), drift=found))

        columns = ("operation", "kind", "path", "found", "count", "first_seen <= last_seen")
        assert await held(store, "drift", *columns) == [
            ("batches.list", "member", "$.a", "newMember", 1, 1),
            ("batches.list", "member", "$.b", "newMember", 2, 1),
            ("batches.list", "member", "$.c", "zero \N{REPLACEMENT CHARACTER}", 1, 1),
        ]


async def test_drift_of_a_sync_is_in_the_table(sqlite_url: str, sandbox: Sandbox, client: AmiliClient) -> None:
    body = '{"summary": {"status": "SUCCESS"}, "data": [{"batchId": "a", "status": "NEVER_SEEN", "newMember": 1}]}'
    sandbox.faults.add(Fault("batches.list", status=200, body=body, content_type="application/json"))
    async with SqlStore(sqlite_url) as store:
        await sync(client, sandbox.organization_ids[:1], store)

        found = await held(store, "drift", "operation", "kind", "found")
        assert ("batches.list", "member", "newMember") in found
        assert ("batches.list", "value", "NEVER_SEEN") in found


async def test_a_server_that_makes_up_names_does_not_fill_the_store(sqlite_url: str) -> None:
    async with SqlStore(sqlite_url) as store:
        record = RunRecord(store, ("batches",))
        for number in range(MOST + 10):
            record.on_drift(drift(f"$.{number}"))
        async with record.keeping(SyncReport):
            pass

        assert len(await held(store, "drift", "path")) == MOST


async def test_stores_that_share_a_run_leave_it_to_whoever_began_it(url: str) -> None:
    async with SqlStore(url, run="the run") as store:
        run = await store.begin_run(("batches",))
        assert run == "the run"
        await store.end_run(run, RunSummary(outcome="ok", report=SyncReport(), drift=(drift("$.a"),)))

        assert await held(store, "runs", "id") == []
        assert len(await held(store, "drift", "path")) == 1
