"""Entries of batches: the types that are taught, and what can be made of a failed one."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async import ConfigurationError, FailedEntry, InvoiceSuccess, SucceededEntry, UnknownEntry, encode
from amili_async.models._batches import types_by_tag


class PaymentSuccess(SucceededEntry, tag="paymentSuccess", frozen=True, kw_only=True):
    payment_id: str


class OtherPayment(SucceededEntry, tag="paymentSuccess", frozen=True, kw_only=True):
    id: str


class OwnInvoice(SucceededEntry, tag="invoiceSuccess", frozen=True, kw_only=True):
    invoice_id: str


class Untagged(SucceededEntry, frozen=True, kw_only=True):
    x: int = 0


class NumberedTag(SucceededEntry, tag=7, frozen=True, kw_only=True):
    x: int = 0


class OtherField(SucceededEntry, tag="other", tag_field="kind", frozen=True, kw_only=True):
    x: int = 0


def test_the_documented_type_is_always_known() -> None:
    assert types_by_tag(()) == {"invoiceSuccess": InvoiceSuccess}
    assert types_by_tag((PaymentSuccess,)) == {"paymentSuccess": PaymentSuccess, "invoiceSuccess": InvoiceSuccess}


def test_a_type_without_a_tag_of_its_own_goes_by_its_name() -> None:
    assert types_by_tag((Untagged,))["Untagged"] is Untagged


@pytest.mark.parametrize(
    ("types", "why"),
    [
        ((PaymentSuccess, PaymentSuccess), "PaymentSuccess and PaymentSuccess have the same tag 'paymentSuccess'"),
        ((PaymentSuccess, OtherPayment), "OtherPayment and PaymentSuccess have the same tag 'paymentSuccess'"),
        ((OwnInvoice,), "InvoiceSuccess and OwnInvoice have the same tag 'invoiceSuccess'"),
        ((InvoiceSuccess,), "InvoiceSuccess is known already"),
        ((SucceededEntry,), "SucceededEntry needs a tag"),
        ((UnknownEntry,), "UnknownEntry needs a tag"),
        ((NumberedTag,), "NumberedTag needs a tag"),
        ((OtherField,), "OtherField needs a tag"),
        ((FailedEntry,), "is no subclass of SucceededEntry"),
        (("paymentSuccess",), "'paymentSuccess' is no subclass of SucceededEntry"),
    ],
)
def test_what_cannot_be_taught_is_refused(types: tuple[object, ...], why: str) -> None:
    with pytest.raises(ConfigurationError, match=f"entry_types: .*{why}"):
        types_by_tag(types)


@pytest.mark.parametrize(
    ("raw", "message", "reference"),
    [
        (b"null", None, None),
        (b"{}", None, None),
        (b"[1]", None, None),
        (b"12.5", None, None),
        (b'"no such invoice"', "no such invoice", None),
        (b'{"message": "no", "invoiceNumber": "7"}', "no", "7"),
        (b'{"error": "no", "reference": 7}', "no", "7"),
        (b'{"message": "", "reason": "no", "invoiceId": true}', "no", None),
        (b'{"message": {"text": "no"}, "objectindex": 1, "ledgerref": "L"}', None, "L"),
    ],
)
def test_what_can_be_made_of_a_failed_entry(raw: bytes, message: str | None, reference: str | None) -> None:
    entry = FailedEntry(raw)
    assert (entry.raw, entry.message, entry.reference) == (raw, message, reference)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["message", "id", "x"]), inner),
    max_leaves=8,
)


@given(JSON)
def test_any_failed_entry_is_kept_byte_for_byte(value: object) -> None:
    raw = b" " + msgspec.json.encode(value)
    assert encode(FailedEntry(raw)) == raw


@given(JSON, st.none() | st.text())
def test_any_unknown_entry_is_kept_byte_for_byte(value: object, tag: str | None) -> None:
    raw = msgspec.json.encode(value)
    assert encode(UnknownEntry(type=tag, raw=raw)) == raw
