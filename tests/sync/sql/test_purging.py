"""What is erased is gone: from the tables, from what they consist of, and from the bytes of the file."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from amili_async._decoding import Reader
from amili_async.errors import ConfigurationError, StoreError
from amili_async.events import Drift, QuarantinedRow
from amili_async.models import Case, Invoice, Model, Settlement
from amili_async.sync import (
    Checkpoint,
    PageWrite,
    Row,
    RunSummary,
    SqlDeduplicationStore,
    SqlStore,
    SyncReport,
    changes,
    purge,
)
from tests.support.rows import aside, batch, held, portion

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "Canary Kanarifugl"


def page(organization_id: str, resource: str, model: type[Model], row_id: str, raw: object) -> PageWrite:
    text = json.dumps(raw).encode()
    value: Model | QuarantinedRow = Reader(model).row(text, 0, None)
    assert isinstance(value, Model)
    row = Row(id=row_id, moment=None, final=False, value=value, raw=text)
    return PageWrite(organization_id=organization_id, resource=resource, rows=(row,), checkpoint=Checkpoint())


def case(row_id: str, name: str, *, day: str = "2025-03-09") -> dict[str, object]:
    return {
        "caseId": row_id,
        "caseNumber": f"number of {row_id}",
        "registeredAt": f"{day}T00:00:00Z",
        "invoices": [{"invoiceId": f"invoice of {row_id}", "invoiceNumber": f"F-{row_id}"}],
        "debtors": [{"debtorId": f"debtor of {row_id}", "customerNumber": f"customer of {row_id}", "fullName": name}],
    }


async def fill(store: SqlStore, organization_id: str = "organization") -> None:
    """Put two debtors' worth of everything into a store."""
    for resource in ("batches", "invoices", "cases", "settlements"):
        await store.begin(organization_id, resource)
    for number, name in (("1", CANARY), ("2", "Somebody Else")):
        failed = [{"message": f"{name} is unknown", "invoiceNumber": f"F-case {number}"}]
        rows = (batch(f"batch {number}", failed=failed), batch(f"plain {number}"))
        await store.write(portion(*rows, organization_id=organization_id))
        known = {"id": f"invoice of case {number}", "collectionCaseNumber": f"number of case {number}"}
        await store.write(page(organization_id, "invoices", Invoice, known["id"], known))
        await store.write(page(organization_id, "cases", Case, f"case {number}", case(f"case {number}", name)))
        paid = {"settlementId": f"s {number}", "invoiceId": known["id"], "settlementDate": "2025-03-09"}
        await store.write(page(organization_id, "settlements", Settlement, f"s {number}", paid))
        unread = aside(f'{{"batchId": "unread {number}", "name": "{name}"}}'.encode())
        await store.write(replace(portion(organization_id=organization_id), quarantined=(unread,)))
        seen = SqlDeduplicationStore(store)
        body = f'{{"orgId": "{organization_id}", "name": "{name}"}}'.encode()
        await seen.put_aside(f"letter {number}", "owner", event="CASE", reason="", body=body)
        met = Drift(operation="cases.list", kind="value", path="$.type", found=name)
        run = await store.begin_run(("cases",))
        await store.end_run(run, RunSummary(outcome="ok", report=SyncReport(), drift=(met,)))


async def everything(store: SqlStore) -> str:
    """Return all that is in a store, as text."""
    tables = ("batches", "batch_entries", "invoices", "cases", "case_invoices", "debtors", "settlements", "quarantine")
    others = ("webhook_dead_letters", "drift")
    return repr([await held(store, table, "*") for table in (*tables, *others)])


async def test_of_a_debtor_everything_goes_and_nothing_of_another(url: str) -> None:
    async with SqlStore(url) as store:
        await fill(store)
        found = await purge(store, debtor="debtor of case 1")

        assert found.rows == {
            "batch_rows": 1,
            "batch_entry_rows": 1,
            "invoice_rows": 1,
            "case_rows": 1,
            "case_invoice_rows": 1,
            "debtor_rows": 1,
            "settlement_rows": 1,
            "quarantined_rows": 1,
            "webhook_dead_letters": 1,
            "drift": 1,
        }
        left = await everything(store)
        assert CANARY not in left
        assert left.count("Somebody Else") == (await everything(store)).count("Somebody Else") > 5
        assert await held(store, "batches", "id") == [("batch 2",), ("plain 1",), ("plain 2",)]


