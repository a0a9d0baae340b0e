"""How the parts of the decoding tell of drift: the kind, the path from the row on, and what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from amili_async.events import DriftKind


class DriftReporter(Protocol):
    """Takes one drift."""

    def __call__(self, kind: DriftKind, path: str, found: str, /) -> None:
        """Take a drift's kind, its path (``$.status``), and what was found there."""
        ...


class DriftBuffer:
    """Keeps drift until it is clear that the reading which met it holds."""

    def __init__(self) -> None:
        self._drifts: list[tuple[DriftKind, str, str]] = []

    def __call__(self, kind: DriftKind, path: str, found: str, /) -> None:
        """Keep a drift."""
        self._drifts.append((kind, path, found))

    def pass_on(self, note: DriftReporter | None) -> None:
        """Hand all that was kept to whoever listens."""
        if note is not None:
            for drift in self._drifts:
                note(*drift)
