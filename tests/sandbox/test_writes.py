from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from amili_async.sandbox import Sandbox, VirtualClock
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    import aiohttp

    from tests.support.raw_client import RawResponse


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(auto=False, unix_time=1_700_000_000.0)


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    return {"organizations": 2, "batches": 25}


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


async def create(raw: RawClient, *invoices: Any, **headers: str) -> RawResponse:
    path = f"/orgs/{raw.organization}/invoices"
    return await raw.ask(path, method="POST", json={"invoices": invoices}, headers=headers)


async def finished(raw: RawClient, clock: VirtualClock, response: RawResponse) -> dict[str, Any]:
    clock.advance(1)
    answer = await raw.ask(f"/batches/{response.json['data']['batchId']}")
    batch: dict[str, Any] = answer.json["data"]
    return batch


async def test_a_write_is_accepted_as_a_batch_with_its_address(raw: RawClient) -> None:
    response = await create(raw, invoice())
    assert response.status == 202
    assert response.json["summary"] == {"status": "SUCCESS"}
    batch_id = response.json["data"]["batchId"]
    url = f"{raw.sandbox.base_url}/orgs/{raw.organization}/batches/{batch_id}"
    assert response.json["data"] == {"batchId": batch_id, "batchUrl": url}
    batch = (await raw.ask("", url=url)).json["data"]
    assert (batch["type"], batch["status"], batch["finishedAt"]) == ("INVOICE", "QUEUED", None)
    assert batch["succeeded"] == batch["failed"] == []
    assert (await raw.batches(State="QUEUED")).rows[0] == batch


async def test_a_batch_is_done_after_a_while(raw: RawClient, clock: VirtualClock) -> None:
    response = await create(raw, invoice("A"), invoice("B"))
    clock.advance(0.4)
    assert (await raw.ask(f"/batches/{response.json['data']['batchId']}")).json["data"]["status"] == "QUEUED"
    batch = await finished(raw, clock, response)
    assert batch["status"] == "SUCCESS"
    assert [entry["invoiceNumber"] for entry in batch["succeeded"]] == ["A", "B"]
    assert batch["finishedAt"] > batch["createdAt"]


async def test_a_batch_may_be_done_after_so_many_looks(session: aiohttp.ClientSession, clock: VirtualClock) -> None:
    async with Sandbox(organizations=1, batches=0, finish_polls=2, clock=clock.time) as sandbox:
        raw = RawClient(sandbox, session)
        response = await create(raw, invoice())
        path = f"/orgs/{raw.organization}/batches/{response.json['data']['batchId']}"
        states = [(await raw.ask(path)).json["data"]["status"] for _ in range(4)]
        assert states == ["QUEUED", "QUEUED", "SUCCESS", "SUCCESS"]


async def test_a_batch_may_wait_until_it_is_ended(session: aiohttp.ClientSession, clock: VirtualClock) -> None:
    async with Sandbox(organizations=1, batches=0, finish_after=None, clock=clock.time) as sandbox:
        raw = RawClient(sandbox, session)
        response = await create(raw, invoice())
        clock.advance(3_000)
        batch_id = response.json["data"]["batchId"]
        assert (await raw.ask(f"/batches/{batch_id}")).json["data"]["status"] == "QUEUED"
        sandbox.finish(batch_id)
        sandbox.finish(batch_id, "FAILED")
        assert (await raw.ask(f"/batches/{batch_id}")).json["data"]["status"] == "SUCCESS"
        other = (await create(raw, invoice("B"))).json["data"]["batchId"]
        sandbox.finish(other, "NOVELTY")
        assert (await raw.ask(f"/batches/{other}")).json["data"]["status"] == "NOVELTY"


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
    raw: RawClient, clock: VirtualClock, wrong: dict[str, Any], reason: str
) -> None:
    batch = await finished(raw, clock, await create(raw, invoice("good"), invoice("bad", **wrong)))
    assert batch["status"] == "PARTIAL"
    assert [entry["invoiceNumber"] for entry in batch["succeeded"]] == ["good"]
    (failed,) = batch["failed"]
    assert reason in failed["message"]


async def test_a_batch_of_which_nothing_came_through_has_failed(raw: RawClient, clock: VirtualClock) -> None:
    batch = await finished(raw, clock, await create(raw, invoice("")))
    assert (batch["status"], batch["succeeded"]) == ("FAILED", [])


async def test_an_invoice_that_was_sent_in_an_earlier_batch_exists_already(raw: RawClient, clock: VirtualClock) -> None:
    await finished(raw, clock, await create(raw, invoice()))
    batch = await finished(raw, clock, await create(raw, invoice()))
    assert batch["status"] == "FAILED"


