"""What cannot be read is named by its place, never by its value."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async._decoding.failures import decode_error, ends_early, validation_detail
from amili_async._upstream.msgspec import READING_ERRORS

SECRET = "Kari Nordmann"
FULL = '{"summary": {"status": "SU\\u00e6C", "next": null}, "data": [{"a": -12.5e+3, "ø": true, "c": "\\n"}]}'.encode()


class Row(msgspec.Struct):
    at: datetime | None = None
    kind: Literal["A", "B"] = "A"
    number: int = 0


def error_of(body: bytes, kind: object = object) -> Exception:
    with pytest.raises(READING_ERRORS) as caught:
        msgspec.json.decode(body, type=kind)
    return caught.value


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        (b'[{"number": "Kari Nordmann"}]', "$[0].number", "Expected `int`, got `str`"),
        (b'[{"kind": "Kari Nordmann"}]', "$[0].kind", "the value does not fit"),
        (b'[{"at": "Kari Nordmann"}]', "$[0].at", "Invalid RFC3339 encoded datetime"),
        (b'{"Kari Nordmann": 1}', "$", "Expected `array`, got `object`"),
    ],
)
def test_place_and_expectation_are_told_and_no_value(body: bytes, path: str, reason: str) -> None:
    error = error_of(body, list[Row])
    assert validation_detail(error) == (path, reason)
    told = decode_error(body, error)
    assert told.path == path
    assert told.message == f"the answer does not fit: {reason} at {path}"
    assert SECRET not in f"{told}{told!r}{told.to_dict()}"
    assert told.body == body
    assert not told.truncated


def test_a_value_that_looks_like_a_place_is_not_taken_for_one() -> None:
    found = validation_detail(error_of(b'{"kind": "x - at `$.Kari`"}', Row))
    assert found == ("$.kind", "the value does not fit")


def test_a_place_within_a_part_is_counted_from_the_whole() -> None:
    error = error_of(b'{"number": "x"}', Row)
    assert decode_error(b"", error, within="$.data[3]").path == "$.data[3].number"


@pytest.mark.parametrize("end", range(len(FULL)))
def test_json_that_was_cut_anywhere_ends_early(end: int) -> None:
    body = FULL[:end]
    error = error_of(body)
    assert ends_early(body, error)
    told = decode_error(body, error)
    assert told.truncated
    assert told.path is None
    assert told.message == "the answer is JSON that ends early"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<!doctype html><title>Kari Nordmann</title>", "the answer is not JSON but HTML"),
        (b"  <html>", "the answer is not JSON but HTML"),
        (b"Kari Nordmann", "the answer is not JSON"),
        (b'{"a": 1} Kari Nordmann', "the answer is not JSON"),
        (b'{"a": "\xff"}', "the answer is not JSON"),
        (b'{"a": 01}', "the answer is not JSON"),
        (b"[" * 100_000, "the answer is JSON nested too deeply to be read"),
    ],
)
def test_what_is_no_json_is_not_taken_for_cut_json(body: bytes, message: str) -> None:
    told = decode_error(body, error_of(body))
    assert told.message == message
    assert not told.truncated
    assert told.path is None


@given(st.binary(max_size=40))
def test_any_bytes_give_a_value_or_an_error_of_ours(body: bytes) -> None:
    failure: Exception | None = None
    try:
        msgspec.json.decode(body)
    except READING_ERRORS as error:
        failure = error
    assert failure is None or decode_error(body, failure).body == body
