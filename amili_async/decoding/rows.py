"""Rows of one type: how they are decoded whole and one by one, strictly and leniently."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec

from amili_async.decoding.notes import Kept, Note
from amili_async.decoding.shapes import JSON, Shape, shape_of
from amili_async.models.envelope import Summary
from amili_async.models.model import Model

T = TypeVar("T")


class PageBody(Model, Generic[T], frozen=True, kw_only=True):
    """The body of a list."""

    summary: Summary | None = None
    data: list[T]


class Rows(ABC, Generic[T]):
    """How rows of one type are decoded. What does not fit raises ``msgspec.ValidationError``."""

    @cached_property
    def shape(self) -> Shape:
        """What may stand where in such a row."""
        return self.make_shape()

    @abstractmethod
    def make_shape(self) -> Shape:
        """Return what may stand where in such a row."""

    @abstractmethod
    def page(self, body: JSON) -> tuple[Summary | None, list[T]]:
        """Return a whole page in one pass."""

    @abstractmethod
    def row(self, raw: JSON) -> T:
        """Return one row, read strictly."""

    @abstractmethod
    def bent(self, raw: JSON, note: Note | None) -> T:
        """Return one row, read leniently."""


class PlainRows(Rows[T]):
    """Rows whose type says all that there is to say: every row but a batch."""

    def __init__(self, row_type: type[T]) -> None:
        self._row_type = row_type
        self._row = msgspec.json.Decoder(row_type)

    @cached_property
    def _page(self) -> msgspec.json.Decoder[PageBody[T]]:
        page: Any = PageBody
        return msgspec.json.Decoder(page[self._row_type])

    def make_shape(self) -> Shape:
        """Return what the type's annotations say."""
        return shape_of(self._row_type)

    def page(self, body: JSON) -> tuple[Summary | None, list[T]]:
        """Return a whole page in one pass."""
        page = self._page.decode(body)
        return page.summary, page.data

    def row(self, raw: JSON) -> T:
        """Return one row, read strictly."""
        return self._row.decode(raw)

    def bent(self, raw: JSON, note: Note | None) -> T:
        """Return one row, read leniently."""
        kept = Kept()
        row = self._row.decode(self.shape.bend(raw, "$", kept))
        kept.pass_on(note)
        return row
