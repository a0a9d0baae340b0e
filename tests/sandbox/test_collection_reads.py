from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from amili_async.sandbox import Sandbox
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    import aiohttp


async def all_of(raw: RawClient, noun: str, **query: str) -> list[dict[str, Any]]:
    token_name = "pageToken" if noun == "settlements" else "PageToken"
    return await raw.walk(f"/orgs/{raw.organization}/{noun}", token_name=token_name, **query)


async def test_every_invoice_of_a_finished_batch_is_listed_once(raw: RawClient) -> None:
    batches = await raw.walk(f"/orgs/{raw.organization}/batches")
    expected = [
        entry["invoiceId"] for batch in batches if batch["type"] in {"INVOICE", "NONE"} for entry in batch["succeeded"]
    ]
    invoices = await all_of(raw, "invoices")
    assert [invoice["id"] for invoice in invoices] == expected
    assert [case["invoices"][0]["invoiceId"] for case in await all_of(raw, "cases", PageSize="7")] == expected
    settled = [row["invoiceId"] for row in await all_of(raw, "settlements", pageSize="7")]
    assert settled == [invoice["id"] for invoice in invoices if invoice["paidAmount"]]


async def test_an_invoice_has_its_documented_members(raw: RawClient) -> None:
    invoice = (await all_of(raw, "invoices"))[0]
    assert invoice["organization"].keys() == {"id", "organizationNumber", "name"}
    assert invoice["organization"]["id"] == raw.organization
    documented = {"id", "organization", "invoiceNumber", "collectionCaseNumber", "type", "status", "createdAt"}
    assert invoice.keys() >= documented


async def test_a_case_has_its_documented_members(raw: RawClient) -> None:
    case = (await all_of(raw, "cases"))[0]
    assert case.keys() == {
        "caseId", "caseNumber", "organizationId", "creditorId", "creditorNumber", "status", "subStatus", "type",
        "description", "registeredAt", "closedAt", "caseToken", "invoices", "debtors",
    }  # fmt: skip
    assert case["invoices"][0].keys() == {
        "invoiceId", "invoiceNumber", "caseId", "invoiceDate", "dueDate", "batchId", "registeredAt", "originalAmount",
        "remainingAmount", "remainingPrincipal", "uniqueSourceInvoiceId", "paidAmount", "creditedAmount", "currency",
    }  # fmt: skip
    assert case["debtors"][0].keys() == {
        "debtorId", "type", "debtorNumber", "customerNumber", "firstName", "lastName", "fullName",
    }  # fmt: skip
    assert isinstance(case["caseNumber"], int)


async def test_a_settlement_has_its_documented_members_and_is_read_by_its_id(raw: RawClient) -> None:
    settlement = (await all_of(raw, "settlements"))[0]
    assert settlement.keys() >= {"caseNumber", "collectionType", "currency", "customerReference", "exchangeRate"}
    assert isinstance(settlement["caseNumber"], str)
    path = f"/orgs/{raw.organization}/settlements"
    assert (await raw.ask(f"{path}/{settlement['settlementId']}")).json["data"] == settlement
    other = raw.sandbox.organization_ids[1]
    assert (await raw.ask(f"/orgs/{other}/settlements/{settlement['settlementId']}")).status == 404
    assert (await raw.ask(f"{path}/made-up")).status == 404


async def test_amounts_are_written_with_two_decimals(raw: RawClient) -> None:
    body = (await raw.ask(f"/orgs/{raw.organization}/invoices")).body.decode()
    amounts = [part.split(",")[0] for part in body.split('"originalAmount":')[1:]]
    assert amounts
    assert all(amount.partition(".")[2].isdigit() and len(amount.partition(".")[2]) == 2 for amount in amounts)


@pytest.mark.parametrize(
    ("noun", "name", "member"),
    [
        ("invoices", "Status", "status"),
        ("invoices", "Type", "type"),
        ("invoices", "InvoiceNumber", "invoiceNumber"),
        ("invoices", "UniqueSourceInvoiceId", "uniqueSourceInvoiceId"),
        ("cases", "Status", "status"),
        ("cases", "Type", "type"),
        ("cases", "CaseNumber", "caseNumber"),
    ],
)
async def test_filters_find_all_and_only_what_they_say(raw: RawClient, noun: str, name: str, member: str) -> None:
    rows = await all_of(raw, noun)
    for value in sorted({str(row[member]) for row in rows})[:3]:
        found = await all_of(raw, noun, **{name: value})
        assert found == [row for row in rows if str(row[member]) == value]


