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

from amili_async import Batch, FailedEntry, InvoiceSuccess, SucceededEntry, UnknownEntry, encode
from amili_async._decoding.batches import TRY_AGAIN, BatchRows
from amili_async._decoding.drift import Findings
from amili_async._decoding.entries import EntryReader
from amili_async._decoding.placeholders import MAX_LEARNT, MAX_TAG_LENGTH
from amili_async._decoding.shapes import Shapes
from amili_async.models._batches import json_of_failed, types_by_tag
from tests.support.recorded_drift import RecordedDrift

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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


def rows_of(*entry_types: type[SucceededEntry]) -> BatchRows[Batch]:
    return BatchRows(Batch, entry_types, Shapes())


def read(rows: BatchRows[Batch], body: bytes | bytearray) -> list[Batch]:
    """Return the batches of a page, read as `Reader` does: whole if possible, else one by one."""
    try:
        return rows.page(body, None).data
    except msgspec.ValidationError:
        return [rows.row(raw, None) for raw in msgspec.json.decode(body, type=dict[str, list[msgspec.Raw]])["data"]]


def entries_of(rows: Sequence[Batch]) -> list[SucceededEntry]:
    return [entry for row in rows for entry in row.succeeded]


@pytest.mark.parametrize(
    "entry", [INVOICE, tag_last(INVOICE), without_tag(INVOICE)], ids=["tag first", "tag last", "no tag"]
)
def test_the_tag_may_stand_anywhere_or_be_missing(entry: dict[str, Any]) -> None:
    for rows in (rows_of(), rows_of(PaymentSuccess)):
        for _ in range(2):
            found = read(rows, page(batch(entry)))
            assert entries_of(found) == [READ_INVOICE]
            assert rows.row(batch(entry), None).succeeded == (READ_INVOICE,)


def test_a_type_that_was_taught_is_read_and_under_another_client_it_is_not() -> None:
    body = page(batch(PAYMENT, INVOICE))
    taught, untaught = rows_of(PaymentSuccess), rows_of()
    for _ in range(2):
        assert entries_of(read(taught, body)) == [READ_PAYMENT, READ_INVOICE]
        assert entries_of(read(untaught, body)) == [
            UnknownEntry(type="paymentSuccess", raw=json.dumps(PAYMENT).encode()),
            READ_INVOICE,
        ]


def test_an_unknown_type_is_kept_whole_on_the_page_that_brings_it_and_on_later_ones() -> None:
    rows = rows_of()
    for number in range(3):
        new = {"x": [1, {"$type": "invoiceSuccess"}], "$type": "new", "n": number}
        found = read(rows, page(batch(INVOICE), batch(INVOICE, new), batch()))
        assert [row.succeeded for row in found] == [
            (READ_INVOICE,),
            (READ_INVOICE, UnknownEntry(type="new", raw=json.dumps(new).encode())),
            (),
        ]


def test_a_page_that_is_mostly_unknown() -> None:
    rows = rows_of()
    body = page(*(batch({"$type": f"new {number % 3}", "n": number}, number=number) for number in range(9)))
    for _ in range(2):
        found = read(rows, body)
        assert entries_of(found) == [
            UnknownEntry(type=f"new {number % 3}", raw=json.dumps({"$type": f"new {number % 3}", "n": number}).encode())
            for number in range(9)
        ]


def test_entries_without_a_tag_are_read_after_unknown_tags_were_learnt() -> None:
    rows = rows_of()
    read(rows, page(batch({"$type": "new"})))
    for _ in range(2):
        assert entries_of(read(rows, page(batch(without_tag(INVOICE))))) == [READ_INVOICE]
    assert entries_of(read(rows, page(batch(INVOICE)))) == [READ_INVOICE]
    assert entries_of(read(rows, page(batch({"$type": "new"})))) == [UnknownEntry(type="new", raw=b'{"$type": "new"}')]
    assert entries_of(read(rows, page(batch({"$type": "newer"})))) == [
        UnknownEntry(type="newer", raw=b'{"$type": "newer"}')
    ]


