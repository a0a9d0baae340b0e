"""How rows of one type are decoded: the interface, and the rows whose type says all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import msgspec

from amili_async.events import DriftKind
from amili_async.models.envelope import Summary
from amili_async.models.model import Model

T = TypeVar("T")
Row_co = TypeVar("Row_co", covariant=True)

Note = Callable[[DriftKind, str, str], None]
"""Takes a drift's kind, its path from the row on (``$.status``) and what was found."""


class PageBody(Model, Generic[T], frozen=True, kw_only=True):
    """The body of a list."""

    summary: Summary | None = None
    data: list[T]


class Rows(Protocol[Row_co]):
    """How rows of one type are decoded. What does not fit raises ``msgspec.ValidationError``."""

    def page(self, body: bytes | bytearray, note: Note | None) -> tuple[Summary | None, list[Row_co]]:
        """Return a whole page in one pass."""
        ...

    def row(self, raw: bytes | msgspec.Raw, note: Note | None) -> Row_co:
        """Return one row, read strictly."""
        ...

    def bent(self, raw: bytes | msgspec.Raw, note: Note | None) -> Row_co:
        """Return one row, read leniently."""
        ...
