"""Webhook deliveries: what is verified, handled, remembered and answered."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import logging
import re
import weakref
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Unpack

import pytest

from amili_async.errors import ConfigurationError, WebhookVerificationError
from amili_async.integrations import webhooks
from amili_async.integrations.webhooks import (
    DeduplicationStore,
    Handlers,
    MemoryDeduplicationStore,
    Verifier,
    WebhookReceiver,
    WebhookResponse,
    WebhookSettings,
)
from amili_async.sync._sql.deduplication import SqlDeduplicationStore
from amili_async.webhooks import BatchCompleted, Event, UnknownEvent, WebhookVerifier
from tests.support import virtual_time
from tests.support.documents import text
from tests.support.turns import turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from amili_async.events import Drift, QuarantinedRow
    from amili_async.sandbox import VirtualClock

HANDLED, REFUSED, FAILED = WebhookResponse(204), WebhookResponse(401), WebhookResponse(500)
LATER = WebhookResponse(503, {"Retry-After": "10"})
SENT = datetime(2025, 8, 15, 11, 42, tzinfo=UTC).timestamp()
SECRET = "a secret of sixteen"
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


class AcceptingVerifier:
    """A verifier that takes everything that is not marked as forged."""

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        if body.endswith(b"forged") or headers.get("forged"):
            raise WebhookVerificationError("the signature is wrong")


class RecordingHandler:
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
            raise RuntimeError("the handler failed")
        self.handled.append(event.batch_id)

    def receiver(
        self,
        *,
        seen: DeduplicationStore | None = None,
        handlers: Handlers | None = None,
        verifier: Verifier | None = None,
        now: float = SENT,
        **settings: Unpack[WebhookSettings],
    ) -> WebhookReceiver:
        return WebhookReceiver(
            verifier or AcceptingVerifier(),
            {BatchCompleted: self.handle} if handlers is None else handlers,
            seen=seen or MemoryDeduplicationStore(),
            clock=lambda: now,
            **settings,
        )


def key(text: str) -> dict[str, str]:
    return {"IdempotencyKey": text}


async def test_a_delivery_is_handled_once_however_often_it_comes() -> None:
    recording = RecordingHandler()
    receiver = recording.receiver()

    replies = [await receiver.receive(BATCH, key("a")) for _ in range(3)]

    assert replies == [HANDLED, HANDLED, HANDLED]
    assert recording.handled == ["b-1"]


async def test_one_event_is_handled_once_whatever_keys_it_comes_with() -> None:
    recording = RecordingHandler()
    receiver = recording.receiver()

    replies = [await receiver.receive(BATCH, key(text)) for text in ("a", "b", "c", "d", "e")]

    assert replies == [HANDLED] * 5
    assert recording.handled == ["b-1"]


async def test_an_event_that_comes_under_anothers_key_does_not_take_its_place() -> None:
    recording = RecordingHandler()
    receiver = recording.receiver()

    await receiver.receive(BATCH, key("of another"))
    await receiver.receive(BATCH.replace(b"b-1", b"b-2").replace(b"event-1", b"event-2"), key("of another"))

    assert recording.handled == ["b-1", "b-2"]


async def test_two_events_that_share_an_id_are_both_handled() -> None:
    recording = RecordingHandler()
    receiver = recording.receiver()

    await receiver.receive(BATCH, {})
    await receiver.receive(BATCH.replace(b"b-1", b"b-2"), {})

    assert recording.handled == ["b-1", "b-2"]


@pytest.mark.parametrize("given", ["k" * 101, "zero\0character", "line\nbreak", ""])
async def test_a_store_gets_keys_that_a_database_takes(given: str) -> None:
    recording, store = RecordingHandler(), Watched()

    await recording.receiver(seen=store).receive(BATCH.replace(b'"event-1"', json.dumps(given).encode()), {})
    await recording.receiver(seen=store).receive(BATCH, {})

    assert re.fullmatch("[0-9a-f]{64}", store.claims[0])
    assert re.fullmatch("event-1:[0-9a-f]{64}", store.claims[1])


@pytest.mark.parametrize(
    ("days", "response"),
    [(0, HANDLED), (3, HANDLED), (29.9, HANDLED), (30.1, REFUSED), (-0.9, HANDLED), (-1.1, REFUSED)],
)
async def test_an_event_is_taken_for_as_long_as_it_is_remembered(
    caplog: pytest.LogCaptureFixture, days: float, response: WebhookResponse
) -> None:
    recording = RecordingHandler()

    assert await recording.receiver(now=SENT + days * 86_400).receive(BATCH, {}) == response
    assert recording.handled == ["b-1"] * (response == HANDLED)
    assert ("its timeStamp is too long ago, or ahead" in caplog.text) == (response == REFUSED)


@pytest.mark.parametrize(
    ("stamp", "response"),
    [(b"1755258120", HANDLED), (b"17552581200", REFUSED), (b'"yesterday"', HANDLED), (b"null", HANDLED)],
)
async def test_a_moment_in_another_form_is_looked_at_where_it_can_be_read(
    stamp: bytes, response: WebhookResponse
) -> None:
    body = BATCH.replace(b'"2025-08-15T11:42:00Z"', stamp)
    assert await RecordingHandler().receiver().receive(body, {}) == response


async def test_a_forged_delivery_is_refused_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    recording, store = RecordingHandler(), Watched()

    reply = await recording.receiver(seen=store).receive(BATCH, {"forged": "yes"})

    assert reply == REFUSED
    assert (recording.handled, store.claims) == ([], [])
    assert "b-1" not in caplog.text


async def test_a_delivery_that_the_verifier_breaks_on_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    def signed(_: bytes, headers: Mapping[str, str]) -> bytes:
        return headers["x-sent-at"].encode()

    recording = RecordingHandler()

    assert await recording.receiver(verifier=WebhookVerifier(SECRET, signed=signed)).receive(BATCH, {}) == REFUSED
    assert recording.handled == []
    assert "signed failed with KeyError" in caplog.text
    assert "x-sent-at" in caplog.text


async def test_a_verifier_of_ones_own_that_breaks_refuses_too(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def verify(self, body: bytes, headers: Mapping[str, str]) -> None:  # noqa: ARG002  # the protocol's names
            headers["x-sent-at"].encode()

    assert await RecordingHandler().receiver(verifier=Broken()).receive(BATCH, {}) == REFUSED
    assert "webhook refused: verifying it failed" in caplog.text


async def test_a_mistake_in_the_service_is_a_failure_and_no_refusal(caplog: pytest.LogCaptureFixture) -> None:
    verifier = WebhookVerifier(SECRET, signed=lambda body, _: body, timestamp_header="X-Timestamp", tolerance=60)

    assert await RecordingHandler().receiver(verifier=verifier).receive(BATCH, {"X-Timestamp": "1"}) == FAILED
    assert "timestamp_header is not part of signed" in caplog.text


@pytest.mark.parametrize(("body", "warned"), [(UNHEARD_OF, True), (SETTLEMENT, False)])
async def test_an_event_that_nobody_handles_is_accepted_and_not_remembered(
    caplog: pytest.LogCaptureFixture, body: bytes, *, warned: bool
) -> None:
    store = Watched()

    assert await RecordingHandler().receiver(seen=store).receive(body, key("a")) == HANDLED
    assert store.claims == []
    assert [record.getMessage() for record in caplog.records] == [
        "webhook 'MOON_LANDED' is not known and has no handler"
    ] * warned


async def test_a_handler_of_a_base_class_gets_what_has_none_of_its_own() -> None:
    everything: list[str] = []
    batches: list[str] = []

    async def any_event(event: Event) -> None:
        everything.append(type(event).__name__)

    async def batch(event: BatchCompleted) -> None:
        batches.append(event.batch_id)

    receiver = RecordingHandler().receiver(handlers={Event: any_event, BatchCompleted: batch})
    await receiver.receive(BATCH, key("a"))
    await receiver.receive(UNHEARD_OF, key("b"))

    assert (everything, batches) == ([UnknownEvent.__name__], ["b-1"])


async def test_a_delivery_whose_handler_failed_is_handled_when_it_comes_again(caplog: pytest.LogCaptureFixture) -> None:
    recording = RecordingHandler()
    recording.failures = 1
    receiver = recording.receiver()

    assert await receiver.receive(BATCH, key("a")) == FAILED
    assert "the handler failed" in caplog.text
    assert await receiver.receive(BATCH, key("a")) == HANDLED
    assert recording.handled == ["b-1"]


async def test_a_delivery_that_is_being_handled_is_put_off() -> None:
    recording = RecordingHandler()
    recording.proceed.clear()
    receiver = recording.receiver()
    first = asyncio.create_task(receiver.receive(BATCH, key("a")))
    await recording.begun.wait()

    assert await receiver.receive(BATCH, key("a")) == LATER
    recording.proceed.set()
    assert await first == HANDLED
    assert recording.handled == ["b-1"]


async def test_a_slow_handler_is_not_cut_off_and_its_event_is_seen_at_last() -> None:
    recording = RecordingHandler()
    recording.proceed.clear()
    receiver = recording.receiver(patience=0.001)

    assert await receiver.receive(BATCH, key("a")) == LATER
    recording.proceed.set()
    await receiver.aclose()

    assert recording.handled == ["b-1"]


async def test_a_request_that_is_cancelled_does_not_cancel_the_handler() -> None:
    recording = RecordingHandler()
    recording.proceed.clear()
    receiver = recording.receiver()
    request = asyncio.create_task(receiver.receive(BATCH, key("a")))
    await recording.begun.wait()

    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    recording.proceed.set()
    await receiver.aclose()

    assert recording.handled == ["b-1"]


async def test_a_receiver_keeps_nothing_of_what_it_has_handled() -> None:
    tasks: weakref.WeakSet[asyncio.Task[object]] = weakref.WeakSet()

    async def handle(_: BatchCompleted) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)

    receiver = RecordingHandler().receiver(handlers={BatchCompleted: handle})
    await receiver.receive(BATCH, key("a"))
    await asyncio.sleep(0)
    gc.collect()

    assert not tasks


async def test_closing_cancels_what_takes_too_long_and_gives_it_back() -> None:
    recording, store = RecordingHandler(), Watched()
    recording.proceed.clear()
    receiver = recording.receiver(seen=store)
    request = asyncio.create_task(receiver.receive(BATCH, key("a")))
    await recording.begun.wait()

    await receiver.aclose(grace=0.001)

    assert store.releases == store.claims
    assert await request == LATER


async def test_a_closed_receiver_takes_nothing_on() -> None:
    recording = RecordingHandler()
    receiver = recording.receiver()
    await receiver.aclose()

    assert await receiver.receive(BATCH, key("a")) == LATER
    assert recording.handled == []


class Watched(MemoryDeduplicationStore):
    """A store that notes what it is asked, and breaks at one step."""

    def __init__(self, *, broken: str = "", hanging: str = "") -> None:
        super().__init__()
        self.broken = broken
        self.hanging = hanging
        self.claims: list[str] = []
        self.releases: list[str] = []

    async def claim(self, key: str, owner: str, /) -> Literal["claimed", "busy", "seen"]:
        self.claims.append(key)
        await self._break("claim")
        return await super().claim(key, owner)

    async def confirm(self, key: str, owner: str, /) -> None:
        await self._break("confirm")
        await super().confirm(key, owner)

    async def release(self, key: str, owner: str, /) -> None:
        self.releases.append(key)
        await self._break("release")
        await super().release(key, owner)

    async def _break(self, step: str) -> None:
        if step == self.hanging:
            await asyncio.Event().wait()
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
    caplog: pytest.LogCaptureFixture, broken: str, failures: int, reply: WebhookResponse, handled: list[str]
) -> None:
    recording = RecordingHandler()
    recording.failures = failures

    assert await recording.receiver(seen=Watched(broken=broken)).receive(BATCH, key("a")) == reply
    assert recording.handled == handled
    assert "the database is gone" in caplog.text


async def test_handlers_see_the_requests_context_variables() -> None:
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("request-1")
    found: list[str] = []

    async def handle(_: BatchCompleted) -> None:
        found.append(variable.get())

    await RecordingHandler().receiver(handlers={BatchCompleted: handle}).receive(BATCH, key("a"))

    assert found == ["request-1"]


async def test_only_troubles_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "amili_async"):
        await RecordingHandler().receiver().receive(BATCH, key("a"))

    assert caplog.records == []


async def test_workers_that_share_a_database_handle_a_delivery_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'seen.db'}"
    handlers = [RecordingHandler(), RecordingHandler()]
    async with SqlDeduplicationStore(url) as one, SqlDeduplicationStore(url) as other:
        receivers = [recording.receiver(seen=seen) for recording, seen in zip(handlers, (one, other), strict=True)]
        handlers[0].proceed.clear()
        first = asyncio.create_task(receivers[0].receive(BATCH, key("a")))
        await handlers[0].begun.wait()

        assert await receivers[1].receive(BATCH, key("a")) == LATER
        handlers[0].proceed.set()
        assert await first == HANDLED
        assert await receivers[1].receive(BATCH, key("a")) == HANDLED

    assert [recording.handled for recording in handlers] == [["b-1"], []]


# -- what cannot be read

BROKEN = BATCH.replace(b'"batchId": "b-1"', b'"batchId": {}')
UNREADABLE = {
    "a missing member": BATCH.replace(b'"batchId": "b-1", ', b""),
    "a member of another kind": BROKEN,
    "no data": BATCH.replace(b'"data"', b'"content"'),
    "bad UTF-8 in data": BATCH.replace(b"b-1", b"\xff"),
    "no JSON": b"<html>Kari</html>",
    "no object": b"[]",
    "nothing": b"",
    "too deep": b"[" * 100_000,
}


class DeadLetterMemory(MemoryDeduplicationStore):
    """A store that keeps dead letters."""

    def __init__(self, *, broken: bool = False) -> None:
        super().__init__()
        self.letters: list[tuple[str, str, bytes]] = []
        self.broken = broken

    async def put_aside(self, key: str, owner: str, /, *, event: str, reason: str, body: bytes) -> None:
        if self.broken:
            raise OSError("the database is gone")
        self.letters.append((event, reason, body))
        await self.confirm(key, owner)


class Listener:
    """A hook that notes what it is told."""

    def __init__(self) -> None:
        self.quarantined: list[QuarantinedRow] = []
        self.drift: list[Drift] = []

    def on_quarantine(self, record: QuarantinedRow) -> None:
        self.quarantined.append(record)

    def on_drift(self, record: Drift) -> None:
        self.drift.append(record)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_what_cannot_be_read_and_cannot_be_kept_fails_each_time_so_that_it_comes_again(
    caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    listener = Listener()
    receiver = RecordingHandler().receiver(hooks=[listener])

    assert [await receiver.receive(body, {}) for _ in range(3)] == [FAILED] * 3
    assert [record.raw for record in listener.quarantined] == [body] * 3
    assert len(errors(caplog)) == 3
    assert "Kari" not in caplog.text


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_what_cannot_be_read_goes_to_the_handler_of_unknown_events(
    caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    listener, dead_letters, taken = Listener(), DeadLetterMemory(), list[bytes]()

    async def unknown(event: UnknownEvent) -> None:
        taken.append(event.raw)

    receiver = RecordingHandler().receiver(hooks=[listener], seen=dead_letters, handlers={UnknownEvent: unknown})

    assert [await receiver.receive(body, {}) for _ in range(2)] == [HANDLED] * 2
    assert (taken, dead_letters.letters) == ([body], [])
    assert len(errors(caplog)) == len(listener.quarantined) == 2


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_what_cannot_be_read_is_kept_once_where_the_store_keeps_dead_letters(body: bytes) -> None:
    recording, dead_letters = RecordingHandler(), DeadLetterMemory()
    receiver = recording.receiver(seen=dead_letters)

    assert [await receiver.receive(body, {"X-Amili-Event": "BATCH_COMPLETED"}) for _ in range(2)] == [HANDLED] * 2
    ((event, reason, kept),) = dead_letters.letters
    assert (event, kept) == ("BATCH_COMPLETED", body)
    assert " at $" in reason
    assert recording.handled == []


async def test_a_database_keeps_dead_letters_whatever_a_header_calls_them(tmp_path: Path) -> None:
    async with SqlDeduplicationStore(f"sqlite:///{tmp_path / 'seen.db'}") as store:
        receiver = RecordingHandler().receiver(seen=store)
        for name in ("half \udc80", "nul \0", "N" * 900_000):
            assert await receiver.receive(f"no JSON of {len(name)}".encode(), {"X-Amili-Event": name}) == HANDLED


async def test_a_dead_letter_that_cannot_be_kept_is_a_failure_and_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dead_letters = DeadLetterMemory(broken=True)
    receiver = RecordingHandler().receiver(seen=dead_letters)

    assert await receiver.receive(BROKEN, {}) == FAILED
    assert "the database is gone" in caplog.text
    dead_letters.broken = False
    assert await receiver.receive(BROKEN, {}) == HANDLED
    assert len(dead_letters.letters) == 1


async def test_hooks_learn_what_is_not_quite_as_documented() -> None:
    listener = Listener()
    receiver = RecordingHandler().receiver(hooks=[listener])

    for body in (BATCH.replace(b'"b-1"', b'7, "moon": "Luna"'), BROKEN, UNHEARD_OF):
        await receiver.receive(body, {})

    (record,) = listener.quarantined
    assert (record.operation, record.path) == ("webhook.BATCH_COMPLETED", "$.data.batchId")
    assert record.reason == "Expected `str`, got `object`"
    assert [(drift.operation, drift.kind, drift.path, drift.found) for drift in listener.drift] == [
        ("webhook.BATCH_COMPLETED", "leniency", "$.data.batchId", "a number taken as text"),
        ("webhook.BATCH_COMPLETED", "member", "$.data.moon", "moon"),
        ("webhook", "type", "$.type", "MOON_LANDED"),
    ]


async def test_a_log_line_has_a_bound_whatever_an_event_is_called(caplog: pytest.LogCaptureFixture) -> None:
    receiver = RecordingHandler().receiver()
    for name in ("N" * 900_000, "BATCH_COMPLETED"):
        await receiver.receive(json.dumps({"type": name, "data": {"x" * 900_000: 1}}).encode(), {})
        await receiver.receive(b"[", {"X-Amili-Event": name})

    assert len(caplog.records) == 4
    assert all(len(record.getMessage()) < 250 for record in caplog.records)


# -- bounds


def test_a_handler_that_hangs_is_cancelled_and_its_delivery_given_back(caplog: pytest.LogCaptureFixture) -> None:
    async def main(_: VirtualClock) -> None:
        recording, store = RecordingHandler(), Watched()
        recording.proceed.clear()
        receiver = recording.receiver(seen=store, deadline=0.01)

        assert await receiver.receive(BATCH, {}) == FAILED
        assert store.releases == store.claims
        assert errors(caplog) == ["webhook handler of BatchCompleted took longer than 0.01 s and was cancelled"]
        recording.proceed.set()
        assert await receiver.receive(BATCH, {}) == HANDLED

    virtual_time.run(main)


@pytest.mark.parametrize(("step", "response"), [("claim", LATER), ("confirm", HANDLED), ("release", FAILED)])
def test_a_store_that_hangs_holds_nothing_up(step: str, response: WebhookResponse) -> None:
    async def main(_: VirtualClock) -> WebhookResponse:
        recording = RecordingHandler()
        recording.failures = 1 if step == "release" else 0
        return await recording.receiver(seen=Watched(hanging=step), deadline=0.01).receive(BATCH, {})

    assert virtual_time.run(main) == response


async def test_more_handlers_than_are_allowed_at_once_are_put_off() -> None:
    recording = RecordingHandler()
    recording.proceed.clear()
    receiver = recording.receiver(max_running=2)
    others = [BATCH.replace(b"event-1", f"event-{number}".encode()) for number in range(3)]
    running = [asyncio.create_task(receiver.receive(body, {})) for body in others[:2]]
    await recording.begun.wait()

    assert await receiver.receive(others[2], {}) == LATER
    recording.proceed.set()
    assert await asyncio.gather(*running) == [HANDLED, HANDLED]
    assert await receiver.receive(others[2], {}) == HANDLED


class Body:
    """A body that comes in pieces, the last of them when told to."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.rest = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.content[:10]
        await self.rest.wait()
        yield self.content[10:]


