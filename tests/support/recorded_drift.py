"""RecordedDrift: takes drift as the parts of the decoding tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amili_async.events import DriftKind


class RecordedDrift(list["tuple[DriftKind, str, str]"]):
    """All drift that was told, in order."""

    def __call__(self, kind: DriftKind, path: str, found: str, /) -> None:
        self.append((kind, path, found))
