from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from amili_async.sandbox import Sandbox
from amili_async.webhooks import UnknownEvent, WebhookVerifier, parse_event
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp


class Receiver:
    """Someone's endpoint: it keeps what comes, and answers as the test says."""

    def __init__(self) -> None:
        self.events: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.url = ""
        self.came = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        self.events.append((dict(request.headers), await request.read()))
        self.came.set()
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/hooks", receiver.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}/hooks?from=amili"
    yield receiver
    await runner.cleanup()


INVOICE = {
    "invoiceNumber": "A",
    "originalInvoiceAmount": 100,
    "invoiceDate": "2024-01-15",
    "dueDate": "2024-02-15",
}


async def write(raw: RawClient, noun: str, item: dict[str, Any]) -> str:
    response = await raw.ask(f"/orgs/{raw.organization}/{noun}", method="POST", json={noun: [item]})
    batch_id: str = response.json["data"]["batchId"]
    return batch_id


async def test_what_happens_is_told_signed_and_in_order(receiver: Receiver, session: aiohttp.ClientSession) -> None:
    async with Sandbox(
        organizations=1, batches=0, finish_after=None, webhook_url=receiver.url, webhook_secret=b"hush"
    ) as sandbox:
        raw = RawClient(sandbox, session)
        batch_id = await write(raw, "invoices", INVOICE)
        sandbox.finish(batch_id)
        invoice = (await raw.ask(f"/orgs/{raw.organization}/invoices")).rows[0]
        sandbox.finish(await write(raw, "payments", {"invoiceId": invoice["id"], "amount": 40}))
        sandbox.finish(await write(raw, "payments", {"invoiceId": invoice["id"], "amount": 60}))
        sandbox.finish(await write(raw, "corrections", {"invoiceId": invoice["id"], "amount": 1}))
        case_id = (await raw.ask(f"/orgs/{raw.organization}/cases")).rows[0]["caseId"]
        await raw.ask(f"/orgs/{raw.organization}/cases/{case_id}/pause", method="POST")
        await sandbox.webhooks.drained()
        events = [json.loads(body) for _, body in receiver.events]
        names = [event.get("type") or event["eventType"] for event in events]
        assert names == [
            "CASE", "BATCH_COMPLETED",
            "CASE_UPDATED", "SETTLEMENT_CREATED", "BATCH_COMPLETED",
            "CASE_UPDATED", "SETTLEMENT_CREATED", "BATCH_COMPLETED",
            "CASE_UPDATED", "BATCH_COMPLETED",
            "CASE_UPDATED",
        ]  # fmt: skip
        assert [event["data"].get("fields") for event in events if "fields" in event["data"]] == [
            ["amounts"], ["amounts", "status"], ["amounts"], ["status"],
        ]  # fmt: skip
        assert len({event["id"] for event in events}) == len(events)
        assert events[1]["data"] == {"batchId": batch_id, "organizationId": raw.organization, "status": "SUCCESS"}
        assert events[0]["data"]["invoices"] == [invoice["id"]]
        settlement = events[3]["data"]
        path = f"/orgs/{raw.organization}/settlements/{settlement['settlementId']}"
        assert (await raw.ask(path)).json["data"]["invoiceId"] == settlement["invoiceId"] == invoice["id"]
        keys: set[str] = set()
        for (headers, body), event, name in zip(receiver.events, events, names, strict=True):
            assert headers["X-Amili-Event"] == name
            assert headers["X-Webhook-Signature"] == hmac.new(b"hush", body, hashlib.sha256).hexdigest()
            assert headers["X-Amili-Request-Id"]
            assert event["source"] == "COLLECTION"
            keys.add(headers["IdempotencyKey"])
        assert len(keys) == len(events)


async def test_an_event_goes_out_though_nobody_asks_for_anything(
    receiver: Receiver, session: aiohttp.ClientSession
) -> None:
    async with Sandbox(organizations=1, batches=0, finish_after=0.01, webhook_url=receiver.url) as sandbox:
        batch_id = await write(RawClient(sandbox, session), "payments", {"invoiceId": "x", "amount": 1})
        await receiver.came.wait()
        assert json.loads(receiver.events[0][1])["data"]["batchId"] == batch_id


