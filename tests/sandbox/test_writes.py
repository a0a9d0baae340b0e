from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from amili_async.sandbox import Sandbox
from tests.sandbox.conftest import Caller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from tests.sandbox.conftest import Said


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def sandbox(clock: Clock) -> AsyncIterator[Sandbox]:
    async with Sandbox(organizations=2, batches=25, clock=clock) as sandbox:
        yield sandbox


def invoice(number: str = "INV-1", **members: Any) -> dict[str, Any]:
    return {
        "type": "NOTICE",
        "invoiceNumber": number,
        "vat": True,
        "fees": True,
        "originalInvoiceAmount": 4500.00,
        "currency": "NOK",
        "invoiceDate": "2024-01-15T00:00:00Z",
        "dueDate": "2024-02-15",
        "uniqueSourceInvoiceId": f"erp-{number}",
        "description": "Rør",
        **members,
    }


async def create(caller: Caller, *invoices: Any, **headers: str) -> Said:
    path = f"/orgs/{caller.organization}/invoices"
    return await caller.ask(path, method="POST", json={"invoices": invoices}, headers=headers)


async def finished(caller: Caller, clock: Clock, said: Said) -> dict[str, Any]:
    clock.now += 1
    answer = await caller.ask(f"/batches/{said.json['data']['batchId']}")
    batch: dict[str, Any] = answer.json["data"]
    return batch


async def test_a_write_is_accepted_as_a_batch_with_its_address(caller: Caller) -> None:
    said = await create(caller, invoice())
    assert said.status == 202
    assert said.json["summary"] == {"status": "SUCCESS"}
    batch_id = said.json["data"]["batchId"]
    url = f"{caller.sandbox.base_url}/orgs/{caller.organization}/batches/{batch_id}"
    assert said.json["data"] == {"batchId": batch_id, "batchUrl": url}
    batch = (await caller.ask("", url=url)).json["data"]
    assert (batch["type"], batch["status"], batch["finishedAt"]) == ("INVOICE", "QUEUED", None)
    assert batch["succeeded"] == batch["failed"] == []
    assert (await caller.batches(State="QUEUED")).rows[0] == batch


async def test_a_batch_is_done_after_a_while(caller: Caller, clock: Clock) -> None:
    said = await create(caller, invoice("A"), invoice("B"))
    clock.now += 0.4
    assert (await caller.ask(f"/batches/{said.json['data']['batchId']}")).json["data"]["status"] == "QUEUED"
    batch = await finished(caller, clock, said)
    assert batch["status"] == "SUCCESS"
    assert [entry["invoiceNumber"] for entry in batch["succeeded"]] == ["A", "B"]
    assert batch["finishedAt"] > batch["createdAt"]


async def test_a_batch_may_be_done_after_so_many_looks(session: aiohttp.ClientSession, clock: Clock) -> None:
    async with Sandbox(organizations=1, batches=0, finish_polls=2, clock=clock) as sandbox:
        caller = Caller(sandbox, session)
        said = await create(caller, invoice())
        path = f"/orgs/{caller.organization}/batches/{said.json['data']['batchId']}"
        states = [(await caller.ask(path)).json["data"]["status"] for _ in range(4)]
        assert states == ["QUEUED", "QUEUED", "SUCCESS", "SUCCESS"]


