"""The reader: strict and whole first, then row by row, leniently, and set aside what fails."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amili_async import (
    Batch,
    Case,
    ConfigurationError,
    Currency,
    DecodeError,
    Drift,
    Invoice,
    InvoiceSuccess,
    NewInvoice,
    OpenEnum,
    QuarantinedRow,
    RawValue,
    SucceededEntry,
    Summary,
    UnknownEntry,
    decode,
    encode,
)
from amili_async._decoding import DecodedPage, Reader
from amili_async._decoding.places import Places
from amili_async._decoding.reader import MAX_FOUND


class Way(OpenEnum):
    BANK = "BANK"


class PaymentSuccess(SucceededEntry, tag="paymentSuccess", frozen=True, kw_only=True):
    payment_id: str
    way: Way | None = None


def body_of(*rows: object) -> bytes:
    return json.dumps({"summary": {"nextPageToken": "t"}, "data": rows}).encode()


GOOD = {"batchId": "1", "status": "SUCCESS"}
LENIENT = {"batchId": 2, "status": "SUCCESS"}
BAD = {"batchId": "3", "createdAt": "Kari Nordmann"}


def test_a_page_is_read_whole() -> None:
    page = Reader(Batch).page(body_of(GOOD, GOOD), None)
    assert page.summary == Summary(next_page_token="t")  # a page token
    assert [type(row) for row in page.rows] == [Batch, Batch]
    assert page.quarantined == 0


def test_a_row_that_does_not_fit_is_set_aside_and_loses_no_other() -> None:
    page = Reader(Batch).page(body_of(GOOD, BAD, LENIENT), None)
    assert page.quarantined == 1
    first, aside, lenient = page.rows
    assert isinstance(first, Batch)
    assert isinstance(lenient, Batch)
    assert lenient.batch_id == "2"
    assert aside == QuarantinedRow(
        index=1, path="$.createdAt", reason="Invalid RFC3339 encoded datetime", raw=json.dumps(BAD).encode()
    )
    assert "Kari" not in repr(aside)


def test_what_is_set_aside_does_not_keep_the_page_alive() -> None:
    body = bytearray(body_of(BAD))
    (row,) = Reader(Batch).page(body, None).rows
    body[:] = b" " * len(body)
    assert isinstance(row, QuarantinedRow)
    assert row.raw == json.dumps(BAD).encode()


@pytest.mark.parametrize("row", [b"null", b"5", b'"x"', b"[]", b"{}", b'{"batchId": null}', b'{"batchId": []}'])
def test_a_row_of_any_kind_is_set_aside_with_its_bytes(row: bytes) -> None:
    page = Reader(Batch).page(b'{"data": [' + row + b"]}", None)
    assert page.quarantined == 1
    assert isinstance(page.rows[0], QuarantinedRow)
    assert page.rows[0].raw == row


def test_the_place_within_entries_is_told() -> None:
    body = body_of({"batchId": "1", "succeeded": [{"invoiceId": "i"}, {"$type": "invoiceSuccess", "invoiceId": None}]})
    (row,) = Reader(Batch).page(body, None).rows
    assert isinstance(row, QuarantinedRow)
    assert (row.path, row.reason) == ("$.succeeded[1].invoiceId", "Expected `str`, got `null`")


def test_a_row_that_is_no_text_loses_no_other() -> None:
    page = Reader(Batch).page(b'{"data": [{"batchId": "\xff"}, {"batchId": "1"}]}', None)
    assert page.quarantined == 1
    assert page.rows[0] == QuarantinedRow(
        index=0, path="$.batchId", reason="the value does not fit", raw=b'{"batchId": "\xff"}'
    )
    assert page.rows[1] == Batch(batch_id="1")


def test_rows_nested_without_end_lose_no_other() -> None:
    deep = b'{"batchId": "1", "succeeded": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}"
    row = Reader(Batch).row(deep, 4, None)
    assert isinstance(row, QuarantinedRow)
    assert (row.index, row.raw) == (4, deep)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"data": 5}', b'{"data": [{]}', b'{"data": [{}], \xff}'])
def test_what_is_no_page_is_an_error_with_its_bytes(body: bytes) -> None:
    reader = Reader(Batch)
    for read in (lambda: reader.page(body, None), lambda: reader.split(body)):
        with pytest.raises(DecodeError) as caught:
            read()
        assert caught.value.body == body


def test_a_page_is_split_into_the_json_of_its_rows() -> None:
    split = Reader(Batch).split(b'{"data": [ { "batchId": 1 } , null ]}')
    assert [bytes(raw) for raw in split.rows] == [b'{ "batchId": 1 }', b"null"]
    assert split.summary is None


def test_rows_of_a_split_page_are_read_as_those_of_a_whole_one() -> None:
    body = body_of(GOOD, BAD, LENIENT, {"batchId": "4", "succeeded": [{"$type": "new"}, {"invoiceId": "i"}]})
    reader = Reader(Batch)
    split = reader.split(body)
    assert [reader.row(raw, index, None) for index, raw in enumerate(split.rows)] == reader.page(body, None).rows


def test_one_object() -> None:
    assert Reader(Batch).one(b'{"summary": {}, "data": {"batchId": "1"}}', None) == Batch(batch_id="1")
    assert Reader(Batch).one(b'{"data": {"batchId": 1}}', None) == Batch(batch_id="1")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"data": {"batchId": []}}', "$.data.batchId"),
        (b'{"data": null}', "$.data"),
        (b'{"data": [{"batchId": "1"}]}', "$.data"),
        (b'{"batchId": "1"}', "$"),
        (b'{"data": {"batchId": "1", "succeeded": [{"$type": "invoiceSuccess"}]}}', "$.data.succeeded[0]"),
    ],
)
def test_what_is_not_the_one_object_is_an_error_that_names_the_place(body: bytes, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Reader(Batch).one(body, None)
    assert caught.value.path == path
    assert caught.value.body == body


def test_an_answer_without_an_envelope() -> None:
    assert Reader(Batch).bare(b'{"batchId": 1}', None) == Batch(batch_id="1")
    for body, path in ((b'{"batchId": []}', "$.batchId"), (b"[]", "$"), (b'{"batchId": ', None), (b"pong", None)):
        with pytest.raises(DecodeError) as caught:
            Reader(Batch).bare(body, None)
        assert caught.value.path == path
        assert caught.value.body == body


def test_what_a_user_s_own_request_asks_for() -> None:
    body = b'{"data": [{"batchId": 1, "succeeded": [{"$type": "new"}, {"invoiceId": "i"}]}]}'
    batch = Batch(
        batch_id="1", succeeded=(UnknownEntry(type="new", raw=b'{"$type": "new"}'), InvoiceSuccess(invoice_id="i"))
    )
    assert Reader(list[Batch]).one(body, None) == [batch]
    assert Reader(dict[str, int]).one(b'{"data": {"a": 1}}', None) == {"a": 1}
    assert Reader(RawValue).one(b'{"data": {"a": 1}}', None) == RawValue(raw=b'{"a": 1}')
    assert Reader(Invoice | None).one(b'{"data": null}', None) is None  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a union is no type to them


def test_types_that_cannot_be_taught_are_refused_when_the_reader_is_made() -> None:
    with pytest.raises(ConfigurationError, match="the same tag"):
        Reader(Batch, entry_types=(PaymentSuccess, PaymentSuccess))
    with pytest.raises(ConfigurationError, match="the same tag"):
        Reader(Invoice, entry_types=(InvoiceSuccess,))


def test_a_taught_type_is_read_by_its_own_client_alone() -> None:
    body = body_of({"batchId": "1", "succeeded": [{"$type": "paymentSuccess", "paymentId": "p"}]})
    taught, other = Reader(Batch, entry_types=(PaymentSuccess,)), Reader(Batch)
    assert [row.succeeded for row in taught.page(body, None).rows if isinstance(row, Batch)] == [
        (PaymentSuccess(payment_id="p"),)
    ]
    assert [type(row.succeeded[0]) for row in other.page(body, None).rows if isinstance(row, Batch)] == [UnknownEntry]


# Drift

MEMBER = Drift(kind="member", path="$.data[...].new", found="new")
VALUE = Drift(kind="value", path="$.data[...].type", found="NEW")
TAG = Drift(kind="type", path="$.data[...].succeeded[...].$type", found="new")
NUMBER = Drift(kind="leniency", path="$.data[...].batchId", found="a number taken as text")


def drift_of(body: bytes, *types: type[SucceededEntry]) -> list[Drift]:
    drifts: list[Drift] = []
    Reader(Batch, entry_types=types).page(body, drifts.append)
    return drifts


def test_a_page_as_documented_is_no_drift() -> None:
    assert drift_of(body_of(GOOD, {"batchId": "2", "succeeded": [{"$type": "invoiceSuccess", "invoiceId": "i"}]})) == []


OTHER = Drift(kind="member", path="$.data[...].other", found="other")


def test_unknown_members_are_told_of_every_row() -> None:
    assert drift_of(body_of({**GOOD, "new": 1}, {**GOOD, "other": 1})) == [MEMBER, OTHER]
    assert drift_of(body_of(*[GOOD] * 50, {**GOOD, "new": 1})) == [MEMBER]
    entry = {"$type": "invoiceSuccess", "invoiceId": "i", "new": 1}
    assert drift_of(body_of(GOOD, {**GOOD, "succeeded": [entry]})) == [
        Drift(kind="member", path="$.data[...].succeeded[...].new", found="new")
    ]


def test_unknown_members_are_told_on_each_page_and_only_where_they_are() -> None:
    reader = Reader(Batch)
    reader.page(body_of({**GOOD, "new": 1, "other": 1}), None)
    for rows, told in (
        ([{**GOOD, "new": 1}], [MEMBER]),
        ([GOOD, {**GOOD, "other": 1}], [OTHER]),
        ([GOOD], []),
        ([GOOD, {**GOOD, "new": None}], [MEMBER]),
    ):
        drifts: list[Drift] = []
        reader.page(body_of(*rows), drifts.append)
        assert drifts == told


def test_unknown_values_are_looked_for_in_every_row() -> None:
    assert drift_of(body_of(GOOD, GOOD, {**GOOD, "type": "NEW"})) == [VALUE]
    entry = {"$type": "paymentSuccess", "paymentId": "p", "way": "CASH"}
    assert drift_of(body_of(GOOD, {"batchId": "2", "succeeded": [entry]}), PaymentSuccess) == [
        Drift(kind="value", path="$.data[...].succeeded[...].way", found="CASH")
    ]


def test_unknown_tags_are_looked_for_in_every_row_and_told_again_on_later_pages() -> None:
    body = body_of(GOOD, GOOD, {**GOOD, "succeeded": [{"$type": "new"}, {"$type": "new"}]})
    drifts: list[Drift] = []
    reader = Reader(Batch)
    for _ in range(2):
        reader.page(body, drifts.append)
    assert drifts == [TAG, TAG]


def test_leniencies_are_told_with_the_rest_row_by_row() -> None:
    rows = (
        {**LENIENT, "new": 1},
        {**GOOD, "type": "NEW", "succeeded": [{"$type": "new"}], "other": 1},
    )
    drifts = drift_of(body_of(*rows))
    assert drifts == [NUMBER, MEMBER, TAG, OTHER, VALUE]
    reader, told = Reader(Batch), list[Drift]()
    for index, raw in enumerate(reader.split(body_of(*rows)).rows):
        reader.row(raw, index, told.append)
    assert told == drifts


def test_a_row_that_is_set_aside_is_no_drift() -> None:
    drifts = drift_of(body_of(BAD, {**BAD, "batchId": 3, "type": "NEW"}))
    assert drifts == []


HALF = json.dumps({**GOOD, "createdBy": "Kari \ud83d", "note": "\ude00"})


@pytest.mark.parametrize("other", [GOOD, LENIENT, BAD], ids=["strict", "lenient", "invalid"])
def test_half_a_character_in_one_row_loses_neither_the_row_nor_the_page(other: dict[str, object]) -> None:
    told: list[Drift] = []
    body = body_of(other, 1).replace(b" 1]", f" {HALF}]".encode())
    page = Reader(Batch).page(body, told.append)
    assert page.summary == Summary(next_page_token="t")  # a page token
    assert len(page.rows) == 2
    row = page.rows[1]
    assert isinstance(row, Batch)
    assert (row.created_by, row.extra["note"]) == ("Kari \ufffd", "\ufffd")
    assert encode(row).endswith('"note":"\ufffd"}'.encode())
    assert ("leniency", "$", "half a character, or a byte order mark") in {
        (each.kind, each.path, each.found) for each in told
    }
    assert Reader(Batch).page(body, None).rows[1] == row


@pytest.mark.parametrize("before", ["", "\ufeff"])
def test_single_objects_are_mended_too_with_an_envelope_and_without(before: str) -> None:
    for mend in (HALF, before + json.dumps(GOOD)):
        told: list[Drift] = []
        with_envelope = f'{before}{{"data": {mend.removeprefix(before)}}}'
        read = [Reader(Batch).one(with_envelope.encode(), told.append), Reader(Batch).bare(mend.encode(), told.append)]
        assert [each.batch_id for each in read] == ["1", "1"]
        assert Reader(Batch).bare(mend.encode(), None) == read[1]
    assert decode(HALF, Batch).created_by == "Kari \ufffd"


def test_what_cannot_be_mended_is_told_as_what_it_was() -> None:
    with pytest.raises(DecodeError, match="the answer is not JSON"):
        Reader(Batch).one(b'{"data": "\\ud83d" x}', None)
    with pytest.raises(DecodeError, match="the answer does not fit"):
        decode('["\\ud83d"]', Batch)
    with pytest.raises(DecodeError, match="the answer does not fit"):
        decode('{"batchId": "\ud83d"}', Batch)  # half a character that is not even written as an escape


def test_the_drift_of_a_single_object_is_told_from_the_envelope_on() -> None:
    drifts: list[Drift] = []
    Reader(Batch).one(b'{"summary": {"status": 1}, "data": {"batchId": 1, "type": "NEW", "new": 1}}', drifts.append)
    assert drifts == [
        Drift(kind="leniency", path="$.summary.status", found="a number taken as text"),
        Drift(kind="leniency", path="$.data.batchId", found="a number taken as text"),
        Drift(kind="member", path="$.data.new", found="new"),
        Drift(kind="value", path="$.data.type", found="NEW"),
    ]
    drifts.clear()
    Reader(Batch).bare(b'{"batchId": "1", "new": 1}', drifts.append)
    assert drifts == [Drift(kind="member", path="$.new", found="new")]


def test_a_page_told_as_null_is_drift() -> None:
    assert drift_of(b'{"data": null}') == [Drift(kind="leniency", path="$.data", found="null taken as an empty list")]


def test_what_was_found_is_cut() -> None:
    (drift,) = drift_of(body_of({**GOOD, "type": "x" * 1000}))
    assert drift.found == "x" * MAX_FOUND


def fail(*_: object) -> None:
    pytest.fail("looked for drift")


def test_where_nobody_listens_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(Batch)
    monkeypatch.setattr(Places, "report", fail)
    reader.page(body_of({**GOOD, "new": 1, "type": "NEW", "succeeded": [{"$type": "new"}]}), None)
    reader.row(b'{"batchId": "1", "new": 1}', 0, None)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["batchId", "status", "succeeded", "failed", "$type", "invoiceId", "createdAt", "x"]), inner
        )
    ),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=4))
def test_any_rows_are_read_or_set_aside_and_none_is_lost(rows: list[Any]) -> None:
    check_that_none_is_lost(rows)


@pytest.mark.fuzz
@settings(max_examples=2_000, deadline=None)
@given(st.lists(JSON, max_size=6))
def test_many_rows_are_read_or_set_aside_and_none_is_lost(rows: list[Any]) -> None:
    check_that_none_is_lost(rows)


def check_that_none_is_lost(rows: list[Any]) -> None:
    reader = Reader(Batch, entry_types=(PaymentSuccess,))
    drifts: list[Drift] = []
    heard = reader.page(body_of(*rows), drifts.append)
    silent = Reader(Batch, entry_types=(PaymentSuccess,)).page(body_of(*rows), None)
    assert len(heard.rows) == len(rows)
    assert heard.rows == silent.rows
    assert heard.quarantined == sum(isinstance(row, QuarantinedRow) for row in heard.rows)
    for row, given_as in zip(heard.rows, rows, strict=True):
        if isinstance(row, QuarantinedRow):
            assert msgspec.json.decode(row.raw) == given_as
        else:
            assert len(row.succeeded) == len(given_as.get("succeeded") or ())
            assert len(row.failed) == len(given_as.get("failed") or ())


def test_a_page_is_what_it_says() -> None:
    page: DecodedPage[Batch] = Reader(Batch).page(body_of(), None)
    assert page == DecodedPage(summary=Summary(next_page_token="t"), rows=[], quarantined=0)  # a page token


@pytest.mark.parametrize("lax", ["", ',"closedAt":"2026-01-01"'])
def test_members_of_a_currency_that_is_an_object_are_kept_and_are_no_news(lax: str) -> None:
    reader, told = Reader(Case), list[Drift]()
    row = f'{{"caseId":"c","invoices":[{{"invoiceId":"i","currency":{{"code":"NOK","digits":2}}}}]{lax}}}'
    for _ in range(2):  # the second time they are known
        page = reader.page(f'{{"data":[{row}]}}'.encode(), told.append)
        (case,) = page.rows
        assert isinstance(case, Case)
        assert case.invoices[0].currency == Currency(extra={"code": "NOK", "digits": 2})
    assert [drift for drift in told if drift.kind == "member"] == []


@pytest.mark.parametrize(
    ("written", "kind", "twice"),
    [
        (
            '{"invoiceNumber": "1", "originalInvoiceAmount": 1, "originalInvoiceAmount": 1000}',
            NewInvoice,
            "originalInvoiceAmount",
        ),
        (
            '[{"invoiceNumber": "1", "originalInvoiceAmount": 1, "extra": {"fee": 1, "fee": 2}}]',
            list[NewInvoice],
            "fee",
        ),
    ],
)
def test_what_is_to_be_sent_has_no_member_twice(written: str, kind: Any, twice: str) -> None:
    with pytest.raises(DecodeError, match=f"'{twice}' is there twice") as caught:
        decode(written, kind)
    assert caught.value.path == "$"
    assert decode('{"id": "1", "id": "2"}', Invoice).id == "2"  # what was received is kept as every reader has it


@pytest.mark.parametrize("kind", [NewInvoice, list[NewInvoice]])
def test_what_is_to_be_sent_is_not_mended(kind: Any) -> None:
    written = '{"invoiceNumber": "\\ud83d", "originalInvoiceAmount": 1}'
    with pytest.raises(DecodeError, match="the answer is not JSON"):
        decode(f"[{written}]" if kind is not NewInvoice else written, kind)


@pytest.mark.parametrize("met", [False, True])
def test_what_stands_beside_the_rows_is_not_nested_without_end_where_it_is_known_from_pages_before(
    *, met: bool
) -> None:
    reader = Reader(Batch)
    if met:
        assert reader.page(b'{"data":[],"news":[1]}', None).extra == {"news": [1]}
    with pytest.raises(DecodeError, match="nested at most 100 deep"):
        reader.page(b'{"data":[],"news":' + b"[" * 150 + b"]" * 150 + b"}", None)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"data":[{"batchId":"b"}],"news":1}', "$.news"),
        (b'{"news":{"a":[1.50]},"data":[{"batchId":"b"}]}', "$.news"),
        (b'{"summary":{"news":1},"data":[{"batchId":"b"}]}', "$.summary.news"),
    ],
)
@pytest.mark.parametrize("kind", [Batch, RawValue, list[Batch]])
def test_a_page_with_news_beside_its_rows_is_read_whole_once_it_was_met(kind: Any, body: bytes, path: str) -> None:
    if kind == list[Batch]:
        body = body.replace(b'{"batchId":"b"}', b'[{"batchId":"b"}]')
    reader: Reader[Any] = Reader(kind)
    told: list[Drift] = []
    assert reader.whole(body, None) is None
    first = reader.page(body, told.append)
    page = reader.whole(body, told.append)
    assert page is not None
    assert (page.summary, page.data, page.extra) == (first.summary, first.rows, first.extra)
    assert [(drift.kind, drift.path) for drift in told] == [("member", path)] * 2