@pytest.mark.parametrize("huge", ["1e400", "1e999999999", "1e-400", "99999999999999.99"])
async def test_amounts_beyond_all_measure_do_no_harm(raw: RawClient, clock: VirtualClock, huge: str) -> None:
    body = b'{"invoices":[{"invoiceNumber":"A","originalInvoiceAmount":%b,"invoiceDate":"2024-01-15",' % huge.encode()
    response = await raw.ask(
        f"/orgs/{raw.organization}/invoices",
        method="POST",
        data=body + b'"dueDate":"2024-02-15"}]}',
        headers={"Content-Type": "application/json"},
    )
    assert (await finished(raw, clock, response))["status"] in {"SUCCESS", "FAILED"}


async def test_invoices_show_up_in_the_lists_when_their_batch_is_done(raw: RawClient, clock: VirtualClock) -> None:
    sent = invoice("A", customerNumber="77", type="PAYMENT_REMINDER")
    response = await create(raw, sent)
    lists = f"/orgs/{raw.organization}/invoices"
    assert await raw.walk(lists, UniqueSourceInvoiceId="erp-A") == []
    batch = await finished(raw, clock, response)
    (found,) = await raw.walk(lists, UniqueSourceInvoiceId="erp-A")
    assert found["id"] == batch["succeeded"][0]["invoiceId"]
    assert (found["invoiceNumber"], found["type"], found["status"]) == ("A", "PAYMENT_REMINDER", "OPEN")
    assert found["originalAmount"] == found["remainingAmount"] == 4500
    assert (found["dueDate"], found["currency"]) == ("2024-02-15T00:00:00.000Z", "NOK")
    assert (await raw.ask(f"{lists}/{found['id']}")).json["data"] == found
    (case,) = await raw.walk(f"/orgs/{raw.organization}/cases", CustomerNumber="77")
    assert case["caseId"] == batch["succeeded"][0]["caseId"]
    assert case["invoices"][0]["batchId"] == batch["batchId"]
    assert case["caseNumber"] == int(found["collectionCaseNumber"])


async def test_payments_and_corrections_count_when_their_batch_is_done(raw: RawClient, clock: VirtualClock) -> None:
    batch = await finished(raw, clock, await create(raw, invoice()))
    invoice_id = batch["succeeded"][0]["invoiceId"]
    path = f"/orgs/{raw.organization}"
    settlements = len(await raw.walk(f"{path}/settlements", token_name="pageToken"))
    payment = {"invoiceId": invoice_id, "type": "DIRECT_PAYMENT", "amount": 1000.50, "currency": "NOK"}
    response = await raw.ask(f"{path}/payments", method="POST", json={"payments": [payment]})
    assert (await raw.ask(f"{path}/invoices/{invoice_id}")).json["data"]["remainingAmount"] == 4500
    paid = await finished(raw, clock, response)
    assert (paid["type"], paid["status"]) == ("PAYMENT", "SUCCESS")
    assert paid["succeeded"][0]["invoiceId"] == invoice_id
    correction = {"invoiceId": invoice_id, "amount": 499.5, "currency": "NOK", "description": "feil"}
    response = await raw.ask(f"{path}/corrections", method="POST", json={"corrections": [correction]})
    assert (await finished(raw, clock, response))["succeeded"][0]["invoiceId"] == invoice_id
    found = (await raw.ask(f"{path}/invoices/{invoice_id}")).json["data"]
    assert (found["remainingAmount"], found["status"]) == (3000, "OPEN")
    assert len(await raw.walk(f"{path}/settlements", token_name="pageToken")) == settlements + 1
    rest = {"invoiceId": invoice_id, "amount": 3000}
    await finished(raw, clock, await raw.ask(f"{path}/payments", method="POST", json={"payments": [rest]}))
    assert (await raw.ask(f"{path}/invoices/{invoice_id}")).json["data"]["status"] == "CLOSED"


async def test_payments_that_cannot_be_fail(raw: RawClient, clock: VirtualClock) -> None:
    batch = await finished(raw, clock, await create(raw, invoice()))
    invoice_id = batch["succeeded"][0]["invoiceId"]
    payments = [{"invoiceId": "made-up", "amount": 1}, {"invoiceId": invoice_id, "amount": 0}, {}]
    response = await raw.ask(f"/orgs/{raw.organization}/payments", method="POST", json={"payments": payments})
    batch = await finished(raw, clock, response)
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
    raw: RawClient, options: dict[str, Any], status: int, complaint: str
) -> None:
    response = await raw.ask(f"/orgs/{raw.organization}/invoices", method="POST", **options)
    assert response.status == status
    assert complaint in response.json["detail"]
    assert len(raw.sandbox.batch_ids()) == 25


async def test_a_body_without_a_content_type_is_refused(raw: RawClient) -> None:
    response = await raw.ask(
        f"/orgs/{raw.organization}/invoices", method="POST", data=b"{}", skip_auto_headers={"Content-Type"}
    )
    assert "a body without a content type" in response.json["detail"]


