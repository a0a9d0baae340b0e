"""A store's tables as files and as Arrow: typed, whole, read back by pandas, polars and DuckDB as they were."""

from __future__ import annotations

import csv
import json
import stat
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import polars as pl
import pytest
import sqlalchemy as sa

from amili_async._decoding import Reader
from amili_async.errors import ConfigurationError, StoreError
from amili_async.events import QuarantinedRow
from amili_async.models import Case
from amili_async.sync import Checkpoint, PageWrite, Row, SqlStore, export, sync
from amili_async.sync._sql import exports as module
from amili_async.sync._sql.files import _cell  # pyright: ignore[reportPrivateUsage]  # what stands in a cell
from amili_async.sync._sql.schema import ROW_TABLES
from tests.support.rows import batch, portion

if TYPE_CHECKING:
    from pathlib import Path

    from amili_async import AmiliClient
    from amili_async.sandbox import Sandbox

# Neither has types of its own.
pa: Any = import_module("pyarrow")
pq: Any = import_module("pyarrow.parquet")

TABLES = ("batches", "entries", "failed", "invoices", "cases", "case_invoices", "debtors", "settlements")
MOMENT = datetime(2025, 3, 9, 14, 30, 0, 123000, UTC)


def case(raw: str) -> Row:
    value = Reader(Case).row(raw.encode(), 0, None)
    assert not isinstance(value, QuarantinedRow)
    return Row(id=value.case_id, moment=None, final=False, value=value, raw=raw.encode())


CASE = case(
    '{"caseId":"c","status":"OPEN","registeredAt":"2025-03-09T14:30:00Z","zone":{"rate":1.10},"invoices":[{"invoiceId":"i",'
    '"remainingAmount":4500.00,"dueDate":"2025-03-10T00:00:00+02:00","reminder":7}],"debtors":[{"fullName":"=1+1"}]}',
)


async def fill(store: SqlStore, *, cases: tuple[Row, ...] = (CASE,)) -> None:
    """Put a batch with a failure and a case into a store."""
    await store.begin("organization", "batches")
    succeeded = [{"$type": "invoiceSuccess", "invoiceId": "i", "invoiceNumber": "F-1", "newMember": "æ"}]
    await store.write(
        portion(batch("a", succeeded=succeeded, failed=[{"message": "-1"}], other=1.50), batch("b", createdAt=None))
    )
    await store.begin("organization", "cases")
    page = PageWrite(organization_id="organization", resource="cases", rows=cases, checkpoint=Checkpoint())
    await store.write(page)


async def test_a_file_of_lines_holds_every_digit_and_what_no_column_names(url: str, tmp_path: Path) -> None:
    async with SqlStore(url) as store:
        await fill(store)
        for table, count in (("batches", 2), ("entries", 2), ("failed", 1), ("case_invoices", 1), ("debtors", 1)):
            assert await export(store, table, tmp_path / f"{table}.jsonl") == count

    def lines(table: str) -> list[dict[str, Any]]:
        text = (tmp_path / f"{table}.jsonl").read_text("utf-8")
        return [json.loads(line, parse_float=Decimal) for line in text.splitlines()]

    first, second = lines("batches")
    assert (first["id"], first["state"], first["created_at"]) == ("a", "SUCCESS", "2025-03-09T14:30:00.123000Z")
    assert first["extra"] == {"other": Decimal("1.50")}
    assert (second["created_at"], second["extra"], second["gone_at"]) == (None, None, None)
    assert [one["extra"] for one in lines("entries")] == [None, {"newMember": "æ"}]
    assert [(one["batch_id"], one["message"]) for one in lines("failed")] == [("a", "-1")]
    [invoice] = lines("case_invoices")
    assert (invoice["case_id"], str(invoice["remaining_amount"]), invoice["due_date"]) == ("c", "4500.00", "2025-03-10")
    assert invoice["extra"] == {"reminder": 7}


async def test_when_a_row_went_is_a_moment_like_any_other(url: str) -> None:
    async with SqlStore(url) as store:
        await fill(store)
        table = ROW_TABLES["batches"]
        gone = sa.update(table).where(table.c.id == "a").values(gone_at=table.c.created_at)
        await store.database.run(lambda connection: connection.execute(gone))
        rows = pa.Table.from_batches([part async for part in store.arrow("batches")]).to_pylist()

    moments = [(row["id"], row["created_at"], row["gone_at"]) for row in rows]
    assert moments == [("a", MOMENT, MOMENT), ("b", None, None)]


