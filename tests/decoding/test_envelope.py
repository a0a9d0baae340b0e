"""The envelope: a summary that may be missing, before or after the data."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async import DecodeError, Summary
from amili_async._decoding.drift import DriftBuffer
from amili_async._decoding.envelope import FIRST_ROW_WITHIN, first_row, unwrap_list, unwrap_one
from tests.support.recorded_drift import RecordedDrift


@pytest.mark.parametrize(
    "body",
    [
        b'{"summary": {"nextPageToken": "t"}, "data": [1, {"a": 2}]}',
        b'{"data": [1, {"a": 2}], "summary": {"nextPageToken": "t"}}',
        b'{"new": 1, "data": [1, {"a": 2}], "summary": {"nextPageToken": "t", "new": {}}}',
    ],
)
def test_summary_and_data_may_come_in_any_order(body: bytes) -> None:
    page = unwrap_list(body, None)
    assert page.summary == Summary(next_page_token="t")  # a page token
    assert [bytes(raw) for raw in page.rows] == [b"1", b'{"a": 2}']


@pytest.mark.parametrize("body", [b'{"data": []}', b'{"summary": null, "data": []}'])
def test_the_summary_may_be_missing(body: bytes) -> None:
    assert unwrap_list(body, None) == (None, [])


def test_one_object() -> None:
    assert bytes(unwrap_one(b'{"summary": {}, "data": { "a": 1 }}', None)) == b'{ "a": 1 }'
    assert bytes(unwrap_one(b'{"data": null}', None)) == b"null"


@pytest.mark.parametrize(
    ("body", "message", "path"),
    [
        (b"{}", "Object missing required field `data`", "$"),
        (b"[]", "Expected `object`, got `array`", "$"),
        (b'"x"', "Expected `object`, got `str`", "$"),
        (b'{"data": {}}', "Expected `array | null`, got `object`", "$.data"),
        (b'{"data": [], "summary": []}', "Expected `object | null`, got `array`", "$.summary"),
        (b'{"summary": {"status": "FAILED"}, "data": null}', "Expected `array`, got `null`", "$.data"),
    ],
)
def test_what_is_no_envelope_of_a_list_is_an_error(body: bytes, message: str, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        unwrap_list(body, None)
    assert caught.value.message == f"the answer does not fit: {message} at {path}"
    assert caught.value.path == path


@pytest.mark.parametrize("body", [b"", b'{"data": [', b"<html>", b'{"data": [1}'])
def test_what_is_no_json_is_an_error_for_both(body: bytes) -> None:
    for read in (unwrap_list, unwrap_one):
        with pytest.raises(DecodeError) as caught:
            read(body, None)
        assert caught.value.body == body
        assert caught.value.truncated == (body in {b"", b'{"data": ['})


def test_a_body_cut_behind_what_does_not_fit_is_cut_all_the_same() -> None:
    with pytest.raises(DecodeError) as caught:
        unwrap_list(b'{"summary": [], "data": [1, ', None)
    assert caught.value.truncated


@pytest.mark.parametrize("status", [b"", b'"summary": {"status": "SUCCESS"}, '])
def test_null_is_an_empty_list_unless_the_summary_tells_of_a_failure(status: bytes) -> None:
    drift = RecordedDrift()
    page = unwrap_list(b"{" + status + b'"data": null}', drift)
    assert page.rows == []
    assert drift == [("leniency", "$.data", "null taken as an empty list")]
    assert unwrap_list(b"{" + status + b'"data": null}', None).rows == []


def test_an_odd_summary_is_read_leniently() -> None:
    drift = RecordedDrift()
    page = unwrap_list(b'{"summary": {"nextPageToken": 12}, "data": [{ }]}', drift)
    assert page.summary == Summary(next_page_token="12")  # a page token
    assert [bytes(raw) for raw in page.rows] == [b"{ }"]
    assert drift == [("leniency", "$.summary.nextPageToken", "a number taken as text")]
    assert unwrap_list(b'{"summary": {}, "data": []}', DriftBuffer()).summary == Summary()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
BEFORE = st.sampled_from(
    [
        '{"data": [',
        '{"summary":{"nextPageToken":"a},b"},"data":[',
        ' { "summary" : null , "data" : [ ',
        '{"x": {}, "data":[',
    ]
)


@given(
    before=BEFORE, rows=st.lists(JSON, min_size=1, max_size=3), escaped=st.booleans(), indent=st.sampled_from([None, 1])
)
def test_the_first_row_of_any_page_is_found(
    before: str, rows: list[object], *, escaped: bool, indent: int | None
) -> None:
    texts = [json.dumps(row, ensure_ascii=escaped, indent=indent) for row in rows]
    body = f"{before}{' , '.join(texts)}]}}".encode()
    assert bytes(first_row(body)) == texts[0].encode()


def test_a_first_row_of_any_size_is_found() -> None:
    row = b'"' + b"x" * FIRST_ROW_WITHIN + b'"'
    assert bytes(first_row(b'{"data":[' + row + b", 1]}")) == row
