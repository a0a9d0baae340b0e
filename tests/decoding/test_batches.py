"""Pages of batches whose entries have a tag first, last, missing, unknown, or all of that at once."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amili_async import Batch, FailedEntry, InvoiceSuccess, SucceededEntry, UnknownEntry
from amili_async._decoding.batches import BatchRows
from amili_async._decoding.placeholders import MAX_LEARNT
from tests.support.recorded_drift import RecordedDrift

if TYPE_CHECKING:
    from collections.abc import Sequence


class PaymentSuccess(SucceededEntry, tag="paymentSuccess", frozen=True, kw_only=True):
    invoice_id: str
    payment_id: str


INVOICE: dict[str, Any] = {"$type": "invoiceSuccess", "invoiceId": "i", "invoiceNumber": "n", "caseId": "c"}
PAYMENT: dict[str, Any] = {"$type": "paymentSuccess", "invoiceId": "i", "paymentId": "p"}
READ_INVOICE = InvoiceSuccess(invoice_id="i", invoice_number="n", case_id="c")
READ_PAYMENT = PaymentSuccess(invoice_id="i", payment_id="p")


def without_tag(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "$type"}


def tag_last(entry: dict[str, Any]) -> dict[str, Any]:
    return {**without_tag(entry), "$type": entry["$type"]}


def batch(*entries: object, number: int = 0) -> bytes:
    return json.dumps({"batchId": str(number), "succeeded": entries}).encode()


def page(*batches: bytes) -> bytes:
    return b'{"data":[' + b",".join(batches) + b"]}"


def entries_of(rows: Sequence[Batch]) -> list[SucceededEntry]:
    return [entry for row in rows for entry in row.succeeded]


@pytest.mark.parametrize(
    "entry", [INVOICE, tag_last(INVOICE), without_tag(INVOICE)], ids=["tag first", "tag last", "no tag"]
)
def test_the_tag_may_stand_anywhere_or_be_missing(entry: dict[str, Any]) -> None:
    for rows in (BatchRows(()), BatchRows((PaymentSuccess,))):
        for _ in range(2):
            _, read = rows.page(page(batch(entry)), None)
            assert entries_of(read) == [READ_INVOICE]
            assert rows.row(batch(entry), None).succeeded == (READ_INVOICE,)


def test_a_type_that_was_taught_is_read_and_under_another_client_it_is_not() -> None:
    body = page(batch(PAYMENT, INVOICE))
    taught, untaught = BatchRows((PaymentSuccess,)), BatchRows(())
    for _ in range(2):
        assert entries_of(taught.page(body, None)[1]) == [READ_PAYMENT, READ_INVOICE]
        assert entries_of(untaught.page(body, None)[1]) == [
            UnknownEntry(type="paymentSuccess", raw=json.dumps(PAYMENT).encode()),
            READ_INVOICE,
        ]


def test_an_unknown_type_is_kept_whole_on_the_page_that_brings_it_and_on_later_ones() -> None:
    rows = BatchRows(())
    for number in range(3):
        new = {"x": [1, {"$type": "invoiceSuccess"}], "$type": "new", "n": number}
        _, read = rows.page(page(batch(INVOICE), batch(INVOICE, new), batch()), None)
        assert [row.succeeded for row in read] == [
            (READ_INVOICE,),
            (READ_INVOICE, UnknownEntry(type="new", raw=json.dumps(new).encode())),
            (),
        ]


def test_a_page_that_is_mostly_unknown() -> None:
    rows = BatchRows(())
    body = page(*(batch({"$type": f"new {number % 3}", "n": number}, number=number) for number in range(9)))
    for _ in range(2):
        _, read = rows.page(body, None)
        assert entries_of(read) == [
            UnknownEntry(type=f"new {number % 3}", raw=json.dumps({"$type": f"new {number % 3}", "n": number}).encode())
            for number in range(9)
        ]


def test_entries_without_a_tag_are_read_after_unknown_tags_were_learnt() -> None:
    rows = BatchRows(())
    rows.page(page(batch({"$type": "new"})), None)
    for _ in range(2):
        assert entries_of(rows.page(page(batch(without_tag(INVOICE))), None)[1]) == [READ_INVOICE]
    assert entries_of(rows.page(page(batch(INVOICE)), None)[1]) == [READ_INVOICE]
    assert entries_of(rows.page(page(batch({"$type": "new"})), None)[1]) == [
        UnknownEntry(type="new", raw=b'{"$type": "new"}')
    ]
    assert entries_of(rows.page(page(batch({"$type": "newer"})), None)[1]) == [
        UnknownEntry(type="newer", raw=b'{"$type": "newer"}')
    ]


def test_a_page_without_tags_is_read_whole_where_only_one_type_can_be_meant() -> None:
    rows = BatchRows((PaymentSuccess,))
    assert (
        entries_of(rows.page(page(batch(without_tag(INVOICE)), batch(without_tag(INVOICE))), None)[1])
        == [READ_INVOICE] * 2
    )


@pytest.mark.parametrize(
    "entries",
    [
        (without_tag(PAYMENT), without_tag(INVOICE)),
        (without_tag(INVOICE), {"$type": "new"}),
        (INVOICE, without_tag(INVOICE), {"$type": "new"}),
        (INVOICE, None),
    ],
)
def test_what_no_decoder_reads_whole_is_left_to_be_read_entry_by_entry(entries: tuple[object, ...]) -> None:
    rows = BatchRows((PaymentSuccess,))
    for _ in range(2):
        with pytest.raises(msgspec.ValidationError):
            rows.page(page(batch(*entries)), None)
        with pytest.raises(msgspec.ValidationError):
            rows.row(batch(*entries), None)
    read = {"i": READ_INVOICE, "p": READ_PAYMENT}
    found = rows.bent(batch(*entries), None).succeeded
    assert len(found) == len(entries)
    for entry, given_as in zip(found, entries, strict=True):
        if isinstance(given_as, dict) and "invoiceId" in given_as:
            assert entry == read["p" if "paymentId" in given_as else "i"]
        else:
            assert isinstance(entry, UnknownEntry)
            assert entry.raw == json.dumps(given_as).encode()


def test_a_server_that_makes_up_tags_is_read_slowly_and_does_not_fill_the_memory() -> None:
    rows = BatchRows(())
    for number in range(MAX_LEARNT):
        rows.page(page(batch({"$type": f"tag {number}"})), None)
    with pytest.raises(msgspec.ValidationError):
        rows.page(page(batch({"$type": "one more"})), None)
    with pytest.raises(msgspec.ValidationError):
        rows.row(batch({"$type": "one more"}), None)
    assert rows.bent(batch({"$type": "one more"}), None).succeeded == (
        UnknownEntry(type="one more", raw=b'{"$type": "one more"}'),
    )


def test_failed_entries_are_counted_whatever_they_are() -> None:
    body = b'{"batchId":"b","failed":[null,{},{"message":"no"}]}'
    expected = (
        FailedEntry(raw=b"null"),
        FailedEntry(raw=b"{}"),
        FailedEntry(raw=b'{"message":"no"}', message="no"),
    )
    rows = BatchRows(())
    assert rows.page(page(body), None)[1][0].failed == expected
    assert rows.row(body, None).failed == expected
    assert rows.bent(body, None).failed == expected


def test_what_is_kept_raw_does_not_keep_the_page_alive() -> None:
    body = bytearray(page(batch(INVOICE, {"$type": "new"})).replace(b'"batchId"', b'"failed":[{}],"batchId"'))
    rows = BatchRows(())
    _, read = rows.page(body, None)
    body[:] = b" " * len(body)
    assert read[0].succeeded[1] == UnknownEntry(type="new", raw=b'{"$type": "new"}')
    assert read[0].failed == (FailedEntry(raw=b"{}"),)


def test_batches_are_plain_however_they_were_read() -> None:
    rows = BatchRows((PaymentSuccess,))
    body = batch(INVOICE, PAYMENT, {"$type": "new"})
    read = [rows.row(body, None), rows.bent(body, None), *rows.page(page(body), None)[1]]
    assert {type(row) for row in read} == {Batch}
    assert all(row == read[0] for row in read)
    assert pickle.loads(pickle.dumps(read[0])) == read[0]  # noqa: S301  # our own bytes
    assert copy.deepcopy(read[0]) == read[0]


def test_a_bent_batch_tells_of_it_only_where_that_helped() -> None:
    rows, drift = BatchRows(()), RecordedDrift()
    assert rows.bent(b'{"batchId":5,"succeeded":null,"failed":{}}', drift) == Batch(batch_id="5")
    assert drift == [
        ("leniency", "$.batchId", "a number taken as text"),
        ("leniency", "$.succeeded", "null taken as absent"),
        ("leniency", "$.failed", "{} taken as absent"),
    ]
    drift.clear()
    with pytest.raises(msgspec.ValidationError):
        rows.bent(b'{"batchId":5,"succeeded":[{"$type":"invoiceSuccess"}]}', drift)
    assert drift == []


def test_a_page_that_failed_is_not_kept_alive_by_its_error() -> None:
    class Body(bytearray):
        """Bytes that can be watched."""

    gc.collect()
    gc.disable()
    try:
        body = Body(page(batch(None)))
        watched = weakref.ref(body)
        with suppress(msgspec.ValidationError):
            BatchRows(()).page(body, None)
        del body
        assert watched() is None
    finally:
        gc.enable()


ENTRY = st.sampled_from(
    [
        INVOICE,
        tag_last(INVOICE),
        without_tag(INVOICE),
        PAYMENT,
        without_tag(PAYMENT),
        {"$type": "new", "invoiceId": "i"},
        {"x": 1, "$type": "newer"},
        {"$type": None, **without_tag(INVOICE)},
        {},
        None,
        "text",
    ]
)
Mixture: TypeAlias = "list[list[list[dict[str, object] | str | None]]]"
"""Pages of batches of entries."""

PAGES = st.lists(st.lists(st.lists(ENTRY, max_size=4), max_size=4), max_size=4)


def expected(entry: dict[str, object] | str | None, *, taught: bool) -> SucceededEntry:
    """Return what an entry is read as, by the rule and by nothing that a decoder does."""
    raw = json.dumps(entry).encode()
    if not isinstance(entry, dict):
        return UnknownEntry(raw=raw)
    tag = entry.get("$type")
    if tag == "paymentSuccess" or (tag is None and "paymentId" in entry):
        if taught:
            return READ_PAYMENT
        return UnknownEntry(type="paymentSuccess", raw=raw) if tag else InvoiceSuccess(invoice_id="i")
    if tag == "invoiceSuccess" or (tag is None and "invoiceId" in entry):
        return READ_INVOICE
    return UnknownEntry(type=tag if isinstance(tag, str) else None, raw=raw)


def one_by_one(rows: BatchRows, body: bytes) -> Batch:
    try:
        return rows.row(body, None)
    except msgspec.ValidationError:
        return rows.bent(body, None)


@given(pages=PAGES, taught=st.booleans())
def test_any_mixture_is_read_by_the_rule_in_whatever_order_pages_come(*, pages: Mixture, taught: bool) -> None:
    check_by_the_rule(pages, taught=taught)


@pytest.mark.fuzz
@settings(max_examples=2_000, deadline=None)
@given(pages=PAGES, taught=st.booleans())
def test_many_mixtures_are_read_by_the_rule(*, pages: Mixture, taught: bool) -> None:
    check_by_the_rule(pages, taught=taught)


def check_by_the_rule(pages: Mixture, *, taught: bool) -> None:
    rows = BatchRows((PaymentSuccess,) if taught else ())
    for batches in pages:
        bodies = [batch(*entries, number=number) for number, entries in enumerate(batches)]
        try:
            _, read = rows.page(page(*bodies), None)
        except msgspec.ValidationError:
            read = [one_by_one(rows, body) for body in bodies]
        assert [list(row.succeeded) for row in read] == [
            [expected(entry, taught=taught) for entry in entries] for entries in batches
        ]
