"""The sandbox's data holds together as a register's would, and says no more than the public pages unless asked to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from amili_async import AmiliClient, ClientCredentials
from amili_async.sandbox import Sandbox
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    import aiohttp

    from amili_async.events import Drift
    from amili_async.sandbox._shapes import Generation


def luhn(digits: str) -> bool:
    """Return whether the last digit checks the others by modulus 10, as a payment's KID does."""
    doubled = [
        int(digit) if place % 2 == 0 else sum(divmod(2 * int(digit), 10)) for place, digit in enumerate(digits[::-1])
    ]
    return sum(doubled) % 10 == 0


def modulus_11(digits: str) -> bool:
    """Return whether the last digit checks the others by modulus 11, as in organization and account numbers."""
    weights = (2, 3, 4, 5, 6, 7)
    sum_ = sum(int(digit) * weights[place % 6] for place, digit in enumerate(digits[-2::-1]))
    return (11 - sum_ % 11) % 11 == int(digits[-1])


def test_the_checks_of_this_test_tell_right_from_wrong() -> None:
    assert luhn("2345676")
    assert not luhn("2345667")
    assert modulus_11("974760673")
    assert not modulus_11("974760637")


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    return {"organizations": 3, "batches": 60, "entries": 6, "page_size": 1000, "undocumented": True}


async def rows(raw: RawClient, noun: str) -> list[dict[str, Any]]:
    name = "pageToken" if noun == "settlements" else "PageToken"
    found: list[dict[str, Any]] = []
    for organization in raw.sandbox.organization_ids:
        found += await raw.walk(f"/orgs/{organization}/{noun}", token_name=name)
    return found


async def test_numbers_that_check_themselves_do(raw: RawClient) -> None:
    cases = await rows(raw, "cases")
    invoices = {invoice["id"]: invoice for invoice in await rows(raw, "invoices")}
    answer = await raw.ask("", url=f"{raw.sandbox.autocollect_url}/webapi/api/Batch?includeclosed=true")
    (creditor,) = answer.json["creditor"]
    kids = [case["paymentDetails"]["kid"] for case in answer.json["case"]]
    assert all(map(luhn, [*kids, *(case["kid"] for case in cases)]))
    assert all(invoices[case["invoices"][0]["invoiceId"]]["kid"] == case["kid"] for case in cases)
    assert len({case["kid"] for case in cases}) == len(cases)
    assert modulus_11(creditor["bankaccountno"])
    assert all(modulus_11(invoice["organization"]["organizationNumber"]) for invoice in invoices.values())


async def test_nothing_ends_before_it_began(raw: RawClient) -> None:
    cases, settlements = await rows(raw, "cases"), {row["invoiceId"]: row for row in await rows(raw, "settlements")}
    assert {case["status"] for case in cases} == {"OPEN", "CLOSED"}
    for case in cases:
        (invoice,) = case["invoices"]
        assert (case["closedAt"] is None) == (case["status"] == "OPEN")
        assert invoice["invoiceDate"] < invoice["dueDate"] < case["registeredAt"] < (case["closedAt"] or "9")
        settlement = settlements.get(invoice["invoiceId"])
        assert (settlement is None) == (invoice["paidAmount"] == 0)
        assert settlement is None or case["registeredAt"][:10] < settlement["settlementDate"]
        assert settlement is None or (case["closedAt"] or "0")[:10] <= settlement["settlementDate"]
    answer = await raw.ask("", url=f"{raw.sandbox.autocollect_url}/webapi/api/Batch?includeclosed=true")
    assert {case["closuredate"] is None for case in answer.json["case"]} == {True, False}
    assert all(case["regdate"] < (case["closuredate"] or "9") for case in answer.json["case"])


async def test_batches_end_after_they_began(raw: RawClient) -> None:
    for batch in await rows(raw, "batches"):
        assert batch["createdAt"] < (batch["finishedAt"] or "9")


async def test_a_case_number_is_one_case_and_a_customer_number_one_person(raw: RawClient) -> None:
    cases = await rows(raw, "cases")
    assert len({case["caseNumber"] for case in cases}) == len(cases)
    people: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    for case in cases:
        (debtor,) = case["debtors"]
        who = tuple(debtor[name] for name in ("debtorId", "debtorNumber", "fullName"))
        people.setdefault((case["organizationId"], debtor["customerNumber"]), set()).add(who)
    assert all(len(found) == 1 for found in people.values())
    assert len({debtor for (debtor,) in people.values()}) == len(people)


async def test_amounts_add_up(raw: RawClient) -> None:
    for invoice in await rows(raw, "invoices"):
        open_ = invoice["originalAmount"] - invoice["paidAmount"] - invoice["creditedAmount"]
        assert invoice["remainingAmount"] == pytest.approx(open_)
        assert (invoice["status"] == "CLOSED") == (invoice["remainingAmount"] == 0)


