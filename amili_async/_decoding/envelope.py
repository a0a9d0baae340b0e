"""The envelope of an answer, taken apart before its data is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

import msgspec

from amili_async._decoding.drift import DriftReporter, Findings
from amili_async._decoding.failures import decode_error
from amili_async._decoding.lenient import MENDED, Members, mended
from amili_async._decoding.places import Places
from amili_async._decoding.shapes import Decoder, Shapes
from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.models import Received, Summary, encode
from amili_async.models._extra import check_value, read_json


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


class Many(Received, frozen=True, kw_only=True):
    """The body of a list."""

    summary: Summary | None = None
    data: list[msgspec.Raw] | None


E = TypeVar("E", One, Many)


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
        self._many = _Envelope(Many, shapes)

    def one(self, body: bytes | bytearray, note: DriftReporter | None) -> One:
        """Return an answer whose ``data`` is whatever it is."""
        return self._one.open(body, note)

    def many(self, body: bytes | bytearray, note: DriftReporter | None) -> SplitPage:
        """Return the rows of an answer. ``null`` is taken as none, unless the summary tells of a failure."""
        page = self._many.open(body, note)
        if page.data is not None:
            return SplitPage(page.summary, page.data, page.extra)
        status = page.summary.status if page.summary else None
        if status not in {None, "SUCCESS"}:
            raise decode_error(body, msgspec.ValidationError("Expected `array`, got `null` - at `$.data`"))
        if note is not None:
            note("leniency", "$.data", "null taken as an empty list")
        return SplitPage(page.summary, [], page.extra)


class _Envelope(Generic[E]):
    def __init__(self, kind: type[E], shapes: Shapes) -> None:
        self._shapes = shapes
        self._strict: Decoder[E] = Decoder(shapes, lambda: shapes.of(kind))
        self._members = Members(kind)
        self._places = Places(kind)

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
        try:
            found = self._strict.decode(body)
            self._places.check_depth((found,), self._shapes.learnt)
        except msgspec.ValidationError:
            met = Findings()
            found = self._members.read(body, "$", met)
            for kept in (found, found.summary or found):
                for value in kept.extra.values():
                    check_value(value)
            self._shapes.learn(met)
            met.tell(note)
            return found
        if note is not None and self._shapes.learnt:
            self._places.report((found,), note, self._shapes.learnt)
        return found


def unwrap_one(body: bytes | bytearray) -> msgspec.Raw:
    """Return the ``data`` of an answer, whatever it is, learning nothing."""
    return Envelopes(Shapes()).one(body, None).data
