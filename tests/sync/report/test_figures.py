"""What a report reads from a store, on both databases: true to the rows, and silent about people."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from amili_async import AmiliClient
from amili_async.events import Drift
from amili_async.report import Figures, read_figures, render
from amili_async.sandbox import Sandbox
from amili_async.sync import RunSummary, SqlStore, SyncReport, sync
from tests.support.rows import batch, portion

if TYPE_CHECKING:
    import pytest

    from amili_async.sync._store import Row

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)

FAILED = [
    {"code": "DUPLICATE", "message": "Ola Nordmann has it already", "invoiceNumber": "INV-4711"},
    {"errorCode": "DUPLICATE"},
    {"code": "INVALID_ADDRESS"},
    {"code": "Ola Nordmann"},
    "Kari Nordmann lives nowhere",
    None,
    {},
]


def at(moment: str, row_id: str, state: str = "SUCCESS", **members: object) -> Row:
    return batch(row_id, createdAt=moment, status=state, **members)


async def filled(store: SqlStore) -> None:
    """Put batches of two organizations into a store."""
    rows = [
        at("2026-03-08T23:59:59Z", "a"),
        at("2026-03-09T00:00:00Z", "b", "FAILED", failed=FAILED),
        at("2026-03-09T12:00:00Z", "c", "PARTIAL", succeeded=[{"invoiceId": "i"}], failed=[{"code": "DUPLICATE"}]),
        at("2026-03-10T11:30:00Z", "d", "QUEUED"),
        at("2026-03-01T00:00:00Z", "e", "SOMETHING_NEW"),
    ]
    for organization_id, its in (("one", rows), ("two", [at("2026-03-09T08:00:00Z", "f")])):
        await store.begin(organization_id, "batches")
        await store.write(portion(*its, organization_id=organization_id))
        await store.finish(organization_id, "batches", None)


async def figures_of(url: str, **options: object) -> Figures:
    async with SqlStore(url) as store:
        await filled(store)
        return await read_figures(store, now=NOW, **options)  # type: ignore[arg-type]  # those of the function


async def test_batches_are_counted_by_day_and_outcome_in_utc(url: str) -> None:
    figures = await figures_of(url)
    assert figures.counts == (("batches", 2, 6),)
    days = {day.day: (day.success, day.partial, day.failed, day.open) for day in figures.days}
    assert days == {
        "2026-03-01": (0, 0, 0, 1), "2026-03-08": (1, 0, 0, 0), "2026-03-09": (1, 1, 1, 0), "2026-03-10": (0, 0, 0, 1),
    }  # fmt: skip
    assert [day.day for day in figures.days] == sorted(days)


async def test_failures_are_ranked_by_their_code_and_what_is_no_code_is_only_counted(url: str) -> None:
    figures = await figures_of(url)
    assert figures.codes == (("DUPLICATE", 3), ("INVALID_ADDRESS", 1), ("without a code", 4))


async def test_what_is_not_final_is_counted_by_its_age(url: str) -> None:
    figures = await figures_of(url)
    assert dict(figures.ages) == {
        "under an hour": 1,
        "under a day": 0,
        "under a week": 0,
        "under a month": 1,
        "older": 0,
    }


async def test_organizations_are_ranked_by_volume_with_their_rate_of_failure(url: str) -> None:
    figures = await figures_of(url)
    assert [(one.organization_id, one.batches, one.objects, one.failed) for one in figures.organizations] == [
        ("one", 5, 9, 8), ("two", 1, 0, 0),
    ]  # fmt: skip
    assert [round(one.rate, 2) for one in figures.organizations] == [0.89, 0]


async def test_one_organization_and_a_beginning_narrow_everything(url: str) -> None:
    figures = await figures_of(url, organization_id="one", since=NOW - timedelta(days=1))
    assert figures.counts == (("batches", 1, 5),)
    assert [day.day for day in figures.days] == ["2026-03-09", "2026-03-10"]
    assert figures.organizations[0].batches == 2
    assert figures.since == "2026-03-09 12:00 UTC"


async def test_nobody_is_named_unless_that_is_asked_for(url: str) -> None:
    figures = await figures_of(url)
    for text in (repr(figures), msgspec.json.encode(figures).decode(), render(figures)):
        assert "Nordmann" not in text
        assert "INV-4711" not in text
    async with SqlStore(url) as store:
        named = await read_figures(store, now=NOW, with_personal_data=True)
    assert "Ola Nordmann has it already" in {one.message for one in named.failed}
    assert "Personal data is on this page" in render(named)


async def test_amounts_are_added_up_exactly_by_currency_and_status(url: str) -> None:
    async with Sandbox(organizations=1, batches=40, entries=3) as sandbox, SqlStore(url) as store:
        async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url) as client:
            report = await sync(client, sandbox.organization_ids, store, resources=("invoices", "cases"))
            assert report.ok
        third = "UPDATE invoice_rows SET currency = 'NOK', remaining_amount = "
        third += "0.1" if store.database.dialect.name == "postgresql" else "'0.1'"
        await store.database.run(lambda connection: connection.exec_driver_sql(third))
        figures = await read_figures(store)
    count = sum(amount.invoices for amount in figures.amounts)
    assert count == report.resources["invoices"].new
    assert sum((amount.remaining for amount in figures.amounts), Decimal(0)) == count * Decimal("0.1")
    assert {name for name, *_ in figures.counts} == {"invoices", "cases"}
    assert "NOK" in render(figures)


async def test_an_empty_store_is_a_page_too(url: str) -> None:
    async with SqlStore(url) as store:
        figures = await read_figures(store)
    page = render(figures)
    assert "The store is empty" in page
    assert "No sync has run yet" in page


async def test_more_than_a_person_reads_is_left_out_and_counted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amili_async.report._figures.MOST", 1)
    figures = await figures_of(url)
    assert figures.organizations_left_out == 1
    assert figures.codes == (("DUPLICATE", 3), ("other codes", 1), ("without a code", 4))
    assert "1 more are left out" in render(figures)


async def test_of_many_days_the_last_sixty_are_shown(url: str) -> None:
    first = datetime(2025, 1, 1, 12, tzinfo=UTC)
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(*(at((first + timedelta(days=n)).isoformat(), str(n)) for n in range(61))))
        days = (await read_figures(store)).days
    assert [day.day for day in days] == [str((first + timedelta(days=n)).date()) for n in range(1, 61)]


async def test_what_could_not_be_read_and_what_is_not_documented_is_shown(url: str) -> None:
    async with Sandbox(organizations=1, batches=20, entries=1) as sandbox, SqlStore(url) as store:
        sandbox.faults.add("batches.list:bad-row,count=1", "batches.list:unknown-member")
        async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url) as client:
            await sync(client, sandbox.organization_ids, store)
        figures = await read_figures(store, organization_id=sandbox.organization_ids[0])
    ((resource, path, _, count),) = figures.quarantine
    assert (resource, count) == ("batches", 1)
    assert path.startswith("$")
    assert json.loads(msgspec.json.encode(figures))["quarantine"]


async def test_what_was_met_that_may_be_a_persons_is_left_out_unless_asked_for(url: str) -> None:
    met = [
        Drift(operation="cases.list", kind="value", path="$.data[...].status", found="FROZEN"),
        Drift(operation="cases.list", kind="value", path="$.data[...].type", found="ola@example.com"),
        Drift(operation="cases.list", kind="member", path="$.data[...].4711", found="4711"),
    ]
    async with SqlStore(url) as store:
        run = await store.begin_run(("cases",))
        await store.end_run(run, RunSummary(outcome="ok", report=SyncReport(), drift=tuple(met)))
        shown = (await read_figures(store)).drift
        asked = (await read_figures(store, with_personal_data=True)).drift

    assert {row[2:4] for row in shown} == {("…", "…"), ("$.data[...].status", "FROZEN"), ("$.data[...].type", "…")}
    assert {row[3] for row in asked} == {"FROZEN", "ola@example.com", "4711"}
