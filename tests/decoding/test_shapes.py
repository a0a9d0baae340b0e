"""What had to be coerced once is read in one pass from then on, to the same values, and is told each time."""

from __future__ import annotations

import json
import pickle
from datetime import datetime  # noqa: TC003  # msgspec looks it up
from decimal import Decimal  # noqa: TC003  # the same
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async import Batch, Drift, InvoiceSuccess, QuarantinedRow, SucceededEntry, encode
from amili_async._decoding import Reader
from amili_async._decoding.shapes import FORGOTTEN_AFTER
from amili_async.models import Received
from amili_async.models._autocollect import AutoCollectBatch


class Inner(Received, frozen=True, kw_only=True):
    text: str | None = None


class Item(Received, frozen=True, kw_only=True):
    text: str | None = None


class Row(Received, frozen=True, kw_only=True):
    text: str = ""
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    flag: bool | None = None
    count: int | None = None
    amount: Decimal | None = None
    either: int | bool | None = None
    inner: Inner | None = None
    items: tuple[Item, ...] = ()


class Open(Received, frozen=True, kw_only=True):
    text: str = ""
    anything: Any = None


class Twice(Received, frozen=True, kw_only=True):
    one: Inner | None = None
    other: Inner | None = None


class PaymentSuccess(SucceededEntry, tag="paymentSuccess", frozen=True, kw_only=True):
    payment_id: str


def body_of(*rows: object, summary: object = None) -> bytes:
    return json.dumps({"summary": summary, "data": rows}).encode()


WRITTEN: list[tuple[dict[str, object], str, str]] = [
    ({"text": 5}, "text", "a number taken as text"),
    ({"text": True}, "text", "true or false taken as text"),
    ({"at": "2026-11-29T12:00:00"}, "at", "a time without a zone taken as UTC"),
    ({"at": "2026-11-29"}, "at", "a date taken as UTC"),
    ({"flag": 1}, "flag", "a number or text taken as true or false"),
    ({"count": "12"}, "count", "a text taken as a number"),
    ({"inner": {"text": 5}}, "inner.text", "a number taken as text"),
]


@pytest.mark.parametrize(("row", "path", "what"), WRITTEN)
def test_what_had_to_be_coerced_is_read_in_one_pass_from_then_on_and_told_each_time(
    row: dict[str, object], path: str, what: str
) -> None:
    reader, told = Reader(Row), list[Drift]()
    body = body_of({}, row)
    assert reader.whole(body, None) is None
    first = reader.page(body, None).rows
    page = reader.whole(body, told.append)
    assert page is not None
    assert page.data == first
    assert told == [Drift(kind="leniency", path=f"$.data[...].{path}", found=what)]
    told.clear()
    assert reader.row(json.dumps(row).encode(), 0, told.append) == first[1]
    assert told == [Drift(kind="leniency", path=f"$.data[...].{path}", found=what)]
    told.clear()
    assert reader.whole(body_of({}), told.append) is not None
    assert told == []


MEMBERS: dict[str, list[object]] = {
    "text": ["a", "", 5, -7, 10**30, 1.5, True, None, [], "\ud83d\ude00"],
    "at": ["2026-11-29T12:00:00Z", "2026-11-29T12:00:00", "2026-11-29", "2026-11-29T13:00:00+01:00", '"', 5, None, "x"],
    "flag": [True, 0, 1, "true", "False", "no", None, 2],
    "count": [1, "12", "1.5", "x", True, None, 1.0, {}],
    "amount": [1, "12.50", 1.5, "1e99", 10**60, None, "x"],
    "either": [1, True, "5", "true", None, "x"],
    "inner": [{"text": 5}, {"text": "a"}, {"text": None}, {}, None, {"new": 1}],
    "items": [[], [{"text": 5}, {}], [{"text": "a"}], None, {}],
    "new": [1, "x"],
}
ROWS = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in MEMBERS.items()})


def news(told: list[Drift]) -> set[Drift]:
    """Return what was told, but for null in the place of a list: that is told once, and from then on as documented."""
    return {drift for drift in told if drift.found != "null taken as absent"}


@given(st.lists(st.lists(ROWS, max_size=4), min_size=1, max_size=6))
def test_whatever_was_learnt_before_rows_are_what_they_are_and_the_same_is_told(pages: list[list[Any]]) -> None:
    reader = Reader(Row)
    for rows in pages:
        body, told, told_anew = body_of(*rows), list[Drift](), list[Drift]()
        anew = Reader(Row).page(body, told_anew.append).rows
        found = reader.page(body, told.append).rows
        assert found == anew
        assert news(told) == news(told_anew)
        assert pickle.loads(pickle.dumps(found)) == anew  # noqa: S301  # our own bytes


