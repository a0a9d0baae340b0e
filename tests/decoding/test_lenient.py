"""Each leniency bends what almost fits, touches nothing else, and says so."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async._decoding.drift import DriftBuffer
from amili_async._decoding.lenient import shape_of
from amili_async.models import OpenEnum
from tests.support.recorded_drift import RecordedDrift

Aware = Annotated[datetime, msgspec.Meta(tz=True)]


class Colour(OpenEnum):
    RED = "RED"


class Closed(enum.IntEnum):
    ONE = 1


class Inner(msgspec.Struct, rename="camel"):
    a_text: str = ""
    colour: Colour | None = None


class Row(msgspec.Struct, rename="camel"):
    row_id: str
    at: Aware | None = None
    day: date | None = None
    flag: bool | None = None
    count: int | None = None
    ratio: float = 0.0
    amount: Decimal | None = None
    inner: Inner | None = None
    inners: tuple[Inner, ...] = ()
    colour: Colour | None = None
    either: Colour | Inner | None = None
    pair: tuple[int, int] | None = None
    closed: Closed | None = None
    literal: Literal["A"] | None = None
    anything: Any = None


SHAPE = shape_of(Row)


def bent(members: str) -> tuple[Row, RecordedDrift]:
    drift = RecordedDrift()
    raw = f'{{"rowId":"r",{members}}}'.encode()
    return msgspec.json.decode(bytes(SHAPE.coerce(raw, "$", drift)), type=Row), drift


@pytest.mark.parametrize(
    ("members", "name", "value", "path", "what"),
    [
        ('"rowId":12.50', "row_id", "12.50", "$.rowId", "a number taken as text"),
        ('"rowId":-3', "row_id", "-3", "$.rowId", "a number taken as text"),
        ('"rowId":true', "row_id", "true", "$.rowId", "true or false taken as text"),
        ('"colour":5', "colour", "5", "$.colour", "a number taken as text"),
        (
            '"at":"2024-01-15T10:00:00"',
            "at",
            datetime(2024, 1, 15, 10, tzinfo=UTC),
            "$.at",
            "a time without a zone taken as UTC",
        ),
        ('"at":"2024-01-15"', "at", datetime(2024, 1, 15, tzinfo=UTC), "$.at", "a date taken as UTC"),
        ('"day":"2024-01-15T10:00:00Z"', "day", date(2024, 1, 15), "$.day", "a time taken as its date"),
        ('"flag":1', "flag", True, "$.flag", "a number or text taken as true or false"),
        ('"flag":"False"', "flag", False, "$.flag", "a number or text taken as true or false"),
        ('"count":"12"', "count", 12, "$.count", "a text taken as a number"),
        ('"ratio":"1.5"', "ratio", 1.5, "$.ratio", "a text taken as a number"),
        ('"ratio":null', "ratio", 0.0, "$.ratio", "null taken as absent"),
        ('"inners":null', "inners", (), "$.inners", "null taken as absent"),
        ('"at":{ }', "at", None, "$.at", "{} taken as absent"),
        ('"inner":{"aText":1}', "inner", Inner(a_text="1"), "$.inner.aText", "a number taken as text"),
        (
            '"inners":[{}, {"aText":null}]',
            "inners",
            (Inner(), Inner()),
            "$.inners[...].aText",
            "null taken as absent",
        ),
        ('"either":{"aText":2}', "either", Inner(a_text="2"), "$.either.aText", "a number taken as text"),
        ('"either":7', "either", "7", "$.either", "a number taken as text"),
    ],
)
def test_what_almost_fits_is_bent_and_told(members: str, name: str, value: object, path: str, what: str) -> None:
    row, drifts = bent(members)
    assert getattr(row, name) == value
    assert drifts == [("leniency", path, what)]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ('"rowId":null', "Expected `str`, got `null`"),
        ('"rowId":{}', "Expected `str`, got `object`"),
        ('"rowId":[1]', "Expected `str`, got `array`"),
        ('"at":"soon"', "Invalid RFC3339 encoded datetime"),
        ('"at":5', "Expected `datetime | null`, got `int`"),
        ('"day":"soon"', "Invalid RFC3339 encoded date"),
        ('"day":"soonTonight"', "Invalid RFC3339 encoded date"),
        ('"day":20240115', "Expected `date | null`, got `int`"),
        ('"flag":2', "Expected `bool | null`, got `int`"),
        ('"flag":"maybe"', "Expected `bool | null`, got `str`"),
        ('"count":"many"', "Expected `int | null`, got `str`"),
        ('"count":[]', "Expected `int | null`, got `array`"),
        ('"count":"1.5"', "Expected `int | null`, got `str`"),
        ('"inner":[]', "Expected `object | null`, got `array`"),
        ('"inners":{"a":1}', "Expected `array`, got `object`"),
        ('"inners":[null]', "Expected `object`, got `null`"),
        ('"either":[]', r"Expected `str \| object \| null`, got `array`"),
        ('"pair":[1]', "Expected `array` of length 2"),
        ('"closed":"1"', "Expected `int | null`, got `str`"),
        ('"amount":"many"', "Invalid decimal"),
        ('"literal":1', "Expected `str | null`, got `int`"),
    ],
)
def test_what_does_not_fit_stays_as_it_is_and_is_not_told(members: str, reason: str) -> None:
    kept = DriftBuffer()
    raw = f'{{"rowId":"r",{members}}}'.encode()
    with pytest.raises(msgspec.ValidationError, match=reason.replace(" | ", r" \| ")):
        msgspec.json.decode(bytes(SHAPE.coerce(raw, "$", kept)), type=Row)


def test_what_is_no_object_stays_as_it_is() -> None:
    assert SHAPE.coerce(b"[1]", "$", DriftBuffer()) == b"[1]"


def test_all_else_stays_byte_for_byte() -> None:
    raw = b'{"rowId":5,"amount":1.50,"anything":{ "x" : [1e3,  "\\u00e6"] },"new":  null}'
    assert SHAPE.coerce(raw, "$", DriftBuffer()) == (
        b'{"rowId":"5","amount":1.50,"anything":{ "x" : [1e3,  "\\u00e6"] },"new":null}'
    )


NAMES = ["rowId", "at", "inner", "aText", "x"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["rowId", "at", "inner", "aText", "x"]), inner)
    ),
    max_leaves=10,
)


@given(JSON)
def test_any_json_is_bent_into_json_and_looked_through(value: object) -> None:
    raw = msgspec.json.encode(value)
    drift = RecordedDrift()
    msgspec.json.decode(bytes(SHAPE.coerce(raw, "$", drift)))
    SHAPE.report_unknown_fields(raw, "$", drift)


@given(JSON)
def test_what_fits_needs_no_bending(value: object) -> None:
    raw = msgspec.json.encode(value)
    if SHAPE.fits(raw):
        drift = RecordedDrift()
        assert msgspec.json.decode(bytes(SHAPE.coerce(raw, "$", drift))) == msgspec.json.decode(raw)
        assert drift == []


@pytest.mark.parametrize(
    ("members", "strangers"),
    [
        ('"at":null', []),
        ('"new":1', [("$.new", "new")]),
        ('"inner":{"aText":"","b":{"c":1}},"d":1', [("$.inner.b", "b"), ("$.d", "d")]),
        ('"inners":[{"b":1},{"c":1}]', [("$.inners[...].b", "b"), ("$.inners[...].c", "c")]),
        ('"either":{"b":1}', [("$.either.b", "b")]),
        ('"either":"RED","pair":[1,2],"inner":null', []),
        ('"anything":{"b":1}', []),
        ('"inners":null', []),
    ],
)
def test_members_that_no_model_names_are_found_wherever_they_are(
    members: str, strangers: list[tuple[str, str]]
) -> None:
    drift = RecordedDrift()
    SHAPE.report_unknown_fields(f'{{"rowId":"r",{members}}}'.encode(), "$", drift)
    assert drift == [("member", path, found) for path, found in strangers]


@pytest.mark.parametrize("raw", [b"null", b"[]", b'"x"'])
def test_what_is_no_object_has_no_members(raw: bytes) -> None:
    drift = RecordedDrift()
    SHAPE.report_unknown_fields(raw, "$", drift)
    assert drift == []


def test_values_that_no_enum_lists_are_found_wherever_they_are() -> None:
    drift = RecordedDrift()
    row = Row(
        row_id="r",
        colour=Colour("TEAL"),
        either=Inner(colour=Colour("PINK")),
        inner=Inner(colour=Colour.RED),
        inners=(Inner(colour=Colour("GREY")), Inner()),
    )
    SHAPE.report_unknown_values(row, "$", drift)
    assert sorted(drift) == [
        ("value", "$.colour", "TEAL"),
        ("value", "$.either.colour", "PINK"),
        ("value", "$.inners[...].colour", "GREY"),
    ]


def test_values_are_looked_for_only_where_enums_may_be() -> None:
    assert SHAPE.open
    assert shape_of(list[Inner]).open
    assert not shape_of(list[str]).open
    assert not shape_of(Closed).open
    assert not shape_of(dict[str, str]).open


def test_a_place_that_holds_no_enum_has_no_unknown_values() -> None:
    drift = RecordedDrift()
    shape_of(list[str]).report_unknown_values(["x"], "$", drift)
    shape_of(int).report_unknown_values(5, "$", drift)
    SHAPE.report_unknown_values(None, "$", drift)
    assert drift == []


def test_a_long_name_is_cut() -> None:
    drift = RecordedDrift()
    SHAPE.report_unknown_fields(b'{"' + b"x" * 1000 + b'": 1}', "$", drift)
    assert drift[0][1] == "$." + "x" * 64