async def test_a_spreadsheet_works_nothing_out(url: str, tmp_path: Path) -> None:
    async with SqlStore(url) as store:
        await fill(store)
        await export(store, "debtors", tmp_path / "debtors.csv")
        await export(store, "failed", tmp_path / "failed.csv")
        await export(store, "case_invoices", tmp_path / "invoices.csv")

    def cells(name: str) -> dict[str, str]:
        with (tmp_path / name).open(encoding="utf-8", newline="") as file:
            [found] = csv.DictReader(file)
        return found

    assert cells("debtors.csv")["full_name"] == "'=1+1"
    assert cells("failed.csv")["message"] == "'-1"
    assert cells("invoices.csv")["remaining_amount"] == "4500.00"


async def test_arrow_is_typed_and_read_by_pandas_polars_and_duckdb_alike(url: str) -> None:
    async with SqlStore(url) as store:
        await fill(store)
        invoices = pa.Table.from_batches([part async for part in store.arrow("case_invoices")])
        batches = pa.Table.from_batches([part async for part in store.arrow("batches")])

    assert invoices.schema.field("remaining_amount").type == pa.decimal128(38, 10)
    assert invoices.schema.field("due_date").type == pa.date32()
    assert batches.schema.field("created_at").type == pa.timestamp("us", tz="UTC")
    assert batches.schema.field("succeeded").type == pa.int64()
    frame: Any = batches.to_pandas()
    assert [value.to_pydatetime() for value in frame["created_at"][:1]] == [MOMENT]
    polars = pl.DataFrame(invoices)
    assert polars["remaining_amount"].to_list() == [Decimal("4500.00")]
    assert polars["due_date"].to_list() == [date(2025, 3, 10)]
    found = duckdb.sql("SELECT sum(remaining_amount), max(due_date) FROM invoices")
    assert found is not None
    assert found.fetchall() == [(Decimal("4500.00"), date(2025, 3, 10))]


@pytest.mark.amili(organizations=2, batches=30)
async def test_every_table_of_a_sync_is_the_same_in_each_format(
    url: str, tmp_path: Path, sandbox: Sandbox, client: AmiliClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 7)
    resources = ("batches", "invoices", "cases", "settlements")
    async with SqlStore(url) as store:
        await sync(client, sandbox.organization_ids, store, resources=resources)
        for table in TABLES:
            count = await export(store, table, tmp_path / f"{table}.parquet")
            assert count == await export(store, table, tmp_path / f"{table}.jsonl")
            assert count == await export(store, table, tmp_path / f"{table}.csv")

            lines = [json.loads(line) for line in (tmp_path / f"{table}.jsonl").read_text("utf-8").splitlines()]
            parquet = pq.read_table(tmp_path / f"{table}.parquet")
            assert parquet.num_rows == len(lines) == count > 0
            for name in parquet.column_names:
                if parquet.schema.field(name).type == pa.string() and name not in {"extra", "raw"}:
                    assert parquet[name].to_pylist() == [line[name] for line in lines]
            with (tmp_path / f"{table}.csv").open(encoding="utf-8", newline="") as file:
                assert sum(1 for _ in csv.DictReader(file)) == count
        ids = [json.loads(line)["id"] for line in (tmp_path / "settlements.jsonl").read_text("utf-8").splitlines()]
        assert len(set(ids)) == await store.count("settlements")


async def test_of_large_rows_few_are_in_memory_and_none_is_left_out(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BYTES_AT_ONCE", 3000)
    told: list[int] = []
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        many = [{"message": f"reason {number}"} for number in range(200)]
        await store.write(portion(batch("a"), batch("b"), batch("large", failed=many), batch("c")))
        count = await export(store, "batches", tmp_path / "b.csv", on_progress=lambda done, _: told.append(done))
        assert (count, told) == (4, [2, 3, 4])
        assert await export(store, "entries", tmp_path / "e.CSV") == 200


async def test_one_organization_and_what_came_since_can_be_asked_for(url: str, tmp_path: Path) -> None:
    async with SqlStore(url) as store:
        for name, day in (("one", "2025-01-01"), ("other", "2025-06-01")):
            await store.begin(name, "batches")
            await store.write(portion(batch(f"of {name}", createdAt=f"{day}T00:00:00Z"), organization_id=name))

        async def ids(**wanted: Any) -> list[str]:
            await export(store, "batches", tmp_path / "found.jsonl", **wanted)
            return [json.loads(line)["id"] for line in (tmp_path / "found.jsonl").read_text("utf-8").splitlines()]

        assert await ids(organization_id="one") == ["of one"]
        assert await ids(since=datetime(2025, 3, 1, tzinfo=UTC)) == ["of other"]
        assert await ids(organization_id="one", since=datetime(2025, 3, 1, tzinfo=UTC)) == []
        assert await ids(since=date(2025, 6, 1)) == ["of other"]
        await export(store, "batches", tmp_path / "raw.jsonl", with_raw=True)
    assert json.loads((tmp_path / "raw.jsonl").read_text("utf-8").splitlines()[0])["raw"]["batchId"] == "of one"


async def test_settlements_are_filtered_by_their_day(url: str, tmp_path: Path) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "settlements")
        assert await export(store, "settlements", tmp_path / "s.csv", since=datetime(2025, 3, 1, tzinfo=UTC)) == 0