async def test_a_body_that_comes_in_pieces_is_received_whole() -> None:
    recording, body = RecordingHandler(), Body(BATCH)
    body.rest.set()
    assert await recording.receiver().receive_stream(body.chunks(), {}) == HANDLED
    assert recording.handled == ["b-1"]


async def test_a_body_that_does_not_come_whole_in_time_is_given_up() -> None:
    response = await RecordingHandler().receiver(body_deadline=0.01).receive_stream(Body(BATCH).chunks(), {})
    assert response == WebhookResponse(408, {"Connection": "close"})


async def test_where_too_many_bodies_come_at_once_the_slowest_gives_way() -> None:
    recording, bodies = (
        RecordingHandler(),
        [Body(BATCH.replace(b"event-1", f"event-{number}".encode())) for number in range(4)],
    )
    receiver = recording.receiver(max_bodies=2)
    coming: list[asyncio.Task[WebhookResponse]] = []
    for body in bodies:
        coming.append(asyncio.create_task(receiver.receive_stream(body.chunks(), {})))
        await turns(3)
    for body in bodies:
        body.rest.set()

    assert [response.status for response in await asyncio.gather(*coming)] == [408, 408, 204, 204]


async def test_a_body_that_is_said_to_be_too_large_is_not_read() -> None:
    body = Body(BATCH)
    too_large = WebhookResponse(413)
    receiver = RecordingHandler().receiver(max_bytes=100)
    assert await receiver.receive_stream(body.chunks(), {"content-length": "101"}) == too_large
    body.rest.set()
    assert await receiver.receive_stream(body.chunks(), {"content-length": "9" * 5000}) == too_large
    assert await receiver.receive_stream(body.chunks(), {}) == too_large