class Listener:
    def __init__(self) -> None:
        self.drift: list[Drift] = []

    def on_drift(self, record: Drift) -> None:
        self.drift.append(record)


async def read_everything(sandbox: Sandbox) -> list[Drift]:
    """Call every read that has a model with our client; return the drift that it met."""
    listener = Listener()
    async with AmiliClient(
        ClientCredentials(*sandbox.credentials),
        base_url=sandbox.base_url,
        token_url=sandbox.token_url,
        autocollect_url=sandbox.autocollect_url,
        hooks=[listener],
    ) as client:
        (organization,) = sandbox.organization_ids
        batches = await client.batches.list(organization).collect()
        invoices = await client.invoices.list(organization).collect()
        settlements = await client.settlements.list(organization).collect()
        await client.cases.list(organization).collect()
        await client.autocollect.get_batch()
        await client.invoices.get(organization, invoices[0].id)
        assert settlements[0].settlement_id is not None
        await client.settlements.get(organization, settlements[0].settlement_id)
        if sandbox.generation == "G3":
            await client.batches.get(organization, batches[0].batch_id)
        await client.batches.get_by_id(batches[0].batch_id)
    return listener.drift


@pytest.mark.parametrize("generation", ["G1", "G2", "G3"])
async def test_a_client_that_knows_the_public_pages_meets_no_drift(generation: Generation) -> None:
    async with Sandbox(organizations=1, batches=80, generation=generation) as sandbox:
        assert await read_everything(sandbox) == []


@pytest.mark.parametrize("generation", ["G1", "G2", "G3"])
async def test_what_no_page_prints_is_there_on_request(generation: Generation) -> None:
    async with Sandbox(organizations=1, batches=80, generation=generation, undocumented=True) as sandbox:
        drift = await read_everything(sandbox)
    assert {(one.operation, one.kind) for one in drift} >= {
        ("batches.list", "member"),
        ("batches.list", "type"),
        ("invoices.list", "member"),
        ("cases.list", "member"),
        ("settlements.list", "member"),
        ("settlements.get", "member"),
        ("autocollect.get_batch", "member"),
    }


async def test_events_say_more_on_request() -> None:
    bodies: list[dict[str, Any]] = []
    for undocumented in (False, True):
        async with Sandbox(organizations=1, batches=5, undocumented=undocumented) as sandbox:
            sandbox.finish(sandbox.batch_ids()[-1])
        bodies.append(json.loads(sandbox.webhooks.deliveries[0].body))
    plain, more = bodies
    assert (more.keys() - plain.keys(), more["data"].keys() - plain["data"].keys()) == ({"version"}, {"amount"})


async def test_a_name_or_value_that_cannot_be_is_ignored_where_no_page_prints_a_400(
    session: aiohttp.ClientSession,
) -> None:
    paths = {
        "invoices?Stauts=OPEN": 400,
        "invoices?From=yesterday": 400,
        "invoices?From=yesterday&To=tomorrow": 400,
        "cases?PageSize=0": 400,
        "batches?Stat=FAILED": 400,
    }
    for strict in (False, True):
        async with Sandbox(organizations=1, batches=10, strict=strict) as sandbox:
            raw = RawClient(sandbox, session)
            plain = {
                noun: await raw.ask(f"/orgs/{raw.organization}/{noun}") for noun in ("invoices", "cases", "batches")
            }
            for path, status in paths.items():
                answer = await raw.ask(f"/orgs/{raw.organization}/{path}")
                if strict:
                    assert answer.status == status
                else:
                    assert answer.body == plain[path.partition("?")[0]].body
            # Where the page prints it, a value that cannot be is refused either way.
            assert (await raw.batches(PageSize="0")).status == 400
            assert (await raw.batches(SortDirection="UP")).status == 400


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])  # noqa: S104  # what is warned of
def test_a_sandbox_that_others_can_reach_warns(host: str) -> None:
    with pytest.warns(UserWarning, match=f"the sandbox listens at {host}: whoever reaches this machine"):
        Sandbox(organizations=1, batches=0, host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_a_sandbox_that_nobody_else_can_reach_does_not(host: str) -> None:
    Sandbox(organizations=1, batches=0, host=host)


async def test_payments_have_ids_and_moments_on_request(session: aiohttp.ClientSession) -> None:
    async with Sandbox(organizations=1, batches=10, generation="G1", undocumented=True) as sandbox:
        raw = RawClient(sandbox, session)
        paid = next(row for row in await rows(raw, "invoices") if row["paidAmount"])
        (payment,) = (await raw.ask(f"/orgs/{raw.organization}/invoices/{paid['id']}/payments")).rows
    assert payment.keys() >= {"paymentId", "paymentDate"}
    assert payment["amount"] == paid["paidAmount"]
