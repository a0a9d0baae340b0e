"""The envelope: a summary that may be missing, before or after the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amili_async import Batch, DecodeError, Summary
from amili_async._decoding import Reader
from amili_async._decoding.envelope import Envelopes, SplitPage
from amili_async._decoding.shapes import Shapes
from tests.support.recorded_drift import RecordedDrift

if TYPE_CHECKING:
    import msgspec

    from amili_async._decoding.drift import DriftReporter


def unwrap_list(body: bytes, note: DriftReporter | None = None) -> SplitPage:
    return Envelopes(Shapes()).many(body, note)


def unwrap_one(body: bytes, note: DriftReporter | None = None) -> msgspec.Raw:
    return Envelopes(Shapes()).one(body, note).data


@pytest.mark.parametrize(
    "body",
    [
        b'{"summary": {"nextPageToken": "t"}, "data": [1, {"a": 2}]}',
        b'{"data": [1, {"a": 2}], "summary": {"nextPageToken": "t"}}',
    ],
)
def test_summary_and_data_may_come_in_any_order(body: bytes) -> None:
    page = unwrap_list(body)
    assert page.summary == Summary(next_page_token="t")  # a page token
    assert [bytes(raw) for raw in page.rows] == [b"1", b'{"a": 2}']


@pytest.mark.parametrize("body", [b'{"data": []}', b'{"summary": null, "data": []}'])
def test_the_summary_may_be_missing(body: bytes) -> None:
    assert unwrap_list(body)[:2] == (None, [])


def test_one_object() -> None:
    assert bytes(unwrap_one(b'{"summary": {}, "data": { "a": 1 }}')) == b'{ "a": 1 }'
    assert bytes(unwrap_one(b'{"data": null}')) == b"null"
    assert bytes(Reader(Batch).raw(b'{"data": { "batchId": 1 }}')) == b'{ "batchId": 1 }'


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
        unwrap_list(body)
    assert caught.value.message == f"the answer does not fit: {message} at {path}"
    assert caught.value.path == path


@pytest.mark.parametrize("body", [b"", b'{"data": [', b"<html>", b'{"data": [1}'])
def test_what_is_no_json_is_an_error_for_both(body: bytes) -> None:
    for read in (unwrap_list, unwrap_one):
        with pytest.raises(DecodeError) as caught:
            read(body)
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
    assert unwrap_list(b'{"summary": {}, "data": []}').summary == Summary()


def test_what_no_field_names_is_kept_in_the_summary_and_of_the_envelope_and_told_each_time() -> None:
    drift = RecordedDrift()
    envelopes = Envelopes(Shapes())
    for _ in range(3):
        page = envelopes.many(b'{"new": 1, "data": [1], "summary": {"nextPageToken": "t", "total": 7.0}}', drift)
        assert page.summary == Summary(next_page_token="t", extra={"total": 7})  # a page token
        assert dict(page.extra) == {"new": 1}
        assert sorted(drift) == [("member", "$.new", "new"), ("member", "$.summary.total", "total")]
        drift.clear()
