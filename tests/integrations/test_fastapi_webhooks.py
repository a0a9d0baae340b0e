"""The route that takes webhooks, in a FastAPI app."""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import TYPE_CHECKING, Unpack

import httpx
from fastapi import FastAPI

from amili_async.integrations.fastapi import MemoryDeduplicationStore, webhook_router
from amili_async.webhooks import BatchCompleted, WebhookVerifier
from tests.support.services import served, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from amili_async.integrations.webhooks import WebhookSettings

SECRET = b"a secret of sixteen"
BODY = json.dumps(
    {"id": "e-1", "type": "BATCH_COMPLETED", "data": {"batchId": "b-1", "organizationId": "o-1", "status": "SUCCESS"}}
).encode()


def signed(body: bytes, **headers: str) -> dict[str, str]:
    return {"X-Webhook-Signature": hmac.new(SECRET, body, "sha256").hexdigest(), **headers}


class WebhookApp:
    """An app that notes batches as they complete."""

    def __init__(self, *, path: str = "/amili/webhooks", **settings: Unpack[WebhookSettings]) -> None:
        self.handled: list[str] = []
        self.begun = self.cancelled = False
        self.proceed = asyncio.Event()
        self.proceed.set()
        self.app = FastAPI()
        router = webhook_router(
            WebhookVerifier(SECRET),
            {BatchCompleted: self.handle},
            seen=MemoryDeduplicationStore(),
            path=path,
            **settings,
        )
        self.app.include_router(router, prefix="/hooks")

    async def handle(self, event: BatchCompleted) -> None:
        self.begun = True
        try:
            await self.proceed.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        self.handled.append(event.batch_id)

    def sender(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://service")


async def test_a_genuine_event_is_handled_and_a_forged_one_refused_without_a_word() -> None:
    webhooks = WebhookApp()
    async with webhooks.sender() as sender:
        genuine = await sender.post("/hooks/amili/webhooks", content=BODY, headers=signed(BODY))
        forged = await sender.post("/hooks/amili/webhooks", content=BODY, headers=signed(b"other"))
        unsigned = await sender.post("/hooks/amili/webhooks", content=BODY)

    assert (genuine.status_code, webhooks.handled) == (204, ["b-1"])
    for refused in (forged, unsigned):
        assert (refused.status_code, refused.content) == (401, b"")


async def test_the_raw_bytes_are_verified_and_not_what_they_mean() -> None:
    webhooks = WebhookApp()
    spaced = json.dumps(json.loads(BODY), indent=3).encode()
    async with webhooks.sender() as sender:
        right = await sender.post("/hooks/amili/webhooks", content=spaced, headers=signed(spaced))
        wrong = await sender.post("/hooks/amili/webhooks", content=BODY, headers=signed(spaced))

    assert [right.status_code, wrong.status_code] == [204, 401]


async def test_an_event_that_comes_twice_is_handled_once() -> None:
    webhooks = WebhookApp(path="/elsewhere")
    async with webhooks.sender() as sender:
        for key in ("a", "a", "b"):
            await sender.post("/hooks/elsewhere", content=BODY, headers=signed(BODY, IdempotencyKey=key))

    assert webhooks.handled == ["b-1"]


async def test_a_body_without_end_is_not_read_to_its_end() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100
            yield b"x" * 100

    webhooks = WebhookApp(max_bytes=1000)
    async with webhooks.sender() as sender:
        response = await sender.post("/hooks/amili/webhooks", content=endless())

    assert response.status_code == 413
    assert sent == 1100


async def test_the_route_is_not_in_the_apps_documentation() -> None:
    assert "/hooks/amili/webhooks" not in WebhookApp().app.openapi()["paths"]


async def test_a_shutdown_leaves_no_handler_behind() -> None:
    webhooks = WebhookApp(patience=0.01)
    webhooks.proceed.clear()
    async with served(webhooks.app) as service, httpx.AsyncClient(base_url=service.url, timeout=60) as sender:
        response = await sender.post("/hooks/amili/webhooks", content=BODY, headers=signed(BODY))
        assert (webhooks.begun, webhooks.cancelled) == (True, False)

    assert (response.status_code, response.headers["retry-after"]) == (503, "10")
    assert webhooks.cancelled


async def test_a_sender_that_goes_away_in_the_middle_of_its_body_leaves_nothing_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    webhooks = WebhookApp()
    async with served(webhooks.app) as service:
        host, port = service.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /hooks/amili/webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        await writer.drain()
        await until(lambda: service.requests)
        writer.close()
        await until(lambda: not service.requests)
        assert webhooks.handled == []
    assert [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}] == []


async def test_a_half_sent_body_is_answered_when_its_time_is_up() -> None:
    webhooks = WebhookApp(body_deadline=0.05)
    async with served(webhooks.app) as service:
        host, port = service.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /hooks/amili/webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
