"""Rows of one type: how they are decoded whole and one by one, strictly and leniently."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from amili_async._decoding.drift import DriftReporter, Findings
from amili_async._decoding.envelope import PageBody
from amili_async._decoding.lenient import JSON, Coercer, below, coercer_of
from amili_async._decoding.places import Places
from amili_async._decoding.shapes import Decoder, Shapes, is_untyped
from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.models import RawValue, Received
from amili_async.models._extra import MAX_DEPTH, check_depth
from amili_async.models._open_enum import misses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amili_async.events import DriftKind

T = TypeVar("T")


class Rows(ABC, Generic[T]):
    """How rows of one type are decoded, and what is learnt of them.

    ``note`` is told of drift; nobody listens where it is ``None``.
    """

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes

    @abstractmethod
    def page(self, body: bytes | bytearray, note: DriftReporter | None) -> PageBody:
        """Return a whole page, read strictly in one pass.

        Raises:
            msgspec.DecodeError: it is not quite as documented or learnt; what else `READING_ERRORS` names.
        """

    @abstractmethod
    def row(self, raw: JSON, note: DriftReporter | None) -> T:
        """Return one row: read strictly, else leniently.

        Raises:
            msgspec.DecodeError: no reading makes sense of it; what else `READING_ERRORS` names.
        """


class TypedRows(Rows[T]):
    """Rows of which a type says what they hold."""

    def __init__(self, row_type: Any, shapes: Shapes, *, holding: Sequence[type] = ()) -> None:
        super().__init__(shapes)
        self._type = row_type
        self.places = Places(row_type, self.given())
        self._exact = any(map(is_untyped, (row_type, *holding)))
        # Of other rows `Places` knows where something untyped may stand.
        self._anything = self._exact and not (isinstance(row_type, type) and issubclass(row_type, msgspec.Struct))
        self._page: Decoder[PageBody] = self.decoder(lambda: self.page_of(shapes.of(row_type)))
        self._row: Decoder[T] = self.decoder(lambda: shapes.of(row_type))

    def given(self) -> dict[str, object]:
        """Return annotations of fields that say more than the row type's own."""
        return {}

    def decoder(self, make: Callable[[], object]) -> Decoder[Any]:
        """Return a strict decoder for something that such rows are a part of."""
        return Decoder(self.shapes, make, exact=self._exact)

    @cached_property
    def coercer(self) -> Coercer:
        """What may stand where in such a row."""
        return coercer_of(self._type)

    def page_of(self, row: object) -> type[Received]:
        """Return the type of a page of rows."""
        return self.shapes.struct(PageBody, {"data": list[Any] if row is Any else list[row]})  # type: ignore[valid-type]  # made at run time

    def strict_page(self, body: bytes | bytearray, note: DriftReporter | None) -> PageBody:  # noqa: ARG002  # what batches need
        """Return a whole page, whatever there is to look for in it."""
        return self._page.decode(body)

    def strict_row(self, raw: JSON, note: DriftReporter | None) -> T:  # noqa: ARG002  # what batches need
        """Return one row, whatever there is to look for in it."""
        return self._row.decode(raw)

    def page(self, body: bytes | bytearray, note: DriftReporter | None) -> PageBody:
        """Return a whole page, read strictly in one pass."""
        before = misses.latest
        self.shapes.met.clear()
        page = self.strict_page(body, note)
        if self._anything:
            check_depth(body, MAX_DEPTH + _AROUND)
        self._look_at(page.data, before, note)
        self.shapes.forget_unmet()
        return page

    def row(self, raw: JSON, note: DriftReporter | None) -> T:
        """Return one row: read strictly, else leniently."""
        before = misses.latest
        self.shapes.met.clear()
        try:
            row = self.strict_row(raw, note)
            if self._anything:
                check_depth(raw)
            self._look_at((row,), before, note)
            self.shapes.forget_unmet()
        except READING_ERRORS:
            check_depth(raw)
            found = Findings()
            row = self.coercer.read(raw, "$", found)
            self.shapes.met.clear()
            self.learn(found)
            found.tell(note)
            self._look_at((row,), before, note)
            if found.members or found.nulls:
                # What was learnt of this row holds for it first: it is to be like those behind it.
                with suppress(*READING_ERRORS):
                    row = self.strict_row(raw, None)
        return row

    def learn(self, found: Findings) -> None:
        """Learn from a row that was read leniently."""
        self.shapes.learn(found, self.places)

    def _look_at(self, rows: Any, before: object, note: DriftReporter | None) -> None:
        self.places.check_amounts(rows)
        self.places.check_depth(rows, self.shapes.learnt)
        missed = misses.latest is not before
        if missed:
            self.shapes.learn_values(self.places.enums)
        # Where nothing was learnt and no value missed there is nothing to find.
        if note is not None and (missed or self.shapes.version):
            self.places.report(rows, note, self.shapes.learnt)
            self.places.report_coerced(self.shapes.met, note)


_AROUND = 2
"""How deep rows are nested in a page."""


class OpenRows(Rows[RawValue]):
    """Rows of which nothing is known but that they are JSON."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__(shapes)
        self._page = _undecoded(shapes)

    def page(self, body: bytes | bytearray, note: DriftReporter | None) -> PageBody:  # noqa: ARG002  # there is nothing to tell
        """Return a whole page in one pass."""
        page = self._page.decode(body)
        return replace(page, data=[self.row(raw, None) for raw in page.data])

    def row(self, raw: JSON, note: DriftReporter | None) -> RawValue:  # noqa: ARG002  # there is nothing to tell
        """Return one row, copied."""
        check_depth(raw)
        return RawValue(raw=bytes(raw))


def _note_below(note: DriftReporter, kind: DriftKind, path: str, found: str) -> None:
    note(kind, f"$[...]{path[1:]}", found)


class ListRows(Rows[list[T]]):
    """Lists of rows: what a user's own request may ask for as ``list[Batch]``."""

    def __init__(self, rows: Rows[T]) -> None:
        super().__init__(rows.shapes)
        self._rows = rows
        self._page = _undecoded(rows.shapes)

    def page(self, body: bytes | bytearray, note: DriftReporter | None) -> PageBody:
        """Return a page of lists."""
        page = self._page.decode(body)
        return replace(page, data=[self.row(raw, note) for raw in page.data])

    def row(self, raw: JSON, note: DriftReporter | None) -> list[T]:
        """Return one list, each of its rows read strictly or leniently."""
        note_below = None if note is None else partial(_note_below, note)
        rows: list[T] = []
        for index, one in enumerate(_raws.decode(raw)):
            try:
                rows.append(self._rows.row(one, note_below))
            except READING_ERRORS as error:
                raise below(f"[{index}]", error) from None
        return rows


def _undecoded(shapes: Shapes) -> Decoder[PageBody]:
    """Return the decoder of a page whose rows stay JSON."""
    return Decoder(shapes, lambda: shapes.struct(PageBody, {"data": list[msgspec.Raw]}))


_raws = msgspec.json.Decoder(list[msgspec.Raw])
