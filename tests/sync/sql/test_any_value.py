"""Whatever a row holds, it is read or set aside: any JSON in any member, of every resource, on both databases.

The rows beside it are kept, those of other organizations too, and nothing but a `StoreError` of that one organization
leaves the store.
"""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amili_async._decoding import Reader
from amili_async.events import QuarantinedRow
from amili_async.models import Batch, Case, Invoice, Model, Settlement
from amili_async.sandbox import Fault
from amili_async.sync import Checkpoint, LeaseConflict, PageWrite, Row, SqlStore, sync
from amili_async.sync._store import InvalidValueError
from tests.support.rows import batch, held, portion

if TYPE_CHECKING:
    from pathlib import Path

    from amili_async import AmiliClient
    from amili_async.sandbox import Sandbox

MODELS: dict[str, type[Model]] = {"batches": Batch, "invoices": Invoice, "cases": Case, "settlements": Settlement}
IDS = {"batches": "batch_id", "invoices": "id", "cases": "case_id", "settlements": "settlement_id"}
WIRE_IDS = {"batches": "batchId", "invoices": "id", "cases": "caseId", "settlements": "settlementId"}

MOMENTS = [
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "2025-02-29T00:00:00Z",
    "2025-03-09T14:30:00.123456789Z",
    "2025-03-09T14:30:60Z",
    "2025-03-09",
]
NUMBERS = ["1e30", "1e-30", "1e400", "-0", "12345678901234567890123456789012345678901234567890", "1e999999999", "0.1"]
LONG = token_hex(20_000)
"""An id that compresses to nothing that an index takes."""

TEXTS = [
    "",
    "\0",
    "a\0b",
    "x" * 40_000,
    "æ",
    "\N{PILE OF POO}",
    "'; DROP TABLE batches; --",
    "%s",
    ":x",
    "\u202e",
    "NaN",
]
OTHERS = [
    "null",
    "true",
    "{}",
    '{"code":"NOK"}',
    "[]",
    "[null]",
    "5",
    '{"a":{"b":[1,2,{"c":null}]}}',
    "9223372036854775808",
]

VALUES = st.one_of(
    st.sampled_from([*(msgspec.json.encode(text).decode() for text in (*MOMENTS, *TEXTS)), *NUMBERS, *OTHERS]),
    st.text(max_size=30).map(lambda text: msgspec.json.encode(text).decode()),
    st.datetimes().map(lambda moment: f'"{moment.isoformat()}+13:59"'),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
)


def names(model: type[Any]) -> list[str]:
    """Return the members of a model as they stand on the wire."""
    return [field.encode_name for field in msgspec.structs.fields(model)]


MEMBERS = {
    "batches": {"succeeded": ["$type", "invoiceId", "invoiceNumber", "caseId"], "failed": ["message", "invoiceNumber"]},
    "cases": {
        "invoices": ["invoiceId", "invoiceDate", "registeredAt", "remainingAmount", "currency", "invoiceNumber"],
        "debtors": ["debtorId", "type", "debtorNumber", "fullName"],
    },
}


@st.composite
def rows(draw: st.DrawFn, resource: str) -> bytes:
    """Draw the JSON of a row with anything in some of its members."""
    within = MEMBERS.get(resource, {})
    members = {name: draw(VALUES) for name in draw(st.sets(st.sampled_from(names(MODELS[resource])), max_size=4))}
    members.setdefault(WIRE_IDS[resource], '"an id"')
    for name, inner in within.items():
        if draw(st.booleans()):
            entries = draw(st.lists(st.dictionaries(st.sampled_from(inner), VALUES, max_size=3), max_size=2))
            members[name] = f"[{','.join(map(written, entries))}]"
    return written(members).encode()


def written(members: dict[str, str]) -> str:
    return f"{{{','.join(f'{msgspec.json.encode(name).decode()}:{value}' for name, value in members.items())}}}"


def page_of(resource: str, raw: bytes, beside: Row) -> PageWrite | None:
    """Return a page with the row as a sync would write it; none for one that no reading makes sense of."""
    value = Reader(MODELS[resource]).row(raw, 0, None)
    found: tuple[Row, ...] = (beside,)
    aside: tuple[QuarantinedRow, ...] = ()
    if isinstance(value, QuarantinedRow):
        aside = (value,)
    else:
        row_id = getattr(value, IDS[resource]) or "no id"
        found += (Row(id=row_id, moment=None, final=True, value=value, raw=raw),)
    if len({row.id for row in found}) < len(found):
        return None
    return PageWrite(
        organization_id="organization", resource=resource, rows=found, quarantined=aside, checkpoint=Checkpoint()
    )


def beside(resource: str) -> Row:
    raw = written({WIRE_IDS[resource]: '"beside"'}).encode()
    value: object = msgspec.json.decode(raw, type=MODELS[resource])
    assert isinstance(value, Model)
    return Row(id="beside", moment=None, final=True, value=value, raw=raw)


async def keep(store: SqlStore, resource: str, raw: bytes) -> None:
    """Write a row beside another; both are there afterwards, or one is set aside."""
    page = page_of(resource, raw, beside(resource))
    if page is None:
        return
    await store.begin("organization", resource)
    result = await store.write(page)
    await store.finish("organization", resource, None)
    assert not isinstance(result, LeaseConflict)

    ids = {row[0] for row in await held(store, resource, "id")}
    kept = len(page.rows) - result.quarantined
    assert {row.id for row in page.rows if row.id in ids} == ids, "nothing else is there"
    assert len(ids) == kept
    assert "beside" in ids
    assert len(await held(store, "quarantine", "key")) == len(page.quarantined) + result.quarantined
    text = {str(row[0]) for row in await held(store, resource, "CAST(raw AS TEXT)")}
    assert text == {row.raw.decode() for row in page.rows if row.id in ids}


