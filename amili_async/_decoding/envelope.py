"""The envelope of an answer, taken apart before its data is looked at."""

from __future__ import annotations

import json
import re
from typing import NamedTuple, TypeVar

import msgspec

from amili_async._decoding.drift import DriftBuffer, DriftReporter
from amili_async._decoding.failures import READING_ERRORS, decode_error
from amili_async._decoding.lenient import Members
from amili_async.models import Model, Summary


class _One(Model, frozen=True, kw_only=True):
    summary: Summary | None = None
    data: msgspec.Raw


class _Many(Model, frozen=True, kw_only=True):
    summary: Summary | None = None
    data: list[msgspec.Raw] | None


FIRST_ROW_WITHIN = 2**16
"""The bytes within which the end of the first row is looked for."""

# Anchored, and with no brace inside the summary: what it matches is the page's own beginning and nothing within a text.
_FIRST_ROW = re.compile(rb'\s*\{\s*(?:"summary"\s*:\s*(?:\{[^{}]*\}|null)\s*,\s*)?"data"\s*:\s*\[\s*')
_scanner = json.JSONDecoder()
_one = msgspec.json.Decoder(_One)
_many = msgspec.json.Decoder(_Many)


E = TypeVar("E", _One, _Many)


class SplitPage(NamedTuple):
    """A list, taken apart into the JSON of its rows. Each is a view that keeps the whole body alive."""

    summary: Summary | None
    rows: list[msgspec.Raw]


def unwrap_one(body: bytes | bytearray, note: DriftReporter | None) -> msgspec.Raw:
    """Return the ``data`` of an answer, whatever it is."""
    return _open(_one, body, note).data


def unwrap_list(body: bytes | bytearray, note: DriftReporter | None) -> SplitPage:
    """Return the rows of an answer. ``null`` is taken as none, unless the summary tells of a failure."""
    page = _open(_many, body, note)
    if page.data is not None:
        return SplitPage(page.summary, page.data)
    status = page.summary.status if page.summary else None
    if status not in {None, "SUCCESS"}:
        raise decode_error(body, msgspec.ValidationError("Expected `array`, got `null` - at `$.data`"))
    if note is not None:
        note("leniency", "$.data", "null taken as an empty list")
    return SplitPage(page.summary, [])


def first_row(body: bytes | bytearray) -> bytes | msgspec.Raw:
    """Return the JSON of the first row of a page that is known to have one.

    As a rule the page need not be gone through for that: most of the time of `unwrap_list` is in the rows behind.
    """
    found = _FIRST_ROW.match(body)
    if found is not None:
        text = body[found.end() : found.end() + FIRST_ROW_WITHIN].decode("utf-8", "replace")
        try:
            _, end = _scanner.raw_decode(text)
        except (ValueError, RecursionError):
            pass  # a long row, or one nested deeply
        else:
            return text[:end].encode()
    return unwrap_list(body, None).rows[0]


def _open(decoder: msgspec.json.Decoder[E], body: bytes | bytearray, note: DriftReporter | None) -> E:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as strict:
        kept = DriftBuffer()
        try:
            found = decoder.decode(Members(decoder.type).coerce(body, "$", kept))
        except READING_ERRORS as error:
            raise decode_error(body, error) from strict
        kept.pass_on(note)
        return found
    except READING_ERRORS as error:
        raise decode_error(body, error) from None