def test_a_page_without_tags_is_read_whole_where_only_one_type_can_be_meant() -> None:
    rows = rows_of(PaymentSuccess)
    assert entries_of(read(rows, page(batch(without_tag(INVOICE)), batch(without_tag(INVOICE))))) == [READ_INVOICE] * 2


@pytest.mark.parametrize(
    "entries",
    [
        (without_tag(PAYMENT), without_tag(INVOICE)),
        (without_tag(INVOICE), {"$type": "new"}),
        (INVOICE, without_tag(INVOICE), {"$type": "new"}),
        (INVOICE, None),
    ],
)
def test_entries_with_and_without_a_tag_side_by_side_are_read_one_by_one(entries: tuple[object, ...]) -> None:
    rows = rows_of(PaymentSuccess)
    for _ in range(2):
        (row,) = rows.page(page(batch(*entries)), None).data
        assert rows.row(batch(*entries), None) == row
        assert len(row.succeeded) == len(entries)
        known = {"i": READ_INVOICE, "p": READ_PAYMENT}
        for entry, given_as in zip(row.succeeded, entries, strict=True):
            if isinstance(given_as, dict) and "invoiceId" in given_as:
                assert entry == known["p" if "paymentId" in given_as else "i"]
            else:
                assert isinstance(entry, UnknownEntry)
                assert entry.raw == json.dumps(given_as).encode()


def test_the_tags_are_tried_again_after_some_pages_that_were_read_entry_by_entry() -> None:
    rows = rows_of(PaymentSuccess)
    rows.page(page(batch(INVOICE, None)), None)
    assert str(rows.way) == "entries"
    for _ in range(TRY_AGAIN + 1):
        assert entries_of(rows.page(page(batch(INVOICE)), None).data) == [READ_INVOICE]
    assert str(rows.way) == "tags"


def test_a_server_that_makes_up_tags_does_not_fill_the_memory_and_is_read_in_one_pass_up_to_the_entries() -> None:
    rows = rows_of()
    for number in range(MAX_LEARNT):
        read(rows, page(batch({"$type": f"tag {number}"})))
    for number in range(3):
        entry = {"$type": f"one more {number}"}
        (row,) = rows.page(page(batch(INVOICE, entry)), None).data
        assert row.succeeded == (READ_INVOICE, UnknownEntry(type=entry["$type"], raw=json.dumps(entry).encode()))
        assert rows.row(batch(entry), None).succeeded == row.succeeded[1:]


def test_a_tag_too_long_to_be_learnt_is_read_entry_by_entry() -> None:
    rows, tag = rows_of(), "x" * (MAX_TAG_LENGTH + 1)
    rows.row(batch({"$type": tag}), None)
    assert rows.page(page(batch({"$type": tag})), None).data[0].succeeded[0] == UnknownEntry(
        type=tag, raw=json.dumps({"$type": tag}).encode()
    )


def test_failed_entries_are_counted_whatever_they_are() -> None:
    body = b'{"batchId":"b","failed":[null,{},{"message":"no"}]}'
    expected = (
        FailedEntry(raw=b"null"),
        FailedEntry(raw=b"{}"),
        FailedEntry(raw=b'{"message":"no"}'),
    )
    rows = rows_of()
    assert read(rows, page(body))[0].failed == expected
    assert rows.row(body, None).failed == expected
    assert rows.row(body.replace(b'"b"', b"5"), None).failed == expected


class Person(SucceededEntry, tag="person", frozen=True, kw_only=True):
    name: str
    age: int | None = None


class Company(SucceededEntry, tag="company", frozen=True, kw_only=True):
    name: str
    number: str


class Place(SucceededEntry, tag="place", frozen=True, kw_only=True):
    number: str
    town: str | None = None


MEMBERS = {name: st.text(max_size=2) for name in ("name", "number", "town", "news")} | {"age": st.integers()}
ALIKE = st.sets(st.sampled_from([*MEMBERS])).flatmap(
    lambda names: st.lists(st.fixed_dictionaries({name: MEMBERS[name] for name in sorted(names)}), max_size=3)
)
ANYHOW = st.lists(st.fixed_dictionaries({}, optional={**MEMBERS, "$type": st.just("new")}), max_size=3)