async def test_a_batch_may_wait_until_it_is_ended(session: aiohttp.ClientSession, clock: Clock) -> None:
    async with Sandbox(organizations=1, batches=0, finish_after=None, clock=clock) as sandbox:
        caller = Caller(sandbox, session)
        said = await create(caller, invoice())
        clock.now += 3_000
        batch_id = said.json["data"]["batchId"]
        assert (await caller.ask(f"/batches/{batch_id}")).json["data"]["status"] == "QUEUED"
        sandbox.finish(batch_id)
        sandbox.finish(batch_id, "FAILED")
        assert (await caller.ask(f"/batches/{batch_id}")).json["data"]["status"] == "SUCCESS"
        other = (await create(caller, invoice("B"))).json["data"]["batchId"]
        sandbox.finish(other, "NOVELTY")
        assert (await caller.ask(f"/batches/{other}")).json["data"]["status"] == "NOVELTY"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"invoiceNumber": ""}, "invoiceNumber is missing"),
        ({"originalInvoiceAmount": 0}, "originalInvoiceAmount must be above zero"),
        ({"originalInvoiceAmount": -1.5}, "originalInvoiceAmount must be above zero"),
        ({"originalInvoiceAmount": 1.005}, "with two decimals at most"),
        ({"originalInvoiceAmount": "4500.00"}, "originalInvoiceAmount must be above zero"),
        ({"originalInvoiceAmount": None}, "originalInvoiceAmount must be above zero"),
        ({"invoiceDate": "yesterday"}, "invoiceDate or dueDate is missing or no date"),
        ({"dueDate": None}, "invoiceDate or dueDate is missing or no date"),
        ({"dueDate": "2024-01-14"}, "dueDate is before invoiceDate"),
        ({"uniqueSourceInvoiceId": "erp-good"}, "exists already"),
    ],
)
async def test_invoices_that_cannot_be_fail_beside_those_that_can(
    caller: Caller, clock: Clock, wrong: dict[str, Any], reason: str
) -> None:
    batch = await finished(caller, clock, await create(caller, invoice("good"), invoice("bad", **wrong)))
    assert batch["status"] == "PARTIAL"
    assert [entry["invoiceNumber"] for entry in batch["succeeded"]] == ["good"]
    (failed,) = batch["failed"]
    assert reason in failed["message"]


async def test_a_batch_of_which_nothing_came_through_has_failed(caller: Caller, clock: Clock) -> None:
    batch = await finished(caller, clock, await create(caller, invoice("")))
    assert (batch["status"], batch["succeeded"]) == ("FAILED", [])


async def test_an_invoice_that_was_sent_in_an_earlier_batch_exists_already(caller: Caller, clock: Clock) -> None:
    await finished(caller, clock, await create(caller, invoice()))
    batch = await finished(caller, clock, await create(caller, invoice()))
    assert batch["status"] == "FAILED"


@pytest.mark.parametrize("huge", ["1e400", "1e999999999", "1e-400", "99999999999999.99"])
async def test_amounts_beyond_all_measure_do_no_harm(caller: Caller, clock: Clock, huge: str) -> None:
    body = b'{"invoices":[{"invoiceNumber":"A","originalInvoiceAmount":%b,"invoiceDate":"2024-01-15",' % huge.encode()
    said = await caller.ask(
        f"/orgs/{caller.organization}/invoices",
        method="POST",
        data=body + b'"dueDate":"2024-02-15"}]}',
        headers={"Content-Type": "application/json"},
    )
    assert (await finished(caller, clock, said))["status"] in {"SUCCESS", "FAILED"}


async def test_invoices_show_up_in_the_lists_when_their_batch_is_done(caller: Caller, clock: Clock) -> None:
    sent = invoice("A", customerNumber="77", type="PAYMENT_REMINDER")
    said = await create(caller, sent)
    lists = f"/orgs/{caller.organization}/invoices"
    assert await caller.walk(lists, UniqueSourceInvoiceId="erp-A") == []
    batch = await finished(caller, clock, said)
    (found,) = await caller.walk(lists, UniqueSourceInvoiceId="erp-A")
    assert found["id"] == batch["succeeded"][0]["invoiceId"]
    assert (found["invoiceNumber"], found["type"], found["status"]) == ("A", "PAYMENT_REMINDER", "OPEN")
    assert found["originalInvoiceAmount"] == found["remainingAmount"] == 4500
    assert (found["dueDate"], found["currency"]) == ("2024-02-15T00:00:00.000Z", "NOK")
    assert (await caller.ask(f"{lists}/{found['id']}")).json["data"] == found
    (case,) = await caller.walk(f"/orgs/{caller.organization}/cases", CustomerNumber="77")
    assert case["caseId"] == batch["succeeded"][0]["caseId"]
    assert case["invoices"][0]["batchId"] == batch["batchId"]
    assert case["caseNumber"] == int(found["collectionCaseNumber"])