def test_entries_and_what_stands_beside_the_rows_are_learnt_too() -> None:
    reader, told = Reader(Batch, entry_types=(PaymentSuccess,)), list[Drift]()
    entries = [{"$type": "invoiceSuccess", "invoiceId": 7}, {"$type": "paymentSuccess", "paymentId": "p"}]
    body = body_of({"batchId": "1", "status": "SUCCESS", "succeeded": entries}, summary={"status": 3})
    reader.page(body, None)
    page = reader.whole(body, told.append)
    assert page is not None
    assert page.summary is not None
    assert page.summary.status == "3"
    assert page.data[0].succeeded == (InvoiceSuccess(invoice_id="7"), PaymentSuccess(payment_id="p"))
    assert [(drift.path, drift.found) for drift in told] == [
        ("$.data[...].succeeded[...].invoiceId", "a number taken as text"),
        ("$.summary.status", "a number taken as text"),
    ]


def test_a_field_that_may_be_null_too_is_learnt() -> None:
    reader = Reader(Row)
    body = body_of({"text": None, "at": None}, {"text": 5, "at": "2026-11-29T12:00:00"}, {})
    reader.page(body, None)
    page = reader.whole(body, None)
    assert page is not None
    assert [row.text for row in page.data] == ["", "5", ""]
    assert [row.at is None for row in page.data] == [True, False, True]
    assert encode(page.data[0]) == b'{"text":null}'


def test_what_does_not_fit_is_set_aside_as_before() -> None:
    reader = Reader(Row)
    reader.page(body_of({"text": 5, "at": "2026-11-29"}), None)
    for wrong in ({"text": [1]}, {"at": "Kari Nordmann"}, {"at": 5}):
        one, other = reader.page(body_of({"text": 5}, wrong), None).rows
        assert one == Row(text="5")
        assert isinstance(other, QuarantinedRow)


def test_all_digits_of_a_number_are_kept() -> None:
    reader, open_reader = Reader(Row), Reader(Open)
    for body in (body_of({"text": 5}), b'{"data":[{"text":1.50},{"text":12e3}]}'):
        anew = Reader(Row).page(body, None).rows
        assert reader.page(body, None).rows == anew
        # Where users can look at any value, numbers are no JSON: such a page is read row by row.
        texts = [row.text for row in open_reader.page(body, None).rows if isinstance(row, Open)]
        assert texts == [row.text for row in anew if isinstance(row, Row)]
    assert anew == [Row(text="1.50"), Row(text="12e3")]
    assert reader.whole(body, None) is not None
    assert open_reader.whole(body, None) is None


def test_each_reading_tells_of_what_it_met_itself_and_once() -> None:
    reader, told = Reader(Row), list[Drift]()
    reader.page(body_of({"text": 5}, summary={"status": 3}), None)
    reader.page(body_of({"text": 5}, summary={"status": 3}), told.append)
    told.clear()
    assert reader.row(b'{"text":"a"}', 0, told.append) == Row(text="a")
    assert told == []
    reader.page(body_of({"text": 5}, summary={"status": 3}), None)
    assert reader.one(b'{"summary":{"status":"SUCCESS"},"data":{}}', told.append) == Row()
    assert told == []
    reader.row(b'{"text":5,"flag":1}', 0, told.append)
    assert [drift.path for drift in told] == ["$.data[...].text", "$.data[...].flag"]


def test_of_a_model_that_stands_in_two_places_nothing_is_learnt_as_nobody_could_tell_which() -> None:
    reader, told = Reader(Twice), list[Drift]()
    body = body_of({"one": {"text": "a"}, "other": {"text": 5}})
    for _ in range(2):
        told.clear()
        (row,) = reader.page(body, told.append).rows
        assert row == Twice(one=Inner(text="a"), other=Inner(text="5"))
        assert [drift.path for drift in told] == ["$.data[...].other.text"]


def test_a_member_that_is_shown_as_text_is_written_as_it_came() -> None:
    reader = Reader(AutoCollectBatch)
    for _ in range(2):
        found = reader.page(body_of({"batchid": True}, {"batchid": 5}, {"batchid": "a"}), None).rows
        assert found == [AutoCollectBatch(batch_id=text) for text in ("true", "5", "a")]
        written = [encode(row) for row in found if isinstance(row, AutoCollectBatch)]
        assert written == [b'{"batchid":"true"}', b'{"batchid":5}', b'{"batchid":"a"}']


def test_what_has_not_had_to_be_coerced_for_long_is_forgotten() -> None:
    reader, told = Reader(Row), list[Drift]()
    lax, strict = body_of({"text": 5}), body_of({"text": "a"})
    reader.page(lax, None)
    for _ in range(FORGOTTEN_AFTER - 1):
        assert reader.whole(strict, told.append) is not None
    assert reader.whole(lax, None) is not None  # and it counts from here on
    for _ in range(FORGOTTEN_AFTER):
        assert reader.whole(strict, told.append) is not None
    assert reader.whole(lax, None) is None
    assert told == []
    assert reader.page(lax, told.append).rows == [Row(text="5")]
    assert reader.whole(lax, None) is not None
