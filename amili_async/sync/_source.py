"""Source: one list of one organization as a sync reads it, page by page and row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from amili_async._cursor import Cursor
from amili_async.events import QuarantinedRow
from amili_async.sync._store import Row

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class SourcePage(NamedTuple):
    """One page of a list."""

    rows: tuple[Row, ...]
    """In the order of the wire; of an id that stands there twice, the later row in the place of the first."""
    quarantined: tuple[QuarantinedRow, ...]
    cursor: Cursor
    """Points at the start of this page."""
    following: Cursor | None
    """Points at the start of the next one; ``None`` on the last."""


class Source(Protocol):
    """One list of one organization."""

    @property
    def organization_id(self) -> str:
        """Whose list."""
        ...

    @property
    def resource(self) -> str:
        """Of what."""
        ...

    @property
    def sort(self) -> str | None:
        """The direction to ask for; ``None`` where the server knows none."""
        ...

    @property
    def max_tracked_open(self) -> int:
        """How many rows that may still change are kept by name; 0 where none can be read by its id."""
        ...

    def sheets(self, cursor: Cursor | None, sort: str | None, /, *, ahead: bool) -> AsyncGenerator[SourcePage, None]:
        """Iterate over the pages, from the first or from a cursor, with ``ahead`` the next one on its way meanwhile."""
        ...

    async def refetch(self, row_id: str, /) -> Row | QuarantinedRow | None:
        """Return one row as it is at this moment; ``None`` where the server no longer has it."""
        ...

    def disable_sort(self) -> None:
        """Learn that the server refuses the direction: no list of this kind is asked for it any more."""
        ...