async def test_payments_and_corrections_count_when_their_batch_is_done(caller: Caller, clock: Clock) -> None:
    batch = await finished(caller, clock, await create(caller, invoice()))
    invoice_id = batch["succeeded"][0]["invoiceId"]
    path = f"/orgs/{caller.organization}"
    settlements = len(await caller.walk(f"{path}/settlements", token_name="pageToken"))
    payment = {"invoiceId": invoice_id, "type": "DIRECT_PAYMENT", "amount": 1000.50, "currency": "NOK"}
    said = await caller.ask(f"{path}/payments", method="POST", json={"payments": [payment]})
    assert (await caller.ask(f"{path}/invoices/{invoice_id}")).json["data"]["remainingAmount"] == 4500
    paid = await finished(caller, clock, said)
    assert (paid["type"], paid["status"]) == ("PAYMENT", "SUCCESS")
    assert paid["succeeded"][0]["$type"] == "paymentSuccess"
    correction = {"invoiceId": invoice_id, "amount": 499.5, "currency": "NOK", "description": "feil"}
    said = await caller.ask(f"{path}/corrections", method="POST", json={"corrections": [correction]})
    assert (await finished(caller, clock, said))["succeeded"][0]["$type"] == "correctionSuccess"
    found = (await caller.ask(f"{path}/invoices/{invoice_id}")).json["data"]
    assert (found["remainingAmount"], found["status"]) == (3000, "OPEN")
    assert len(await caller.walk(f"{path}/settlements", token_name="pageToken")) == settlements + 1
    rest = {"invoiceId": invoice_id, "amount": 3000}
    await finished(caller, clock, await caller.ask(f"{path}/payments", method="POST", json={"payments": [rest]}))
    assert (await caller.ask(f"{path}/invoices/{invoice_id}")).json["data"]["status"] == "CLOSED"


async def test_payments_that_cannot_be_fail(caller: Caller, clock: Clock) -> None:
    batch = await finished(caller, clock, await create(caller, invoice()))
    invoice_id = batch["succeeded"][0]["invoiceId"]
    payments = [{"invoiceId": "made-up", "amount": 1}, {"invoiceId": invoice_id, "amount": 0}, {}]
    said = await caller.ask(f"/orgs/{caller.organization}/payments", method="POST", json={"payments": payments})
    batch = await finished(caller, clock, said)
    assert batch["status"] == "FAILED"
    reasons = [entry["message"] for entry in batch["failed"]]
    assert reasons == ["unknown invoice", "amount must be above zero, with two decimals at most", "unknown invoice"]


IMPOSSIBLE: list[tuple[dict[str, Any], int, str]] = [
    ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, "the body is not JSON"),
    ({"data": b"{}", "headers": {"Content-Type": "text/plain"}}, 400, "send application/json, not text/plain"),
    ({"json": {}}, 400, "the body must be"),
    ({"json": []}, 400, "the body must be"),
    ({"json": {"invoices": {}}}, 400, "the body must be"),
    ({"json": {"invoices": [1]}}, 400, "the body must be"),
    ({"json": {"invoices": []}}, 422, "invoices must hold 1 to 1000 items"),
    ({"json": {"invoices": [{}] * 1001}}, 422, "invoices must hold 1 to 1000 items"),
]


@pytest.mark.parametrize(("options", "status", "complaint"), IMPOSSIBLE)
async def test_a_body_that_cannot_be_is_refused(
    caller: Caller, options: dict[str, Any], status: int, complaint: str
) -> None:
    said = await caller.ask(f"/orgs/{caller.organization}/invoices", method="POST", **options)
    assert said.status == status
    assert complaint in said.json["detail"]
    assert len(caller.sandbox.batch_ids()) == 25


async def test_a_body_without_a_content_type_is_refused(caller: Caller) -> None:
    said = await caller.ask(
        f"/orgs/{caller.organization}/invoices", method="POST", data=b"{}", skip_auto_headers={"Content-Type"}
    )
    assert "a body without a content type" in said.json["detail"]


async def test_an_idempotency_key_finds_its_batch_and_promises_nothing(caller: Caller) -> None:
    said = [await create(caller, invoice("A"), IdempotencyKey="key-1") for _ in range(2)]
    ids = [answer.json["data"]["batchId"] for answer in said]
    assert ids[0] != ids[1]
    assert {row["batchId"] for row in (await caller.batches(IdempotencyKey="key-1")).rows} == set(ids)