async def test_an_idempotency_key_finds_its_batch_and_promises_nothing(raw: RawClient) -> None:
    response = [await create(raw, invoice("A"), IdempotencyKey="key-1") for _ in range(2)]
    ids = [answer.json["data"]["batchId"] for answer in response]
    assert ids[0] != ids[1]
    assert {row["batchId"] for row in (await raw.batches(IdempotencyKey="key-1")).rows} == set(ids)


async def test_a_server_that_heeds_idempotency_keys_answers_with_the_first_batch(
    session: aiohttp.ClientSession,
) -> None:
    async with Sandbox(organizations=1, batches=0, heeds_idempotency_key=True) as sandbox:
        raw = RawClient(sandbox, session)
        response = [await create(raw, invoice("A"), IdempotencyKey="key-1") for _ in range(2)]
        assert response[0].json == response[1].json
        payments = {"payments": [{"invoiceId": "x", "amount": 1}]}
        path = f"/orgs/{raw.organization}/payments"
        for key in ("key-1", "key-2"):
            await raw.ask(path, method="POST", json=payments, headers={"IdempotencyKey": key})
        assert len(sandbox.batch_ids()) == 2


async def test_a_write_whose_answer_is_lost_may_have_taken_effect(raw: RawClient) -> None:
    raw.sandbox.faults.add("invoices.create:status=504,count=1", "invoices.create:status=504,acts,count=1")
    before = len(raw.sandbox.batch_ids())
    assert (await create(raw, invoice())).status == 504
    assert len(raw.sandbox.batch_ids()) == before
    assert (await create(raw, invoice())).status == 504
    assert len(raw.sandbox.batch_ids()) == before + 1


async def test_actions_on_a_case_are_accepted_without_a_body(raw: RawClient) -> None:
    path = f"/orgs/{raw.organization}/cases"
    case = (await raw.ask(path, params={"Status": "OPEN"})).rows[0]

    async def act(action: str) -> tuple[int, str, str]:
        response = await raw.ask(f"{path}/{case['caseId']}/{action}", method="POST")
        assert response.status != 202 or response.body == b""
        (found,) = await raw.walk(path, CaseNumber=str(case["caseNumber"]))
        return response.status, found["status"], found["subStatus"]

    assert (await act("pause"))[:2] == (202, "PAUSED")
    assert (await act("pause"))[:2] == (400, "PAUSED")
    assert (await act("resume"))[:2] == (202, "OPEN")
    assert (await act("resume"))[:2] == (400, "OPEN")
    assert (await act("accept-eviction-request"))[1:] == ("OPEN", "EVICTION_REQUEST_ACCEPTED")
    assert (await act("reject-debt-collection-list"))[1:] == ("CLOSED", "DEBT_COLLECTION_LIST_REJECTED")
    assert (await act("withdraw"))[:2] == (202, "WITHDRAWN")
    assert (await raw.ask(f"{path}/made-up/pause", method="POST")).status == 404


async def test_actions_on_an_invoice_belong_to_the_first_generation(session: aiohttp.ClientSession) -> None:
    async with Sandbox(organizations=1, batches=25, generation="G1") as sandbox:
        raw = RawClient(sandbox, session)
        path = f"/orgs/{raw.organization}/invoices"
        found = (await raw.ask(path, params={"Status": "OPEN"})).rows[0]
        for action, status in (("resume", 400), ("pause", 202), ("resume", 202), ("withdraw", 202)):
            response = await raw.ask(f"{path}/{found['id']}/{action}", method="POST")
            assert response.status == status, action
        history = (await raw.ask(f"{path}/{found['id']}/history")).json["data"]
        assert [line["type"] for line in history][-3:] == ["PAUSE", "RESUME", "WITHDRAW"]


async def test_an_invoice_knows_its_payments_in_the_first_generation(
    session: aiohttp.ClientSession, clock: VirtualClock
) -> None:
    async with Sandbox(organizations=1, batches=25, generation="G1", clock=clock.time) as sandbox:
        raw = RawClient(sandbox, session)
        response = await create(raw, invoice())
        assert response.json["data"]["batchUrl"].startswith(f"{sandbox.base_url}/batches/")
        path = f"/orgs/{raw.organization}"
        invoice_id = (await finished(raw, clock, response))["succeeded"][0]["invoiceId"]
        assert (await raw.ask(f"{path}/invoices/{invoice_id}/payments")).rows == []
        payment = {"invoiceId": invoice_id, "type": "DIRECT_PAYMENT", "amount": 12.5, "currency": "NOK"}
        await finished(raw, clock, await raw.ask(f"{path}/payments", method="POST", json={"payments": [payment]}))
        (found,) = (await raw.ask(f"{path}/invoices/{invoice_id}/payments")).rows
        assert {name: found[name] for name in payment} == payment
