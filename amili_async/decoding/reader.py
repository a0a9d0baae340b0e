"""Reader: the bytes of an answer to typed values, one for each type of row and set of taught entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec

from amili_async.decoding.batch_rows import BatchRows
from amili_async.decoding.failures import READING_ERRORS, decode_error, misfit
from amili_async.decoding.plain_rows import PlainRows
from amili_async.decoding.rows import Note, PageBody, Rows
from amili_async.errors import DecodeError
from amili_async.events import Drift, DriftKind, QuarantinedRow
from amili_async.models.batches import Batch
from amili_async.models.entries import SucceededEntry, types_by_tag
from amili_async.models.envelope import Summary
from amili_async.models.model import Model

T = TypeVar("T")

DriftSink = Callable[[Drift], None]


class DecodedPage(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A page, decoded."""

    summary: Summary | None
    rows: list[T | QuarantinedRow]
    quarantined: int = 0
    """How many of ``rows`` could not be read."""


class SplitPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page, taken apart into the JSON of its rows. Each is a view that keeps the whole body alive."""

    summary: Summary | None
    rows: list[msgspec.Raw]


class _One(Model, frozen=True, kw_only=True):
    data: msgspec.Raw


_split = msgspec.json.Decoder(PageBody[msgspec.Raw])
_one = msgspec.json.Decoder(_One)


class Reader(Generic[T]):
    """Reads answers whose rows are of one type."""

    def __init__(self, row_type: type[T], *, entry_types: Sequence[type[SucceededEntry]] = ()) -> None:
        types_by_tag(entry_types)
        self._row_type = row_type
        self._entry_types = tuple(entry_types)

    @cached_property
    def _rows(self) -> Rows[T]:
        rows: Any = BatchRows(self._entry_types) if self._row_type is Batch else PlainRows(self._row_type)
        return rows

    def one(self, body: bytes | bytearray, drift: DriftSink | None) -> T:
        """Return the ``data`` of an answer that holds one object.

        Raises:
            DecodeError: no envelope, or ``data`` is not what was asked for.
        """
        try:
            raw = _one.decode(body).data
        except READING_ERRORS as error:
            raise decode_error(body, error) from None
        return self._single(body, raw, drift, "$.data")

    def bare(self, body: bytes | bytearray, drift: DriftSink | None) -> T:
        """Return the whole body of an answer without an envelope.

        Raises:
            DecodeError: the body is not what was asked for.
        """
        return self._single(body, bytes(body), drift, "$")

    def page(self, body: bytes | bytearray, drift: DriftSink | None) -> DecodedPage[T]:
        """Return a list, decoded whole in one pass; row by row where that fails.

        Raises:
            DecodeError: no envelope, or ``data`` is no list. A row that does not fit is a `QuarantinedRow`.
        """
        note = _noting(drift, "$.data[...]")
        try:
            summary, rows = self._rows.page(body, note)
        except msgspec.ValidationError:
            split = self.split(body)
            read = [self.row(raw, index, drift) for index, raw in enumerate(split.rows)]
            quarantined = sum(type(row) is QuarantinedRow for row in read)
            return DecodedPage(summary=split.summary, rows=read, quarantined=quarantined)
        except READING_ERRORS as error:
            raise decode_error(body, error) from None
        found: Any = rows
        return DecodedPage(summary=summary, rows=found)

    def split(self, body: bytes | bytearray) -> SplitPage:
        """Return a list as the JSON of its rows, undecoded.

        Raises:
            DecodeError: no envelope, or ``data`` is no list.
        """
        try:
            page = _split.decode(body)
        except READING_ERRORS as error:
            raise decode_error(body, error) from None
        return SplitPage(summary=page.summary, rows=page.data)

    def row(self, raw: bytes | msgspec.Raw, index: int, drift: DriftSink | None) -> T | QuarantinedRow:
        """Return one row of a list: read strictly, else leniently, else set aside with its JSON."""
        note = _noting(drift, "$.data[...]")
        try:
            return self._rows.row(raw, note)
        except READING_ERRORS:
            try:
                return self._rows.bent(raw, note)
            except READING_ERRORS as error:
                path, reason = misfit(error)
                return QuarantinedRow(index=index, path=path, reason=reason, raw=bytes(raw))

    def _single(self, body: bytes | bytearray, raw: bytes | msgspec.Raw, drift: DriftSink | None, within: str) -> T:
        note = _noting(drift, within)
        try:
            return self._rows.row(raw, note)
        except READING_ERRORS:
            try:
                return self._rows.bent(raw, note)
            except READING_ERRORS as error:
                raise decode_error(body, error, within=within) from None


def _noting(drift: DriftSink | None, within: str) -> Note | None:
    if drift is None:
        return None

    def note(kind: DriftKind, path: str, found: str) -> None:
        drift(Drift(kind=kind, path=within + path[1:], found=found[:64]))

    return note