async def test_a_scheme_of_ones_own_signs(receiver: Receiver) -> None:
    def sign(body: bytes) -> dict[str, str]:
        return {"X-Length": str(len(body))}

    async with Sandbox(organizations=1, batches=5, webhook_url=receiver.url, webhook_sign=sign) as sandbox:
        delivery = sandbox.webhooks.send({"type": "NOVELTY"})
        assert (await delivery).statuses == [204]
        again = await sandbox.webhooks.send_again(delivery)
    (first, body), (second, _) = receiver.events
    assert body == b'{"type": "NOVELTY"}'
    assert first["X-Length"] == "19"
    assert first["X-Amili-Event"] == "NOVELTY"
    assert "X-Webhook-Signature" not in first
    assert first["IdempotencyKey"] == second["IdempotencyKey"]
    assert sandbox.webhooks.deliveries == [delivery, again]
    assert repr(again) == "<Delivery NOVELTY [204]>"


async def test_a_delivery_is_tried_three_times(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amili_async.sandbox._webhooks._PAUSE", 0)
    receiver.statuses = [500, 404, 200, 503, 503, 503]
    async with Sandbox(organizations=1, batches=5, webhook_url=receiver.url) as sandbox:
        taken, lost = sandbox.webhooks.send(b"{}", event="A"), sandbox.webhooks.send(b"{}", event="B")
        assert not taken.taken
        await sandbox.webhooks.drained()
    assert (taken.statuses, taken.taken) == ([500, 404, 200], True)
    assert (lost.statuses, lost.taken) == ([503, 503, 503], False)


async def test_a_url_where_nobody_is_gets_nothing(unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amili_async.sandbox._webhooks._PAUSE", 0)
    monkeypatch.setattr("amili_async.sandbox._webhooks._PATIENCE", 0.02)
    async with Sandbox(organizations=1, batches=5) as sandbox:
        kept = sandbox.webhooks.send(b"{}")
        for url in (f"http://127.0.0.1:{unused_tcp_port}/", f"https://127.0.0.1:{sandbox.port}/", "nonsense"):
            sandbox.webhooks.url = url
            delivery = sandbox.webhooks.send(b"{}")
            await sandbox.webhooks.drained()
            assert delivery.statuses == [None, None, None]
    assert kept.statuses == []
    with pytest.raises(RuntimeError, match="events go nowhere"):
        await kept


async def test_events_go_out_from_a_sandbox_in_a_thread(receiver: Receiver) -> None:
    with Sandbox(organizations=1, batches=5, webhook_url=receiver.url) as sandbox:
        sandbox.finish(sandbox.batch_ids()[-1])
        await receiver.came.wait()
        sent = sandbox.webhooks.send(b"no JSON", headers={"IdempotencyKey": "mine"})
        assert await asyncio.to_thread(sent.wait) is sent
        assert sent.taken
    assert receiver.events[0][0]["X-Amili-Event"] == "BATCH_COMPLETED"
    assert receiver.events[1][0]["X-Amili-Event"] == ""
    assert receiver.events[1][0]["IdempotencyKey"] == "mine"


async def test_what_it_signs_a_verifier_takes(receiver: Receiver) -> None:
    secret = "shared with the sandbox"
    async with Sandbox(organizations=1, batches=5, webhook_url=receiver.url, webhook_secret=secret) as sandbox:
        await sandbox.webhooks.send({"eventType": "CASE", "data": {}})
    ((headers, body),) = receiver.events
    WebhookVerifier(secret).verify(body, headers)
    assert isinstance(parse_event(body, headers), UnknownEvent)
    assert headers["X-Amili-Event"] == "CASE"


async def test_events_under_way_end_with_the_sandbox(receiver: Receiver) -> None:
    sandbox = Sandbox(organizations=1, batches=5, webhook_url=receiver.url)
    before = sandbox.webhooks.send(b"{}", event="BEFORE")
    async with sandbox:
        during = [sandbox.webhooks.send(b"{}", event="DURING") for _ in range(2)]
    await sandbox.webhooks.stop()
    assert [(await delivery).taken for delivery in during] == [False, False]
    with pytest.raises(RuntimeError, match="events go nowhere"):
        before.wait()
    assert [delivery.statuses for delivery in sandbox.webhooks.deliveries] == [[], [], []]