@given(st.lists(st.lists(ALIKE | ANYHOW, max_size=3), max_size=3))
def test_entries_without_tags_are_read_together_as_each_would_be_alone(pages: list[list[list[Any]]]) -> None:
    types = (Person, Company, Place)
    alone = EntryReader(types_by_tag(types))
    rows = rows_of(*types)
    for entries in pages:
        found = read(rows, page(*(batch(*those) for those in entries)))
        expected = [alone.read(json.dumps(one).encode(), "$", Findings()) for those in entries for one in those]
        assert entries_of(found) == expected


def test_batches_of_one_type_each_are_read_a_batch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    body = page(batch(*[without_tag(INVOICE)] * 2), batch(*[without_tag(PAYMENT)] * 2))
    rows = rows_of(PaymentSuccess)
    expected = [READ_INVOICE, READ_INVOICE, READ_PAYMENT, READ_PAYMENT]
    assert entries_of(read(rows, body)) == expected
    monkeypatch.delattr(BatchRows, "_read_entry")
    assert entries_of(read(rows, body)) == expected
    assert rows.way == "entries"


FAILURES = st.lists(
    st.none() | st.text() | st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=3), max_size=4
)


@given(FAILURES, st.sampled_from([None, 1]))
def test_what_failed_is_the_same_before_and_after_somebody_has_looked(
    failures: list[object], indent: int | None
) -> None:
    written = [json.dumps(failure, indent=indent).encode() for failure in failures]
    body = b'{"batchId":"b","failed":[ ' + b" , ".join(written) + b" ]}"
    expected = Batch(batch_id="b", failed=tuple(map(FailedEntry, written)))
    ways: list[Callable[[], Batch]] = [lambda: rows_of().row(body, None), lambda: read(rows_of(), page(body))[0]]
    for read_as in ways:
        looked_at = read_as()
        assert looked_at.failed == expected.failed
        assert looked_at.failed is looked_at.failed
        for found in (looked_at, read_as(), copy.deepcopy(read_as()), pickle.loads(pickle.dumps(read_as()))):  # noqa: S301  # our own bytes
            assert (encode(found), [*map(bytes, json_of_failed(found))]) == (encode(expected), written)
            assert (found, hash(found), repr(found)) == (expected, hash(expected), repr(expected))


def test_what_failed_may_be_null() -> None:
    rows = rows_of()
    body = page(batch(), b'{"batchId":"1","failed":null}', b'{"batchId":"2","failed":[null]}')
    for _ in range(2):
        assert [row.failed for row in read(rows, body)] == [(), (), (FailedEntry(b"null"),)]


def test_what_is_kept_raw_does_not_keep_the_page_alive() -> None:
    body = bytearray(page(batch(INVOICE, {"$type": "new"})).replace(b'"batchId"', b'"failed":[{}],"batchId"'))
    rows = rows_of()
    found = read(rows, body)
    body[:] = b" " * len(body)
    assert found[0].succeeded[1] == UnknownEntry(type="new", raw=b'{"$type": "new"}')
    assert found[0].failed == (FailedEntry(raw=b"{}"),)


def test_batches_are_plain_however_they_were_read() -> None:
    rows = rows_of(PaymentSuccess)
    body = batch(INVOICE, PAYMENT, {"$type": "new"})
    lenient = body.replace(b'"0"', b"0")
    found = [rows.row(body, None), rows.row(lenient, None), rows.row(body, None), *rows.page(page(body), None).data]
    assert {row.plain for row in found} == {Batch}
    assert all(row == found[0] for row in found)
    assert pickle.loads(pickle.dumps(found[0])) == found[0]  # noqa: S301  # our own bytes
    assert copy.deepcopy(found[0]) == found[0]


def test_a_batch_read_leniently_tells_of_it_only_where_that_helped() -> None:
    rows, drift = rows_of(), RecordedDrift()
    assert rows.row(b'{"batchId":5,"succeeded":null,"failed":{}}', drift) == Batch(batch_id="5")
    assert drift == [
        ("leniency", "$.batchId", "a number taken as text"),
        ("leniency", "$.succeeded", "null taken as absent"),
        ("leniency", "$.failed", "{} taken as absent"),
    ]
    drift.clear()
    with pytest.raises(msgspec.ValidationError):
        rows.row(b'{"batchId":5,"succeeded":[{"$type":"invoiceSuccess"}]}', drift)
    assert drift == []


