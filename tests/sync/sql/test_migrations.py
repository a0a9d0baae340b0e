"""The tables: made in an empty database, brought up to date in an older one, left alone in a newer one."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import sqlalchemy as sa

from amili_async import AmiliClient, ClientCredentials
from amili_async.errors import StoreError
from amili_async.sandbox import Sandbox
from amili_async.sync import Checkpoint, LeaseConflict, SqlDeduplicationStore, SqlStore, WriteResult, sync
from amili_async.sync._sql.schema import ROW_TABLES, VERSION, metadata, schema
from amili_async.sync._sql.views import VIEWS
from tests.support.rows import batch, held, portion

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).parent


async def structure(store: SqlStore) -> dict[str, list[tuple[str, str, bool]]]:
    """Return the columns of every table."""

    def look(connection: sa.Connection) -> dict[str, list[tuple[str, str, bool]]]:
        inspector = sa.inspect(connection)
        return {
            table: [
                (column["name"], str(column["type"]), bool(column["nullable"]))
                for column in inspector.get_columns(table)
            ]
            for table in sorted([*inspector.get_table_names(), *inspector.get_view_names()])
        }

    return await store.database.run(look)


async def test_an_empty_database_gets_all_tables_and_the_version(url: str) -> None:
    async with SqlStore(url) as store:
        assert sorted(await structure(store)) == sorted([*metadata.tables, *(view.name for view in VIEWS)])
        assert await held(store, "amili_schema", "version") == [(VERSION,)]


async def test_a_database_of_this_version_is_left_as_it_is(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(batch("a")))

    async with SqlStore(url) as store:
        assert await store.count("batches") == 1


# Older versions


async def load(url: str, version: int) -> None:
    """Make a database what a store of an older version left behind."""
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"))
        file.executescript((FOLDER / f"version_{version}.sql").read_text("utf-8"))
        file.close()
    else:
        connection = await asyncpg.connect(url)
        await connection.execute((FOLDER / f"version_{version}_postgresql.sql").read_text("utf-8"))
        await connection.close()


async def test_a_file_of_the_first_version_is_upgraded_in_place(sqlite_url: str) -> None:
    await load(sqlite_url, 1)

    async with SqlStore(sqlite_url) as store:
        assert await held(store, "amili_schema", "version") == [(VERSION,)]
        checkpoint = await store.begin("organization", "batches")
        assert isinstance(checkpoint, Checkpoint)
        assert checkpoint.watermark is not None
        assert list(checkpoint.watermark.open) == ["batch 2"]
        assert await held(store, "batches", "id", "state") == [("batch 1", "SUCCESS"), ("batch 2", "QUEUED")]
        assert len(await held(store, "batch_entries", "batch_id")) == 4
        assert await store.write(portion(batch("batch 2"), batch("batch 3"))) == WriteResult(1, 1)
        assert await held(store, "quarantine", "key") == []
        upgraded = await structure(store)

    async with SqlStore("sqlite://") as fresh:
        assert upgraded == await structure(fresh)


ENTRY = "outcome, position, type, invoice_id, invoice_number, case_id, message, reference"
AS_BEFORE = {
    "batches": "id, type, state, created_at, finished_at, created_by, succeeded, failed, synced_at, raw",
    "batch_entries": f"batch_id, {ENTRY}, raw",
    "invoices": "id, invoice_number, collection_case_number, type, status, created_at, synced_at, raw",
    "cases": "id, case_number, status, sub_status, registered_at, closed_at, invoices, debtors, synced_at, raw",
    "settlements": "id, case_number, collection_type, currency, exchange_rate, settlement_date, synced_at, raw",
    "quarantine": "resource, key, path, reason, synced_at, raw",
}
"""What can be asked of the second version and of this one alike."""


def questions() -> dict[str, str]:
    texts = {table: columns.replace("raw", "CAST(raw AS TEXT)") for table, columns in AS_BEFORE.items()}
    texts["quarantine"] = AS_BEFORE["quarantine"]
    return {table: f"SELECT organization_id, {columns} FROM {table}" for table, columns in texts.items()}  # noqa: S608  # our own text


async def answers(url: str) -> dict[str, list[str]]:
    """Return what a database answers, without a store between."""
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"))
        found = {table: file.execute(question).fetchall() for table, question in questions().items()}
        file.close()
    else:
        connection = await asyncpg.connect(url)
        found = {table: [tuple(row) for row in await connection.fetch(text)] for table, text in questions().items()}
        await connection.close()
    return {table: sorted(map(repr, rows)) for table, rows in found.items()}


async def test_a_store_of_the_second_version_keeps_every_row_as_it_was(url: str) -> None:
    await load(url, 2)
    before = await answers(url)
    async with SqlStore(url) as store:
        upgraded = await structure(store)
        assert await held(store, "amili_schema", "version") == [(VERSION,)]
        assert await answers(url) == before
        assert {table: len(rows) for table, rows in before.items()} == {
            "batches": 9,
            "batch_entries": 19,
            "invoices": 16,
            "cases": 16,
            "settlements": 10,
            "quarantine": 1,
        }
        seen = SqlDeduplicationStore(store)
        # What was under way then has expired since.
        claims = [await seen.claim(key, "owner") for key in ("handled", "under way", "new")]
        assert claims == ["seen", "claimed", "claimed"]

    async with SqlStore("sqlite://") as fresh:
        expected = await structure(fresh)
    assert {name: [column[0] for column in columns] for name, columns in upgraded.items()} == {
        name: [column[0] for column in columns] for name, columns in expected.items()
    }


async def test_what_a_case_holds_is_read_out_of_its_json_digit_for_digit(url: str) -> None:
    await load(url, 2)
    async with SqlStore(url) as store:
        raws = await held(store, "cases", "id", "CAST(raw AS TEXT)")
        amounts = await held(store, "case_invoices", "case_id", "position", "original_amount", "remaining_amount")
        debtors = await held(store, "debtors", "case_id", "position", "full_name")
        days = await held(store, "case_invoices", "case_id", "position", "due_date")

    cases: dict[str, Any] = {str(row_id): json.loads(str(raw), parse_float=Decimal) for row_id, raw in raws}
    assert {(row[0], row[1]): (str(row[2]), str(row[3])) for row in amounts} == {
        (row_id, position): (str(invoice["originalAmount"]), str(invoice["remainingAmount"]))
        for row_id, case in cases.items()
        for position, invoice in enumerate(case["invoices"])
    }
    assert {(row[0], row[1]): str(row[2]) for row in days} == {
        (row_id, position): invoice["dueDate"][:10]
        for row_id, case in cases.items()
        for position, invoice in enumerate(case["invoices"])
    }
    assert {(row[0], row[1]): row[2] for row in debtors} == {
        (row_id, position): debtor["fullName"]
        for row_id, case in cases.items()
        for position, debtor in enumerate(case["debtors"])
    }


async def test_a_walk_that_the_second_version_left_in_the_middle_goes_on_from_there(url: str) -> None:
    await load(url, 2)
    resources = tuple(ROW_TABLES)
    async with (
        Sandbox(organizations=1, batches=9, entries=2, page_size=4, seed=3) as sandbox,
        AmiliClient(
            ClientCredentials(*sandbox.credentials), base_url=sandbox.base_url, token_url=sandbox.token_url
        ) as client,
        SqlStore(url) as store,
    ):
        # Its process is gone, on a machine that is not this one: its lease has run out by now.
        assert not isinstance(await store.begin(sandbox.organization_ids[0], "batches"), LeaseConflict)
        await store.finish(sandbox.organization_ids[0], "batches", None)

        report = await sync(client, sandbox.organization_ids, store, resources=resources)

        assert report.ok
        # The sandbox says other things of the same rows than it did to that version, which wrote none of them twice.
        assert report.total.new == 0
        pages = [request for request in sandbox.requests if request.operation == "batches.list"]
        assert "PageToken" in pages[0].query
        assert await store.count("batches") == 9


# Killed in the middle

UPGRADE = """
import asyncio, os, sys
import sqlalchemy as sa
from amili_async.sync import SqlStore

