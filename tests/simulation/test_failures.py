"""Whose affair a failure is, and how long a run waits for a server that is at its limit."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from amili_async import AmiliClient, ClientCredentials
from amili_async.errors import ConfigurationError, RateLimitedError, StoreError
from amili_async.sync import Absences, Checkpoint, ClientPool, LeaseConflict, sync
from amili_async.sync._job import to_its_end
from amili_async.sync._reconciliation import due
from tests.simulation.job import Job, on_virtual_time
from tests.simulation.server import Fault
from tests.simulation.store import Store
from tests.simulation.wire import Answer


def raising(job: Job, monkeypatch: pytest.MonkeyPatch, error: RateLimitedError, *, times: int) -> list[float]:
    """Let the first pages of organization one be refused for load; return when that was."""
    from amili_async.sync._sources import ListSource  # noqa: PLC0415  # patched here and nowhere else

    pages: Any = vars(ListSource)["pages"]
    refused: list[float] = []

    def refusing(self: object, *arguments: object, **options: object) -> object:
        if getattr(self, "organization_id", "") == "one" and len(refused) < times:
            refused.append(job.clock.monotonic())
            raise error
        return pages(self, *arguments, **options)

    monkeypatch.setattr(ListSource, "pages", refusing)
    return refused


def test_an_organization_that_is_refused_for_load_waits_longer_each_time_and_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work(job: Job) -> None:
        for name in ("one", "two"):
            job.list_of(name, rows=10)
        refused = raising(job, monkeypatch, RateLimitedError("too many", status=429), times=4)

        report = await job.run("one", "two")

        assert (report.ok, job.missing()) == (True, [])
        assert [after - before for before, after in pairwise(refused)] == [1, 2, 4]

    on_virtual_time(work)


def test_one_that_is_told_to_wait_waits_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(job: Job) -> None:
        job.list_of("one", rows=10)
        refused = raising(job, monkeypatch, RateLimitedError("too many", status=429, retry_after=200.0), times=2)

        assert (await job.run("one")).ok
        assert refused[1] - refused[0] == 200

    on_virtual_time(work)


def test_where_nobody_is_answered_any_more_a_refusal_for_load_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(job: Job) -> None:
        job.list_of("one", rows=10)
        refused = raising(job, monkeypatch, RateLimitedError("too many", status=429), times=10_000)

        report = await job.run("one")

        assert [failure.error for failure in report.failures] == ["RateLimitedError"]
        assert 500 < refused[-1] - refused[0] <= 600

    on_virtual_time(work)


def test_refused_credentials_fail_their_own_organizations_and_no_other() -> None:
    async def work(job: Job) -> None:
        for name in ("one", "two"):
            job.list_of(name, rows=10)
            job.server.tokens[name] = f"token-of-{name}"
        job.server.faults = [Fault(Answer(400), matches=lambda request: b"client_id=two" in request.body, count=9)]

        report = await job.run("two", "one", "two-b", clients=True, concurrency=1)

        failures = [(failure.organization_id, failure.error) for failure in report.failures]
        assert failures == [("two", "TokenError"), ("two-b", "TokenError")]
        assert job.missing("one") == []
        assert job.server.count("/token") == 2

    on_virtual_time(work)


def test_credentials_that_get_401_from_everybody_are_not_tried_on_all_of_their_organizations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work(job: Job) -> None:
        monkeypatch.setattr("amili_async.sync._engine.NOBODY", 2)
        names = ("two-a", "one", "two-b", "two-c", "two-d")
        job.server.tokens |= {"one": "token-of-one", "two": "token-of-two"}
        job.server.unauthorized.update(name for name in names if name != "one")

        report = await job.run(*names, clients=True, concurrency=1)

        assert [failure.organization_id for failure in report.failures] == ["two-a", "two-b", "two-c", "two-d"]
        assert job.server.count("two-c/batches") == job.server.count("two-d/batches") == 0

    on_virtual_time(work)


async def test_a_pool_shares_a_client_among_organizations_with_the_same_credentials() -> None:
    same, other = ClientCredentials("a", "b"), ClientCredentials("c", "d")
    async with ClientPool({"one": same, "two": same, "three": other}, environment="staging") as pool:
        assert pool["one"] is pool["two"] is not pool["three"]
        assert (list(pool), len(pool)) == (["one", "two", "three"], 3)
        assert repr(pool) == "ClientPool(3 organizations, 2 clients open)"


async def test_an_organization_that_no_client_reads_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="clients has no client for organization one"):
        await sync(None, ["one"], Store(), clients={})
    with pytest.raises(ConfigurationError, match="give a client, or clients"):
        await sync(None, ["one"], Store())


@pytest.mark.parametrize("value", [timedelta(0), 7, "7d"])
async def test_ages_are_timedeltas_above_none(value: object) -> None:
    async with AmiliClient("token", environment="staging") as client:
        with pytest.raises(ConfigurationError, match="reconcile must be a timedelta above 0"):
            await sync(client, [], Store(), reconcile=value)  # type: ignore[arg-type]  # what somebody may pass


@pytest.mark.parametrize("value", [-0.1, 1.1, True, "5%"])
async def test_the_part_that_may_be_gone_is_a_number_from_0_to_1(value: object) -> None:
    async with AmiliClient("token", environment="staging") as client:
        with pytest.raises(ConfigurationError, match="max_gone must be a number from 0 to 1"):
            await sync(client, [], Store(), max_gone=value)  # type: ignore[arg-type]  # what somebody may pass


async def test_work_that_must_not_be_cut_off_fails_as_what_it_was_when_it_was_cancelled() -> None:
    began = asyncio.Event()

    async def failing() -> None:
        began.set()
        await asyncio.sleep(0)
        raise StoreError("the disk is full")

    task = asyncio.create_task(to_its_end(failing()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert isinstance(caught.value.__cause__, StoreError)


class Contended(Store):
    """A store whose lists another run has, and gets to at the worst moment."""

    async def begin(self, organization_id: str, resource: str, /) -> Checkpoint | LeaseConflict:
        await super().begin(organization_id, resource)
        self.held.clear()
        await asyncio.sleep(1)
        return LeaseConflict(5.0)


def test_a_run_that_is_cancelled_while_it_asks_for_a_list_of_another_is_cancelled() -> None:
    async def work(job: Job) -> None:
        job.store = Contended()
        running = asyncio.create_task(job.run("one"))
        await job.clock.sleep(0.5)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    on_virtual_time(work)


class Losing(Store):
    """A store whose list another run takes over while it is reconciled, and gives back."""

    lost = 0

    async def absences(
        self, organization_id: str, resource: str, since: datetime | None, limit: int, /
    ) -> Absences | LeaseConflict:
        self.lost += 1
        if self.lost == 1:
            self.held.clear()
            return LeaseConflict(5.0)
        return await super().absences(organization_id, resource, since, limit)


def test_a_list_that_is_lost_while_it_is_reconciled_is_asked_for_again() -> None:
    async def work(job: Job) -> None:
        job.list_of("one", rows=10)
        job.store = store = Losing()
        await job.run("one")

        assert (await job.run("one", full=True)).ok
        assert store.lost == 2

    on_virtual_time(work)


def test_a_row_that_is_there_and_not_in_the_list_is_read_and_a_failure_of_one_read_keeps_the_others() -> None:
    async def work(job: Job) -> None:
        rows = job.list_of("one", rows=200)
        for row in rows.rows.values():
            row.final = False
        await job.run("one")
        hidden = rows.rows["batches-00150"]
        hidden.version = 1
        broken = Fault(Answer(500), matches=lambda request: request.path.endswith("-00001"), count=9)
        listed = rows.listed
        rows.listed = lambda *, newest_first: [row for row in listed(newest_first=newest_first) if row.number > 150]  # type: ignore[method-assign]  # a list that hides rows
        job.server.faults = [broken]

        report = await job.run("one")

        assert [failure.error for failure in report.failures] == ["ServerError"]
        assert b"version 1" in job.store.of("one", "batches").rows[hidden.id].raw

    on_virtual_time(work)


def test_rows_that_a_scan_of_everything_skipped_are_read_by_their_ids_and_what_failed_is_told() -> None:
    async def work(job: Job) -> None:
        rows = job.list_of("one", rows=200)
        await job.run("one")
        hidden = ("batches-00003", "batches-00150")
        rows.rows[hidden[1]].version = 1
        listed = rows.listed
        rows.listed = lambda *, newest_first: [row for row in listed(newest_first=newest_first) if row.id not in hidden]  # type: ignore[method-assign]  # a list that skips rows
        broken = Fault(Answer(500), matches=lambda request: request.path.endswith(hidden[0]), count=9)
        job.server.faults = [broken]

        report = await job.run("one", full=True)
        assert [failure.error for failure in report.failures] == ["ServerError"]
        assert b"version 1" in job.store.of("one", "batches").rows[hidden[1]].raw

        job.server.faults = []
        assert (await job.run("one")).ok
        assert job.store.marked == []

    on_virtual_time(work)


def test_a_page_token_that_has_waited_for_a_minute_counts_as_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(job: Job) -> None:
        monkeypatch.setattr("amili_async.sync._engine.TURN", 1)
        rows = job.list_of("one", rows=1000)
        rows.death = "503"
        for name in ("two", "three", "four"):
            job.list_of(name, rows=1000)
        job.server.latency = 25.0
        asked = 0

        def before(_request: object) -> None:
            nonlocal asked
            asked += 1
            if asked == 12:
                rows.era += 1

        job.server.before = before
        report = await job.run("one", "two", "three", "four", concurrency=1)

        assert (report.ok, job.missing()) == (True, [])
        assert [restart.organization_id for restart in report.restarts] == ["one"]

    on_virtual_time(work)


def test_each_list_is_due_once_in_the_interval_and_not_all_on_one_day() -> None:
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    week = timedelta(days=7)
    names = [f"organization-{number} batches" for number in range(700)]
    first = [next(day for day in range(1, 9) if due(name, begun, begun + timedelta(days=day), week)) for name in names]

    assert max(first) <= 7
    assert all(60 < first.count(day) < 140 for day in range(1, 8))
    assert due(names[0], None, begun, week)
