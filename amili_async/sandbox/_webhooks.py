"""Events: what the sandbox tells a URL of the user's, signed as the user says."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import ssl
from concurrent.futures import Future
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from amili_async.sandbox import _shapes as shapes
from amili_async.sandbox._identifiers import Kind
from amili_async.sandbox._listener import running_loop
from amili_async.sandbox._shapes import is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from amili_async.sandbox._identifiers import Identifiers
    from amili_async.sandbox._seed_data import Batch, Invoice
    from amili_async.sandbox._shapes import Dialect

_ATTEMPTS = 3
_NONE: Mapping[str, str] = {}
_PAUSE = 0.05
_PATIENCE = 5.0


class Delivery:
    """One event on its way, and how the URL answered each time. ``await`` it, or `wait` for it from another thread."""

    def __init__(self, event: str, headers: Mapping[str, str], body: bytes) -> None:
        self.event: str = event
        self.headers: dict[str, str] = dict(headers)
        self.body: bytes = body
        self.statuses: list[int | None] = []
        """The status of each attempt; ``None`` for one that found nobody."""
        self._done: Future[None] = Future()

    def __repr__(self) -> str:
        return f"<Delivery {self.event} {self.statuses}>"

    @property
    def taken(self) -> bool:
        """Whether the URL took it, with any 2xx."""
        return bool(self.statuses) and self.statuses[-1] in range(200, 300)

    def __await__(self) -> Generator[object, None, Delivery]:
        yield from asyncio.wrap_future(self._done).__await__()
        return self

    def wait(self, timeout: float = 30.0) -> Delivery:
        """Return once it was delivered or given up.

        Raises:
            TimeoutError: neither has come about in so many seconds.
            RuntimeError: events go nowhere.
        """
        self._done.result(timeout)
        return self

    def done(self, error: Exception | None = None) -> None:
        """Let go of those who wait."""
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)


class Webhooks:
    """Delivers events to a URL, in order, each up to three times; ``deliveries`` keeps them."""

    def __init__(
        self,
        url: str | None,
        *,
        sign: Callable[[bytes], Mapping[str, str]],
        identifiers: Identifiers,
        dialect: Dialect,
        clock: Callable[[], float],
    ) -> None:
        self.url = url
        """Where events go; ``None`` keeps them in ``deliveries`` alone."""
        self.deliveries: list[Delivery] = []
        self._sign = sign
        self._identifiers = identifiers
        self._dialect = dialect
        self._clock = clock
        self._waiting: asyncio.Queue[Delivery] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._made = 0

    def start(self) -> None:
        """Deliver from here on, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._waiting = asyncio.Queue()
        self._task = self._loop.create_task(self._deliver_all())

    async def stop(self) -> None:
        """Deliver nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
            while not self._waiting.empty():
                self._waiting.get_nowait().done()

    async def drained(self) -> None:
        """Return when every event so far was delivered or given up; to be called in the sandbox's loop."""
        await self._waiting.join()

    def batch_completed(self, batch: Batch) -> None:
        """Tell that a batch is done."""
        identifier, at = self._next()
        self._put("BATCH_COMPLETED", shapes.batch_completed(identifier, at, batch, self._dialect))

    def case(self, invoice: Invoice, changed: tuple[str, ...] = ()) -> None:
        """Tell that a case was opened or, with the members that changed, updated."""
        identifier, at = self._next()
        event = "CASE_UPDATED" if changed else "CASE"
        self._put(event, shapes.case_event(identifier, at, invoice, changed, self._dialect))

    def settlement_created(self, invoice: Invoice) -> None:
        """Tell that money was paid out."""
        identifier, at = self._next()
        settlement_id = self._identifiers.make(Kind.SETTLEMENT, *invoice.place)
        self._put(
            "SETTLEMENT_CREATED", shapes.settlement_created(identifier, at, invoice, settlement_id, self._dialect)
        )

    def send(
        self, body: bytes | Mapping[str, object], *, event: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Delivery:
        """Deliver an event of your own, signed like the others; a mapping is sent as JSON.

        ``event`` is what the header says, by default what the body does; ``headers`` are put over the usual ones.
        """
        sent = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        return self._put(_name_of(sent) if event is None else event, sent, headers or {})

    def send_again(self, delivery: Delivery) -> Delivery:
        """Deliver an event once more with the same key, as a server does that missed the answer."""
        again = Delivery(delivery.event, delivery.headers, delivery.body)
        self._enqueue(again)
        return again

    def _next(self) -> tuple[str, int]:
        self._made += 1
        return self._identifiers.make(Kind.EVENT, 0, self._made), int(self._clock() * 1000)

    def _put(self, event: str, body: bytes, others: Mapping[str, str] = _NONE) -> Delivery:
        self._made += 1
        key = self._identifiers.make(Kind.EVENT, 1, self._made)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "X-Amili-Event": event,
            "IdempotencyKey": key,
            "X-Amili-Request-Id": f"sandbox-event-{self._made}",
            **self._sign(body),
            **others,
        }
        delivery = Delivery(event, headers, body)
        self._enqueue(delivery)
        return delivery

    def _enqueue(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        if self.url is None or self._loop is None or self._task is None:
            delivery.done(RuntimeError("events go nowhere: give the sandbox a webhook_url, and start it"))
            return
        if self._loop is running_loop():
            self._waiting.put_nowait(delivery)
        else:
            # Batches may be finished from any thread.
            self._loop.call_soon_threadsafe(self._waiting.put_nowait, delivery)

    async def _deliver_all(self) -> None:
        while True:
            delivery = await self._waiting.get()
            try:
                await self._deliver(delivery)
            finally:
                delivery.done()
                self._waiting.task_done()

    async def _deliver(self, delivery: Delivery) -> None:
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_PAUSE * 2**attempt)
            try:
                async with asyncio.timeout(_PATIENCE):
                    delivery.statuses.append(await _post(self.url or "", delivery))
            except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
                delivery.statuses.append(None)
            if delivery.taken:
                return


def _name_of(body: bytes) -> str:
    """Return the name of an event, in either of its spellings; none where the body has none."""
    try:
        event: object = json.loads(body)
    except ValueError:
        return ""
    names = [event.get("type"), event.get("eventType")] if is_object(event) else []
    return next((name for name in names if isinstance(name, str)), "")


def hmac_sha256(secret: str | bytes) -> Callable[[bytes], dict[str, str]]:
    """Return a scheme: the body's HMAC-SHA256 in hex. A guess, as Amili's own is not public."""
    key = secret.encode() if isinstance(secret, str) else secret
    return lambda body: {"X-Webhook-Signature": hmac.new(key, body, hashlib.sha256).hexdigest()}


async def _post(url: str, delivery: Delivery) -> int:
    """Send an event and return the status: one request, one connection, no more HTTP than that."""
    parts = urlsplit(url)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    reader, writer = await asyncio.open_connection(parts.hostname or "", port, ssl=tls)
    try:
        target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        fields = {
            "Host": parts.netloc,
            **delivery.headers,
            "Content-Length": str(len(delivery.body)),
            "Connection": "close",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"POST {target} HTTP/1.1\r\n{head}\r\n".encode() + delivery.body)
        await writer.drain()
        return int((await reader.readuntil(b"\r\n")).split(b" ", 2)[1])
    finally:
        writer.close()
