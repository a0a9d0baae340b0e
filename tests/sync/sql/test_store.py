"""A store in SQL, on both kinds of database: what is written is there whole, once, and as it was received."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest
import sqlalchemy as sa

from amili_async import decode, encode
from amili_async.errors import ConfigurationError, StoreError
from amili_async.models import Case, Invoice, Settlement
from amili_async.sync import Checkpoint, LeaseConflict, PageWrite, Row, SqlStore, WriteResult
from amili_async.sync._checkpoint import Scan, Watermark
from amili_async.sync._sql.checkpoints import Checkpoints, Stamp
from amili_async.sync._sql.leases import Lease, Leases
from amili_async.sync._sql.quarantine import Quarantine
from amili_async.sync._sql.schema import batches
from amili_async.sync._sql.statements import Statement
from amili_async.sync._sql.tables import PostgreSQLRowTable, PreparedRow
from tests.support.rows import aside, batch, held, portion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amili_async.models import Model

ENTRIES = ("batch_id", "outcome", "position", "type", "invoice_id", "invoice_number", "message", "reference")

DAY = datetime(2025, 3, 9, tzinfo=UTC)

BOOKMARK = Checkpoint(
    watermark=Watermark(
        known_until=datetime(2025, 3, 9, tzinfo=UTC), ordered=True, open={"a": datetime(2025, 3, 1, tzinfo=UTC)}
    ),
    scan=Scan(cursor="cursor", pages=3, seconds=1.5),
    scans=2,
    finished_at=DAY,
    seconds=0.25,
)


UNFIT = batch("b", createdBy="zero \0 character")
"""A batch that PostgreSQL refuses: its text has no place for a zero character."""


def returning(answer: Callable[[], object]) -> Callable[..., object]:
    """Return what answers whatever it is asked."""

    def answering(*_: object, **__: object) -> object:
        return answer()

    return answering


async def written(store: SqlStore, *rows: Row) -> WriteResult | LeaseConflict:
    return await store.write(portion(*rows))


# Rows


async def test_rows_are_new_then_the_same_then_changed(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")

        assert await written(store, batch("a"), batch("b")) == WriteResult(new=2, changed=0)
        assert await written(store, batch("a"), batch("b")) == WriteResult(new=0, changed=0)
        assert await written(store, batch("a", status="FAILED"), batch("b"), batch("c")) == WriteResult(
            new=1, changed=1
        )
        assert await held(store, "batches", "id", "state") == [("a", "FAILED"), ("b", "SUCCESS"), ("c", "SUCCESS")]
        assert await store.count("batches") == 3


async def test_no_rows_are_nothing_to_write(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")

        assert await written(store) == WriteResult(0, 0)


async def test_the_same_id_in_two_organizations_is_two_rows(url: str) -> None:
    async with SqlStore(url) as store:
        for organization_id in ("one", "other"):
            await store.begin(organization_id, "batches")
            assert await store.write(portion(batch("a"), organization_id=organization_id)) == WriteResult(1, 0)

        assert await held(store, "batches", "organization_id", "id") == [("one", "a"), ("other", "a")]


async def test_typed_columns_stand_beside_the_json_as_it_was_received(url: str) -> None:
    row = batch("a", finishedAt="2025-03-09T16:30:05+02:00", createdBy="me", unknown={"æ": 1.50})
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await written(store, row)

        [(created, finished)] = await held(store, "batches", "created_at", "finished_at")
        if url.startswith("sqlite"):
            assert (created, finished) == ("2025-03-09T14:30:00.123000+00:00", "2025-03-09T14:30:05.000000+00:00")
        else:
            assert created == datetime(2025, 3, 9, 14, 30, 0, 123000, UTC)
            assert finished == datetime(2025, 3, 9, 14, 30, 5, tzinfo=UTC)
        assert await held(store, "batches", "type", "state", "created_by", "succeeded", "failed") == [
            ("INVOICE", "SUCCESS", "me", 0, 0)
        ]
        text = sa.select(sa.cast(batches.c.raw, sa.Text))
        raw = await store.database.run(lambda connection: connection.execute(text).scalar_one())
        assert raw.encode() == row.raw


async def test_bytes_that_are_no_utf8_in_a_member_that_nobody_reads_do_not_lose_the_row(url: str) -> None:
    row = batch("a", unknown="X")
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await written(store, Row(id="a", moment=None, final=True, value=row.value, raw=row.raw.replace(b"X", b"\xe6")))

        assert await store.count("batches") == 1


async def test_entries_have_a_table_of_their_own(url: str) -> None:
    row = batch(
        "a",
        succeeded=[
            {"$type": "invoiceSuccess", "invoiceId": "invoice 1", "invoiceNumber": "F-1", "caseId": "case 1"},
            {"$type": "paymentSuccess", "paymentId": "payment 1", "invoiceId": "invoice 2"},
            {"$type": "somethingElse", "number": 5},
        ],
        failed=[None, {"message": "no such debtor", "invoiceNumber": "F-2"}],
    )
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await written(store, row)

        assert await held(store, "batch_entries", *ENTRIES) == [
            ("a", "failed", 0, None, None, None, None, None),
            ("a", "failed", 1, None, None, None, "no such debtor", "F-2"),
            ("a", "succeeded", 0, "invoiceSuccess", "invoice 1", "F-1", None, None),
            ("a", "succeeded", 1, "paymentSuccess", "invoice 2", None, None, None),
            ("a", "succeeded", 2, "somethingElse", None, None, None, None),
        ]
        raws = await held(store, "batch_entries", "outcome", "position", "raw")
        if url.startswith("sqlite"):
            assert raws == [
                ("failed", 0, "null"),
                ("failed", 1, '{"message":"no such debtor","invoiceNumber":"F-2"}'),
                ("succeeded", 0, None),
                ("succeeded", 1, '{"$type":"paymentSuccess","paymentId":"payment 1","invoiceId":"invoice 2"}'),
                ("succeeded", 2, '{"$type":"somethingElse","number":5}'),
            ]


async def test_a_batch_that_changed_has_its_entries_of_this_moment_and_no_others(url: str) -> None:
    one, other = ({"$type": "invoiceSuccess", "invoiceId": f"invoice {number}"} for number in (1, 2))
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await written(store, batch("a", succeeded=[one, other]), batch("b", succeeded=[one]))
        await written(store, batch("a", succeeded=[other]), batch("b", succeeded=[one]))

        assert await held(store, "batch_entries", "batch_id", "position", "invoice_id") == [
            ("a", 0, "invoice 2"),
            ("b", 0, "invoice 1"),
        ]


def portion_of(resource: str, row_id: str, value: Model) -> PageWrite:
    row = Row(id=row_id, moment=None, final=True, value=value, raw=encode(value))
    return PageWrite(organization_id="organization", resource=resource, rows=(row,), checkpoint=Checkpoint())


async def test_invoices_cases_and_settlements_have_typed_columns(url: str) -> None:
    invoice = msgspec.json.decode(
        b'{"id":"i","invoiceNumber":7,"type":"NOTICE","status":"OPEN","createdAt":"2025-03-09T14:30:00Z"}', type=Invoice
    )
    case = decode(
        b'{"caseId":"c","caseNumber":5000001,"status":"OPEN","subStatus":"WAITING","type":"NOTICE",'
        b'"registeredAt":"2025-03-09T14:30:00Z","closedAt":null,"invoices":[{}],"debtors":[{},{}]}',
        Case,
    )
    settlement = msgspec.json.decode(
        b'{"caseNumber":"5000001","collectionType":"REMINDER","currency":"NOK","exchangeRate":1.10,'
        b'"settlementDate":"2025-08-15"}',
        type=Settlement,
    )
    async with SqlStore(url) as store:
        for resource, row_id, value in (
            ("invoices", "i", invoice),
            ("cases", "c", case),
            ("settlements", "s", settlement),
        ):
            await store.begin("organization", resource)
            assert await store.write(portion_of(resource, row_id, value)) == WriteResult(1, 0)

        assert await held(store, "invoices", "id", "invoice_number", "type", "status") == [("i", "7", "NOTICE", "OPEN")]
        assert await held(store, "cases", "id", "case_number", "sub_status", "closed_at", "invoices", "debtors") == [
            ("c", "5000001", "WAITING", None, 1, 2)
        ]
        [(rate, day)] = await held(store, "settlements", "exchange_rate", "settlement_date")
        assert (str(rate), str(day)) == ("1.10", "2025-08-15")


# Checkpoints


async def test_a_list_that_nobody_walked_has_an_empty_checkpoint(url: str) -> None:
    async with SqlStore(url) as store:
        assert await store.begin("organization", "batches") == Checkpoint()


async def test_the_checkpoint_last_written_is_where_the_next_run_begins(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(checkpoint=BOOKMARK))
        await store.finish("organization", "batches", "it broke")

        assert await held(store, "lists", "scans", "seconds", "error", "owner") == [(2, 0.25, "it broke", None)]
        assert await store.begin("organization", "batches") == BOOKMARK
        assert await store.begin("organization", "cases") == Checkpoint()


async def test_rows_and_checkpoint_are_written_together_or_not_at_all(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")

        def fail(*_: object) -> None:
            raise StoreError("the last thing in the transaction failed")

        monkeypatch.setattr(Quarantine, "write", fail)
        given = portion(batch("a"), checkpoint=BOOKMARK)
        with pytest.raises(StoreError):
            await store.write(msgspec.structs.replace(given, quarantined=(aside(b"{}"),)))

        assert await store.count("batches") == 0
        await store.finish("organization", "batches", None)
        assert await store.begin("organization", "batches") == Checkpoint()


# Quarantine


async def test_rows_set_aside_are_kept_byte_for_byte_and_once(url: str) -> None:
    rows = (aside(b'{"batchId": "a", "createdAt": 5}'), aside(b"[1]"), aside(b'{"batchId": 5}'), aside(b"\xff"))
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        for _ in range(2):
            await store.write(msgspec.structs.replace(portion(), quarantined=rows))

        found = await held(store, "quarantine", "raw", "key", "path", "reason")
        assert sorted(row[0] for row in found if isinstance(row[0], bytes)) == sorted(row.raw for row in rows)
        assert [row[1:] for row in found if row[0] == rows[0].raw] == [("a", "$.createdAt", "expected a time")]
        assert all(str(row[1]).startswith("blake2b:") for row in found if row[0] != rows[0].raw)


async def test_a_row_that_became_readable_leaves_quarantine_also_in_a_later_run(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(
            msgspec.structs.replace(portion(), quarantined=(aside(b'{"batchId":"a"}'), aside(b'{"batchId":"b"}')))
        )
        await written(store, batch("a"))
        assert await held(store, "quarantine", "key") == [("b",)]
        await store.finish("organization", "batches", None)

    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await written(store, batch("b"))
        assert await held(store, "quarantine", "key") == []


@pytest.mark.postgres
async def test_a_value_that_the_database_refuses_sets_its_row_aside_and_keeps_the_others(postgresql_url: str) -> None:
    async with SqlStore(postgresql_url) as store:
        await store.begin("organization", "batches")
        result = await written(
            store, batch("a"), batch("b", createdBy="zero \0 character"), batch("c", status="QUEUED")
        )

        assert result == WriteResult(2, 0, quarantined=1)
        assert await held(store, "batches", "id") == [("a",), ("c",)]
        assert await held(store, "quarantine", "key", "reason") == [("b", "a value that the database refuses")]

        assert await written(store, batch("c"), batch("b", createdBy="mended")) == WriteResult(1, 1)
        assert await held(store, "quarantine", "key") == []


@pytest.mark.postgres
async def test_another_failure_row_by_row_is_no_matter_of_the_row(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SqlStore(postgresql_url) as store:
        await store.begin("organization", "batches")
        put = PostgreSQLRowTable.put

        def without_the_table(
            table: PostgreSQLRowTable,
            connection: sa.Connection,
            lease: Lease,
            rows: Sequence[PreparedRow],
            stamp: Stamp,
        ) -> object:
            connection.exec_driver_sql("ALTER TABLE batch_rows RENAME TO others")
            return put(table, connection, lease, rows, stamp)

        monkeypatch.setattr(PostgreSQLRowTable, "put", without_the_table)
        with pytest.raises(StoreError, match="its tables were changed"):
            await written(store, batch("a"), UNFIT)

        assert await store.count("batches") == 0


@pytest.mark.postgres
async def test_a_list_that_is_lost_after_a_value_was_refused_is_not_written(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SqlStore(postgresql_url) as store:
        await store.begin("organization", "batches")
        monkeypatch.setattr(Checkpoints, "save", returning(lambda: None))

        assert isinstance(await written(store, batch("a"), UNFIT), LeaseConflict)
        assert await store.count("batches") == 0


# Leases


async def test_a_list_that_another_run_is_at_is_held(url: str) -> None:
    async with SqlStore(url) as one, SqlStore(url, lease=30) as other:
        await one.begin("organization", "batches")

        answer = await other.begin("organization", "batches")
        assert isinstance(answer, LeaseConflict)
        assert 50 < answer.seconds <= 60
        assert answer.owner == f"process {os.getpid()} on this machine"
        assert answer.since is not None
        assert answer.until is not None
        assert (answer.until - answer.since).total_seconds() == pytest.approx(60)
        assert await other.begin("another", "batches") == Checkpoint()


async def test_a_list_that_was_finished_or_whose_store_was_closed_is_free(url: str) -> None:
    async with SqlStore(url) as other:
        async with SqlStore(url) as one:
            await one.begin("finished", "batches")
            await one.finish("finished", "batches", None)
            assert await other.begin("finished", "batches") == Checkpoint()

            await one.begin("left", "batches")
        assert await other.begin("left", "batches") == Checkpoint()


async def test_a_lease_that_ran_out_is_taken_over_and_whoever_had_it_writes_nothing_more(url: str) -> None:
    async with SqlStore(url) as one, SqlStore(url) as other:
        await one.begin("organization", "batches")
        await expire(one)

        assert await other.begin("organization", "batches") == Checkpoint()
        assert isinstance(await one.write(portion(batch("a"), checkpoint=BOOKMARK)), LeaseConflict)
        assert await one.count("batches") == 0
        assert await other.write(portion(batch("b"))) == WriteResult(1, 0)

        with pytest.raises(StoreError, match="between begin"):
            await one.finish("organization", "batches", None)
        assert isinstance(await one.begin("organization", "batches"), LeaseConflict)


async def expire(store: SqlStore) -> None:
    statement = sa.text("UPDATE lists SET expires_at = 1")
    await store.database.run(lambda connection: connection.execute(statement))


async def test_stores_of_one_run_take_over_from_each_other_at_once(url: str) -> None:
    async with SqlStore(url, run="the run") as one, SqlStore(url, run="the run") as other:
        await one.begin("organization", "batches")

        assert await other.begin("organization", "batches") == Checkpoint()
        assert isinstance(await one.write(portion(batch("a"))), LeaseConflict)


async def test_two_that_take_a_list_on_in_the_same_moment_do_not_both_get_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SqlStore(url, run="the run") as one, SqlStore(url, run="the run") as other:
        # The other one sees what was there in the moment before: nothing at first, then the lease before this one.
        await one.begin("organization", "batches")
        rows = Statement.rows
        before: list[tuple[object, ...]] = []
        monkeypatch.setattr(Statement, "rows", returning(lambda: before))
        assert isinstance(await other.begin("organization", "batches"), LeaseConflict)

        monkeypatch.setattr(Statement, "rows", rows)
        before = [(1, "{}", 1, None, None, 0.0, 0.0, False, False, False)]
        await one.begin("organization", "batches")
        monkeypatch.setattr(Statement, "rows", returning(lambda: before))
        assert isinstance(await other.begin("organization", "batches"), LeaseConflict)


async def test_leases_are_renewed_while_the_store_is_open(url: str) -> None:
    async with SqlStore(url, lease=0.04) as store:
        await store.begin("organization", "batches")
        await expire(store)
        async with asyncio.timeout(60):
            # Whoever renewed it has not yet committed when it is told, so the table alone is looked at.
            while await held(store, "lists", "expires_at") == [(1.0,)]:  # noqa: ASYNC110  # a table has no event
                await asyncio.sleep(0.01)


async def test_nothing_is_renewed_while_nothing_is_held(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    come_round = asyncio.Event()
    sleep = asyncio.sleep
    rounds = 0
    renewed: list[object] = []

    async def count(_seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            come_round.set()
        await sleep(0)

    monkeypatch.setattr(Leases, "renew", returning(lambda: renewed.append(1)))
    monkeypatch.setattr(asyncio, "sleep", count)
    async with SqlStore(sqlite_url):
        await asyncio.wait_for(come_round.wait(), 100)

    assert renewed == []


async def test_a_store_that_cannot_renew_goes_on(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fail(_: object) -> None:
        loop.call_soon_threadsafe(tried.set)
        raise StoreError("the database is away")

    async with SqlStore(url, lease=0.02) as store:
        monkeypatch.setattr(store, "_hold_longer", fail)
        await store.begin("organization", "batches")
        await asyncio.wait_for(tried.wait(), 100)

        assert await written(store, batch("a")) == WriteResult(1, 0)


async def test_a_lease_that_cannot_be_given_back_does_not_keep_the_store_from_closing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqlStore(url)
    async with store:
        await store.begin("organization", "batches")

        def fail(*_: object) -> None:
            raise StoreError("the database is away")

        monkeypatch.setattr(store, "_give_back", fail)


# Many at once


async def test_many_organizations_write_at_the_same_time(url: str) -> None:
    async def one(store: SqlStore, organization_id: str) -> None:
        await store.begin(organization_id, "batches")
        for page in range(3):
            rows = [batch(f"{organization_id} {page} {number}") for number in range(5)]
            assert await store.write(portion(*rows, organization_id=organization_id)) == WriteResult(5, 0)
        await store.finish(organization_id, "batches", None)

    async with SqlStore(url) as store:
        await asyncio.gather(*(one(store, f"organization {number}") for number in range(32)))

        assert await store.count("batches") == 32 * 15


# Wrong use


async def test_a_store_that_is_not_open_says_so() -> None:
    store = SqlStore("sqlite://")
    with pytest.raises(StoreError, match="async with"):
        await store.begin("organization", "batches")
    await store.aclose()


async def test_a_list_is_written_between_begin_and_finish(sqlite_url: str) -> None:
    async with SqlStore(sqlite_url) as store:
        with pytest.raises(StoreError, match="between begin"):
            await store.write(portion(batch("a")))


async def test_a_resource_that_there_is_not_is_refused(sqlite_url: str) -> None:
    async with SqlStore(sqlite_url) as store:
        with pytest.raises(ConfigurationError, match="'debtors' is not one of batches, invoices, cases, settlements"):
            await store.begin("organization", "debtors")
        with pytest.raises(ConfigurationError, match="'debtors' is not one of batches"):
            await store.count("debtors")


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_durations_are_above_nothing(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="lease must be a number of seconds above 0"):
        SqlStore("sqlite://", lease=seconds)
    with pytest.raises(ConfigurationError, match="patience must be a number of seconds above 0"):
        SqlStore("sqlite://", patience=seconds)


def test_a_store_shows_neither_password_nor_host() -> None:
    assert repr(SqlStore("postgresql://user:secret@host/database")) == "SqlStore(postgresql)"
