"""The summary of an answer, the batch that a write became, and values of no documented shape."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from amili_async import RawValue, Summary, decode
from amili_async.models._envelope import AcceptedBody


@pytest.mark.parametrize(
    ("body", "summary"),
    [
        (b"{}", Summary()),
        (b'{"nextPageToken": ""}', Summary(next_page_token="")),
        (b'{"status": "SUCCESS", "nextPageToken": null}', Summary(status="SUCCESS")),
        (b'{"new": 1}', Summary(extra={"new": 1})),
    ],
)
def test_both_members_may_be_missing_and_an_empty_token_stays_as_it_is(body: bytes, summary: Summary) -> None:
    assert decode(body, Summary) == summary


@pytest.mark.parametrize("body", [b"{}", b'{"batchId": ""}', b'{"batchId": null}', b'{"batchUrl": "https://x"}'])
def test_an_answer_without_a_batch_id_cannot_be_read(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=AcceptedBody)


def test_a_batch_id_is_enough() -> None:
    assert msgspec.json.decode(b'{"batchId": "b"}', type=AcceptedBody) == AcceptedBody(batch_id="b")


def test_json_is_decoded_with_exact_fractions() -> None:
    value = RawValue(raw=b'{"a": 0.10, "b": [1, null]}')
    assert value.json == {"a": Decimal("0.10"), "b": [1, None]}
    assert value.data == value.json


def test_the_data_of_an_envelope() -> None:
    assert RawValue(raw=b'{"summary": {}, "data": [1.5]}').data == [Decimal("1.5")]


@pytest.mark.parametrize(
    ("raw", "data"), [(b"[1]", [1]), (b'"pong"', "pong"), (b"null", None), (b'{"data": null}', None)]
)
def test_what_has_no_envelope_is_the_data_itself(raw: bytes, data: object) -> None:
    assert RawValue(raw=raw).data == data


@pytest.mark.parametrize("raw", [b"", b"Healthy", b"<html>"])
def test_what_is_no_json_is_text(raw: bytes) -> None:
    value = RawValue(raw=raw)
    assert value.text == raw.decode()
    with pytest.raises(ValueError, match=r"truncated|malformed"):
        _ = value.json
    with pytest.raises(ValueError, match=r"truncated|malformed"):
        _ = value.data


def test_bytes_that_are_no_text_are_shown_somehow() -> None:
    assert RawValue(raw=b"\xff").text == "\ufffd"
