"""The faults in force, which of them strikes a request, and what becomes of its answer."""

from __future__ import annotations

from contextlib import contextmanager
from fnmatch import fnmatchcase
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from amili_async.sandbox import _payload_faults as payload_faults
from amili_async.sandbox._faults import INSTEAD, LISTS, ROWS, Fault
from amili_async.sandbox._http_server import ON_THE_WIRE
from amili_async.sandbox._pages import Answer, Page, problem

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from amili_async.sandbox._access import AccessTokens
    from amili_async.sandbox._http_server import Response
    from amili_async.sandbox._pages import PageTokens
    from amili_async.sandbox._requests import ParsedRequest


class _ActiveFault:
    """A fault with what has become of it."""

    __slots__ = ("fault", "hits", "random", "seen")

    def __init__(self, fault: Fault, seed: str) -> None:
        self.fault = fault
        self.seen = 0
        self.hits = 0
        self.random = Random(seed)  # noqa: S311  # draws of faults, to be the same for the same seed

    @property
    def spent(self) -> bool:
        return self.fault.count is not None and self.hits >= self.fault.count

    def strikes(self) -> bool:
        """Return whether it strikes a request that it matches, and count it."""
        fault = self.fault
        if self.spent:
            return False
        self.seen += 1
        if self.seen <= fault.skip or (fault.probability < 1 and self.random.random() >= fault.probability):
            return False
        self.hits += 1
        return True