@pytest.mark.parametrize("debtor", ["customer of case 1", "debtor of case 1"])
async def test_a_debtor_goes_by_id_and_by_number(url: str, debtor: str) -> None:
    async with SqlStore(url) as store:
        await fill(store)
        await purge(store, debtor=debtor)
        assert await held(store, "cases", "id") == [("case 2",)]
        assert (await purge(store, debtor=debtor)).rows == {}
        await fill(store, "another")
        assert (await purge(store, debtor="debtor of case 1", organization_id="organization")).rows == {}
        assert (await purge(store, debtor="debtor of case 1", organization_id="another")).total == 10


async def test_what_was_set_aside_goes_where_it_names_the_debtor_and_not_where_a_number_is_part_of_another(
    url: str,
) -> None:
    kept, gone = (
        (b'{"kid": "4711", "n": 17}', b'{"n": 7000}'),
        (b'{"n": 7}', b'{"of": "S\\u00E6ther 1"}', b'{"x": "CASE 1"}'),
    )
    async with SqlStore(url) as store:
        for resource in ("batches", "cases"):
            await store.begin("organization", resource)
        person = case("case 1", "Sæther 1") | {"debtors": [{"fullName": "Sæther 1", "customerNumber": "7"}]}
        await store.write(page("organization", "cases", Case, "case 1", person))
        await store.write(replace(portion(), quarantined=tuple(map(aside, (*kept, *gone)))))
        await purge(store, debtor="7")

        left = {row[0] for row in await held(store, "quarantine", "raw")}
        assert left == {*kept}


async def test_a_debtor_whose_case_was_never_read_goes_from_what_was_set_aside_for_the_organization_named(
    url: str,
) -> None:
    async with SqlStore(url) as store:
        for name in ("one", "two"):
            await store.begin(name, "batches")
            row = aside(b'{"debtorId": "d-1"}')
            await store.write(replace(portion(organization_id=name), quarantined=(row,)))

        assert (await purge(store, debtor="d-1", organization_id="one")).rows == {"quarantined_rows": 1}
        assert await held(store, "quarantine", "organization_id") == [("two",)]
        assert (await purge(store, debtor="d-1")).rows == {"quarantined_rows": 1}


@pytest.mark.parametrize(
    "asked",
    [
        {"organization_id": "organization"},
        {"organization_id": "organization", "older_than": date(2099, 1, 1)},
        {"debtor": "debtor of case 1"},
        {"older_than": date(2099, 1, 1)},
    ],
    ids=str,
)
async def test_what_would_go_is_counted_as_it_goes(url: str, asked: dict[str, Any]) -> None:
    async with SqlStore(url) as store:
        await fill(store)
        await fill(store, "another")
        for name in ("organization", "another"):
            unread = aside(b'{"batchId": "of both", "orgId": "organization"}')
            await store.write(replace(portion(organization_id=name), quarantined=(unread,)))
        met = Drift(operation="cases.list", kind="value", path="$.type", found="organization")
        await store.end_run(
            await store.begin_run(("cases",)), RunSummary(outcome="ok", report=SyncReport(), drift=(met,))
        )

        counted = await purge(store, **asked, dry_run=True)

        assert counted.rows == (await purge(store, **asked)).rows
        assert counted.total > 5


async def test_an_organization_goes_whole_and_its_next_sync_begins_anew(url: str) -> None:
    async with SqlStore(url) as store:
        await fill(store)
        await store.begin("another", "batches")
        await store.write(portion(batch("kept"), organization_id="another"))
        await purge(store, organization_id="organization")

        assert await held(store, "batches", "organization_id", "id") == [("another", "kept")]
        assert await held(store, "lists", "organization_id") == [("another",)]
        for table in ("batch_entries", "invoices", "cases", "case_invoices", "debtors", "settlements", "quarantine"):
            assert await held(store, table, "*") == []
        assert await held(store, "webhook_dead_letters", "*") == []
        assert await store.begin("organization", "batches") == Checkpoint()


