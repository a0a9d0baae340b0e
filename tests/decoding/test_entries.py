"""Entries one by one: by their tag, and where they have none, by their members."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from amili_async import FailedEntry, InvoiceSuccess, OpenEnum, SucceededEntry, UnknownEntry
from amili_async._decoding.drift import Findings
from amili_async._decoding.entries import Entries, EntryReader, Failures
from amili_async.models._batches import types_by_tag


class Kind(OpenEnum):
    PART = "PART"


class Payment(SucceededEntry, tag="payment", frozen=True, kw_only=True):
    invoice_id: str
    payment_id: str
    kind: Kind | None = None


class Correction(SucceededEntry, tag="correction", frozen=True, kw_only=True):
    invoice_id: str
    amount: int | None = None


class Note(SucceededEntry, tag="note", frozen=True, kw_only=True):
    text: str = ""


READER = EntryReader(types_by_tag((Payment, Correction, Note)))


def read(*raws: bytes) -> tuple[tuple[SucceededEntry, ...], list[tuple[str, str, str]]]:
    found = Findings()
    entries = Entries(READER).read(b"[" + b",".join(raws) + b"]", "$.succeeded", found)
    return entries, [(kind, path, what) for kind, path, what in found.drifts]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"$type":"payment","invoiceId":"i","paymentId":"p"}',
        b'{"invoiceId":"i","paymentId":"p","$type":"payment"}',
        b'{"invoiceId":"i","$type":"\\u0070ayment","paymentId":"p"}',
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


def test_an_entry_is_coerced_where_it_almost_fits() -> None:
    entries, drift = read(b'{"$type":"payment","invoiceId":1,"paymentId":"p"}')
    assert entries == (Payment(invoice_id="1", payment_id="p"),)
    assert drift == [("leniency", "$.succeeded[...].invoiceId", "a number taken as text")]


def test_an_entry_of_a_known_tag_that_does_not_fit_is_an_error_that_names_it() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"missing required field `paymentId` - at `\$\[1\]`$"):
        read(b'{"$type":"note"}', b'{"$type":"payment","invoiceId":"i"}')
    with pytest.raises(msgspec.ValidationError, match=r"Expected `str`, got `array` - at `\$\[0\]\.text`$"):
        read(b'{"$type":"note","text":[]}')


def test_what_no_field_names_is_kept_with_the_entry() -> None:
    entries, drifts = read(
        b'{"$type":"note","a":1}', b'{"$type":"new","b":1}', b'{"invoiceId":"i","c":1.0}', b'{"d":1}', b"null"
    )
    assert entries[0] == Note(extra={"a": 1})
    assert entries[2] == Correction(invoice_id="i", extra={"c": Decimal("1.0")})
    assert [drift for drift in drifts if drift[0] == "member"] == [
        ("member", "$.succeeded[...].a", "a"),
        ("member", "$.succeeded[...].c", "c"),
    ]


def test_the_tags_that_nobody_taught_are_found() -> None:
    found = Findings()
    Entries(READER).read(b'[{"$type":"new"},{"$type":"note"},{"$type":"newer"},{"$type":"new"},{}]', "$", found)
    assert [*found.tags] == ["new", "newer"]


@pytest.mark.parametrize(
    ("data", "likely"),
    [
        (b'{"invoiceId":"i","paymentId":"p"}', Payment),
        (b'[{"invoiceId":"i"},{"paymentId":"p"}]', Payment),  # what does not fit is found out by reading it
        (b'{"invoiceId":"i"}', None),  # a correction, or an invoice
        (b'{"paymentId":"p"}', None),
        (b"{}", None),
    ],
)
def test_entries_are_likely_of_the_type_that_requires_what_others_would_leave_unread(
    data: bytes, likely: type | None
) -> None:
    assert READER.likely(data, lambda _: ()) is likely
    assert READER.likely(msgspec.Raw(data), lambda _: ()) is likely


def test_entries_of_a_type_that_was_met_with_the_members_of_another_are_not_likely_of_it() -> None:
    """They may be of that one."""
    data = b'{"invoiceId":"i","paymentId":"p"}'
    assert READER.likely(data, lambda _: ("news",)) is Payment
    assert READER.likely(data, lambda kind: ("amount",) if kind is Payment else ()) is None
    alone = EntryReader(types_by_tag(()))
    assert alone.likely(b'{"invoiceId":"i"}', lambda _: ("amount",)) is InvoiceSuccess


def test_failed_entries_are_whole_and_do_not_keep_the_page_alive() -> None:
    body = bytearray(b'[null,{ "message": "no" }]')
    failed = Failures().read(body, "$.failed", Findings())
    body[:] = b" " * len(body)
    assert failed == (FailedEntry(b"null"), FailedEntry(b'{ "message": "no" }'))
    with pytest.raises(msgspec.ValidationError, match="Expected `array`"):
        Failures().read(b"{}", "$.failed", Findings())
