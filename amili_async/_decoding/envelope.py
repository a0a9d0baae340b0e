"""The envelope of an answer, taken apart before its data is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from amili_async._decoding.drift import DriftReporter, Findings
from amili_async._decoding.failures import decode_error
from amili_async._decoding.lenient import MENDED, Coercer, TakenApart, mended
from amili_async._decoding.places import Places
from amili_async._decoding.shapes import Decoder, Shapes
from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.models import Received, Summary, encode
from amili_async.models._extra import check_values, read_json


class One(Received, frozen=True, kw_only=True):
    """The body of an answer that holds one object."""

    summary: Summary | None = None
    data: msgspec.Raw

    def around(self) -> dict[str, object]:
        """Return what it says beside ``data`` that is more than that all is well."""
        found = dict(self.extra)
        if self.summary is not None and self.summary not in _WELL:
            found["summary"] = read_json(encode(self.summary))
        return found


_WELL = (Summary(), Summary(status="SUCCESS"))


class PageBody(Received, frozen=True, kw_only=True):
    """The body of a list; what ``data`` holds is given when it is decoded."""

    summary: Summary | None = None
    data: list[Any]


E = TypeVar("E", One, PageBody)


class SplitPage(NamedTuple):
    """A list, taken apart into the JSON of its rows. Each is a view that keeps the whole body alive."""

    summary: Summary | None
    rows: list[msgspec.Raw]
    extra: Mapping[str, object]
    """What stands beside the two."""


class Envelopes:
    """Opens the envelopes of one reader's answers."""

    def __init__(self, shapes: Shapes) -> None:
        self._one = _Envelope(One, shapes)
        self._many = _Envelope(PageBody, shapes, {"data": list[msgspec.Raw] | None})

    def one(self, body: bytes | bytearray, note: DriftReporter | None) -> One:
        """Return an answer whose ``data`` is whatever it is."""
        return self._one.open(body, note)

    def many(self, body: bytes | bytearray, note: DriftReporter | None) -> SplitPage:
        """Return the rows of an answer. ``null`` is taken as none, unless the summary tells of a failure."""
        page = self._many.open(body, note)
        rows: Any = page.data  # which may be null here, as the JSON of each row
        if rows is not None:
            return SplitPage(page.summary, rows, page.extra)
        status = page.summary.status if page.summary else None
        if status not in {None, "SUCCESS"}:
            raise decode_error(body, msgspec.ValidationError("Expected `array`, got `null` - at `$.data`"))
        if note is not None:
            note("leniency", "$.data", "null taken as an empty list")
        return SplitPage(page.summary, [], page.extra)

    def look_at(self, page: PageBody, note: DriftReporter | None) -> None:
        """Look at what stands around the rows of a page that was read whole.

        Raises:
            msgspec.ValidationError: it is nested too deeply.
        """
        self._many.look_at(page, note)


class _Envelope(Generic[E]):
    def __init__(self, kind: type[E], shapes: Shapes, given: Mapping[str, object] | None = None) -> None:
        self._shapes = shapes
        self._strict: Decoder[E] = Decoder(shapes, lambda: shapes.struct(kind, given))
        self._members = TakenApart(kind, {name: Coercer(data) for name, data in (given or {}).items()})
        self._places = Places(kind, given)

    def open(self, body: bytes | bytearray, note: DriftReporter | None) -> E:
        """Return the envelope.

        Raises:
            DecodeError: it is none.
        """
        try:
            return self._open(body, note)
        except READING_ERRORS as error:
            other = mended(body)
            if other is None:
                raise decode_error(body, error) from None
        try:
            found = self._open(other, note)
        except READING_ERRORS as error:
            raise decode_error(body, error) from None
        if note is not None:
            note("leniency", "$", MENDED)
        return found

    def _open(self, body: bytes | bytearray, note: DriftReporter | None) -> E:
        found: E
        self._shapes.met.clear()
        try:
            found = self._strict.decode(body)
            self.look_at(found, note)
        except msgspec.ValidationError:
            met = Findings()
            found = self._members.read(body, "$", met)
            for kept in (found, found.summary or found):
                check_values(kept.extra.values())
            self._shapes.learn(met, self._places)
            met.tell(note)
        return found

    def look_at(self, found: E, note: DriftReporter | None) -> None:
        """Look at what was learnt of envelopes: how deep it is nested, and who is to be told of it.

        Raises:
            msgspec.ValidationError: it is nested too deeply.
        """
        learnt, met = self._shapes.learnt, self._shapes.met
        if learnt:
            self._places.check_depth((found,), learnt)
            if note is not None:
                self._places.report((found,), note, learnt)
        if met and note is not None:
            self._places.report_coerced(met, note)