def test_an_unknown_entry_is_told_beside_entries_without_a_type_too() -> None:
    rows, drift = rows_of(PaymentSuccess), RecordedDrift()
    untyped = [{name: value for name, value in entry.items() if name != "$type"} for entry in (INVOICE, PAYMENT)]
    (found,) = rows.page(page(batch(*untyped, {"$type": "new"})), drift).data
    assert found.succeeded == (READ_INVOICE, READ_PAYMENT, UnknownEntry(type="new", raw=b'{"$type": "new"}'))
    assert [told for told in drift if told[0] == "type"] == [("type", "$.succeeded[...].$type", "new")]


class MyBatch(Batch, frozen=True, kw_only=True):
    """A batch with a member that its user knows of."""

    priority: int = 0


def test_a_user_s_own_batch_holds_the_same_entries() -> None:
    rows = BatchRows(MyBatch, (PaymentSuccess,), Shapes())
    body = json.dumps({"batchId": "b", "priority": 3, "succeeded": [INVOICE, PAYMENT], "failed": [None]}).encode()
    for _ in range(2):
        (row,) = rows.page(page(body), None).data
        assert row == MyBatch(
            batch_id="b", priority=3, succeeded=(READ_INVOICE, READ_PAYMENT), failed=(FailedEntry(b"null"),)
        )
        assert type(row).__name__ == "MyBatch"
        new = rows.row(body.replace(b'"priority"', b'"new": 1, "priority"'), None)
        assert isinstance(new, MyBatch)
        assert (new.priority, new.extra) == (3, {"new": 1})


def test_a_page_that_failed_is_not_kept_alive_by_its_error() -> None:
    class Body(bytearray):
        """Bytes that can be watched."""

    gc.collect()
    gc.disable()
    try:
        body = Body(page(batch({"$type": "new"})))
        watched = weakref.ref(body)
        with suppress(msgspec.ValidationError):
            rows_of().page(body, None)
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


UNTAUGHT = InvoiceSuccess(invoice_id="i", extra={"paymentId": "p"})
"""What a payment without a tag is to a client that knows invoices alone."""


def expected(entry: dict[str, object] | str | None, *, taught: bool) -> SucceededEntry:
    """Return what an entry is read as, by the rule and by nothing that a decoder does."""
    raw = json.dumps(entry).encode()
    if not isinstance(entry, dict):
        return UnknownEntry(raw=raw)
    tag = entry.get("$type")
    if tag == "paymentSuccess" or (tag is None and "paymentId" in entry):
        if taught:
            return READ_PAYMENT
        return UnknownEntry(type="paymentSuccess", raw=raw) if tag else UNTAUGHT
    if tag == "invoiceSuccess" or (tag is None and "invoiceId" in entry):
        return READ_INVOICE
    return UnknownEntry(type=tag if isinstance(tag, str) else None, raw=raw)


@given(pages=PAGES, taught=st.booleans())
def test_any_mixture_is_read_by_the_rule_in_whatever_order_pages_come(*, pages: Mixture, taught: bool) -> None:
    check_by_the_rule(pages, taught=taught)


@pytest.mark.fuzz
@settings(max_examples=2_000, deadline=None)
@given(pages=PAGES, taught=st.booleans())
def test_many_mixtures_are_read_by_the_rule(*, pages: Mixture, taught: bool) -> None:
    check_by_the_rule(pages, taught=taught)


def check_by_the_rule(pages: Mixture, *, taught: bool) -> None:
    rows = rows_of(*((PaymentSuccess,) if taught else ()))
    for batches in pages:
        bodies = [batch(*entries, number=number) for number, entries in enumerate(batches)]
        found = read(rows, page(*bodies))
        assert [list(row.succeeded) for row in found] == [
            [expected(entry, taught=taught) for entry in entries] for entries in batches
        ]
