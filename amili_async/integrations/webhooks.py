"""Webhook deliveries, from raw bytes to an answer: verified, handled once, answered in time.

`WebhookReceiver` belongs to no web framework: give it the body as it came and the headers, and send what it returns.

==========================================================  ===============================================
the delivery                                                is answered
==========================================================  ===============================================
has no signature, or one that does not verify               401, and nothing more
is genuine and no JSON object                               400
is of a kind that has no handler                            204; an `UnknownEvent` is logged
was handled before                                          204
is being handled by another request or worker               503, ``Retry-After``
was handled                                                 204
is still being handled after ``patience`` seconds           503, ``Retry-After``; it goes on, and is then seen
failed in its handler                                       500; a repeated delivery is handled anew
==========================================================  ===============================================

So each event is handled at least once as long as Amili repeats what was not answered with success, and twice only where
a process died between handling and remembering.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, Never, Protocol, TypeAlias, runtime_checkable

from amili_async.errors import ConfigurationError, DecodeError, WebhookVerificationError
from amili_async.webhooks import UnknownEvent, parse_event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from amili_async.webhooks import AnyEvent, Event

logger = logging.getLogger("amili_async.webhooks")

Handlers: TypeAlias = "Mapping[type[Event], Callable[[Never], Awaitable[object]]]"
"""For each class of event the function that handles it: ``{BatchCompleted: on_batch}``. ``Event`` takes all others."""

_LONGEST_KEY = 255
_RETRY_AFTER = {"Retry-After": "10"}


Claim: TypeAlias = Literal["claimed", "busy", "seen"]


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

KEEP = 31 * 86_400.0
"""Seconds for which a handled delivery is remembered: a day longer than the oldest event is taken."""


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


class Reply(NamedTuple):
    """What to answer a delivery with; it has no body."""

    status: int
    headers: Mapping[str, str] = {}


class WebhookReceiver:
    """Takes deliveries, hands each event to its handler once, and says what to answer.

    ``seen`` remembers deliveries by their ``IdempotencyKey`` header, or the event's id where that is missing. A handler
    runs in a task of its own and is not cut off when its answer is due: one that only puts the event into a queue or a
    table is best.
    """

    def __init__(
        self, verifier: Verifier, handlers: Handlers, *, seen: DeduplicationStore, patience: float = 8.0
    ) -> None:
        self._verifier = verifier
        self._handlers = dict(handlers)
        self._seen = seen
        self._patience = patience
        self._running: set[asyncio.Task[bool]] = set()
        self._closing = False

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Return the answer to a delivery, once it is handled or ``patience`` seconds have passed.

        ``body`` is what came over the wire, byte for byte. Raises nothing but what cancels it.
        """
        event = self._genuine(body, headers)
        if isinstance(event, Reply):
            return event
        handler = next((self._handlers[kind] for kind in type(event).__mro__ if kind in self._handlers), None)
        if handler is None:
            if isinstance(event, UnknownEvent):
                logger.warning("webhook %r is unknown, or not as documented, and has no handler", event.name)
            return Reply(204)
        if self._closing:
            return Reply(503, _RETRY_AFTER)
        return await self._once(_key(event, body), handler, event)

    def _genuine(self, body: bytes, headers: Mapping[str, str]) -> AnyEvent | Reply:
        """Return the event of a delivery that verifies, or why there is none."""
        try:
            self._verifier.verify(body, headers)
            return parse_event(body, headers)
        except DecodeError as error:
            logger.warning("webhook unreadable: %s", error)
            return Reply(400)
        except WebhookVerificationError as error:
            logger.warning("webhook refused: %s", error)
        except Exception:
            # A function of the user's own that says what is signed meets whatever anybody sends.
            logger.exception("webhook refused: verifying it failed")
        return Reply(401)

    async def _once(self, key: str, handler: Callable[[Never], Awaitable[object]], event: AnyEvent) -> Reply:
        owner = uuid.uuid4().hex
        try:
            claim = await self._seen.claim(key, owner)
        except Exception:
            logger.exception("webhook not claimed")
            return Reply(503, _RETRY_AFTER)
        if claim == "seen":
            return Reply(204)
        if claim == "busy":
            return Reply(503, _RETRY_AFTER)
        task = asyncio.create_task(self._handle(key, owner, handler, event), name="amili webhook")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        # Not wait_for: whoever gives up waiting must not stop a handler half-way.
        await asyncio.wait({task}, timeout=self._patience)
        if not task.done() or task.cancelled():
            return Reply(503, _RETRY_AFTER)
        return Reply(204 if task.result() else 500)

    async def _handle(
        self, key: str, owner: str, handler: Callable[[Never], Awaitable[object]], event: AnyEvent
    ) -> bool:
        try:
            await handler(event)  # type: ignore[arg-type]  # found by the class of this event  # pyright: ignore[reportArgumentType]
        except Exception:
            logger.exception("webhook handler of %s failed", type(event).__name__)
            await self._settle(self._seen.release, key, owner)
            return False
        except BaseException:
            await self._settle(self._seen.release, key, owner)
            raise
        await self._settle(self._seen.confirm, key, owner)
        return True

    async def _settle(self, step: Callable[[str, str], Awaitable[None]], key: str, owner: str) -> None:
        # The event's fate is decided by now: a store that fails here costs at most a second handling.
        try:
            await step(key, owner)
        except Exception:
            logger.exception("webhook delivery not remembered")

    async def aclose(self, grace: float = 10.0) -> None:
        """Take no more deliveries, wait ``grace`` seconds for the handlers that run, then cancel the rest."""
        self._closing = True
        running = set(self._running)
        if running:
            await asyncio.wait(running, timeout=grace)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def _key(event: AnyEvent, body: bytes) -> str:
    key = event.idempotency_key or event.id or ""
    # A database column takes no key of any length, and no zero character.
    if key and len(key) <= _LONGEST_KEY and key.isprintable():
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass") or body).hexdigest()
