"""Which fault strikes a request, and what becomes of its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from amili_async.sandbox import _payload_faults as damage
from amili_async.sandbox._faults import INSTEAD, LISTS, ROWS, Fault
from amili_async.sandbox._pages import Answer, Page, problem
from amili_async.sandbox._wire_faults import ON_THE_WIRE

if TYPE_CHECKING:
    from collections.abc import Callable

    from amili_async.sandbox._access import AccessTokens
    from amili_async.sandbox._active_faults import Faults
    from amili_async.sandbox._http_server import Reply
    from amili_async.sandbox._paging import PageTokens
    from amili_async.sandbox._parsed_request import ParsedRequest

_RESHAPES = LISTS | ROWS
_ERRORS = range(400, 600)


class InjectionResult(NamedTuple):
    """What a request leads to once faults have had their way."""

    outcome: Page | Answer
    fault: Fault | None
    delay: float


class FaultInjector:
    """Brings the faults in force to bear on requests; falsy while there are none."""

    def __init__(
        self, faults: Faults, *, access: AccessTokens, page_tokens: PageTokens, clock: Callable[[], float]
    ) -> None:
        self._faults = faults
        self._access = access
        self._page_tokens = page_tokens
        self._clock = clock

    def __bool__(self) -> bool:
        return bool(self._faults)

    @property
    def reshapes(self) -> bool:
        """Whether a fault in force may change rows or page tokens, so that pages kept as bytes are of no use."""
        return bool(self._faults) and any(fault.kind in _RESHAPES for fault in self._faults)

    def strike(self, arrival: ParsedRequest, right: Callable[[], Page | Answer]) -> InjectionResult:
        """Return what a request leads to; ``right`` says what would have been right."""
        faults, operation = self._faults, arrival.request.operation
        delay = faults.latency(lambda armed: _mere_latency(armed) and self._concerns(armed, arrival), operation)
        fault = faults.strike(lambda armed: self._decides(armed, arrival), operation)
        if fault is not None:
            return InjectionResult(self._instead(fault, arrival, right), fault, delay + faults.duration(fault))
        outcome = right()
        fault = faults.strike(lambda armed: self._alters(armed, arrival, outcome), operation)
        if fault is None:
            return InjectionResult(outcome, None, delay)
        changed = self._reshape(fault, outcome) if fault.kind in _RESHAPES else outcome
        return InjectionResult(changed, fault, delay + faults.duration(fault))

    @staticmethod
    def apply(reply: Reply, fault: Fault) -> None:
        """Do to an answer what a fault of bodies, headers or the wire does."""
        headers = {**(reply.headers or {}), **fault.extra_headers}
        if fault.kind == "html":
            reply.content_type = "text/html; charset=utf-8"
        elif fault.kind == "wrong-content-type":
            reply.content_type = "text/plain; charset=utf-8"
        elif fault.kind in {"cut-gzip", "bomb"}:
            headers["Content-Encoding"] = "gzip"
        if fault.content_type is not None:
            reply.content_type = fault.content_type
        reply.headers = headers
        reply.body = damage.damage_body(fault, reply.body)
        if fault.kind in ON_THE_WIRE:
            reply.fault = fault

    def _instead(self, fault: Fault, arrival: ParsedRequest, right: Callable[[], Page | Answer]) -> Page | Answer:
        """Return what a fault answers in place of the right answer."""
        if fault.kind == "revoke":
            self._access.revoke(arrival.access_token)
            return right()
        if fault.acts:
            right()
        if fault.kind == "expire-token":
            return problem(400, "the page token has expired")
        status = 200 if fault.status is None else fault.status
        if isinstance(fault.body, bytes):
            return Answer(status, fault.body)
        return problem(status, "a fault of the sandbox") if status in _ERRORS else Answer(status)

    def _reshape(self, fault: Fault, outcome: Page | Answer) -> Page | Answer:
        if isinstance(outcome, Page):
            return damage.damage_page(fault, outcome, self._page_tokens, self._clock())
        return damage.damage_answer(fault, outcome)

    def _decides(self, fault: Fault, arrival: ParsedRequest) -> bool:
        """Return whether a fault takes the place of a request's right answer."""
        if not self._concerns(fault, arrival):
            return False
        match fault.kind:
            case "close-reused":
                return arrival.request.reused
            case "expire-token":
                return arrival.page_token is not None
            case "revoke":
                return bool(arrival.access_token)
            case "close" | "reset" | "hang":
                return True
            case _:
                return fault.answers

    def _alters(self, fault: Fault, arrival: ParsedRequest, outcome: Page | Answer) -> bool:
        """Return whether a fault changes a right answer, or how it is sent."""
        # What decides has had its chance: a second one would use up `skip` twice as fast.
        if fault.kind == "refuse" or fault.kind in INSTEAD or fault.answers or _mere_latency(fault):
            return False
        if not self._concerns(fault, arrival):
            return False
        return fault.kind not in _RESHAPES or damage.fits(fault, outcome, self._page_tokens)

    def _concerns(self, fault: Fault, arrival: ParsedRequest) -> bool:
        if fault.organization is not None and fault.organization not in arrival.path:
            return False
        if fault.page is None:
            return True
        token = arrival.page_token
        return fault.page == (1 if token is None else self._page_tokens.number(token))


def _mere_latency(fault: Fault) -> bool:
    """Return whether a fault does nothing but take time."""
    return fault.kind is None and not fault.answers and not fault.alters
