"""What a recording keeps is the shape of what was there, and nothing of what was there."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async.probe import Anonymizer

if TYPE_CHECKING:
    from amili_async.probe._anonymous import JSON

KEY = b"k" * 32

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False).map(float)
    | st.text()
    | st.uuids().map(str)
    | st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abcXYZ_", min_size=1), inner),
    max_leaves=20,
)


def shape(value: JSON) -> object:
    """Return a JSON value without its values."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


@given(VALUES)
def test_the_shape_is_kept(value: JSON) -> None:
    replaced = json.loads(Anonymizer(KEY).body(json.dumps(value).encode()))
    assert shape(replaced) == shape(value)


@given(
    st.text(st.characters(categories=["L"]), min_size=8),
    st.text(st.sampled_from("0123456789"), min_size=8, max_size=18),
)
def test_no_name_and_no_number_is_kept(name: str, digits: str) -> None:
    body = json.dumps({"debtor": {"name": name, "type": name}, "amount": int(digits), "kid": digits}).encode()
    replaced = json.loads(Anonymizer().body(body))
    assert replaced["debtor"]["name"] != name
    if int(digits):
        assert replaced["amount"] != int(digits)
        assert replaced["kid"] != digits
        assert len(replaced["kid"]) == len(digits)


def test_the_same_value_is_replaced_by_the_same_wherever_it_stands() -> None:
    id_ = "ae257e86-dc53-4865-9c97-5b125a3a5ac2"
    anonymizer = Anonymizer()
    one = json.loads(anonymizer.body(json.dumps({"batchId": id_, "number": 5000001}).encode()))
    url = f"https://api.amili.no/collection/v1/orgs/x/batches/{id_.upper()}"
    two = json.loads(anonymizer.body(json.dumps({"batchUrl": url, "caseNumber": "5000001"}).encode()))
    assert one["batchId"] != id_
    assert two["batchUrl"].startswith("https://")
    assert two["batchUrl"].endswith(one["batchId"])
    assert "amili" not in two["batchUrl"]
    assert two["caseNumber"] == str(one["number"])
    assert Anonymizer(KEY).text("Ola Nordmann") == Anonymizer(KEY).text("Ola Nordmann")
    assert Anonymizer().text("Ola Nordmann") != Anonymizer().text("Ola Nordmann")


@pytest.mark.parametrize(
    ("digits", "kept"),
    [
        ("4500.00", r"[1-9]\d{3}\.\d{2}"),
        ("-12", r"-[1-9]\d"),
        ("0.05", r"0\.\d{2}"),
        ("1e3", r"[1-9]e3"),
        ("2.5E-7", r"[1-9]\.\dE-7"),
        ("0", "0"),
        ("0.00", r"0\.00"),
        ("5", r"[1-9]"),
    ],
)
def test_a_number_keeps_its_digits_count_its_sign_and_its_point(digits: str, kept: str) -> None:
    body = Anonymizer().body(f'{{"amount":{digits}}}'.encode())
    assert re.fullmatch(rf'{{"amount":{kept}}}', body.decode())


def test_moments_keep_their_order_their_distance_and_their_form() -> None:
    moments = ["2026-01-31T23:59:59.999Z", "2026-02-01T00:00:00.001Z", "2025-12-31T12:00:00+01:00", "2025-12-31"]
    replaced = [Anonymizer(KEY).text(moment) for moment in moments]
    first, second = (datetime.fromisoformat(moment) for moment in replaced[:2])
    assert (second - first).total_seconds() == pytest.approx(0.002)
    assert first.year < 2026
    assert [re.sub(r"\d", "0", moment) for moment in replaced] == [re.sub(r"\d", "0", moment) for moment in moments]
    assert Anonymizer(KEY).text("0001-01-01") != "0001-01-01"


def test_codes_of_the_api_stay_and_a_person_in_their_place_does_not() -> None:
    body = json.dumps({"status": "PARTIAL", "$type": "invoiceSuccess", "type": "Ola Nordmann", "currency": "NOK"})
    replaced = json.loads(Anonymizer().body(body.encode()))
    assert (replaced["status"], replaced["$type"], replaced["currency"]) == ("PARTIAL", "invoiceSuccess", "NOK")
    assert replaced["type"] != "Ola Nordmann"
    assert len(replaced["type"]) == 12


def test_members_that_are_called_by_a_value_are_called_by_another() -> None:
    replaced = json.loads(Anonymizer().body(b'{"debtors": {"ola@example.com": 1, "4711": {"address2": null}}}'))
    assert replaced.keys() == {"debtors"}
    assert not {"ola@example.com", "4711"} & replaced["debtors"].keys()
    assert {"address2": None} in replaced["debtors"].values()


def test_a_body_that_is_no_json_is_replaced_letter_by_letter() -> None:
    replaced = Anonymizer().body("<h1>Blåbær 404</h1>".encode()).decode()
    assert re.fullmatch(r"<[a-z]\d>[A-Z][a-zæøåéöü]{5} \d{3}</[a-z]\d>", replaced)
    assert "Blåbær" not in replaced