async def test_progress_is_told_up_to_the_end(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 1)
    told: list[tuple[int, int]] = []
    async with SqlStore(sqlite_url) as store:
        await fill(store)
        await export(store, "batches", tmp_path / "b.csv", on_progress=lambda done, total: told.append((done, total)))

    assert told == [(1, 2), (2, 2)]


# Whole or not at all


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("store.db"))


async def test_a_file_is_its_owners_alone(sqlite_url: str, tmp_path: Path) -> None:
    async with SqlStore(sqlite_url) as store:
        await fill(store)
        await export(store, "debtors", str(tmp_path / "d.csv"))

    assert stat.S_IMODE((tmp_path / "d.csv").stat().st_mode) == 0o600


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
async def test_what_fails_half_way_leaves_what_was_there(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 1)
    path = tmp_path / f"b.{ending}"
    path.write_text("what was there", "utf-8")

    def fail(_done: int, _total: int) -> None:
        raise OSError(28, "No space left on device")

    async with SqlStore(sqlite_url) as store:
        await fill(store)
        with pytest.raises(OSError, match="No space left"):
            await export(store, "batches", path, on_progress=fail)

    assert path.read_text("utf-8") == "what was there"
    assert left(tmp_path) == [path.name]


async def test_an_amount_that_arrow_has_no_place_for_is_told_and_kept_by_the_others(url: str, tmp_path: Path) -> None:
    exact = case('{"caseId":"c","invoices":[{"remainingAmount":0.00000000001}]}')
    async with SqlStore(url) as store:
        await fill(store, cases=(exact,))
        with pytest.raises(StoreError, match=r"remaining_amount has more digits than Arrow's decimal128\(38, 10\)"):
            await export(store, "case_invoices", tmp_path / "i.parquet")
        await export(store, "case_invoices", tmp_path / "i.csv")

    assert "0.00000000001" in (tmp_path / "i.csv").read_text("utf-8")
    assert left(tmp_path) == ["i.csv"]


async def test_wrong_use_is_a_sentence(sqlite_url: str, tmp_path: Path) -> None:
    async with SqlStore(sqlite_url) as store:
        with pytest.raises(ConfigurationError, match=r"b\.xlsx must end in .parquet, .csv, .jsonl"):
            await export(store, "batches", tmp_path / "b.xlsx")
        with pytest.raises(ConfigurationError, match="'people' is none of batches, entries, failed, invoices"):
            await export(store, "people", tmp_path / "b.csv")
        with pytest.raises(StoreError, match="no invoices were synced into this store: amili sync --resource invoices"):
            await export(store, "invoices", tmp_path / "b.csv")
        await store.begin("organization", "batches")
        with pytest.raises(FileNotFoundError, match="there is no such folder; make it first"):
            await export(store, "batches", tmp_path / "nowhere" / "b.csv")
        (tmp_path / "folder.csv").mkdir()
        with pytest.raises(IsADirectoryError, match="that is a folder; name a file in it"):
            await export(store, "batches", tmp_path / "folder.csv")
        with pytest.raises(ConfigurationError, match="since must be a day, or a moment with its time zone"):
            await export(store, "batches", tmp_path / "b.csv", since=datetime(2025, 1, 1))  # noqa: DTZ001  # the mistake
        with pytest.raises(StoreError, match="no cases were synced into this store"):
            [part async for part in store.arrow("debtors")]
        assert await export(store, "batches", tmp_path / "b.csv") == 0
        parts = [part async for part in store.arrow("batches")]
    assert (tmp_path / "b.csv").read_text("utf-8").startswith("organization_id,id,type,state")
    assert [part.num_rows for part in parts] == [0]


async def test_a_value_that_a_later_release_cannot_read_is_exported_without_its_extra(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with SqlStore(sqlite_url) as store:
        await fill(store)
        await store.database.run(lambda connection: connection.exec_driver_sql("UPDATE case_rows SET raw = '[]'"))
        for table in ("cases", "debtors"):
            await export(store, table, tmp_path / f"{table}.jsonl")

    line = json.loads((tmp_path / "debtors.jsonl").read_text("utf-8"))
    assert (line["full_name"], line["extra"]) == ("=1+1", None)
    assert msgspec.json.decode((tmp_path / "cases.jsonl").read_bytes())["extra"] is None


@pytest.mark.parametrize(
    "begins", ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n=", "  =", "\u00a0@"]
)
def test_whatever_a_formula_may_begin_with_is_text(begins: str) -> None:
    assert _cell(f"{begins}1+1") == f"'{begins}1+1"
    assert _cell(f"a{begins}1") == f"a{begins}1"
    assert _cell(-1) == -1