async def test_what_is_old_goes_by_its_own_moment(url: str) -> None:
    async with SqlStore(url) as store:
        for resource in ("batches", "cases"):
            await store.begin("organization", resource)
        old, new = batch("old", createdAt="2024-01-01T00:00:00Z"), batch("new", createdAt="2025-06-01T00:00:00Z")
        await store.write(portion(old, new, batch("undated", createdAt=None)))
        await store.write(page("organization", "cases", Case, "c", case("c", "Kari", day="2024-01-01")))

        assert (await purge(store, older_than=date(2025, 1, 1), organization_id="another")).rows == {}
        found = await purge(store, older_than=date(2025, 1, 1))
        assert found.rows == {"batch_rows": 1, "case_rows": 1, "case_invoice_rows": 1, "debtor_rows": 1}
        assert await held(store, "batches", "id") == [("new",), ("undated",)]
        assert [row[0] for row in await held(store, "lists", "organization_id")] == ["organization"] * 2
        await purge(store, older_than=datetime(2999, 1, 1, tzinfo=UTC))
        assert await held(store, "batches", "id") == []


async def test_a_dry_run_counts_and_erases_nothing(url: str) -> None:
    async with SqlStore(url) as store:
        await fill(store)
        before = await everything(store)
        counted = await purge(store, organization_id="organization", dry_run=True)
        assert counted.dry_run
        assert await everything(store) == before
        done = await purge(store, organization_id="organization")

    assert done.rows == counted.rows
    assert done.total > 20


@pytest.mark.parametrize("keywords", [{"organization_id": "organization"}, {"debtor": "debtor of case 1"}])
async def test_no_byte_of_it_is_left_in_the_file_or_beside_it(
    tmp_path: Path, sqlite_url: str, keywords: dict[str, str]
) -> None:
    def bytes_left() -> bytes:
        return b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))

    async with SqlStore(sqlite_url) as store:
        await fill(store)
        assert CANARY.encode() in bytes_left()
        await purge(store, **keywords)  # type: ignore[arg-type]  # texts only
        assert CANARY.encode() not in bytes_left()
    assert CANARY.encode() not in bytes_left()


async def test_a_reader_that_keeps_the_log_from_being_emptied_is_told_of(
    tmp_path: Path, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with SqlStore(sqlite_url, patience=0.1) as store:
        await fill(store)
        reader = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM batches").fetchall()
        await purge(store, organization_id="organization")
        assert any("still holds what was erased; purge again" in message for message in caplog.messages)
        assert CANARY.encode() in (tmp_path / "store.db-wal").read_bytes()
        reader.close()
        assert (await purge(store, organization_id="organization")).rows == {}
        assert CANARY.encode() not in (tmp_path / "store.db-wal").read_bytes()


async def test_a_file_that_cannot_be_written_anew_is_told(tmp_path: Path, sqlite_url: str) -> None:
    async with SqlStore(sqlite_url, patience=0.1) as store:
        await store.begin("organization", "batches")
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="what was erased is still in free pages: the SQLite store: database is"):
            await store.database.clear(())
        other.close()


async def test_whoever_reads_changes_misses_nothing_that_comes_after_a_purge(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        for number in range(3):
            await store.write(portion(batch(str(number))))
        position = [change.position async for change in changes(store)][-1]
        await purge(store, older_than=datetime(2999, 1, 1, tzinfo=UTC))
        await store.write(portion(batch("new")))

        assert [change.id async for change in changes(store, position)] == ["new"]


async def test_wrong_use_is_a_sentence(sqlite_url: str) -> None:
    async with SqlStore(sqlite_url) as store:
        with pytest.raises(ConfigurationError, match="say what to erase"):
            await purge(store)
        with pytest.raises(ConfigurationError, match="leave older_than out"):
            await purge(store, debtor="d", older_than=date(2025, 1, 1))
        with pytest.raises(ConfigurationError, match="with its time zone"):
            await purge(store, older_than=datetime(2025, 1, 1))  # noqa: DTZ001  # the mistake


async def test_a_moment_within_a_day_parts_that_day_and_a_settlement_s_day_is_all_of_it(url: str) -> None:
    async with SqlStore(url) as store:
        await fill(store)
        early, late = (batch(name, createdAt=f"2025-03-09T{name}:00:00Z") for name in ("10", "14"))
        await store.write(portion(early, late))
        await purge(store, older_than=datetime(2025, 3, 9, 12, tzinfo=UTC))

        assert await held(store, "batches", "id") == [
            ("14",),
            *((f"{kind} {n}",) for kind in ("batch", "plain") for n in "12"),
        ]
        assert await held(store, "settlements", "id") == [("s 1",), ("s 2",)]
        await purge(store, older_than=datetime(2025, 3, 10, tzinfo=UTC))
        assert await held(store, "settlements", "id") == []