async def test_a_server_that_heeds_idempotency_keys_answers_with_the_first_batch(
    session: aiohttp.ClientSession,
) -> None:
    async with Sandbox(organizations=1, batches=0, heeds_idempotency_key=True) as sandbox:
        caller = Caller(sandbox, session)
        said = [await create(caller, invoice("A"), IdempotencyKey="key-1") for _ in range(2)]
        assert said[0].json == said[1].json
        payments = {"payments": [{"invoiceId": "x", "amount": 1}]}
        path = f"/orgs/{caller.organization}/payments"
        for key in ("key-1", "key-2"):
            await caller.ask(path, method="POST", json=payments, headers={"IdempotencyKey": key})
        assert len(sandbox.batch_ids()) == 2


async def test_a_write_whose_answer_is_lost_may_have_taken_effect(caller: Caller) -> None:
    caller.sandbox.faults.add("invoices.create:status=504,count=1", "invoices.create:status=504,acts,count=1")
    before = len(caller.sandbox.batch_ids())
    assert (await create(caller, invoice())).status == 504
    assert len(caller.sandbox.batch_ids()) == before
    assert (await create(caller, invoice())).status == 504
    assert len(caller.sandbox.batch_ids()) == before + 1


async def test_actions_on_a_case_are_accepted_without_a_body(caller: Caller) -> None:
    path = f"/orgs/{caller.organization}/cases"
    case = (await caller.ask(path, params={"Status": "OPEN"})).rows[0]

    async def act(action: str) -> tuple[int, str, str]:
        said = await caller.ask(f"{path}/{case['caseId']}/{action}", method="POST")
        assert said.status != 202 or said.body == b""
        (found,) = await caller.walk(path, CaseNumber=str(case["caseNumber"]))
        return said.status, found["status"], found["subStatus"]

    assert (await act("pause"))[:2] == (202, "PAUSED")
    assert (await act("pause"))[:2] == (400, "PAUSED")
    assert (await act("resume"))[:2] == (202, "OPEN")
    assert (await act("resume"))[:2] == (400, "OPEN")
    assert (await act("accept-eviction-request"))[1:] == ("OPEN", "EVICTION_REQUEST_ACCEPTED")
    assert (await act("reject-debt-collection-list"))[1:] == ("CLOSED", "DEBT_COLLECTION_LIST_REJECTED")
    assert (await act("withdraw"))[:2] == (202, "WITHDRAWN")
    assert (await caller.ask(f"{path}/made-up/pause", method="POST")).status == 404


async def test_actions_on_an_invoice_belong_to_the_first_generation(session: aiohttp.ClientSession) -> None:
    async with Sandbox(organizations=1, batches=25, generation="G1") as sandbox:
        caller = Caller(sandbox, session)
        path = f"/orgs/{caller.organization}/invoices"
        found = (await caller.ask(path, params={"Status": "OPEN"})).rows[0]
        for action, status in (("resume", 400), ("pause", 202), ("resume", 202), ("withdraw", 202)):
            said = await caller.ask(f"{path}/{found['id']}/{action}", method="POST")
            assert said.status == status, action
        history = (await caller.ask(f"{path}/{found['id']}/history")).json["data"]
        assert [line["type"] for line in history][-3:] == ["PAUSE", "RESUME", "WITHDRAW"]


async def test_an_invoice_knows_its_payments_in_the_first_generation(
    session: aiohttp.ClientSession, clock: Clock
) -> None:
    async with Sandbox(organizations=1, batches=25, generation="G1", clock=clock) as sandbox:
        caller = Caller(sandbox, session)
        said = await create(caller, invoice())
        assert said.json["data"]["batchUrl"].startswith(f"{sandbox.base_url}/batches/")
        path = f"/orgs/{caller.organization}"
        invoice_id = (await finished(caller, clock, said))["succeeded"][0]["invoiceId"]
        assert (await caller.ask(f"{path}/invoices/{invoice_id}/payments")).rows == []
        payment = {"invoiceId": invoice_id, "type": "DIRECT_PAYMENT", "amount": 12.5, "currency": "NOK"}
        await finished(caller, clock, await caller.ask(f"{path}/payments", method="POST", json={"payments": [payment]}))
        (found,) = (await caller.ask(f"{path}/invoices/{invoice_id}/payments")).rows
        assert {name: found[name] for name in payment} == payment
