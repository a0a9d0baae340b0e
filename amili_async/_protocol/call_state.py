"""CallState: one call on its way, how often it was sent, what came back last, and where its time went."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from amili_async._protocol import requests as protocol
from amili_async._protocol.retry import backoff_delays

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from amili_async._clock import Clock
    from amili_async._protocol.options import Options
    from amili_async._protocol.requests import Call
    from amili_async._protocol.retry import Failure
    from amili_async.errors import AmiliError

Wait = Literal["gate", "slot", "token", "pause"]


class SendState:
    """Whether any byte of a request may have left: true from the start for those that nobody watches."""

    __slots__ = ("begun",)

    def __init__(self, *, begun: bool) -> None:
        self.begun: bool = begun


class AttemptFailure:
    """An attempt that gave no value: what kind of failure, and the error that it is if nothing helps."""

    __slots__ = ("error", "failure", "retry_after", "stalled", "timed_out")

    def __init__(
        self, failure: Failure, error: AmiliError, retry_after: float | None = None, *, timed_out: bool = False
    ) -> None:
        self.failure = failure
        self.error = error
        self.retry_after = retry_after
        self.timed_out = timed_out
        """Whether it was sent, and its time was up before an answer came."""
        self.stalled = False
        """Whether its time was up while the event loop was blocked."""


class CallState:
    """One call on its way. The transport writes it, `outcomes` reads it."""

    __slots__ = (
        "answer_headers",
        "attempts",
        "bearer",
        "by_deadline",
        "call",
        "closed_gate",
        "deadline",
        "delay",
        "delays",
        "failures",
        "hook_headers",
        "limited",
        "number",
        "options",
        "phase",
        "received",
        "refused_token",
        "sending",
        "sent",
        "stalls",
        "started",
        "status",
        "tries",
        "waits",
    )

    def __init__(self, call: Call, options: Options, number: int, started: float) -> None:
        self.call: Call = call
        self.options: Options = options
        self.number: int = number
        self.started: float = started
        self.sent: float = started
        self.deadline: float | None = None if options.deadline is None else started + options.deadline
        self.by_deadline: bool = False
        """Whether the timer that runs is the deadline's, not the attempt's."""
        self.hook_headers: dict[str, str] | None = None
        self.attempts: int = 0
        """Requests that went out, or may have."""
        self.failures: int = 0
        """Attempts that came to nothing and were, or will be, repeated."""
        self.tries: int = 1
        """Attempts as `retry.decide` counts them."""
        self.stalls: int = 0
        """Attempts whose time was up while the event loop was blocked."""
        self.limited: AmiliError | None = None
        """The 429 that the call waits for another turn after."""
        self.delays: Iterator[float] | None = None
        self.delay: float | None = None
        """The next of them, once it was drawn."""
        self.refused_token: tuple[str, AmiliError] | None = None
        """The token of the call's first 401, and that 401: the call has had its replay, where there could be one."""
        self.waits: dict[Wait, float] = {"gate": 0.0, "slot": 0.0, "token": 0.0, "pause": 0.0}
        self.forget_answer()

    def forget_answer(self) -> None:
        """Begin another attempt."""
        self.phase: Wait | Literal["request"] = "gate"
        self.delay = None
        self.bearer: str | None = None
        self.sending: SendState | None = None
        self.status: int | None = None
        self.answer_headers: Mapping[str, str] | None = None
        self.received: int = 0
        self.closed_gate: float = 0.0
        """Seconds for which its 429 closed the gate."""

    def own_delay(self) -> float:
        """Return the wait before the next attempt, in seconds, as drawn for this one."""
        if self.delays is None:
            self.delays = backoff_delays(self.options.retry)
        if self.delay is None:
            self.delay = next(self.delays)
        return self.delay

    def remaining(self, instant: float) -> float | None:
        """Return the seconds to the deadline; ``None`` where there is none."""
        return None if self.deadline is None else self.deadline - instant

    def spent(self, instant: float) -> dict[str, float]:
        """Return where the seconds went."""
        waits: dict[str, float] = dict(self.waits.items())
        request = max(0.0, instant - self.started - sum(waits.values()))
        return {phase: round(seconds, 3) for phase, seconds in {**waits, "request": request}.items()}

    @contextmanager
    def waiting(self, phase: Wait, clock: Clock) -> Generator[None]:
        """Note the time of a wait, however it ends."""
        self.phase = phase
        begun = clock.monotonic()
        try:
            yield
        finally:
            self.waits[phase] += clock.monotonic() - begun

    def maybe_sent(self) -> bool:
        """Return whether the attempt may have reached the server."""
        return self.phase == "request" and (self.sending is None or self.sending.begun)

    def request_id(self) -> str | None:
        """Return the id that the server gave the request."""
        return None if self.answer_headers is None else protocol.request_id(self.answer_headers)

    def locate(self, error: AmiliError) -> AmiliError:
        """Complete an error with what only its call knows, and return it."""
        error.operation = self.call.route.operation
        error.method = self.call.method
        error.route = self.call.route.path
        error.attempts = self.attempts
        error.status = error.status or self.status
        error.request_id = error.request_id or self.request_id()
        return error