async def test_what_the_server_raises_for_a_body_is_raised() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"{"
        raise TimeoutError("the server's own")

    with pytest.raises(TimeoutError, match="the server's own"):
        await RecordingHandler().receiver().receive_stream(chunks(), {})


# -- lives


async def test_a_receiver_may_be_opened_again_after_it_was_closed() -> None:
    recording = RecordingHandler()
    receiver = recording.receiver()
    for number in range(3):
        async with receiver:
            body = BATCH.replace(b"event-1", f"event-{number}".encode())
            assert await receiver.receive(body, {}) == HANDLED
        assert await receiver.receive(BATCH.replace(b"event-1", b"late"), {}) == LATER
    assert len(recording.handled) == 3


async def test_a_receiver_that_two_apps_share_is_closed_with_the_last_of_them() -> None:
    receiver = RecordingHandler().receiver()
    async with receiver:
        async with receiver:
            pass
        assert await receiver.receive(BATCH, {}) == HANDLED
    assert await receiver.receive(BATCH, {}) == LATER


# -- settings


def plain(_: Event) -> None:
    """What is no coroutine function."""


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"patience": 0}, "patience must be a number of seconds above 0, not 0"),
        ({"deadline": float("nan")}, "deadline must be a number of seconds above 0, not nan"),
        ({"body_deadline": -1}, "body_deadline must be"),
        ({"max_running": 0}, "max_running must be a whole number of at least 1, not 0"),
        ({"max_bodies": 0}, "max_bodies must be"),
        ({"max_bytes": 0}, "max_bytes must be"),
        ({"deadline": 300}, "deadline (300 s) must be shorter than the store's lease (300 s)"),
        ({"max_age": 30.5 * 86_400}, "max_age must be above 0 and a day shorter than what the store remembers"),
        ({"max_age": 0}, "max_age must be above 0"),
        ({"seen": MemoryDeduplicationStore(keep=3600)}, "max_age must be above 0"),
        ({"handlers": {BatchCompleted: plain}}, "handlers: plain is no coroutine function: write async def"),
        ({"handlers": {"BATCH_COMPLETED": plain}}, "handlers: 'BATCH_COMPLETED' is no class of event"),
        ({"handlers": {str: plain}}, "handlers: <class 'str'> is no class of event"),
        ({"hooks": [object()]}, "hooks: object has no method of a hook"),
    ],
)
async def test_a_setting_that_cannot_be_right_is_refused_by_name(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        RecordingHandler().receiver(**settings)


async def test_a_store_that_remembers_for_less_takes_events_for_less() -> None:
    receiver = RecordingHandler().receiver(seen=MemoryDeduplicationStore(keep=3 * 86_400), now=SENT + 2.1 * 86_400)
    assert await receiver.receive(BATCH, {}) == REFUSED


def test_the_page_says_the_same_of_every_answer_as_the_module() -> None:
    page = text("amili_async/integrations").partition("### Webhooks")[2].partition("\n## ")[0]
    shown = re.findall(r"^\| .+ \| (\d{3}|as).* \|$", page, re.MULTILINE)
    documented = re.findall(r"^\S.* {2,}(\d{3}|as)\b.*$", webhooks.__doc__ or "", re.MULTILINE)
    assert len(shown) == 12
    assert documented == shown
