"""The lists that can be synced: what identifies a row, when it came to be, and when it is final."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from amili_async import AmiliClient, DecodeError, ForbiddenError
from amili_async.events import QuarantinedRow
from amili_async.models import Case, Invoice, Settlement
from amili_async.sandbox import Fault, Sandbox
from amili_async.sync._lists import BatchLists, CaseLists, InvoiceLists, ListSource, SettlementLists
from amili_async.sync._store import Row
from tests.support.rows import batch


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    return {"organizations": 1, "batches": 6, "entries": 1, "page_size": 3}


def settlement(client: AmiliClient, raw: bytes) -> Row:
    return SettlementLists(client).row(msgspec.json.decode(raw, type=Settlement), raw)


async def test_a_batch_is_final_in_a_terminal_state_and_in_no_other(client: AmiliClient) -> None:
    lists = BatchLists(client)
    for state, final in (("SUCCESS", True), ("PARTIAL", True), ("FAILED", True), ("QUEUED", False), ("NEW", False)):
        row = batch("a", status=state)
        assert lists.row(row.value, row.raw).final is final  # type: ignore[arg-type]  # a batch


async def test_an_invoice_is_never_final(client: AmiliClient) -> None:
    raw = b'{"id":"i","status":"CLOSED","createdAt":"2025-03-09T14:30:00Z"}'
    row = InvoiceLists(client).row(msgspec.json.decode(raw, type=Invoice), raw)

    assert (row.id, row.moment, row.final) == ("i", datetime(2025, 3, 9, 14, 30, tzinfo=UTC), False)


@pytest.mark.parametrize(("closed", "final"), [("null", False), ('"2025-03-10T00:00:00Z"', True)])
async def test_a_case_is_final_once_it_is_closed(closed: str, final: object, client: AmiliClient) -> None:
    raw = f'{{"caseId":"c","closedAt":{closed}}}'.encode()

    assert CaseLists(client).row(msgspec.json.decode(raw, type=Case), raw).final is final


async def test_a_settlement_goes_by_its_id_and_the_midnight_of_its_day(client: AmiliClient) -> None:
    row = settlement(client, b'{"settlementId":"s","settlementDate":"2025-08-15"}')

    assert (row.id, row.moment, row.final) == ("s", datetime(2025, 8, 15, tzinfo=UTC), True)


async def test_a_settlement_without_an_id_goes_by_what_it_says_however_it_is_arranged(client: AmiliClient) -> None:
    one = settlement(client, b'{"caseNumber":"5000001","amount":4500.00}')
    same = settlement(client, b'{ "amount": 4500.00, "caseNumber": "5000001" }')
    other = settlement(client, b'{"caseNumber":"5000001","amount":4500.01}')

    assert one.id == same.id != other.id
    assert one.id.startswith("blake2b:")
    assert one.moment is None


async def test_rows_stand_beside_their_json_and_unreadable_ones_are_set_aside(
    sandbox: Sandbox, client: AmiliClient
) -> None:
    [organization_id] = sandbox.organization_ids
    sandbox.faults.add(Fault("batches.list", "bad-row", page=1, row=1))
    source = ListSource(BatchLists(client), organization_id)

    sheets = [sheet async for sheet in source.sheets(None, "DESC", ahead=True)]

    assert [len(sheet.rows) for sheet in sheets] == [2, 3]
    assert [len(sheet.quarantined) for sheet in sheets] == [1, 0]
    for row in (row for sheet in sheets for row in sheet.rows):
        members = msgspec.json.decode(row.raw, type=dict[str, object])
        assert members["batchId"] == row.id
    assert sheets[0].following is not None
    assert sheets[0].following == msgspec.structs.replace(sheets[1].cursor, last=msgspec.UNSET)
    assert sheets[1].following is None


async def test_what_cannot_be_read_by_its_id_is_not_there(client: AmiliClient) -> None:
    assert await InvoiceLists(client).refetch("organization", "invoice") is None


async def test_a_batch_is_read_again_with_its_json_and_one_that_is_gone_is_none(
    sandbox: Sandbox, client: AmiliClient
) -> None:
    [organization_id] = sandbox.organization_ids
    batch_id = sandbox.batch_ids()[0]
    lists = BatchLists(client)

    found = await lists.refetch(organization_id, batch_id)
    assert isinstance(found, Row)
    assert found.id == batch_id
    assert batch_id.encode() in found.raw

    assert await lists.refetch(organization_id, "00000000-0000-0000-0000-000000000000") is None


async def test_an_unreadable_batch_is_set_aside_when_it_is_read_again(sandbox: Sandbox, client: AmiliClient) -> None:
    sandbox.faults.add(Fault("batches.get", "bad-row"))

    found = await BatchLists(client).refetch(sandbox.organization_ids[0], sandbox.batch_ids()[0])

    assert isinstance(found, QuarantinedRow)


async def test_an_answer_that_is_none_and_a_refusal_are_raised(sandbox: Sandbox, client: AmiliClient) -> None:
    [organization_id] = sandbox.organization_ids
    with sandbox.faults.during(Fault("batches.get", "html")), pytest.raises(DecodeError):
        await BatchLists(client).refetch(organization_id, sandbox.batch_ids()[0])
    with sandbox.faults.during(Fault("batches.get", status=403)), pytest.raises(ForbiddenError):
        await BatchLists(client).refetch(organization_id, sandbox.batch_ids()[0])
