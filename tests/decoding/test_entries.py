"""Entries one by one: by their tag, and where they have none, by their members."""

from __future__ import annotations

import msgspec
import pytest

from amili_async import InvoiceSuccess, OpenEnum, SucceededEntry, UnknownEntry
from amili_async._decoding.entries import Entries, EntryReader
from amili_async.models._entries import types_by_tag
from tests.support.recorded_drift import RecordedDrift


class Kind(OpenEnum):
    PART = "PART"


class Payment(SucceededEntry, tag="payment", frozen=True, kw_only=True):
    invoice_id: str
    payment_id: str
    kind: Kind | None = None


class Correction(SucceededEntry, tag="correction", frozen=True, kw_only=True):
    invoice_id: str
    amount: int | None = None


class DriftReporter(SucceededEntry, tag="note", frozen=True, kw_only=True):
    text: str = ""


READER = EntryReader(types_by_tag((Payment, Correction, DriftReporter)))


def read(*raws: bytes) -> tuple[tuple[SucceededEntry, ...], RecordedDrift]:
    drift = RecordedDrift()
    entries = READER.read_all(tuple(msgspec.Raw(raw) for raw in raws), drift)
    return entries, drift


@pytest.mark.parametrize(
    "raw",
    [
        b'{"$type":"payment","invoiceId":"i","paymentId":"p"}',
        b'{"invoiceId":"i","paymentId":"p","$type":"payment"}',
        b'{"invoiceId":"i","$type":"\\u0070ayment","paymentId":"p","new":1}',
    ],
)
def test_the_tag_decides_wherever_it_stands(raw: bytes) -> None:
    assert read(raw) == ((Payment(invoice_id="i", payment_id="p"),), [])


@pytest.mark.parametrize(
    ("raw", "entry"),
    [
        (b'{"invoiceId":"i","invoiceNumber":"n","caseId":"c"}', InvoiceSuccess),
        (b'{"invoiceId":"i","paymentId":"p"}', Payment),
        (b'{"invoiceId":"i","amount":1}', Correction),
        (b'{"$type":null,"invoiceId":"i","paymentId":"p"}', Payment),
        (b'{"$type":7,"invoiceId":"i","invoiceNumber":"n"}', InvoiceSuccess),
        (b'{"invoiceId":"i","paymentId":null,"caseId":"c"}', InvoiceSuccess),
        (b'{"invoiceId":5,"paymentId":6}', Payment),
    ],
)
def test_without_a_tag_it_is_the_type_that_leaves_the_fewest_members_unread(
    raw: bytes, entry: type[SucceededEntry]
) -> None:
    entries, _ = read(raw)
    assert type(entries[0]) is entry


@pytest.mark.parametrize(
    ("raw", "tag"),
    [
        (b'{"$type":"new","invoiceId":"i"}', "new"),
        (b'{ "$type" : "" }', ""),
        (b'{"text":"t"}', None),
        (b"{}", None),
        (b"null", None),
        (b"5", None),
        (b'"payment"', None),
        (b'[{"$type":"payment"}]', None),
        (b'{"invoiceId":null}', None),
        (b'{"$type":["payment"],"text":"t"}', None),
    ],
)
def test_anything_else_is_unknown_and_kept(raw: bytes, tag: str | None) -> None:
    entries, drift = read(raw)
    assert entries == (UnknownEntry(type=tag, raw=raw),)
    found = "no tag, and members that fit no known type" if tag is None else tag
    assert drift == [("type", "$.succeeded[...].$type", found)]


def test_an_entry_is_bent_where_it_almost_fits() -> None:
    entries, drift = read(b'{"$type":"payment","invoiceId":1,"paymentId":"p"}')
    assert entries == (Payment(invoice_id="1", payment_id="p"),)
    assert drift == [("leniency", "$.succeeded[...].invoiceId", "a number taken as text")]


def test_an_entry_of_a_known_tag_that_does_not_fit_makes_the_batch_invalid() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"missing required field `paymentId` - at `\$\.succeeded\[1\]`$"):
        read(b'{"$type":"note"}', b'{"$type":"payment","invoiceId":"i"}')
    with pytest.raises(msgspec.ValidationError, match=r"Expected `str`, got `array` - at `\$\.succeeded\[0\]\.text`$"):
        read(b'{"$type":"note","text":[]}')


@pytest.mark.parametrize(
    ("data", "types"),
    [
        (b'{"invoiceId":"i"}', [Correction, InvoiceSuccess]),
        (b'{"invoiceId":"i","paymentId":"p"}', [Payment, Correction, InvoiceSuccess]),
        (b'{"paymentId":"p"}', []),
        (b"{}", []),
    ],
)
def test_a_type_is_possible_where_its_required_members_occur(data: bytes, types: list[type]) -> None:
    assert READER.possible(data) == types
    assert READER.possible(msgspec.Raw(data)) == types


def test_members_are_looked_for_in_entries_of_known_types_alone() -> None:
    drift = RecordedDrift()
    raw = b'[{"$type":"note","a":1},{"$type":"new","b":1},{"invoiceId":"i","c":1},{"d":1},null]'
    Entries(READER).report_unknown_fields(raw, "$.succeeded", drift)
    assert drift == [("member", "$.succeeded[...].a", "a"), ("member", "$.succeeded[...].c", "c")]


def test_unknown_values_are_looked_for_in_entries_of_known_types() -> None:
    drift = RecordedDrift()
    entries = (
        UnknownEntry(type="new", raw=b"{}"),
        Payment(invoice_id="i", payment_id="p", kind=Kind("WHOLE")),
        Payment(invoice_id="i", payment_id="p", kind=Kind.PART),
        InvoiceSuccess(invoice_id="i"),
    )
    Entries(READER).report_unknown_values(entries, "$.succeeded", drift)
    assert drift == [("value", "$.succeeded[...].kind", "WHOLE")]
    assert Entries(READER).open


def test_types_without_enums_are_not_looked_into() -> None:
    drift = RecordedDrift()
    entries = Entries(EntryReader(types_by_tag(())))
    assert not entries.open
    entries.report_unknown_values((InvoiceSuccess(invoice_id="i"),), "$.succeeded", drift)
    assert drift == []
