"""Webhook deliveries, from raw bytes to an answer: verified, handled once, answered in time.

`WebhookReceiver` belongs to no web framework: give it the body as it came and the headers, and send what it returns.

==========================================================  ===============================================
the delivery                                                is answered
==========================================================  ===============================================
is larger than ``max_bytes``                                413
has not come whole after ``body_deadline`` seconds          408; so is the slowest where too many come at once
has no signature, or one that does not verify               401, and nothing more
is genuine and older than ``max_age``, or dated ahead       401: it would be a replay that nobody remembers
was handled before                                          204
is being handled by another request or worker               503, ``Retry-After``
was handled                                                 204
is still being handled after ``patience`` seconds           503, ``Retry-After``; it goes on, and is then seen
failed in its handler, or took longer than ``deadline``     500; a repeated delivery is handled anew
is of a kind that has no handler                            204; one that nobody knows is logged
cannot be read as what it is called, or not at all          as the handler of `UnknownEvent` has it; without one it
                                                            is kept as a dead letter, 204; without a place for that
                                                            500, so that it comes again
comes while ``max_running`` others are being handled        503, ``Retry-After``
==========================================================  ===============================================

So each event is handled at least once as long as Amili repeats what was not answered with success, and twice only where
a process died between handling and remembering, or a handler outlived its claim. What tells deliveries apart is the
event's own ``id`` and the bytes of its body, which are signed; the header ``IdempotencyKey`` is not.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, Never, Protocol, Self, TypeAlias, TypedDict, runtime_checkable

from amili_async._call.hooks import Hooks
from amili_async._decoding.drift import Findings
from amili_async.errors import ConfigurationError, DecodeError, WebhookVerificationError
from amili_async.events import Drift, DriftKind, QuarantinedRow
from amili_async.webhooks import Event, UnknownEvent
from amili_async.webhooks._envelope import EVENT_HEADER, header, unix_seconds
from amili_async.webhooks._events import read_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
    from types import TracebackType

    from amili_async.webhooks import AnyEvent

logger: logging.Logger = logging.getLogger("amili_async.webhooks")
"""Where what a service must know of its webhooks is logged."""

Handler: TypeAlias = "Callable[[Never], Awaitable[object]]"
"""An async function that takes an event of the class that it is given for."""
Handlers: TypeAlias = "Mapping[type[Event], Handler]"
"""For each class of event the function that handles it: ``{BatchCompleted: on_batch}``. ``Event`` takes all others."""

DAY = 86_400.0
"""Seconds of a day."""

MAX_AGE = 30 * DAY
"""Seconds after its ``timeStamp`` for which an event is taken."""

AHEAD = DAY
"""Seconds that an event may be dated ahead."""

Claim: TypeAlias = Literal["claimed", "busy", "seen"]
"""What became of a claim to handle a delivery: it is held now, another holds it, or the delivery was handled."""


class DeduplicationStore(Protocol):
    """Remembers deliveries by their keys, so that each is handled once.

    A delivery is *claimed*, handled, and *confirmed*, or *released* if handling it failed. A failed one is so handled
    when it is delivered again, and of two at once one is handled. ``owner`` is another text for every claim: what a
    former owner says, whose claim has expired and was taken over, does not touch the present one's.
    """

    @property
    def lease(self) -> float:
        """Seconds after which a claim that was neither confirmed nor released may be taken over."""
        ...

    @property
    def keep(self) -> float:
        """Seconds for which a handled delivery is remembered."""
        ...

    async def claim(self, key: str, owner: str, /) -> Claim:
        """Take a delivery on: ``claimed`` for this owner alone, ``busy`` if another has it, ``seen`` if handled."""
        ...

    async def confirm(self, key: str, owner: str, /) -> None:
        """Remember that a delivery was handled, whoever has claimed it meanwhile: handled is handled."""
        ...

    async def release(self, key: str, owner: str, /) -> None:
        """Give a claim up, if it still is this owner's: whoever claims next gets it."""
        ...


@runtime_checkable
class DeadLetterStore(Protocol):
    """What a `DeduplicationStore` can be besides: one that keeps events which nobody could read, for good."""

    async def put_aside(self, key: str, owner: str, /, *, event: str, reason: str, body: bytes) -> None:
        """Keep an event's name, why it was not handled, and its bytes, and confirm its claim, in one transaction."""
        ...


LEASE = 300.0
"""Seconds for which a claim in memory is good."""

KEEP = MAX_AGE + AHEAD
"""Seconds for which a handled delivery is remembered: no event is taken for longer."""