left = int(sys.argv[2])

async def main():
    store = SqlStore(sys.argv[1])
    engine = store.database._engine

    @sa.event.listens_for(getattr(engine, "sync_engine", engine), "before_cursor_execute")
    def die(*_):
        global left
        left -= 1
        if left == 0:
            os._exit(9)

    async with store:
        print(int(sys.argv[2]) - left)

asyncio.run(main())
"""


async def upgrade(url: str, dying_at: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", UPGRADE, url, str(dying_at)]
    return await asyncio.to_thread(subprocess.run, command, check=False, capture_output=True, text=True)


@pytest.mark.kill
async def test_an_upgrade_that_is_killed_anywhere_leaves_the_older_store_whole(url: str) -> None:
    await load(url, 2)
    before = await answers(url)
    killed = 0
    while (ended := await upgrade(url, 3 + 15 * killed)).returncode == 9:
        killed += 1
        assert await answers(url) == before

    assert killed >= 3
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)
    assert await answers(url) == before
    async with SqlStore(url) as store:
        assert await held(store, "amili_schema", "version") == [(VERSION,)]
        assert len(await held(store, "debtors", "case_id")) == 16


# Other databases


async def set_version(store: SqlStore, version: int) -> None:
    await store.database.run(lambda connection: connection.execute(sa.update(schema).values(version=version)))


async def test_a_database_of_a_newer_version_is_refused_with_a_sentence(url: str) -> None:
    async with SqlStore(url) as store:
        await set_version(store, VERSION + 1)

    with pytest.raises(StoreError, match=f"of version {VERSION + 1} and this release knows versions up to {VERSION}"):
        async with SqlStore(url):
            pass


async def test_a_database_with_somebody_elses_tables_is_refused_and_left_alone(url: str) -> None:
    async with SqlStore(url) as store:
        await store.database.run(lambda connection: connection.execute(sa.text("DROP TABLE amili_schema")))

    with pytest.raises(StoreError, match=r"tables that this package did not make .*batches.*a database of its own"):
        async with SqlStore(url):
            pass


async def test_many_that_open_an_empty_database_at_once_make_its_tables_once(url: str) -> None:
    async def open_and_count() -> int:
        async with SqlStore(url) as store:
            return await store.count("batches")

    counts: Sequence[int] = await asyncio.gather(*(open_and_count() for _ in range(4)))

    assert counts == [0, 0, 0, 0]
