"""The views that people read: every column told, and sums that are exact to the last digit."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amili_async import Case, decode
from amili_async.sync import Checkpoint, PageWrite, Row, SqlStore
from amili_async.sync._sql.schema import metadata
from amili_async.sync._sql.views import VIEWS, documented
from tests.support.rows import batch, held, portion

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_every_table_every_view_and_every_column_is_described() -> None:
    tables = metadata.sorted_tables
    described = {f"{table.name}.{column.name}": column.comment for table in tables for column in table.c}
    described |= {table.name: table.comment for table in tables}
    described |= {f"{view.name}.{name}": comment for view in VIEWS for name, comment in view.columns.items()}
    described |= {view.name: view.comment for view in VIEWS}

    assert {name for name, comment in described.items() if not comment} == set()


@pytest.mark.postgres
async def test_postgresql_knows_what_each_column_holds(postgresql_url: str) -> None:
    async with SqlStore(postgresql_url) as store:
        told = await held(store, "pg_description", "description")

    assert {column.comment for table in metadata.sorted_tables for column in table.c} <= {row[0] for row in told}


async def test_what_failed_is_listed_with_its_batch(url: str) -> None:
    failed = [{"message": "no such debtor", "invoiceNumber": "F-2"}]
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(batch("a", status="PARTIAL", failed=failed), batch("b", failed=failed)))
        await store.write(portion(gone=("b",)))

        columns = ("organization_id", "batch_id", "position", "batch_type", "batch_state", "message", "reference")
        assert await held(store, "failed_entries", *columns) == [
            ("organization", "a", 0, "INVOICE", "PARTIAL", "no such debtor", "F-2")
        ]


async def test_batches_are_counted_by_day_in_utc(url: str) -> None:
    rows = (
        batch("a", createdAt="2025-03-09T23:30:00-02:00"),
        batch("b", createdAt="2025-03-10T00:00:00Z", status="QUEUED"),
        batch("c", createdAt="2025-03-10T00:00:00Z", status="SOMETHING"),
        batch("d", createdAt="2025-03-10T00:00:00Z", status="FAILED", failed=[None, None]),
        batch("e", createdAt=None),
        batch("f", createdAt="2025-03-10T00:00:00Z"),
    )
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(*rows))
        await store.write(portion(gone=("f",)))

        counts = ("batches", "queued", "success", "partial", "failed", "other", "failed_entries")
        found = await held(store, "batches_by_day", "day", *counts)
        assert sorted((str(row[0]), *row[1:]) for row in found) == [
            ("2025-03-10", 4, 1, 1, 0, 1, 1, 2),
            ("None", 1, 0, 1, 0, 0, 0, 0),
        ]


def case(number: int, amounts: Sequence[str], **members: object) -> Row:
    invoices = ",".join(f'{{"remainingAmount":{amount},"currency":"NOK"}}' for amount in amounts)
    debtors = '[{"debtorId":"d","fullName":"Kari"},{"debtorId":"e"}]'
    usual = msgspec.json.encode({"caseId": f"case {number}", **members}).decode()[1:-1]
    raw = f'{{{usual},"invoices":[{invoices}],"debtors":{debtors}}}'.encode()
    value = decode(raw, Case)
    return Row(id=value.case_id, moment=None, final=False, value=value, raw=raw)


async def owed(url: str, *rows: Row, gone: tuple[str, ...] = ()) -> list[tuple[object, ...]]:
    async with SqlStore(url) as store:
        await store.begin("organization", "cases")
        page = PageWrite(organization_id="organization", resource="cases", rows=rows, checkpoint=Checkpoint())
        await store.write(page)
        await store.write(msgspec.structs.replace(page, rows=(), gone=gone))
        columns = ("debtor_id", "full_name", "currency", "cases", "invoices", "open_amount")
        found = await held(store, "open_amounts_by_debtor", *columns)
        return [(*row[:-1], None if row[-1] is None else str(row[-1])) for row in found]


async def test_what_a_debtor_owes_in_open_cases_is_added_up(url: str) -> None:
    assert await owed(
        url,
        case(1, ["0.10", "0.20"]),
        case(2, ["4500.00", "null"]),
        case(3, ["1.00"], closedAt="2025-03-10T00:00:00Z"),
        case(4, ["1.00"]),
        gone=("case 4",),
    ) == [("d", "Kari", "NOK", 2, 4, "4500.30"), ("e", None, "NOK", 2, 4, "4500.30")]


@given(
    amounts=st.lists(
        st.decimals(Decimal(-(10**9)) + 1, Decimal(10**9) - 1, places=6)
        | st.decimals(Decimal(-(10**9)) + 1, Decimal(10**9) - 1, places=2),
        min_size=1,
        max_size=40,
    )
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
async def test_sums_are_exact_on_sqlite_which_adds_binary_fractions(amounts: list[Decimal]) -> None:
    [(*_, total), _] = await owed("sqlite://", case(1, [format(amount, "f") for amount in amounts]))

    assert Decimal(str(total)) == sum(amounts)
    assert "." in str(total)


@pytest.mark.parametrize("amount", ["0.0000001", "1000000000.00", "1e12"])
async def test_what_cannot_be_added_exactly_is_left_to_the_reader(amount: str) -> None:
    [(*_, total), _] = await owed("sqlite://", case(1, ["1.00", amount]))

    assert total is None


async def test_nothing_known_is_no_amount(url: str) -> None:
    [(*_, total), _] = await owed(url, case(1, ["null"]))

    assert total is None


def test_the_page_on_the_store_shows_every_column_as_the_schema_tells_it() -> None:
    page = (Path(__file__).parents[3] / "amili_async/sync/store.md").read_text("utf-8")
    shown = page.partition("<!-- tables -->\n")[2].partition("\n<!-- /tables -->")[0]

    assert shown == documented(), "print(documented()) is what should stand there"