class MemoryDeduplicationStore:
    """Remembers the handled deliveries of this process for ``keep`` seconds, at most the last ``capacity`` of them.

    It forgets all with the process, and other workers know nothing of it: a service of several needs a store that they
    share, such as ``amili_async.sync.SqlDeduplicationStore``.
    """

    def __init__(
        self,
        capacity: int = 100_000,
        *,
        lease: float = LEASE,
        keep: float = KEEP,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if capacity < 1:
            raise ConfigurationError(f"capacity must be at least 1, not {capacity}")
        self.lease = lease
        self.keep = keep
        self._capacity = capacity
        self._clock = clock
        self._claims: dict[str, tuple[str, float]] = {}
        self._seen: OrderedDict[str, float] = OrderedDict()

    async def claim(self, key: str, owner: str, /) -> Claim:
        """Take a delivery on, unless it was handled or is being handled."""
        now = self._clock()
        self._forget(now)
        if key in self._seen:
            return "seen"
        held = self._claims.get(key)
        if held is not None and now < held[1]:
            return "busy"
        self._claims[key] = (owner, now + self.lease)
        return "claimed"

    async def confirm(self, key: str, owner: str, /) -> None:
        """Remember that a delivery was handled; where there is no more room the oldest is forgotten for it."""
        await self.release(key, owner)
        self._seen[key] = self._clock() + self.keep
        self._seen.move_to_end(key)
        if len(self._seen) > self._capacity:
            self._seen.popitem(last=False)

    async def release(self, key: str, owner: str, /) -> None:
        """Give a claim up, if it still is this owner's."""
        held = self._claims.get(key)
        if held is not None and held[0] == owner:
            del self._claims[key]

    def _forget(self, now: float) -> None:
        """Forget what was handled long ago; the oldest stands first."""
        while self._seen and next(iter(self._seen.values())) <= now:
            self._seen.popitem(last=False)


class Verifier(Protocol):
    """What tells a genuine delivery from a forged one: a `WebhookVerifier`."""

    def verify(self, body: bytes, headers: Mapping[str, str]) -> object:
        """Return if the signature is right, else raise `WebhookVerificationError`."""
        ...


class WebhookResponse(NamedTuple):
    """What to answer a delivery with; it has no body."""

    status: int
    headers: Mapping[str, str] = {}


class WebhookSettings(TypedDict, total=False):
    """The settings of a `WebhookReceiver`, for those who pass them on."""

    patience: float
    deadline: float
    max_running: int
    max_age: float | None
    body_deadline: float
    max_bodies: int
    max_bytes: int
    hooks: Iterable[object]


_DONE = WebhookResponse(204)
_FAILED = WebhookResponse(500)
_LATER = WebhookResponse(503, {"Retry-After": "10"})
_LONGEST_ID = 100
_SHOWN = 64


class WebhookReceiver:
    """Takes deliveries, hands each event to its handler once, and says what to answer.

    A handler runs in a task of its own and is not cut off when its answer is due: one that only puts the event into a
    queue or a table is best. Use the receiver with ``async with``, as often as you like, or ``await aclose()``.

    Args:
        verifier: tells genuine deliveries from forged ones.
        handlers: for each class of event the coroutine function that handles it.
        seen: remembers deliveries; it may be a `DeadLetterStore` besides.
        patience: seconds that an answer waits for its handler.
        deadline: seconds after which a handler, or a step of the store, is cancelled; shorter than the store's lease.
        max_running: how many deliveries are being handled at once.
        max_age: seconds after an event's ``timeStamp`` for which it is taken: 30 days, or a day less than the store
            remembers.
        body_deadline: seconds in which a body has to come.
        max_bodies: how many bodies come at once.
        max_bytes: the size of a body, at most.
        hooks: told of drift (``on_drift``) and of events that cannot be read (``on_quarantine``).
        clock: returns Unix seconds.

    Raises:
        ConfigurationError: a setting that cannot be right, by its name.
    """

    def __init__(
        self,
        verifier: Verifier,
        handlers: Handlers,
        *,
        seen: DeduplicationStore,
        patience: float = 8.0,
        deadline: float = 60.0,
        max_running: int = 100,
        max_age: float | None = None,
        body_deadline: float = 10.0,
        max_bodies: int = 64,
        max_bytes: int = 2**20,
        hooks: Iterable[object] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        _check_handlers(handlers)
        for name, value in (("patience", patience), ("deadline", deadline), ("body_deadline", body_deadline)):
            if not value > 0:
                raise ConfigurationError(f"{name} must be a number of seconds above 0, not {value!r}")
        for name, count in (("max_running", max_running), ("max_bodies", max_bodies), ("max_bytes", max_bytes)):
            if not count >= 1:
                raise ConfigurationError(f"{name} must be a whole number of at least 1, not {count!r}")
        if not deadline < seen.lease:
            raise ConfigurationError(
                f"deadline ({deadline:g} s) must be shorter than the store's lease ({seen.lease:g} s), or another "
                "worker may take a delivery over while its handler still runs"
            )
        longest = seen.keep - AHEAD
        oldest = min(MAX_AGE, longest) if max_age is None else max_age
        if not 0 < oldest <= longest:
            raise ConfigurationError(
                f"max_age must be above 0 and a day shorter than what the store remembers ({seen.keep:g} s), not "
                f"{max_age}: an event that is taken for longer than it is remembered can be replayed"
            )
        self._verifier = verifier
        self._handlers = dict(handlers)
        self._seen = seen
        self._patience = patience
        self._deadline = deadline
        self._max_running = max_running
        self._max_age = oldest
        self._body_deadline = body_deadline
        self._max_bodies = max_bodies
        self._max_bytes = max_bytes
        self._hooks = Hooks(hooks)
        self._clock = clock
        self._running: set[asyncio.Task[WebhookResponse]] = set()
        self._reading: dict[asyncio.Timeout, None] = {}
        self._opened = 0
        self._closing = False

    async def __aenter__(self) -> Self:
        self._opened += 1
        self._closing = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened -= 1
        if self._opened <= 0:
            await self.aclose()

    async def aclose(self, grace: float | None = None) -> None:
        """Take no more deliveries, wait ``grace`` seconds (``patience``) for the handlers, then cancel the rest."""
        self._closing = True
        running = set(self._running)
        if running:
            await asyncio.wait(running, timeout=self._patience if grace is None else grace)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def receive_stream(self, chunks: AsyncIterable[bytes], headers: Mapping[str, str]) -> WebhookResponse:
        """Return the answer to a delivery whose body is still on its way: ``request.stream()``, or the like.

        Raises what ``chunks`` raises, and nothing but that and what cancels it.
        """
        length = header(headers, "Content-Length") or ""
        if length.isdecimal() and len(length) < _LONGEST_ID and int(length) > self._max_bytes:
            return WebhookResponse(413)
        body = await self._body(chunks)
        return body if isinstance(body, WebhookResponse) else await self.receive(body, headers)

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> WebhookResponse:
        """Return the answer to a delivery, once it is handled or ``patience`` seconds have passed.

        ``body`` is what came over the wire, byte for byte. Raises nothing but what cancels it.
        """
        event = self._genuine(body, headers)
        if isinstance(event, WebhookResponse):
            return event
        handler = next((self._handlers[kind] for kind in type(event).__mro__ if kind in self._handlers), None)
        if isinstance(event, UnknownEvent) and event.problem is not None:
            self._tell_unreadable(event)
            if handler is None and not isinstance(self._seen, DeadLetterStore):
                return _FAILED
        elif handler is None:
            if isinstance(event, UnknownEvent):
                logger.warning("webhook %r is not known and has no handler", _shown(event.name))
            return _DONE
        if self._closing or len(self._running) >= self._max_running:
            return _LATER
        task = asyncio.create_task(self._once(event, handler), name="amili webhook")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        # Not wait_for: whoever gives up waiting must not stop a handler half-way.
        await asyncio.wait({task}, timeout=self._patience)
        return _LATER if not task.done() or task.cancelled() else task.result()

    async def _body(self, chunks: AsyncIterable[bytes]) -> bytes | WebhookResponse:
        """Return a body that comes in time; where too many come at once, the slowest has to give way."""
        if len(self._reading) >= self._max_bodies:
            slowest = next(iter(self._reading))
            del self._reading[slowest]
            slowest.reschedule(asyncio.get_running_loop().time())
        body = bytearray()
        scope = asyncio.timeout(self._body_deadline)
        try:
            async with scope:
                self._reading[scope] = None
                try:
                    async for chunk in chunks:
                        body += chunk
                        if len(body) > self._max_bytes:
                            return WebhookResponse(413)
                finally:
                    self._reading.pop(scope, None)
        except TimeoutError:
            if not scope.expired():
                raise
            return WebhookResponse(408, {"Connection": "close"})
        return bytes(body)

    def _genuine(self, body: bytes, headers: Mapping[str, str]) -> AnyEvent | WebhookResponse:
        """Return the event of a delivery that verifies, or why there is none."""
        try:
            self._verifier.verify(body, headers)
        except WebhookVerificationError as error:
            # A function of the user's own that says what is signed meets whatever anybody sends.
            logger.warning("webhook refused: %s", error, exc_info=error.__cause__)
            return WebhookResponse(401)
        except ConfigurationError:
            logger.exception("webhook not verified")
            return _FAILED
        except Exception:
            logger.exception("webhook refused: verifying it failed")
            return WebhookResponse(401)
        found = Findings()
        try:
            event = read_event(body, headers, found.drift)
        except DecodeError as error:
            name = header(headers, EVENT_HEADER) or ""
            return UnknownEvent(name=name, raw=bytes(body), problem=f"{error.message} at $")
        stamp = event.time_stamp
        sent = stamp.timestamp() if stamp is not None else unix_seconds(event.envelope_extra.get("timeStamp"))
        if sent is not None and not -AHEAD <= self._clock() - sent <= self._max_age:
            logger.warning("webhook refused: its timeStamp is too long ago, or ahead")
            return WebhookResponse(401)
        if isinstance(event, UnknownEvent) and event.problem is None:
            found.drift("type", "$.type", _shown(event.name))
        found.tell(self._drift_of(event))
        return event

    def _drift_of(self, event: AnyEvent) -> Callable[[DriftKind, str, str], None]:
        operation = "webhook" if isinstance(event, UnknownEvent) else f"webhook.{event.name}"

        def note(kind: DriftKind, path: str, found: str) -> None:
            self._hooks.drift(Drift(operation=operation, kind=kind, path=path, found=found[:_SHOWN]))

        return note

    def _tell_unreadable(self, event: UnknownEvent) -> None:
        name, problem = _shown(event.name), event.problem or ""
        logger.error("webhook %r cannot be read as what it is called: %s", name, problem)
        reason, _, path = problem.rpartition(" at ")
        record = QuarantinedRow(operation=f"webhook.{name}", index=0, path=path, reason=reason, raw=event.raw)
        self._hooks.tell("on_quarantine", record)

    async def _once(self, event: AnyEvent, handler: Handler | None) -> WebhookResponse:
        """Claim a delivery, handle it, and remember that."""
        key, owner = _key(event), uuid.uuid4().hex
        try:
            async with asyncio.timeout(self._deadline):
                claim = await self._seen.claim(key, owner)
        except Exception:
            logger.exception("webhook not claimed")
            return _LATER
        if claim != "claimed":
            return _DONE if claim == "seen" else _LATER
        scope = asyncio.timeout(self._deadline)
        try:
            async with scope:
                if handler is not None:
                    await handler(event)  # type: ignore[arg-type]  # found by the class of this event  # pyright: ignore[reportArgumentType]
                else:
                    await self._put_aside(key, owner, event)
        except Exception:
            what = f"took longer than {self._deadline:g} s and was cancelled" if scope.expired() else "failed"
            logger.exception("webhook handler of %s %s", type(event).__name__, what)
            await self._settle(self._seen.release, key, owner)
            return _FAILED
        except BaseException:
            await self._settle(self._seen.release, key, owner)
            raise
        if handler is not None:
            await self._settle(self._seen.confirm, key, owner)
        return _DONE

    async def _put_aside(self, key: str, owner: str, event: AnyEvent) -> None:
        assert isinstance(event, UnknownEvent)  # noqa: S101  # seen to by `receive`
        assert isinstance(self._seen, DeadLetterStore)  # noqa: S101  # the same
        name, reason = _shown(event.name), event.problem or ""
        await self._seen.put_aside(key, owner, event=name, reason=reason, body=event.raw)

    async def _settle(self, step: Callable[[str, str], Awaitable[None]], key: str, owner: str) -> None:
        # The event's fate is decided by now: a store that fails here costs at most a second handling.
        try:
            async with asyncio.timeout(self._deadline):
                await step(key, owner)
        except Exception:
            logger.exception("webhook delivery not remembered")


def _shown(name: str) -> str:
    """Return a name as logs and columns take it: of bounded length, without the halves of characters of odd headers."""
    return name[:_SHOWN].encode("utf-8", "replace").decode()


def _check_handlers(handlers: Handlers) -> None:
    for kind, handler in handlers.items():
        if not (isinstance(kind, type) and issubclass(kind, Event)):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
            raise ConfigurationError(f"handlers: {kind!r} is no class of event, such as BatchCompleted")
        if inspect.isroutine(handler) and not inspect.iscoroutinefunction(handler):
            raise ConfigurationError(f"handlers: {handler.__qualname__} is no coroutine function: write async def")


def _key(event: AnyEvent) -> str:
    """Return what tells a delivery from others: of what is signed alone, or it could be replayed under another key."""
    digest = hashlib.sha256(event.raw).hexdigest()
    # A database column takes no key of any length, and no zero character.
    readable = event.id is not None and len(event.id) <= _LONGEST_ID and event.id.isprintable()
    return f"{event.id}:{digest}" if readable else digest
