"""Rows whose type says all that there is to say: every row but a batch."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from amili_async.decoding.rows import Note, PageBody
from amili_async.models.envelope import Summary

T = TypeVar("T")


class PlainRows(Generic[T]):
    """Decodes rows of a type that msgspec reads as it stands."""

    def __init__(self, row_type: type[T]) -> None:
        self._page = msgspec.json.Decoder(PageBody[row_type])  # type: ignore[valid-type]  # a type made at run time
        self._row = msgspec.json.Decoder(row_type)

    def page(self, body: bytes | bytearray, note: Note | None) -> tuple[Summary | None, list[T]]:
        """Return a whole page in one pass."""
        page = self._page.decode(body)
        return page.summary, page.data

    def row(self, raw: bytes | msgspec.Raw, note: Note | None) -> T:
        """Return one row, read strictly."""
        return self._row.decode(raw)

    def bent(self, raw: bytes | msgspec.Raw, note: Note | None) -> T:
        """Return one row, read leniently."""
        return self._row.decode(raw)
