"""Each leniency bends what almost fits, touches nothing else, and says so."""

from __future__ import annotations

import enum
import json
import re
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async import encode
from amili_async._decoding.drift import Findings
from amili_async._decoding.lenient import coercer_of, mended
from amili_async.models import OpenEnum, Received
from amili_async.models._received import NOT_SENT, Maybe

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
    named: dict[str, Inner] = {}  # msgspec makes a new one each time


ROW = coercer_of(Row)


def read(members: str) -> tuple[Row, list[tuple[str, str, str]]]:
    found = Findings()
    row: Row = ROW.read(f'{{"rowId":"r",{members}}}'.encode(), "$", found)
    return row, [(kind, path, what) for kind, path, what in found.drifts]


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
def test_what_almost_fits_is_coerced_and_told(members: str, name: str, value: object, path: str, what: str) -> None:
    row, drifts = read(members)
    assert getattr(row, name) == value
    assert drifts == [("leniency", path, what)]


class Tagged(msgspec.Struct, tag="paid", tag_field="$type"):
    text: str


def test_what_is_of_another_tag_is_read_by_no_bending() -> None:
    tagged = coercer_of(Tagged)
    assert tagged.read(b'{"$type":"paid","text":5}', "$", Findings()) == Tagged("5")
    assert tagged.read(b'{"$type":7,"text":"a"}', "$", Findings()) == Tagged("a")  # a tag that says nothing
    with pytest.raises(msgspec.ValidationError, match="Invalid value 'lost'"):
        tagged.read(b'{"$type":"lost","text":"a"}', "$", Findings())


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
def test_what_does_not_fit_is_an_error_that_names_the_place_and_is_not_told(members: str, reason: str) -> None:
    found = Findings()
    with pytest.raises(msgspec.ValidationError, match=reason.replace(" | ", r" \| ")):
        ROW.read(f'{{"rowId":"r",{members}}}'.encode(), "$", found)
    assert not found.drifts


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ('"at":5', "$.at"),
        ('"inner":{"aText":[]}', "$.inner.aText"),
        ('"inners":[{},{"aText":[]}]', "$.inners[1].aText"),
        ('"named":{"x":{"aText":[]}}', "$.named[...].aText"),
    ],
)
def test_the_way_to_what_does_not_fit_is_told(members: str, path: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=re.escape(f" - at `{path}`") + "$"):
        read(members)


@pytest.mark.parametrize("raw", [b"[1]", b"null", b'"x"'])
def test_what_is_no_object_is_an_error(raw: bytes) -> None:
    with pytest.raises(msgspec.ValidationError, match="Expected `object`"):
        ROW.read(raw, "$", Findings())


def test_all_else_is_as_it_came() -> None:
    row, drifts = read('"rowId":5,"amount":1.50,"anything":{ "x" : [1e3,  "\\u00e6"] }')
    assert (row.row_id, str(row.amount), row.anything) == ("5", "1.50", {"x": [Decimal("1e3"), "æ"]})
    assert [path for _, path, _ in drifts] == ["$.rowId"]


def test_objects_whose_names_are_data_are_read_each_by_itself() -> None:
    row, drifts = read('"named":{"x":{"aText":1},"y":{}}')
    assert row.named == {"x": Inner(a_text="1"), "y": Inner()}
    assert drifts == [("leniency", "$.named[...].aText", "a number taken as text")]


@pytest.mark.parametrize("digits", ["1e31", "1e-31", "1e999999999", "0e99", "-1e40", "1" + "0" * 31])
def test_an_amount_with_its_digits_far_from_the_point_does_not_fit(digits: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"`decimal` within 30 places of the point - at `\$.amount`$"):
        read(f'"amount":{digits}')


@pytest.mark.parametrize("digits", ["1e30", "1e-30", "-4500.00", "0", "0.10", "1234567890.123456789012345678901"])
def test_any_other_amount_is_read_digit_for_digit(digits: str) -> None:
    row, _ = read(f'"rowId":1,"amount":{digits}')
    assert row.amount == Decimal(digits)


NAMES = ["rowId", "at", "inner", "aText", "x"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["rowId", "at", "inner", "aText", "x"]), inner)
    ),
    max_leaves=10,
)


@given(JSON)
def test_any_json_is_read_or_an_error(value: object) -> None:
    with suppress(msgspec.ValidationError):
        assert isinstance(ROW.read(msgspec.json.encode(value), "$", Findings()), Row)


