"""What a reading met that is not as documented: told to whoever listens, and learnt from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from amili_async.events import DriftKind
    from amili_async.models import Received


class DriftReporter(Protocol):
    """Takes one drift."""

    def __call__(self, kind: DriftKind, path: str, found: str, /) -> None:
        """Take a drift's kind, its path (``$.status``), and what was found there."""
        ...


class _Drift(NamedTuple):
    kind: "DriftKind"
    path: str
    found: str


class Findings:
    """What a lenient reading met, kept until it is clear that the reading holds."""

    def __init__(self) -> None:
        self.drifts: list[_Drift] = []
        self.members: dict[type[Received], dict[str, None]] = {}
        """The members that no field names, by the model that has none for them."""
        self.nulls: dict[type[Received], dict[str, None]] = {}
        """The fields that were null."""
        self.coerced: dict[type[Received], dict[str, None]] = {}
        """The fields that held what only made sense in another writing."""
        self.tags: dict[str, None] = {}
        """The types of entries that nobody taught."""

    def drift(self, kind: DriftKind, path: str, found: str) -> None:
        """Keep a drift."""
        self.drifts.append(_Drift(kind, path, found))

    def member(self, model: type[Received], name: str) -> None:
        """Keep the name of an unknown member."""
        self.members.setdefault(model, {})[name] = None

    def null(self, model: type[Received], field: str) -> None:
        """Keep the name of a field that was null."""
        self.nulls.setdefault(model, {})[field] = None

    def coercion(self, model: type[Received], field: str) -> None:
        """Keep the name of a field that had to be coerced."""
        self.coerced.setdefault(model, {})[field] = None

    def take(self, other: Findings) -> None:
        """Take over what another reading met, now that it holds."""
        self.drifts += other.drifts
        learnt = (self.members, other.members), (self.nulls, other.nulls), (self.coerced, other.coerced)
        for own, others in learnt:
            for model, names in others.items():
                own.setdefault(model, {}).update(names)
        self.tags.update(other.tags)

    def tell(self, note: DriftReporter | None) -> None:
        """Hand all drift that was kept to whoever listens, each one once."""
        if note is not None:
            for drift in dict.fromkeys(self.drifts):
                note(*drift)
