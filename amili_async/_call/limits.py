"""Limits: when a call of one client may go: the gate is open, the pace allows it, and a slot is free.

One queue for all three, first come, first served; a call that is sent again goes before those that were not sent yet.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context
from typing import TYPE_CHECKING

import backoff

from amili_async._protocol.quota import Quota, read_quota
from amili_async._protocol.rate import LearnedPace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amili_async._clock import Clock
    from amili_async._protocol.rate import FixedPace
    from amili_async._protocol.retry import Jitter

LONGEST_CLOSURE = 120.0
"""Seconds for which a 429 closes the gate at most, whatever a server asks and a call's own policy allows."""

GATE_JITTER = 1.0
"""Seconds over which those who waited at the gate set off, at most, where no pace spreads them."""


class Gate:
    """A moment before which no call is sent.

    It is a number and nothing else. No task holds the gate, so none that is cancelled can leave it shut; it only ever
    moves later, so nothing that succeeds meanwhile can open it early.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._not_before: float | None = None

    def close(self, seconds: float) -> float:
        """Let nothing through for so many seconds, `LONGEST_CLOSURE` at most; return how many.

        It never opens earlier than it would have.
        """
        seconds = min(seconds, LONGEST_CLOSURE)
        moment = self._clock.monotonic() + seconds
        if self._not_before is None or moment > self._not_before:
            self._not_before = moment
        return seconds

    def open(self) -> None:
        """Let calls through, whatever a server has asked for."""
        self._not_before = None

    def remaining(self) -> float:
        """Return the seconds until it opens, 0 where it is open."""
        if self._not_before is None:
            return 0.0
        left = self._not_before - self._clock.monotonic()
        if left > 0:
            return left
        self._not_before = None  # spares every call until the next 429 a look at the clock
        return 0.0


class Limits:
    """What holds the calls of one client, and of its copies, back.

    Cancel a wait at any time: it leaves the queue, and a slot that had just become its own goes to the next.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        concurrency: int,
        pace: LearnedPace | FixedPace | None = None,
        jitter: Jitter = backoff.full_jitter,
    ) -> None:
        self.gate: Gate = Gate(clock)
        self.pace = pace
        self.learned: LearnedPace | None = pace if isinstance(pace, LearnedPace) else None
        """The pace, where it is learnt: then it answers a 429 in place of a pause of each call's own."""
        self._quota = Quota()
        self._clock = clock
        self._jitter = jitter
        self.concurrency = self._free = concurrency
        """How many requests are in flight at most."""
        self._new: deque[asyncio.Future[None]] = deque()
        self._again: deque[asyncio.Future[None]] = deque()
        """Those that were sent before: they came before the others."""
        self._waking: asyncio.Task[None] | None = None
        self._wakes_at = 0.0
        self._gap: float | None = None
        """Seconds between two that set off from the gate, where no pace spreads them."""
        self._spread = 0
        """How many of those who waited at the gate have yet to set off: whoever came later is not spread."""
        self._next = 0.0
        """When the next of them sets off."""
        self._held = 0.0
        self._held_since: float | None = None

    @property
    def rate(self) -> float | None:
        """Requests a second that may go; ``None`` while nothing is held back."""
        return None if self.pace is None else self.pace.rate

    def take(self) -> bool:
        """Take a slot where there is nothing to wait for; return whether that was so."""
        if not self._free or self._new or self._again or self._wait():
            return False
        self._admit()
        return True

    async def acquire(self, *, again: bool = False) -> None:
        """Return with a slot when it is this call's turn. ``again``: it was sent before."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._again if again else self._new).append(turn)
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._serve()
            else:
                self.release()
            raise

    def release(self) -> None:
        """Give a slot back."""
        if self._free == self.concurrency:
            raise ValueError("a slot was given back twice")
        self._free += 1
        if self._new or self._again:
            self._serve()

    def reopen(self) -> None:
        """Let those go who wait at the gate, for a quota or for the pace, and forget what was told and learnt."""
        self.gate.open()
        if self.learned is not None:
            self.learned.forget()
        self._quota = Quota()
        self._gap = None
        self._serve()

    def accepted(self, sent: float, headers: Mapping[str, str]) -> None:
        """Learn that a request was let in, and from its answer how many more will be."""
        if self.learned is None:
            return
        now = self._clock.monotonic()
        self.learned.accepted(sent, now)
        told = read_quota(headers, self._clock.time())
        if told is not None:
            self._quota.tell(told, now)

    def go_on(self, pace: LearnedPace | None) -> LearnedPace | None:
        """Go on with what another client has learnt, where this one learns; return what it learns from now on."""
        if self.learned is not None and pace is not None:
            self.pace = self.learned = pace
        return self.learned

    def share(self, before: float, now: float, *, alone: bool) -> None:
        """Share the limit with others, and take the part that some have left: by itself it is noticed late.

        Args:
            before: requests a second, or another measure, of all who shared it at the last look.
            now: of those among them who still do.
            alone: whether nobody else shares it, those who came meanwhile included.
        """
        if self.learned is None:
            return
        self.learned.shared = not alone
        if 0 < now < before:
            self.learned.rescale(before / now, self._clock.monotonic())
            self._serve()

    def held_seconds(self) -> float:
        """Return for how long, in all, somebody has waited for something other than a slot."""
        return self._held + (0.0 if self._held_since is None else self._clock.monotonic() - self._held_since)

    def _wait(self) -> float:
        """Return the seconds until the next may go, were a slot free."""
        wait = self.gate.remaining()
        pace = self.pace
        if pace is not None and not wait:
            if self._quota.left is not None:
                wait = self._quota.wait(self._clock.monotonic())
            if pace.rate is not None:
                return max(wait, pace.wait(self._clock.monotonic()))
        return wait if self._gap is None else max(wait, self._next - self._clock.monotonic())

    def _admit(self) -> None:
        """Let one go."""
        self._free -= 1
        pace = self.pace
        if pace is not None:
            if self._quota.left is not None:
                self._quota.sent(self._clock.monotonic())
            if pace.rate is not None:
                pace.sent(self._clock.monotonic())
        if self._gap is not None:
            self._next = self._clock.monotonic() + self._gap
            self._spread -= 1
            if self._spread <= 0:
                self._gap = None

    def _serve(self) -> None:
        """Let all go whose turn it is, and look again when the next one's may have come."""
        held = False
        while (queue := self._queue()) is not None:
            wait = self._wait()
            if wait:
                held = True
                self._wake_in(wait)
                break
            if not self._free:
                break
            self._admit()
            queue.popleft().set_result(None)
        else:
            self._gap = None
            if self._waking is not None:
                self._waking.cancel()
                self._waking = None
        if held != (self._held_since is not None):
            now = self._clock.monotonic()
            if self._held_since is not None:
                self._held += now - self._held_since
            self._held_since = now if held else None

    def _queue(self) -> deque[asyncio.Future[None]] | None:
        """Return the queue with the one whose turn is next; ``None`` where nobody waits."""
        for queue in (self._again, self._new):
            while queue:
                if not queue[0].done():
                    return queue
                queue.popleft()  # cancelled
        return None

    def _wake_in(self, seconds: float) -> None:
        wakes_at = self._clock.monotonic() + seconds
        if self._waking is not None:
            if self._wakes_at <= wakes_at:
                return
            self._waking.cancel()
        self._wakes_at = wakes_at
        # In a context of its own: it serves all, so it must not see what the one had set who happened to start it.
        self._waking = asyncio.create_task(self._wake(seconds), name="amili limits", context=Context())

    async def _wake(self, seconds: float) -> None:
        at_the_gate = self.gate.remaining() > 0
        await self._clock.sleep(seconds)
        self._waking = None
        if at_the_gate and not self.gate.remaining() and self.rate is None:
            waiting = sum(not turn.done() for queue in (self._again, self._new) for turn in queue)
            self._spread = max(1, waiting)
            self._gap = min(seconds, GATE_JITTER) / self._spread
            self._next = self._clock.monotonic() + self._jitter(self._gap)
        self._serve()