class Faults:
    """The faults in force, in the order of their adding.

    Of those that match a request, the first that is not used up strikes; faults of mere latency act besides it. May be
    changed from any thread while requests run.
    """

    def __init__(self, seed: int, refuse: Callable[[Fault | None], None]) -> None:
        self._active: tuple[_ActiveFault, ...] = ()
        self._retired: tuple[_ActiveFault, ...] = ()
        self._seed = seed
        self._added = 0
        self._refuse = refuse

    def __bool__(self) -> bool:
        return bool(self._active)

    def __iter__(self) -> Iterator[Fault]:
        return iter([active.fault for active in self._active])

    def __len__(self) -> int:
        return len(self._active)

    def __repr__(self) -> str:
        return f"<Faults {', '.join(f'{active.fault} ({active.hits})' for active in self._active) or 'none'}>"

    def add(self, *faults: Fault | str) -> None:
        """Put faults in force, behind those that are."""
        for given in faults:
            fault = Fault.parse(given) if isinstance(given, str) else given
            self._added += 1
            # A new tuple each time: the server may be going through the old one.
            self._active = (*self._active, _ActiveFault(fault, f"{self._seed}/{self._added}"))
            if fault.kind == "refuse":
                self._refuse(fault)

    def remove(self, fault: Fault) -> None:
        """Take a fault back; nothing happens if it is not in force."""
        self._keep(lambda active: active.fault != fault)

    def clear(self) -> None:
        """Take all faults back."""
        self._keep(lambda _: False)

    @contextmanager
    def during(self, *faults: Fault | str) -> Generator[None]:
        """Keep faults in force while the block runs."""
        before = self._active
        self.add(*faults)
        try:
            yield
        finally:
            self._keep(lambda active: active in before)

    def hits(self, fault: Fault) -> int:
        """Return how often a fault in force has struck."""
        return sum(active.hits for active in self._active if active.fault == fault)

    @property
    def unstruck(self) -> list[Fault]:
        """The faults that were to strike and never did, those taken back meanwhile included.

        One that strikes with a probability may be spared, and of one that refuses connections nobody knows.
        """
        certain = (active for active in (*self._retired, *self._active) if active.fault.probability >= 1)
        return [active.fault for active in certain if not active.hits and active.fault.kind != "refuse"]

    @property
    def pending(self) -> list[Fault]:
        """The faults with a count that is not used up."""
        return [active.fault for active in self._active if active.fault.count is not None and not active.spent]

    def strike(self, matches: Callable[[Fault], bool], operation: str) -> Fault | None:
        """Return the fault that strikes a request, and count it: the first of those that match and are not used up."""
        for active in self._active:
            if fnmatchcase(operation, active.fault.operation) and matches(active.fault) and active.strikes():
                return active.fault
        return None

    def latency(self, matches: Callable[[Fault], bool], operation: str) -> float:
        """Return the seconds that faults of mere latency add to a request."""
        return sum(
            self.duration(active.fault)
            for active in self._active
            if fnmatchcase(operation, active.fault.operation) and matches(active.fault) and active.strikes()
        )

    def duration(self, fault: Fault) -> float:
        """Return the seconds that a fault takes before the answer begins."""
        if not fault.spread:
            return fault.latency
        active = next((active for active in self._active if active.fault is fault), None)
        return fault.latency + fault.spread * (active.random.random() if active is not None else 0.5)

    def _keep(self, wanted: Callable[[_ActiveFault], bool]) -> None:
        refusing = any(active.fault.kind == "refuse" for active in self._active)
        self._retired += tuple(active for active in self._active if not active.hits and not wanted(active))
        self._active = tuple(active for active in self._active if wanted(active))
        if refusing and not any(active.fault.kind == "refuse" for active in self._active):
            self._refuse(None)


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

    def strike(self, parsed: ParsedRequest, right: Callable[[], Page | Answer]) -> InjectionResult:
        """Return what a request leads to; ``right`` says what would have been right."""
        faults, operation = self._faults, parsed.logged.operation
        delay = faults.latency(lambda active: _mere_latency(active) and self._matches(active, parsed), operation)
        fault = faults.strike(lambda active: self._decides(active, parsed), operation)
        if fault is not None:
            return InjectionResult(self._instead(fault, parsed, right), fault, delay + faults.duration(fault))
        outcome = right()
        fault = faults.strike(lambda active: self._alters(active, parsed, outcome), operation)
        if fault is None:
            return InjectionResult(outcome, None, delay)
        changed = self._reshape(fault, outcome) if fault.kind in _RESHAPES else outcome
        return InjectionResult(changed, fault, delay + faults.duration(fault))

    @staticmethod
    def apply(response: Response, fault: Fault) -> None:
        """Do to an answer what a fault of bodies, headers or the wire does."""
        headers = {**(response.headers or {}), **fault.extra_headers}
        if fault.kind == "html":
            response.content_type = "text/html; charset=utf-8"
        elif fault.kind == "wrong-content-type":
            response.content_type = "text/plain; charset=utf-8"
        elif fault.kind in {"cut-gzip", "bomb"}:
            headers["Content-Encoding"] = "gzip"
        if fault.content_type is not None:
            response.content_type = fault.content_type
        response.headers = headers
        response.body = payload_faults.apply_to_body(fault, response.body)
        if fault.kind in ON_THE_WIRE:
            response.fault = fault

    def _instead(self, fault: Fault, parsed: ParsedRequest, right: Callable[[], Page | Answer]) -> Page | Answer:
        """Return what a fault answers in place of the right answer."""
        if fault.kind == "revoke":
            self._access.revoke(parsed.access_token)
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
            return payload_faults.apply_to_page(fault, outcome, self._page_tokens, self._clock())
        return payload_faults.apply_to_answer(fault, outcome)

    def _decides(self, fault: Fault, parsed: ParsedRequest) -> bool:
        """Return whether a fault takes the place of a request's right answer."""
        if not self._matches(fault, parsed):
            return False
        match fault.kind:
            case "close-reused":
                return parsed.logged.reused
            case "expire-token":
                return parsed.page_token is not None
            case "revoke":
                return bool(parsed.access_token)
            case "close" | "reset" | "hang":
                return True
            case _:
                return fault.answers

    def _alters(self, fault: Fault, parsed: ParsedRequest, outcome: Page | Answer) -> bool:
        """Return whether a fault changes a right answer, or how it is sent."""
        # What decides has had its chance: a second one would use up `skip` twice as fast.
        if fault.kind == "refuse" or fault.kind in INSTEAD or fault.answers or _mere_latency(fault):
            return False
        if not self._matches(fault, parsed):
            return False
        return fault.kind not in _RESHAPES or payload_faults.fits(fault, outcome, self._page_tokens)

    def _matches(self, fault: Fault, parsed: ParsedRequest) -> bool:
        if fault.organization is not None and fault.organization not in parsed.path:
            return False
        if fault.page is None:
            return True
        token = parsed.page_token
        return fault.page == (1 if token is None else self._page_tokens.number(token))


def _mere_latency(fault: Fault) -> bool:
    """Return whether a fault does nothing but take time."""
    return fault.kind is None and not fault.answers and not fault.alters
