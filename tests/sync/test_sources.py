"""The lists that can be synced: what identifies a row, when it came to be, and when it is final."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from amili_async import AmiliClient, DecodeError, ForbiddenError, decode
from amili_async.events import QuarantinedRow
from amili_async.models import Case, Invoice, Settlement
from amili_async.sandbox import Fault, Sandbox
from amili_async.sync._sources import (
    BatchLists,
    CaseLists,
    InvoiceLists,
    Lists,
    ListSource,
    NotRead,
    SettlementLists,
    SourcePage,
)
from amili_async.sync._store import Row
from tests.simulation.wire import Answer, Request, session
from tests.support.rows import batch


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    return {"organizations": 1, "batches": 6, "entries": 1, "page_size": 3}


def settlement(client: AmiliClient, raw: bytes) -> Row:
    return SettlementLists(client).row(decode(raw, Settlement), raw)


async def test_a_batch_is_final_in_a_terminal_state_and_in_no_other(client: AmiliClient) -> None:
    lists = BatchLists(client)
    for state, final in (("SUCCESS", True), ("PARTIAL", True), ("FAILED", True), ("QUEUED", False), ("NEW", False)):
        row = batch("a", status=state)
        assert lists.row(row.value, row.raw).final is final  # type: ignore[arg-type]  # a batch


async def test_an_invoice_is_never_final(client: AmiliClient) -> None:
    raw = b'{"id":"i","status":"CLOSED","createdAt":"2025-03-09T14:30:00Z"}'
    row = InvoiceLists(client).row(decode(raw, Invoice), raw)

    assert (row.id, row.moment, row.final) == ("i", datetime(2025, 3, 9, 14, 30, tzinfo=UTC), False)


@pytest.mark.parametrize(("closed", "final"), [("null", False), ('"2025-03-10T00:00:00Z"', True)])
async def test_a_case_is_final_once_it_is_closed(closed: str, final: object, client: AmiliClient) -> None:
    raw = f'{{"caseId":"c","closedAt":{closed}}}'.encode()

    assert CaseLists(client).row(decode(raw, Case), raw).final is final


async def test_a_settlement_goes_by_its_id_and_has_no_moment_as_its_day_is_when_money_counts(
    client: AmiliClient,
) -> None:
    row = settlement(client, b'{"settlementId":"s","settlementDate":"2025-08-15"}')

    assert (row.id, row.moment, row.final) == ("s", None, True)


async def test_a_settlement_without_an_id_goes_by_what_it_says_however_it_is_arranged(client: AmiliClient) -> None:
    one = settlement(client, b'{"caseNumber":"5000001","amount":4500.00}')
    same = settlement(client, b'{ "amount": 4500.00, "caseNumber": "5000001" }')
    other = settlement(client, b'{"caseNumber":"5000001","amount":4500.01}')

    assert one.id == same.id != other.id
    assert one.id.startswith("blake2b:")
    assert one.moment is None


async def settlement_page(answer: bytes) -> SourcePage:
    """Return a page of settlements, as a server in memory sends it."""

    class Answering:
        def answer(self, _request: Request, /) -> Answer:
            return Answer(200, answer)

    async with (
        session(Answering()) as opened,
        AmiliClient("token", base_url="http://127.0.0.1:1", session=opened, trust_env=False) as client,
    ):
        [page] = [page async for page in ListSource(SettlementLists(client), "o").pages(None, None, ahead=False)]
        return page


async def test_two_equal_settlements_without_an_id_on_one_page_stay_two() -> None:
    one, other = b'{"caseNumber":"5000001","amount":4500}', b'{"caseNumber":"5000002","amount":4500}'

    page = await settlement_page(b'{"data":[' + b",".join([one, other, one, one]) + b"]}")

    first, second, *rest = [row.id for row in page.rows]
    assert rest == [f"{first}:2", f"{first}:3"]
    assert second != first


async def test_of_an_id_that_stands_on_a_page_twice_the_later_row_counts() -> None:
    page = await settlement_page(
        b'{"data":[{"settlementId":"s","currency":"NOK"},{"settlementId":"t"},{"settlementId":"s","currency":"SEK"}]}'
    )

    assert [row.id for row in page.rows] == ["s", "t"]
    assert b"SEK" in page.rows[0].raw


@pytest.mark.parametrize(
    ("days", "scattered"),
    [
        (["03", "02", "01"], False),
        (["01", "02", "03"], False),
        (["02", "01", "03"], True),
        (["02", None, "01", "03"], True),
        ([None, None], False),
    ],
)
async def test_value_dates_that_rise_and_fall_explain_no_order(days: list[str | None], scattered: object) -> None:
    rows = [{"settlementId": str(n), "settlementDate": day and f"2025-08-{day}"} for n, day in enumerate(days)]

    assert (await settlement_page(msgspec.json.encode({"data": rows}))).scattered is scattered


async def test_an_unreadable_row_is_known_by_its_id_where_that_much_can_be_read() -> None:
    page = await settlement_page(b'{"data":[{"settlementId":"s","exchangeRate":"x"},{"exchangeRate":"x"},5]}')

    assert page.unread == ("s", None, None)


async def test_rows_stand_beside_their_json_and_unreadable_ones_are_set_aside(
    sandbox: Sandbox, client: AmiliClient
) -> None:
    [organization_id] = sandbox.organization_ids
    sandbox.faults.add(Fault("batches.list", "bad-row", page=1, row=1))
    source = ListSource(BatchLists(client), organization_id)

    pages = [page async for page in source.pages(None, "DESC", ahead=True)]

    assert [len(page.rows) for page in pages] == [2, 3]
    assert [len(page.quarantined) for page in pages] == [len(page.unread) for page in pages] == [1, 0]
    for row in (row for page in pages for row in page.rows):
        members = msgspec.json.decode(row.raw, type=dict[str, object])
        assert members["batchId"] == row.id
    assert pages[0].following is not None
    assert pages[0].following == msgspec.structs.replace(pages[1].cursor, last=msgspec.UNSET)
    assert pages[1].following is None


async def test_what_cannot_be_read_by_its_id_is_not_asked_for(sandbox: Sandbox, client: AmiliClient) -> None:
    cases = ListSource(CaseLists(client), "organization")

    assert not cases.readable_by_id("case")
    assert await cases.refetch("case") is NotRead.NO_ROUTE
    assert not ListSource(SettlementLists(client), "organization").readable_by_id("blake2b:0123")
    assert len(sandbox.requests) == 0


async def test_invoices_and_settlements_are_read_by_their_ids(sandbox: Sandbox, client: AmiliClient) -> None:
    [organization_id] = sandbox.organization_ids
    kinds: tuple[type[Lists[Any]], ...] = (InvoiceLists, SettlementLists)
    for kind in kinds:
        source: ListSource[Any] = ListSource(kind(client), organization_id)
        async with aclosing(source.pages(None, None, ahead=False)) as pages:
            first = (await anext(pages)).rows[0]
        assert source.readable_by_id(first.id)
        found = await source.refetch(first.id)
        assert isinstance(found, Row)
        assert found.id == first.id


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        ((404, 404), NotRead.ABSENT),
        ((404, 405), NotRead.ABSENT),
        ((405, 404), NotRead.ABSENT),
        ((410, 501), NotRead.ABSENT),
        ((405, 501), NotRead.NO_ROUTE),
    ],
)
async def test_only_a_server_that_has_a_route_can_say_that_it_has_no_such_row(
    statuses: tuple[int, int], said: NotRead, sandbox: Sandbox, client: AmiliClient
) -> None:
    for operation, status in zip(("batches.get", "batches.get_by_id"), statuses, strict=True):
        sandbox.faults.add(Fault(operation, status=status))

    assert await BatchLists(client).refetch(sandbox.organization_ids[0], sandbox.batch_ids()[0]) is said


async def test_a_direction_that_one_organization_refuses_is_off_for_that_one(client: AmiliClient) -> None:
    lists = BatchLists(client)
    one, other = ListSource(lists, "one"), ListSource(lists, "other")

    one.disable_sort()

    assert (one.sort, other.sort) == (None, "DESC")


async def test_a_batch_is_read_again_with_its_json_or_said_not_to_be_there(
    sandbox: Sandbox, client: AmiliClient
) -> None:
    [organization_id] = sandbox.organization_ids
    batch_id = sandbox.batch_ids()[0]
    lists = BatchLists(client)

    found = await lists.refetch(organization_id, batch_id)
    assert isinstance(found, Row)
    assert found.id == batch_id
    assert batch_id.encode() in found.raw

    assert await lists.refetch(organization_id, "00000000-0000-0000-0000-000000000000") is NotRead.ABSENT


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
