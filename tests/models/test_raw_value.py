from __future__ import annotations

from decimal import Decimal

import pytest

from amili_async import RawValue


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
