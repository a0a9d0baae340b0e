"""Reader: the bytes of an answer to typed values, one for each type of row and set of taught entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args, get_origin

import msgspec

from amili_async._decoding.batches import BatchRows
from amili_async._decoding.envelope import SplitPage, first_row, unwrap_list, unwrap_one
from amili_async._decoding.failures import READING_ERRORS, decode_error, validation_detail
from amili_async._decoding.rows import ListRows, OpenRows, PlainRows, Rows
from amili_async.events import Drift, DriftKind, QuarantinedRow
from amili_async.models import Batch, RawValue, SucceededEntry, Summary
from amili_async.models._entries import types_by_tag
from amili_async.models._open_enum import misses

if TYPE_CHECKING:
    from amili_async._decoding.drift import DriftReporter
    from amili_async._decoding.lenient import JSON

T = TypeVar("T")

DriftSink = Callable[[Drift], None]

MAX_FOUND = 64
"""The characters of what was found that a `Drift` tells, at most."""


class DecodedPage(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A page, decoded."""

    summary: Summary | None
    rows: list[T | QuarantinedRow]
    quarantined: int = 0
    """How many of ``rows`` could not be read."""


class Reader(Generic[T]):
    """Reads answers that hold objects of one type. Cheap to make: decoders are built when they are first used.

    ``entry_types`` are what batches may hold beside the documented type. A ``drift`` of ``None`` means that nobody
    listens, and nothing is looked for.
    """

    def __init__(self, row_type: type[T], *, entry_types: Sequence[type[SucceededEntry]] = ()) -> None:
        types_by_tag(entry_types)
        self._row_type = row_type
        self._entry_types = tuple(entry_types)

    @cached_property
    def _rows(self) -> Rows[Any]:
        """Rows of ``T``, which no type checker can tell here."""
        return self._rows_of(self._row_type)

    def _rows_of(self, row_type: Any) -> Rows[Any]:
        if row_type is Batch:
            return BatchRows(self._entry_types)
        if row_type is RawValue:
            return OpenRows()
        if get_origin(row_type) is list:
            return ListRows(self._rows_of(get_args(row_type)[0]))
        return PlainRows(row_type)

    def one(self, body: bytes | bytearray, drift: DriftSink | None) -> T:
        """Return the ``data`` of an answer that holds one object.

        Raises:
            DecodeError: no envelope, or ``data`` is not what was asked for.
        """
        return self._single(body, unwrap_one(body, _noting(drift, "$")), drift, "$.data")

    def bare(self, body: bytes | bytearray, drift: DriftSink | None) -> T:
        """Return the whole of an answer that comes without an envelope.

        Raises:
            DecodeError: the answer is not what was asked for.
        """
        return self._single(body, body, drift, "$")

    def page(self, body: bytes | bytearray, drift: DriftSink | None) -> DecodedPage[T]:
        """Return a list, decoded in one pass; row by row where that fails.

        Raises:
            DecodeError: no envelope, or ``data`` is no list. A row that does not fit is a `QuarantinedRow` instead.
        """
        note = _noting(drift, "$.data[...]")
        before = misses.latest
        try:
            summary, rows = self._rows.page(body, note)
        except READING_ERRORS:
            return self._by_row(body, drift)
        if note is not None and rows:
            self._rows.shape.report_unknown_fields(first_row(body), "$", note)
            if misses.latest is not before:
                for row in rows:
                    self._rows.shape.report_unknown_values(row, "$", note)
        return DecodedPage(summary=summary, rows=rows)

    def split(self, body: bytes | bytearray) -> SplitPage:
        """Return a list as the JSON of its rows, undecoded.

        Raises:
            DecodeError: no envelope, or ``data`` is no list.
        """
        return unwrap_list(body, None)

    def row(self, raw: msgspec.Raw | bytes, index: int, drift: DriftSink | None) -> T | QuarantinedRow:
        """Return one row of a list: read strictly, else leniently, else set aside with its JSON."""
        try:
            return self._read(raw, _noting(drift, "$.data[...]"), strangers=index == 0)
        except READING_ERRORS as error:
            path, reason = validation_detail(error)
            return QuarantinedRow(index=index, path=path, reason=reason, raw=bytes(raw))

    def _by_row(self, body: bytes | bytearray, drift: DriftSink | None) -> DecodedPage[T]:
        split = unwrap_list(body, _noting(drift, "$"))
        rows = [self.row(raw, index, drift) for index, raw in enumerate(split.rows)]
        quarantined = sum(isinstance(row, QuarantinedRow) for row in rows)
        return DecodedPage(summary=split.summary, rows=rows, quarantined=quarantined)

    def _single(self, body: bytes | bytearray, raw: JSON, drift: DriftSink | None, within: str) -> T:
        try:
            return self._read(raw, _noting(drift, within), strangers=True)
        except READING_ERRORS as error:
            raise decode_error(body, error, within=within) from None

    def _read(self, raw: JSON, note: DriftReporter | None, *, strangers: bool) -> T:
        before = misses.latest
        row: T
        try:
            row = self._rows.row(raw, note)
        except msgspec.ValidationError:
            row = self._rows.bent(raw, note)
        if note is not None:
            if strangers:
                self._rows.shape.report_unknown_fields(raw, "$", note)
            if misses.latest is not before:
                self._rows.shape.report_unknown_values(row, "$", note)
        return row


def _noting(drift: DriftSink | None, within: str) -> DriftReporter | None:
    """Return what turns the drift found in one part of a body into records, paths counted from the whole of it."""
    if drift is None:
        return None

    def note(kind: DriftKind, path: str, found: str) -> None:
        drift(Drift(kind=kind, path=within + path[1:], found=found[:MAX_FOUND]))

    return note