@given(JSON)
def test_what_fits_is_read_as_it_stands(value: object) -> None:
    raw = msgspec.json.encode(value)
    with suppress(msgspec.ValidationError):
        strict = msgspec.json.decode(raw, type=Row)
        found = Findings()
        assert ROW.read(raw, "$", found) == strict
        assert not found.drifts


class Kept(Received, frozen=True, kw_only=True):
    """An object that keeps what no field names."""

    at: Maybe[Aware] = None
    kept: Maybe[Kept] = None
    several: tuple[Kept, ...] = NOT_SENT
    count: int = 0


KEPT = coercer_of(Kept)


@pytest.mark.parametrize(
    ("members", "strangers"),
    [
        ('"new":1', [("$.new", "new")]),
        ('"kept":{"b":{"c":1}},"d":1', [("$.kept.b", "b"), ("$.d", "d")]),
        ('"several":[{"b":1},{"c":1}]', [("$.several[...].b", "b"), ("$.several[...].c", "c")]),
        ('"at":null', []),
    ],
)
def test_members_that_no_model_names_are_found_and_kept_wherever_they_are(
    members: str, strangers: list[tuple[str, str]]
) -> None:
    found = Findings()
    raw = f"{{{members}}}".encode()
    kept = KEPT.read(raw, "$", found)
    assert found.drifts == [("member", path, name) for path, name in strangers]
    assert [*found.members.get(Kept, ())] == [name for _, name in strangers]
    assert msgspec.json.decode(encode(kept)) == msgspec.json.decode(raw)


def test_null_where_a_member_is_optional_is_as_documented_and_kept() -> None:
    found = Findings()
    kept = KEPT.read(b'{"at":null,"kept":null,"several":null,"count":null}', "$", found)
    assert (kept.at, kept.kept, kept.several, kept.count) == (None, None, (), 0)
    assert [*found.nulls[Kept]] == ["at", "kept", "several", "count"]
    assert found.drifts == [
        ("leniency", "$.several", "null taken as absent"),
        ("leniency", "$.count", "null taken as absent"),
    ]
    assert msgspec.json.decode(encode(kept)) == {"at": None, "kept": None, "several": None, "count": None}


def test_of_a_user_s_own_struct_unknown_members_are_told() -> None:
    row, drifts = read('"rowId":5,"new":1')
    assert row == Row(row_id="5")
    assert drifts == [("leniency", "$.rowId", "a number taken as text"), ("member", "$.new", "new")]


def test_a_long_name_is_cut() -> None:
    found = Findings()
    KEPT.read(b'{"' + b"x" * 1000 + b'": 1}', "$", found)
    assert found.drifts[0].path == "$." + "x" * 64


def test_what_is_kept_does_not_keep_the_page_alive() -> None:
    body = bytearray(b'{"new":[1,2]}')
    kept = KEPT.read(body, "$", Findings())
    body[:] = b" " * len(body)
    assert kept.extra == {"new": [1, 2]}


def test_an_unknown_member_that_is_no_text_is_an_error() -> None:
    with pytest.raises(UnicodeDecodeError):
        KEPT.read(b'{"new":"\xff"}', "$", Findings())


def test_what_a_struct_says_of_itself_is_an_error_like_any_other() -> None:
    class Even(msgspec.Struct):
        number: int
        text: str = ""

        def __post_init__(self) -> None:
            if self.number % 2:
                raise ValueError("Expected an even number")

    with pytest.raises(msgspec.ValidationError, match="Expected an even number"):
        coercer_of(Even).read(b'{"number":1,"text":5}', "$", Findings())


@given(
    st.lists(
        st.sampled_from(["\\", "\\", '"', "u", "d83d", "n", "\ud83d", "\ude00", "\ud800", "\U0001f600", "ø", "\n"])
    )
)
def test_halves_of_characters_are_mended_and_nothing_else_is_touched(pieces: list[str]) -> None:
    written = json.dumps("".join(pieces))
    whole = re.sub("[\ud800-\udfff]", "\ufffd", json.loads(written))
    body = mended(written.encode())
    assert msgspec.json.decode(written.encode() if body is None else body) == whole
    assert (body is None) == (whole == json.loads(written))


@pytest.mark.parametrize("body", [b"", b"{}", b'"\\ud83d\0"', b"\xff", b'{"a": "\\\\ud83d"}'])
def test_what_is_no_half_is_left_alone(body: bytes) -> None:
    assert mended(body) is None
