"""Reader: the bytes of an answer to typed values, one for each type of row and set of taught entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args, get_origin

import msgspec

from amili_async._decoding.batches import BatchRows
from amili_async._decoding.bounds import MAX_ROWS, check_rows, check_size
from amili_async._decoding.envelope import Envelopes, PageBody, SplitPage
from amili_async._decoding.failures import decode_error, validation_detail
from amili_async._decoding.lenient import MENDED, mended
from amili_async._decoding.rows import ListRows, OpenRows, Rows, TypedRows
from amili_async._decoding.shapes import Shapes
from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.errors import MAX_BODY, DecodeError
from amili_async.events import Drift, DriftKind, QuarantinedRow
from amili_async.models import Batch, RawValue, SucceededEntry, Summary
from amili_async.models._batches import types_by_tag
from amili_async.models._extra import NOTHING, given_twice
from amili_async.models._request import Request

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
    extra: Mapping[str, object] = NOTHING
    """What stands beside summary and rows."""


class Reader(Generic[T]):
    """Reads answers that hold objects of one type. Cheap to make: decoders are built when they are first used.

    It learns what it meets beside what is documented, and reads that as fast from then on. ``entry_types`` are what
    batches may hold beside the documented type. A ``drift`` of ``None`` means that nobody listens.
    """

    def __init__(
        self, row_type: type[T], *, entry_types: Sequence[type[SucceededEntry]] = (), max_rows: int = MAX_ROWS
    ) -> None:
        types_by_tag(entry_types)
        self._max_rows = max_rows
        self._row_type = row_type
        kind = get_args(row_type)[0] if get_origin(row_type) is list and get_args(row_type) else row_type
        self.sent: bool = isinstance(kind, type) and issubclass(kind, Request)
        """Whether these are objects that a write sends."""
        self._entry_types = tuple(entry_types)
        self._shapes = Shapes()
        self._envelopes = Envelopes(self._shapes)

    @cached_property
    def _rows(self) -> Rows[Any]:
        """Rows of ``T``, which no type checker can tell here."""
        return self._rows_of(self._row_type)

    def _rows_of(self, row_type: Any) -> Rows[Any]:
        if isinstance(row_type, type) and issubclass(row_type, Batch):
            return BatchRows(row_type, self._entry_types, self._shapes)
        if row_type is RawValue:
            return OpenRows(self._shapes)
        if get_origin(row_type) is list and get_args(row_type):
            return ListRows(self._rows_of(get_args(row_type)[0]))
        return TypedRows(row_type, self._shapes)

    def one(self, body: bytes | bytearray, drift: DriftSink | None) -> T:
        """Return the ``data`` of an answer that holds one object.

        Raises:
            DecodeError: no envelope, or ``data`` is not what was asked for.
        """
        return self._single(body, self._envelopes.one(body, _noting(drift, "$")).data, drift, "$.data")

    def raw(self, body: bytes | bytearray) -> msgspec.Raw:
        """Return the JSON of the ``data`` of an answer that holds one object.

        Raises:
            DecodeError: no envelope.
        """
        return self._envelopes.one(body, None).data

    def enveloped(self, body: bytes | bytearray, drift: DriftSink | None) -> tuple[T, dict[str, object]]:
        """Return the ``data`` of an answer that holds one object, and what it says around that.

        Raises:
            DecodeError: no envelope, or ``data`` is not what was asked for.
        """
        opened = self._envelopes.one(body, _noting(drift, "$"))
        return self._single(body, opened.data, drift, "$.data"), opened.around()

    def bare(self, body: bytes | bytearray, drift: DriftSink | None) -> T:
        """Return the whole of an answer that comes without an envelope.

        Raises:
            DecodeError: the answer is not what was asked for.
        """
        return self._single(body, body, drift, "$")

    def whole(self, body: bytes | bytearray, drift: DriftSink | None) -> PageBody | None:
        """Return a list, decoded in one pass; nothing where that cannot be, and its rows have to be read one by one.

        Raises:
            DecodeError: more rows than there may be.
        """
        try:
            page = self._rows.page(body, _noting(drift, "$.data[...]"))
            self._envelopes.look_at(page, _noting(drift, "$"))
        except READING_ERRORS:
            return None
        check_rows(len(page.data), body, self._max_rows)
        return page

    def page(self, body: bytes | bytearray, drift: DriftSink | None) -> DecodedPage[T]:
        """Return a list, decoded in one pass; row by row where that fails.

        Raises:
            DecodeError: no envelope, or ``data`` is no list. A row that does not fit is a `QuarantinedRow` instead.
        """
        page = self.whole(body, drift)
        if page is not None:
            return DecodedPage(summary=page.summary, rows=page.data, extra=page.extra)
        split = self.split(body, drift)
        rows = [self.row(raw, index, drift) for index, raw in enumerate(split.rows)]
        quarantined = sum(isinstance(row, QuarantinedRow) for row in rows)
        return DecodedPage(summary=split.summary, rows=rows, quarantined=quarantined, extra=split.extra)

    def split(self, body: bytes | bytearray, drift: DriftSink | None = None) -> SplitPage:
        """Return a list as the JSON of its rows, undecoded.

        Raises:
            DecodeError: no envelope, or ``data`` is no list, or one of more rows than there may be.
        """
        check_size(body, self._max_rows)
        page = self._envelopes.many(body, _noting(drift, "$"))
        check_rows(len(page.rows), body, self._max_rows)
        return page

    def several(self, raws: Sequence[msgspec.Raw], drift: DriftSink | None) -> list[T] | None:
        """Return rows of a list, decoded in one pass; nothing where that cannot be."""
        try:
            return self._rows.page(b'{"data":[' + b",".join(raws) + b"]}", _noting(drift, "$.data[...]")).data
        except READING_ERRORS:
            return None

    def row(self, raw: msgspec.Raw | bytes, index: int, drift: DriftSink | None) -> T | QuarantinedRow:
        """Return one row of a list: read strictly, else leniently, else set aside with its JSON."""
        row: T
        try:
            row = self._rows.row(raw, _noting(drift, "$.data[...]"))
        except READING_ERRORS as error:
            path, reason = validation_detail(error)
            return QuarantinedRow(index=index, path=path, reason=reason, raw=bytes(raw))
        return row

    def _single(self, body: bytes | bytearray, raw: JSON, drift: DriftSink | None, within: str) -> T:
        row: T
        note = _noting(drift, within)
        try:
            row = self._rows.row(raw, note)
        except READING_ERRORS as error:
            # Within an envelope that was opened nothing is left to mend; and what is to be sent is not changed.
            other = None if self.sent else mended(raw)
            if other is None:
                raise decode_error(body, error, within=within) from None
            if note is not None:
                note("leniency", "$", MENDED)
            return self._single(body, other, drift, within)
        return row


def decode(data: bytes | bytearray | str, type: type[T], *, entry_types: Sequence[type[SucceededEntry]] = ()) -> T:
    """Return what JSON holds that Amili wrote, or `encode`: a model, or a ``list`` of them.

    It reads as the client does: leniently where it must, and with what no field names in ``extra``. Batches may hold
    the entry types that are given here.

    Raises:
        DecodeError: it is not of this type, or no JSON; or what it is to send has a member twice.
    """
    # Half a character in text cannot be encoded, and is refused below as what it is: no JSON.
    body = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    reader = _reader_of(type, tuple(entry_types))  # type: ignore[arg-type]  # a class can be hashed
    read: T = reader.bare(body, None)
    if reader.sent and (twice := given_twice(body)) is not None:
        # Of an amount, the last one would be sent in silence, whichever it is.
        raise DecodeError(f"it does not fit: {twice!r} is there twice", path="$", body=bytes(body[:MAX_BODY]))
    return read


@lru_cache(maxsize=64)
def _reader_of(type: Any, entry_types: tuple[Any, ...]) -> Reader[Any]:
    return Reader(type, entry_types=entry_types)


def _noting(drift: DriftSink | None, within: str) -> DriftReporter | None:
    """Return what turns the drift found in one part of a body into records, paths counted from the whole of it."""
    if drift is None:
        return None

    def note(kind: DriftKind, path: str, found: str) -> None:
        drift(Drift(kind=kind, path=within + path[1:], found=found[:MAX_FOUND]))

    return note