async def test_customers_and_words_are_found_in_cases(raw: RawClient) -> None:
    cases = await all_of(raw, "cases")
    debtor = cases[3]["debtors"][0]
    found = await all_of(raw, "cases", CustomerNumber=debtor["customerNumber"])
    assert cases[3] in found
    assert await all_of(raw, "invoices", CustomerNumber=debtor["customerNumber"])
    named = await all_of(raw, "cases", SearchTerm=debtor["lastName"].upper())
    assert cases[3] in named
    assert len(named) < len(cases)


async def test_days_and_moments_bound_the_lists(raw: RawClient) -> None:
    invoices = await all_of(raw, "invoices")
    days = sorted({invoice["createdAt"][:10] for invoice in invoices})
    assert len(days) > 1
    on_the_last = [invoice for invoice in invoices if invoice["createdAt"][:10] == days[-1]]
    assert await all_of(raw, "invoices", From=days[-1]) == on_the_last
    assert len(await all_of(raw, "invoices", To=days[-2])) == len(invoices) - len(on_the_last)
    at = on_the_last[-1]["createdAt"]
    assert await all_of(raw, "invoices", From=at, To=at.replace("Z", "+00:00"))
    assert len(await all_of(raw, "cases", FromCreatedAt=days[-1])) == len(on_the_last)
    assert len(await all_of(raw, "cases", ToCreatedAt=f"{days[-1]}T00:00:00")) == len(invoices) - len(on_the_last)
    settlements = await all_of(raw, "settlements")
    day = settlements[0]["settlementDate"]
    assert await all_of(raw, "settlements", fromDate=day, toDate=day) == [
        row for row in settlements if row["settlementDate"] == day
    ]


@pytest.mark.parametrize(
    ("noun", "query"),
    [("invoices", {"From": "soon"}), ("cases", {"ToCreatedAt": "2024-13-01"}), ("settlements", {"fromDate": "1"})],
)
async def test_a_bound_that_is_no_date_is_refused(raw: RawClient, noun: str, query: dict[str, str]) -> None:
    response = await raw.ask(f"/orgs/{raw.organization}/{noun}", params=query)
    assert response.status == 400
    assert "must be a date or a moment" in response.json["detail"]


async def test_settlements_spell_their_page_names_small_and_invoices_have_no_page_size(raw: RawClient) -> None:
    path = f"/orgs/{raw.organization}"
    assert (await raw.ask(f"{path}/settlements", params={"PageSize": "3"})).status == 400
    assert len((await raw.ask(f"{path}/settlements", params={"pageSize": "3"})).rows) == 3
    assert (await raw.ask(f"{path}/invoices", params={"PageSize": "3"})).status == 400


async def test_what_belongs_to_an_invoice_is_listed_in_the_first_generation(session: aiohttp.ClientSession) -> None:
    async with Sandbox(organizations=1, batches=25, generation="G1") as sandbox:
        raw = RawClient(sandbox, session)
        invoices = await all_of(raw, "invoices")
        for invoice in invoices[:20]:
            path = f"/orgs/{raw.organization}/invoices/{invoice['id']}"
            payments = (await raw.ask(f"{path}/payments")).rows
            paid = invoice["originalAmount"] - invoice["remainingAmount"]
            assert sum(payment["amount"] for payment in payments) == pytest.approx(paid)
            (document,) = (await raw.ask(f"{path}/documents")).rows
            assert document["name"] == f"{invoice['invoiceNumber']}.pdf"
            assert (await raw.ask(f"{path}/history")).rows[0]["type"] == "REGISTERED"
        other = (await raw.ask(f"/orgs/{raw.organization}/invoices/made-up/payments")).status
        assert other == 404


async def test_an_id_of_another_kind_or_place_is_not_found(raw: RawClient) -> None:
    invoice = (await all_of(raw, "invoices"))[0]
    case = (await all_of(raw, "cases"))[0]
    path = f"/orgs/{raw.organization}/invoices"
    for wrong in (case["caseId"], raw.sandbox.batch_ids()[0], "made-up"):
        assert (await raw.ask(f"{path}/{wrong}")).status == 404
    other = raw.sandbox.organization_ids[1]
    assert (await raw.ask(f"/orgs/{other}/invoices/{invoice['id']}")).status == 404
    assert (await raw.ask(f"/orgs/nobody/invoices/{invoice['id']}")).status == 404
