"""What the page on bulk sync promises, row by row, each against a server that breaks the promise's opposite."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import amili_async.sync
from tests.simulation.history import DAY, HOUR, MINUTE
from tests.simulation.job import Job, on_virtual_time
from tests.simulation.server import Death, Fault, Resource, limited_to
from tests.simulation.wire import Answer
from tests.support.turns import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.simulation.wire import Request


@pytest.mark.parametrize("ahead", [10 * MINUTE, HOUR, 30 * DAY])
def test_a_row_dated_ahead_moves_nothing(ahead: float) -> None:
    async def work(job: Job) -> None:
        rows = job.list_of(rows=700)
        rows.add(job.server.now, moment=job.server.now + ahead)
        await job.run()
        for _ in range(3):
            await job.clock.sleep(HOUR)
            for _ in range(200):
                rows.add(job.server.now)
            report = await job.run()
            assert (report.ok, report.total.new, job.missing()) == (True, 200, [])

    on_virtual_time(work)


@pytest.mark.parametrize("behind", [3 * HOUR, -3 * HOUR])
def test_a_job_whose_clock_is_wrong_goes_by_the_server_s(behind: float) -> None:
    async def work(job: Job) -> None:
        job.server.behind = behind
        rows = job.list_of(rows=700)
        rows.add(job.server.now, moment=job.server.now + HOUR)
        await job.run()
        for _ in range(700):
            rows.add(job.server.now)

        report = await job.run()

        assert (report.ok, report.total.new, job.missing()) == (True, 700, [])

    on_virtual_time(work)


def test_a_settlement_is_found_whatever_its_value_date() -> None:
    async def work(job: Job) -> None:
        rows = job.list_of(resource="settlements")
        rows.order = "value date"
        for days, count in ((0, 900), (1, 120), (0, 200), (-15, 30)):
            for _ in range(count):
                rows.add(job.server.now, moment=job.server.now + days * DAY)
            assert (await job.run(resource="settlements")).ok
            assert job.missing(resource="settlements") == []

    on_virtual_time(work)


def test_settlements_that_prove_to_come_on_top_cost_a_few_pages_and_one_that_does_not_costs_all_from_then_on() -> None:
    async def work(job: Job) -> None:
        rows = job.list_of(resource="settlements")
        days = (0, 3, 1, -4, 2)

        async def pages(count: int) -> int:
            for _ in range(count):
                rows.add(job.server.now, moment=job.server.now + days[rows.count % 5] * DAY)
            report = await job.run(resource="settlements")
            assert job.missing(resource="settlements") == []
            return report.total.pages

        assert await pages(2000) == 20
        assert [await pages(20) for _ in range(3)] == [21, 21, 21]
        assert await pages(20) == 7
        rows.order = "shuffled"
        await pages(20)
        assert await pages(20) == 22

    on_virtual_time(work)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_one_organization_that_answers_401_fails_alone_and_by_its_name(concurrency: int) -> None:
    async def work(job: Job) -> None:
        names = [f"organization-{number}" for number in range(101)]
        for name in names:
            job.list_of(name, rows=10)
        for number in (0, 50):
            job.server.unauthorized.add(names[number])

        report = await job.run(*names, concurrency=concurrency)

        assert [failure.organization_id for failure in report.failures] == [names[0], names[50]]
        assert report.organizations == 99

    on_virtual_time(work)


def test_where_nobody_is_answered_the_run_ends_and_names_an_organization() -> None:
    async def work(job: Job) -> None:
        from amili_async.errors import UnauthorizedError  # noqa: PLC0415  # beside its only use

        names = [f"organization-{number:03}" for number in range(300)]
        job.server.unauthorized.update(names)
        with pytest.raises(
            UnauthorizedError, match="no organization was answered: 401 for organization-000 and 99 more"
        ):
            await job.run(*names, concurrency=1)

        assert job.store.held == set()

    on_virtual_time(work)


@pytest.mark.parametrize("death", ["400", "401", "403", "404", "410", "422", "500", "503", "empty", "first page"])
def test_a_page_token_that_died_between_two_runs_costs_a_second_beginning_and_no_row(death: Death) -> None:
    async def work(job: Job) -> None:
        rows = job.list_of(rows=1000)
        running = asyncio.create_task(job.run())
        await until(lambda: len(job.store.of("one", "batches").rows) >= 400)
        running.cancel()
        await asyncio.wait({running})
        rows.era, rows.death = rows.era + 1, death

        report = await job.run()

        assert (report.ok, job.missing()) == (True, [])

    on_virtual_time(work)


@pytest.mark.parametrize("by_id", [True, False])
@pytest.mark.parametrize("runs", [1, 2, 3])
def test_a_row_that_cannot_be_read_for_a_while_is_read_once_it_can(runs: int, *, by_id: bool) -> None:
    async def work(job: Job) -> None:
        rows = job.list_of(rows=1000)
        rows.reads_by_id = by_id
        row = rows.add(job.server.now - 900 * HOUR, final=False)
        row.readable = False
        for _ in range(runs):
            await job.run()
            assert job.missing() == [row.id]
        row.readable = row.final = True

        await job.run()

        assert job.missing() == []

    on_virtual_time(work)


def test_a_404_that_passes_costs_no_row_its_end() -> None:
    async def work(job: Job) -> None:
        rows = job.list_of(rows=1000)
        row = rows.add(job.server.now - 900 * HOUR, final=False)
        await job.run()
        row.final = True
        job.server.faults = [Fault(Answer(404), matches=lambda request: row.id in request.path, count=99)]
        await job.run()
        job.server.faults = []

        await job.run()

        assert b"SUCCESS" in job.store.of("one", "batches").rows[row.id].raw

    on_virtual_time(work)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_sort_that_one_organization_refuses_is_off_for_that_one(concurrency: int) -> None:
    async def work(job: Job) -> None:
        for name in ("one", "two", "three"):
            job.list_of(name, rows=300)
        job.server.faults = [Fault(Answer(400), matches=lambda request: request.path.startswith("/orgs/one/"))]

        assert (await job.run("one", "two", "three", concurrency=concurrency)).ok

        plain = {request.path for request in job.server.requests if "SortDirection" not in request.query}
        assert plain == {"/token", "/orgs/one/batches"}

    on_virtual_time(work)


def test_rows_that_come_late_at_fifty_a_second_are_found() -> None:
    async def work(job: Job) -> None:
        rows = job.list_of(rows=1000)
        for _ in range(4):
            now = job.server.now
            for number in range(1500):
                rows.add(now + number / 50, moment=now + number / 50 - number % 3)
            await job.run()
            assert job.missing() == []
            for number in range(100):
                rows.add(job.server.now, moment=now + 30 - number / 50)
            await job.clock.sleep(30)

        await job.run()
        assert job.missing() == []

    on_virtual_time(work)


def test_a_row_that_an_offset_skipped_or_that_came_very_late_is_found_by_reconciliation_and_told() -> None:
    async def work(job: Job) -> None:
        rows = job.list_of(rows=1000)
        await job.run()
        late = rows.add(job.server.now, moment=job.server.now - 900 * HOUR)
        next(iter(rows.rows.values())).version = 1
        assert (await job.run()).ok
        assert job.missing() == [late.id]
        await job.clock.sleep(8 * DAY)

        report = await job.run()

        assert job.missing() == []
        assert (report.total.missed, report.total.stale) == (1, 1)

    on_virtual_time(work)


@pytest.mark.parametrize("resource", ["batches", "cases"])
def test_a_row_that_was_deleted_is_marked_as_gone_and_one_that_comes_back_is_not(resource: Resource) -> None:
    async def work(job: Job) -> None:
        rows = job.list_of(resource=resource, rows=700)
        await job.run(resource=resource)
        row = rows.rows.pop(next(iter(rows.rows)))
        kept = job.store.of("one", resource)
        # A case cannot be asked for by its id: two scans must have missed it.
        for gone in (set[str]() if resource == "cases" else {row.id}, {row.id}):
            await job.clock.sleep(8 * DAY)
            report = await job.run(resource=resource)
            assert report.ok
            assert kept.gone == gone
        assert row.id in kept.rows

        rows.rows[row.id] = row
        await job.clock.sleep(8 * DAY)
        report = await job.run(resource=resource)
        assert (kept.gone, report.total.returned) == (set(), 1)

    on_virtual_time(work)


def test_where_the_server_has_no_way_to_ask_for_a_row_it_is_not_taken_for_gone() -> None:
    async def work(job: Job) -> None:
        rows = job.list_of(rows=700)
        await job.run()
        row = rows.rows.pop(next(iter(rows.rows)))
        job.server.faults = [Fault(Answer(405), matches=lambda request: row.id in request.path, count=99)]

        assert (await job.run(full=True)).ok
        assert job.store.of("one", "batches").gone == set()
        job.server.faults = []
        assert (await job.run(full=True)).ok
        assert job.store.of("one", "batches").gone == {row.id}

    on_virtual_time(work)


def test_one_wrong_empty_answer_marks_nothing_and_much_that_is_gone_at_once_is_a_failure_to_look_at() -> None:
    async def work(job: Job) -> None:
        rows = job.list_of(rows=700)
        await job.run()
        empty = Answer(200, b'{"summary": {"status": "SUCCESS"}, "data": []}')
        for count in (1, 2):
            job.server.faults = [Fault(empty, matches=lambda request: request.path.endswith("/batches"), count=count)]
            await job.run(full=True)
            assert job.store.of("one", "batches").gone == set()
        assert (await job.run()).ok

        for row_id in list(rows.rows)[:100]:
            del rows.rows[row_id]
        report = await job.run(full=True)
        [failure] = report.failures
        assert (failure.error, failure.organization_id) == ("ReconciliationError", "one")
        assert "100 of 700 rows" in failure.message
        assert job.store.marked == []

        assert (await job.run(max_gone=0.5)).ok
        assert len(job.store.of("one", "batches").gone) == 100

    on_virtual_time(work)


def test_the_only_row_of_an_organization_is_not_taken_for_gone_without_a_word() -> None:
    async def work(job: Job) -> None:
        rows = job.list_of(rows=1)
        await job.run()
        rows.rows.clear()

        [failure] = (await job.run(full=True)).failures

        assert failure.error == "ReconciliationError"
        assert job.store.marked == []
        assert (await job.run(full=True, max_gone=1.0)).ok
        assert len(job.store.marked) == 1

    on_virtual_time(work)


def test_what_a_scan_met_that_was_broken_off_does_not_count_for_the_one_in_its_place() -> None:
    async def work(job: Job) -> None:
        rows = job.list_of(rows=1000)
        await job.run()
        kept = job.store.of("one", "batches")
        running = asyncio.create_task(job.run(full=True))
        await until(lambda: len(kept.met) >= 400)
        running.cancel()
        await asyncio.wait({running})
        met = next(iter(sorted(kept.met)))
        del rows.rows[met]
        rows.era += 1

        assert (await job.run(full=True)).ok

        assert kept.gone == {met}

    on_virtual_time(work)


def test_cancelled_at_any_moment_a_run_leaves_no_lease() -> None:
    async def work(job: Job) -> None:
        names = [f"organization-{number}" for number in range(4)]
        for name in names:
            job.list_of(name, rows=300)
        for turns in (*range(60), *range(60, 400, 3)):  # in the first ones all lists are taken on
            running = asyncio.create_task(job.run(*names, full=True))
            for _ in range(turns):
                await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait({running})
            assert job.store.held == set(), turns

    on_virtual_time(work)


def test_a_rate_limit_slows_a_run_down_and_fails_nobody() -> None:
    async def work(job: Job) -> None:
        names = [f"organization-{number}" for number in range(4)]
        for name in names:
            job.list_of(name, rows=500).page_size = 10
        job.server.limit = limited_to(20, job.clock.monotonic)
        job.server.latency = 0.01

        report = await job.run(*names)

        assert (report.ok, report.organizations, report.total.new) == (True, 4, 2000)

    on_virtual_time(work)


def test_open_rows_are_read_side_by_side_or_with_the_list_where_that_is_cheaper() -> None:
    async def work(job: Job) -> None:
        rows = job.list_of(rows=2000)
        for number, row in enumerate(rows.rows.values()):
            row.final = number % 13 != 0
        job.server.latency = 0.05
        await job.run()
        begun = job.clock.monotonic()

        report = await job.run()

        assert report.ok
        assert job.clock.monotonic() - begun <= 1.0

        for row in list(rows.rows.values())[1300:1400]:
            row.final = False
        await job.run(full=True, reconcile=None)
        # Requests are what is scarce now: pages are worth more than reads by id.
        job.server.faults = [Fault(Answer(429))]
        before = len(job.server.requests)
        await job.run()
        assert len(job.server.requests) - before < 30

    on_virtual_time(work)


def test_however_slow_the_server_no_read_by_id_waits_for_its_turn_until_its_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("amili_async.sync._scan.OVERLAP_ROWS", 2)

    async def work(job: Job) -> None:
        names = [f"organization {number}" for number in range(8)]
        for name in names:
            rows = job.list_of(name, rows=120)
            rows.page_size = 2  # so that pages are no cheaper way
            for row in list(rows.rows.values())[::2]:
                row.final = False
        await job.run(*names)
        job.server.latency = 10.0

        report = await job.run(*names)

        assert report.ok, report.failures

    on_virtual_time(work)


def test_however_many_organizations_at_once_no_page_waits_for_its_turn_until_its_deadline() -> None:
    async def work(job: Job) -> None:
        names = [f"organization {number}" for number in range(100)]
        for name in names:
            job.list_of(name, rows=1)
        job.server.latency = 15.0

        report = await job.run(*names, concurrency=100)

        assert report.ok, report.failures

    on_virtual_time(work)


def test_invoices_are_read_again_when_that_is_longer_ago_and_new_ones_each_time() -> None:
    async def work(job: Job) -> None:
        rows = job.list_of(resource="invoices", rows=2000)
        refresh = timedelta(hours=24)
        again = partial(job.run, resource="invoices", refresh=refresh, reconcile=None)
        assert (await again()).total.pages == 20
        rows.add(job.server.now, final=False)
        await job.clock.sleep(HOUR)
        report = await again()
        assert (report.total.pages, report.total.new) == (6, 1)
        next(iter(rows.rows.values())).version = 1
        await job.clock.sleep(24 * HOUR)

        report = await again()
        assert (report.total.pages, report.total.changed) == (21, 1)
        assert not any({"From", "To"} & request.query.keys() for request in job.server.requests)
        assert (await job.run(resource="invoices", reconcile=None)).total.pages == 21

    on_virtual_time(work)


def test_several_creditors_are_read_with_their_own_credentials_and_one_that_is_refused_fails_alone() -> None:
    async def work(job: Job) -> None:
        for name in ("one", "two"):
            job.list_of(name, rows=10)
            job.server.tokens[name] = f"token-of-{name}"
        job.server.faults = [Fault(Answer(401), matches=lambda request: request.path.startswith("/orgs/two"), count=9)]

        report = await job.run("one", "two", clients=True)

        assert [(failure.organization_id, failure.error) for failure in report.failures] == [
            ("two", "UnauthorizedError")
        ]
        assert job.missing() == []
        assert sent_tokens(job.server.requests, "one") == {"Bearer token-of-one"}

    on_virtual_time(work)


def sent_tokens(requests: Sequence[Request], organization_id: str) -> set[str]:
    return {
        request.headers["authorization"] for request in requests if request.path.startswith(f"/orgs/{organization_id}")
    }


def test_the_page_s_table_names_tests_that_there_are_and_has_ten_rows_at_most() -> None:
    page = (Path(amili_async.sync.__file__).parent / "README.md").read_text("utf-8")
    table = page.partition("## What is promised")[2].partition("Not promised:")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))

    assert 0 < len(rows) <= 10
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert [name for name in named if f"def {name}(" not in tests] == []