async def emptied(store: SqlStore) -> None:
    def work(connection: Any) -> None:
        for table in ("batch_rows", "batch_entry_rows", "invoice_rows", "case_rows", "case_invoice_rows"):
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608  # our own names
        for table in ("debtor_rows", "settlement_rows", "quarantined_rows"):
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608  # our own names

    await store.database.run(work)


@pytest.mark.parametrize("resource", MODELS)
async def test_any_value_in_any_member_is_read_or_set_aside(resource: str, url: str) -> None:
    drawn: list[bytes] = []

    @given(raw=rows(resource))
    @settings(
        deadline=None,
        max_examples=120,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    def draw(raw: bytes) -> None:
        drawn.append(raw)

    draw()
    # One store for all: an empty database takes longer to make than a row to write.
    async with SqlStore(url) as store:
        for raw in drawn:
            await emptied(store)
            await keep(store, resource, raw)


EXTREME = [
    *(f'{{"batchId":"a","createdAt":"{moment}"}}' for moment in MOMENTS),
    *('{"batchId":%s}' % msgspec.json.encode(text).decode() for text in TEXTS if text),  # noqa: UP031  # braces
    '{"batchId":"a","createdBy":"a\\u0000b"}',
    '{"batchId":"a","failed":[{"message":"a\\u0000b"}]}',
    '{"batchId":"a","succeeded":[{"$type":"\\u0000","invoiceId":"b"}]}',
    '{"batchId":"a","type":"\\u0000"}',
]


@pytest.mark.parametrize("raw", EXTREME, ids=range(len(EXTREME)))
async def test_extremes_are_read_or_set_aside(url: str, raw: str) -> None:
    async with SqlStore(url) as store:
        await keep(store, "batches", raw.encode())


@pytest.mark.postgres
@pytest.mark.parametrize("text", ["zero \0 character", LONG], ids=["zero", "long"])
async def test_an_organization_that_the_database_refuses_is_its_own_failure(postgresql_url: str, text: str) -> None:
    async with SqlStore(postgresql_url) as store:
        with pytest.raises(InvalidValueError, match="SQLSTATE"):
            await store.begin(text, "batches")

        await store.begin("organization", "batches")
        assert not isinstance(await store.write(portion(batch("a"))), LeaseConflict)


async def test_a_long_id_leaves_quarantine_once_its_row_can_be_read(tmp_path: Path) -> None:
    unreadable = QuarantinedRow(index=0, path="$", reason="", raw=batch(LONG).raw)
    async with SqlStore(tmp_path / "store.db") as store:
        await store.begin("organization", "batches")
        await store.write(msgspec.structs.replace(portion(), quarantined=(unreadable,)))
        assert len(await held(store, "quarantine", "key")) == 1
        await store.write(portion(batch(LONG)))

        assert await held(store, "quarantine", "key") == []


@pytest.mark.postgres
@pytest.mark.amili(organizations=2, batches=3)
async def test_a_sync_goes_on_behind_an_organization_that_the_database_refuses(
    postgresql_url: str, sandbox: Sandbox, client: AmiliClient
) -> None:
    names = ["zero \0 character", *sandbox.organization_ids]
    async with SqlStore(postgresql_url) as store:
        report = await sync(client, names, store, resources=("batches", "cases"), concurrency=1)

        told = {(failure.organization_id, failure.error) for failure in report.failures}
        assert told == {(names[0], "InvalidValueError")}
        assert report.organizations == 2
        assert await store.count("batches") == 6


async def test_rows_that_the_database_refuses_are_counted_as_quarantined(
    sqlite_url: str, sandbox: Sandbox, client: AmiliClient
) -> None:
    body = '{"data": [{"batchId": "a", "createdAt": "9999-12-31T23:59:59-14:00"}, {"batchId": "b"}]}'
    sandbox.faults.add(Fault("batches.list", status=200, body=body, content_type="application/json"))
    async with SqlStore(sqlite_url) as store:
        report = await sync(client, sandbox.organization_ids[:1], store)

        assert report.ok
        assert await held(store, "batches", "id") == [("b",)]
        assert await held(store, "quarantine", "key") == [("a",)]
        assert report.total.quarantined == 1


@pytest.mark.parametrize("resource", ["invoices", "cases"])
async def test_a_currency_that_is_an_object_is_kept_in_the_json_and_no_reason_to_set_a_row_aside(
    url: str, resource: str
) -> None:
    invoice = '{"id":"i","currency":{"code":"NOK"},"remainingAmount":1.50,"dueDate":"2025-03-09T00:00:00+02:00"}'
    raw = invoice if resource == "invoices" else f'{{"caseId":"c","invoices":[{invoice}]}}'
    table = "invoices" if resource == "invoices" else "case_invoices"
    async with SqlStore(url) as store:
        await keep(store, resource, raw.encode())

        columns = [
            (currency, str(amount), str(day))
            for currency, amount, day in await held(store, table, "currency", "remaining_amount", "due_date")
        ]
        assert (None, "1.50", "2025-03-09") in columns
        assert await held(store, "quarantine", "key") == []
