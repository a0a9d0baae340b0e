"""Rows of one type: how they are decoded whole and one by one, strictly and leniently."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec

from amili_async._decoding.drift import DriftBuffer, DriftReporter
from amili_async._decoding.lenient import JSON, Coercer, Items, shape_of
from amili_async.models import Model, RawValue, Summary

T = TypeVar("T")


class PageBody(Model, Generic[T], frozen=True, kw_only=True):
    """The body of a list."""

    summary: Summary | None = None
    data: list[T]


class Rows(ABC, Generic[T]):
    """How rows of one type are decoded. What does not fit raises ``msgspec.ValidationError``.

    ``note`` is told of leniencies and of unknown types of entry; nobody listens where it is ``None``.
    """

    @cached_property
    def shape(self) -> Coercer:
        """What may stand where in such a row."""
        return self.make_shape()

    @abstractmethod
    def make_shape(self) -> Coercer:
        """Return what may stand where in such a row."""

    @abstractmethod
    def page(self, body: bytes | bytearray, note: DriftReporter | None) -> tuple[Summary | None, list[T]]:
        """Return a whole page in one pass."""

    @abstractmethod
    def row(self, raw: JSON, note: DriftReporter | None) -> T:
        """Return one row, read strictly."""

    @abstractmethod
    def bent(self, raw: JSON, note: DriftReporter | None) -> T:
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

    def make_shape(self) -> Coercer:
        """Return what the type's annotations say."""
        return shape_of(self._row_type)

    def page(self, body: bytes | bytearray, note: DriftReporter | None) -> tuple[Summary | None, list[T]]:  # noqa: ARG002  # a plain row has no entries
        """Return a whole page in one pass."""
        page = self._page.decode(body)
        return page.summary, page.data

    def row(self, raw: JSON, note: DriftReporter | None) -> T:  # noqa: ARG002  # a plain row has no entries
        """Return one row, read strictly."""
        return self._row.decode(raw)

    def bent(self, raw: JSON, note: DriftReporter | None) -> T:
        """Return one row, read leniently."""
        kept = DriftBuffer()
        row = self._row.decode(self.shape.coerce(raw, "$", kept))
        kept.pass_on(note)
        return row


class OpenRows(Rows[RawValue]):
    """Rows of which nothing is known but that they are JSON."""

    def make_shape(self) -> Coercer:
        """Return the shape that anything has."""
        return Coercer(msgspec.Raw)

    def page(self, body: bytes | bytearray, note: DriftReporter | None) -> tuple[Summary | None, list[RawValue]]:  # noqa: ARG002  # there is nothing to tell
        """Return a whole page in one pass."""
        page = _raw_rows.decode(body)
        return page.summary, [RawValue(raw=bytes(raw)) for raw in page.data]

    def row(self, raw: JSON, note: DriftReporter | None) -> RawValue:  # noqa: ARG002  # there is nothing to tell
        """Return one row, copied."""
        return RawValue(raw=bytes(raw))

    def bent(self, raw: JSON, note: DriftReporter | None) -> RawValue:
        """Return one row, copied."""
        return self.row(raw, note)


class ListRows(Rows[list[T]]):
    """Lists of rows: what a user's own request may ask for as ``list[Batch]``."""

    def __init__(self, rows: Rows[T]) -> None:
        self._rows = rows

    def make_shape(self) -> Coercer:
        """Return an array of what the rows are."""
        return Items(list[msgspec.Raw], self._rows.shape)

    def page(self, body: bytes | bytearray, note: DriftReporter | None) -> tuple[Summary | None, list[list[T]]]:
        """Return a page of lists."""
        page = _raw_rows.decode(body)
        return page.summary, [self.row(raw, note) for raw in page.data]

    def row(self, raw: JSON, note: DriftReporter | None) -> list[T]:
        """Return one list, read strictly."""
        return [self._rows.row(one, note) for one in _raws.decode(raw)]

    def bent(self, raw: JSON, note: DriftReporter | None) -> list[T]:
        """Return one list, read leniently."""
        return [self._rows.bent(one, note) for one in _raws.decode(raw)]


_raws = msgspec.json.Decoder(list[msgspec.Raw])
_raw_rows: msgspec.json.Decoder[PageBody[msgspec.Raw]] = msgspec.json.Decoder(PageBody[msgspec.Raw])
