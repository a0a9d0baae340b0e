"""Faults: those in force, and which of them strikes a request."""

from __future__ import annotations

from contextlib import contextmanager
from fnmatch import fnmatchcase
from random import Random
from typing import TYPE_CHECKING

from amili_async.sandbox._faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator


class _Armed:
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
        self._armed: tuple[_Armed, ...] = ()
        self._seed = seed
        self._added = 0
        self._refuse = refuse

    def __bool__(self) -> bool:
        return bool(self._armed)

    def __iter__(self) -> Iterator[Fault]:
        return iter([armed.fault for armed in self._armed])

    def __len__(self) -> int:
        return len(self._armed)

    def __repr__(self) -> str:
        return f"<Faults {', '.join(f'{armed.fault} ({armed.hits})' for armed in self._armed) or 'none'}>"

    def add(self, *faults: Fault | str) -> None:
        """Put faults in force, behind those that are."""
        for given in faults:
            fault = Fault.parse(given) if isinstance(given, str) else given
            self._added += 1
            # A new tuple each time: the server may be going through the old one.
            self._armed = (*self._armed, _Armed(fault, f"{self._seed}/{self._added}"))
            if fault.kind == "refuse":
                self._refuse(fault)

    def remove(self, fault: Fault) -> None:
        """Take a fault back; nothing happens if it is not in force."""
        self._keep(lambda armed: armed.fault != fault)

    def clear(self) -> None:
        """Take all faults back."""
        self._keep(lambda _: False)

    @contextmanager
    def during(self, *faults: Fault | str) -> Generator[None]:
        """Keep faults in force while the block runs."""
        before = self._armed
        self.add(*faults)
        try:
            yield
        finally:
            self._keep(lambda armed: armed in before)

    def hits(self, fault: Fault) -> int:
        """Return how often a fault in force has struck."""
        return sum(armed.hits for armed in self._armed if armed.fault == fault)

    @property
    def pending(self) -> list[Fault]:
        """The faults with a count that is not used up."""
        return [armed.fault for armed in self._armed if armed.fault.count is not None and not armed.spent]

    def strike(self, matches: Callable[[Fault], bool], operation: str) -> Fault | None:
        """Return the fault that strikes a request, and count it: the first of those that match and are not used up."""
        for armed in self._armed:
            if fnmatchcase(operation, armed.fault.operation) and matches(armed.fault) and armed.strikes():
                return armed.fault
        return None

    def latency(self, matches: Callable[[Fault], bool], operation: str) -> float:
        """Return the seconds that faults of mere latency add to a request."""
        return sum(
            self.duration(armed.fault)
            for armed in self._armed
            if fnmatchcase(operation, armed.fault.operation) and matches(armed.fault) and armed.strikes()
        )

    def duration(self, fault: Fault) -> float:
        """Return the seconds that a fault takes before the answer begins."""
        if not fault.spread:
            return fault.latency
        armed = next((armed for armed in self._armed if armed.fault is fault), None)
        return fault.latency + fault.spread * (armed.random.random() if armed is not None else 0.5)

    def _keep(self, wanted: Callable[[_Armed], bool]) -> None:
        refusing = any(armed.fault.kind == "refuse" for armed in self._armed)
        self._armed = tuple(armed for armed in self._armed if wanted(armed))
        if refusing and not any(armed.fault.kind == "refuse" for armed in self._armed):
            self._refuse(None)
