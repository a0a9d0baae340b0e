"""Webhook deliveries: what is verified, handled, remembered and answered."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import hmac
import json
import logging
import weakref
from typing import TYPE_CHECKING, Literal

import pytest

from amili_async.errors import WebhookVerificationError
from amili_async.integrations.webhooks import (
    DeduplicationStore,
    Handlers,
    MemoryDeduplicationStore,
    Reply,
    WebhookReceiver,
)
from amili_async.sync._sql.deduplication import SqlDeduplicationStore
from amili_async.webhooks import BatchCompleted, Event, UnknownEvent, WebhookVerifier

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HANDLED, FAILED, LATER = Reply(204), Reply(500), Reply(503, {"Retry-After": "10"})
BATCH = json.dumps(
    {
        "id": "event-1",
        "type": "BATCH_COMPLETED",
        "source": "COLLECTION",
        "timeStamp": "2025-08-15T11:42:00Z",
        "data": {"batchId": "b-1", "organizationId": "o-1", "status": "SUCCESS"},
    }
).encode()
SETTLEMENT = b'{"id": "e", "type": "SETTLEMENT_CREATED", "data": {"settlementId": "s-1", "organizationId": "o-1"}}'
UNHEARD_OF = BATCH.replace(b"BATCH_COMPLETED", b"MOON_LANDED")


class Trusting:
    """A verifier that takes everything that is not marked as forged."""

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        if body.endswith(b"forged") or headers.get("forged"):
            raise WebhookVerificationError("the signature is wrong")


class Office:
    """Handles batch events: notes them, and fails or takes long when told to."""

    def __init__(self) -> None:
        self.handled: list[str] = []
        self.failures = 0
        self.proceed = asyncio.Event()
        self.proceed.set()
        self.begun = asyncio.Event()

    async def handle(self, event: BatchCompleted) -> None:
        self.begun.set()
        await self.proceed.wait()
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the office is on fire")
        self.handled.append(event.batch_id)

    def receiver(self, *, seen: DeduplicationStore | None = None, patience: float = 30.0) -> WebhookReceiver:
        handlers: Handlers = {BatchCompleted: self.handle}
        return WebhookReceiver(Trusting(), handlers, seen=seen or MemoryDeduplicationStore(), patience=patience)


def key(text: str) -> dict[str, str]:
    return {"IdempotencyKey": text}


async def test_a_delivery_is_handled_once_however_often_it_comes() -> None:
    office = Office()
    receiver = office.receiver()

    replies = [await receiver.receive(BATCH, key("a")) for _ in range(3)]

    assert replies == [HANDLED, HANDLED, HANDLED]
    assert office.handled == ["b-1"]


async def test_the_key_decides_and_not_the_event() -> None:
    office = Office()
    receiver = office.receiver()

    for header in ({"IdempotencyKey": "a"}, {"idempotencykey": "a"}, {"IDEMPOTENCYKEY": "b"}):
        await receiver.receive(BATCH, header)

    assert office.handled == ["b-1", "b-1"]


async def test_without_a_key_the_events_id_decides() -> None:
    office = Office()
    receiver = office.receiver()

    await receiver.receive(BATCH, {})
    await receiver.receive(BATCH, {})
    await receiver.receive(BATCH.replace(b"event-1", b"event-2"), {})

    assert office.handled == ["b-1", "b-1"]


@pytest.mark.parametrize("given", ["k" * 256, "zero\0character", "half \udc80", ""])
async def test_a_store_gets_keys_that_a_database_takes(given: str) -> None:
    office, store = Office(), Watched()

    await office.receiver(seen=store).receive(BATCH.replace(b"event-1", b"event\\u00001"), key(given))

    (claimed,) = store.claims
    assert len(claimed) == 64
    assert claimed.isalnum()


async def test_without_key_and_id_the_body_decides() -> None:
    office, store = Office(), Watched()
    receiver = office.receiver(seen=store)

    await receiver.receive(BATCH.replace(b'"id": "event-1", ', b""), {})
    await receiver.receive(BATCH.replace(b'"id": "event-1", ', b"").replace(b"b-1", b"b-2"), {})

    assert office.handled == ["b-1", "b-2"]


async def test_a_forged_delivery_is_refused_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    office, store = Office(), Watched()

    reply = await office.receiver(seen=store).receive(BATCH, {"forged": "yes"})

    assert reply == Reply(401)
    assert (office.handled, store.claims) == ([], [])
    assert "b-1" not in caplog.text


async def test_a_genuine_delivery_that_is_no_event_is_a_bad_request(caplog: pytest.LogCaptureFixture) -> None:
    assert await Office().receiver().receive(b"<html>Kari</html>", {}) == Reply(400)
    assert "Kari" not in caplog.text


async def test_a_delivery_that_the_verifier_breaks_on_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    def signed(_: bytes, headers: Mapping[str, str]) -> bytes:
        return headers["x-sent-at"].encode()

    office = Office()
    receiver = WebhookReceiver(
        WebhookVerifier("secret", signed=signed), {BatchCompleted: office.handle}, seen=MemoryDeduplicationStore()
    )

    assert await receiver.receive(BATCH, {}) == Reply(401)
    assert office.handled == []
    assert "x-sent-at" in caplog.text


async def test_a_genuine_body_without_a_moment_to_check_is_a_bad_request() -> None:
    body = b"no JSON"
    signature = hmac.new(b"secret", body, "sha256").hexdigest()
    receiver = WebhookReceiver(WebhookVerifier("secret", tolerance=60), {}, seen=MemoryDeduplicationStore())

    assert await receiver.receive(body, {"X-Webhook-Signature": signature}) == Reply(400)


@pytest.mark.parametrize(("body", "warned"), [(UNHEARD_OF, True), (SETTLEMENT, False)])
async def test_an_event_that_nobody_handles_is_accepted_and_not_remembered(
    caplog: pytest.LogCaptureFixture, body: bytes, *, warned: bool
) -> None:
    store = Watched()

    assert await Office().receiver(seen=store).receive(body, key("a")) == HANDLED
    assert store.claims == []
    assert [record.getMessage() for record in caplog.records] == [
        "webhook 'MOON_LANDED' is unknown, or not as documented, and has no handler"
    ] * warned


async def test_a_handler_of_a_base_class_gets_what_has_none_of_its_own() -> None:
    everything: list[str] = []
    batches: list[str] = []

    async def any_event(event: Event) -> None:
        everything.append(type(event).__name__)

    async def batch(event: BatchCompleted) -> None:
        batches.append(event.batch_id)

    receiver = WebhookReceiver(Trusting(), {Event: any_event, BatchCompleted: batch}, seen=MemoryDeduplicationStore())
    await receiver.receive(BATCH, key("a"))
    await receiver.receive(UNHEARD_OF, key("b"))

    assert (everything, batches) == ([UnknownEvent.__name__], ["b-1"])


async def test_a_delivery_whose_handler_failed_is_handled_when_it_comes_again(caplog: pytest.LogCaptureFixture) -> None:
    office = Office()
    office.failures = 1
    receiver = office.receiver()

    assert await receiver.receive(BATCH, key("a")) == FAILED
    assert "the office is on fire" in caplog.text
    assert await receiver.receive(BATCH, key("a")) == HANDLED
    assert office.handled == ["b-1"]


async def test_a_delivery_that_is_being_handled_is_put_off() -> None:
    office = Office()
    office.proceed.clear()
    receiver = office.receiver()
    first = asyncio.create_task(receiver.receive(BATCH, key("a")))
    await office.begun.wait()

    assert await receiver.receive(BATCH, key("a")) == LATER
    office.proceed.set()
    assert await first == HANDLED
    assert office.handled == ["b-1"]


async def test_a_slow_handler_is_not_cut_off_and_its_event_is_seen_at_last() -> None:
    office = Office()
    office.proceed.clear()
    receiver = office.receiver(patience=0.001)

    assert await receiver.receive(BATCH, key("a")) == LATER
    office.proceed.set()
    await receiver.aclose()

    assert office.handled == ["b-1"]


async def test_a_request_that_is_cancelled_does_not_cancel_the_handler() -> None:
    office = Office()
    office.proceed.clear()
    receiver = office.receiver()
    request = asyncio.create_task(receiver.receive(BATCH, key("a")))
    await office.begun.wait()

    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    office.proceed.set()
    await receiver.aclose()

    assert office.handled == ["b-1"]


async def test_a_receiver_keeps_nothing_of_what_it_has_handled() -> None:
    tasks: weakref.WeakSet[asyncio.Task[object]] = weakref.WeakSet()

    async def handle(_: BatchCompleted) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)

    receiver = WebhookReceiver(Trusting(), {BatchCompleted: handle}, seen=MemoryDeduplicationStore())
    await receiver.receive(BATCH, key("a"))
    await asyncio.sleep(0)
    gc.collect()

    assert not tasks


async def test_closing_cancels_what_takes_too_long_and_gives_it_back() -> None:
    office, store = Office(), Watched()
    office.proceed.clear()
    receiver = office.receiver(seen=store)
    request = asyncio.create_task(receiver.receive(BATCH, key("a")))
    await office.begun.wait()

    await receiver.aclose(grace=0.001)

    assert store.releases == ["a"]
    assert await request == LATER


async def test_a_closed_receiver_takes_nothing_on() -> None:
    office = Office()
    receiver = office.receiver()
    await receiver.aclose()

    assert await receiver.receive(BATCH, key("a")) == LATER
    assert office.handled == []


class Watched(MemoryDeduplicationStore):
    """A store that notes what it is asked, and breaks at one step."""

    def __init__(self, *, broken: str = "") -> None:
        super().__init__()
        self.broken = broken
        self.claims: list[str] = []
        self.releases: list[str] = []

    async def claim(self, key: str, owner: str, /) -> Literal["claimed", "busy", "seen"]:
        self.claims.append(key)
        self._break("claim")
        return await super().claim(key, owner)

    async def confirm(self, key: str, owner: str, /) -> None:
        self._break("confirm")
        await super().confirm(key, owner)

    async def release(self, key: str, owner: str, /) -> None:
        self.releases.append(key)
        self._break("release")
        await super().release(key, owner)

    def _break(self, step: str) -> None:
        if step == self.broken:
            raise OSError("the database is gone")


@pytest.mark.parametrize(
    ("broken", "failures", "reply", "handled"),
    [
        ("claim", 0, LATER, []),
        # It was handled: to have it delivered once more would be no help.
        ("confirm", 0, HANDLED, ["b-1"]),
        ("release", 1, FAILED, []),
    ],
)
async def test_a_store_that_fails_never_loses_an_event(
    caplog: pytest.LogCaptureFixture, broken: str, failures: int, reply: Reply, handled: list[str]
) -> None:
    office = Office()
    office.failures = failures

    assert await office.receiver(seen=Watched(broken=broken)).receive(BATCH, key("a")) == reply
    assert office.handled == handled
    assert "the database is gone" in caplog.text


async def test_handlers_see_the_requests_context_variables() -> None:
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("request-1")
    found: list[str] = []

    async def handle(_: BatchCompleted) -> None:
        found.append(variable.get())

    await WebhookReceiver(Trusting(), {BatchCompleted: handle}, seen=MemoryDeduplicationStore()).receive(
        BATCH, key("a")
    )

    assert found == ["request-1"]


async def test_only_troubles_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "amili_async"):
        await Office().receiver().receive(BATCH, key("a"))

    assert caplog.records == []


async def test_workers_that_share_a_database_handle_a_delivery_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'seen.db'}"
    offices = [Office(), Office()]
    async with SqlDeduplicationStore(url) as one, SqlDeduplicationStore(url) as other:
        receivers = [office.receiver(seen=seen) for office, seen in zip(offices, (one, other), strict=True)]
        offices[0].proceed.clear()
        first = asyncio.create_task(receivers[0].receive(BATCH, key("a")))
        await offices[0].begun.wait()

        assert await receivers[1].receive(BATCH, key("a")) == LATER
        offices[0].proceed.set()
        assert await first == HANDLED
        assert await receivers[1].receive(BATCH, key("a")) == HANDLED

    assert [office.handled for office in offices] == [["b-1"], []]
