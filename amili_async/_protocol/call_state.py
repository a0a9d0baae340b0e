"""CallState: one call on its way, how often it was sent, what came back last, and where its time went."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from amili_async._protocol import requests as protocol

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

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

    __slots__ = ("error", "failure", "retry_after")

    def __init__(self, failure: Failure, error: AmiliError, retry_after: float | None = None) -> None:
        self.failure = failure
        self.error = error
        self.retry_after = retry_after


class CallState:
    """One call on its way. The transport writes it, `outcomes` reads it."""

    __slots__ = (
        "answer_headers",
        "attempts",
        "bearer",
        "by_deadline",
        "call",
        "deadline",
        "hook_headers",
        "number",
        "options",
        "phase",
        "received",
        "replayed",
        "sending",
        "sent",
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
        self.tries: int = 1
        """Attempts as `retry.decide` counts them: without the replay after a 401."""
        self.replayed: bool = False
        self.waits: dict[Wait, float] = {"gate": 0.0, "slot": 0.0, "token": 0.0, "pause": 0.0}
        self.forget_answer()

    def forget_answer(self) -> None:
        """Begin another attempt."""
        self.phase: Wait | Literal["request"] = "gate"
        self.bearer: str | None = None
        self.sending: SendState | None = None
        self.status: int | None = None
        self.answer_headers: Mapping[str, str] | None = None
        self.received: int = 0

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
