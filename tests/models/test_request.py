"""What is sent: members of the documentation, members that it cuts off, and nothing that cannot be right."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async import ConfigurationError, NewCorrection, NewInvoice, NewPayment, encode

if TYPE_CHECKING:
    from collections.abc import Callable

AMOUNT = Decimal("4500.00")


def test_extra_members_reach_the_wire_unchanged() -> None:
    invoice = NewInvoice(
        invoice_number="1",
        original_invoice_amount=AMOUNT,
        extra={"debtor": {"firstName": "Kari", "score": 1.5}, "kid": "0012", "sum": Decimal("1.10"), "none": None},
    )
    assert encode(invoice) == (
        b'{"invoiceNumber":"1","originalInvoiceAmount":4500.00,'
        b'"debtor":{"firstName":"Kari","score":1.5},"kid":"0012","sum":1.10,"none":null}'
    )


@given(st.dictionaries(st.text().filter(lambda name: name not in {"amount", "invoiceId", "invoice_id"}), st.integers()))
def test_any_extra_member_is_beside_the_others(extra: dict[str, int]) -> None:
    names = set(NewPayment.__struct_encode_fields__) | set(NewPayment.__struct_fields__)
    extra = {name: value for name, value in extra.items() if name not in names}
    payment = NewPayment(invoice_id="i", amount=AMOUNT, extra=extra)
    assert msgspec.json.decode(encode(payment)) == {"invoiceId": "i", "amount": 4500.0, **extra}


def test_extra_members_are_never_lost_in_silence() -> None:
    payment = NewPayment(invoice_id="i", amount=AMOUNT, extra={"kid": "0012"})
    with pytest.raises(msgspec.ValidationError, match="unknown field `kid`"):
        msgspec.json.decode(encode(payment), type=NewPayment)


@pytest.mark.parametrize("name", ["dueDate", "due_date", "originalInvoiceAmount", "extra"])
def test_an_extra_member_that_has_a_field_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"extra names .*which NewInvoice has a field for"):
        NewInvoice(invoice_number="1", original_invoice_amount=AMOUNT, extra={name: 1})


def test_what_the_caller_does_to_the_mapping_later_changes_nothing() -> None:
    extra = {"kid": "1"}
    payment = NewPayment(invoice_id="i", amount=AMOUNT, extra=extra)
    extra["kid"] = "2"
    assert payment.extra == {"kid": "1"}


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        (NewInvoice, {"invoice_number": "1", "original_invoice_amount": 4500.0}),
        (NewPayment, {"invoice_id": "i", "amount": 4500.0}),
        (NewCorrection, {"invoice_id": "i", "amount": 4500.0}),
    ],
)
def test_a_float_is_refused_with_the_reason(kind: Callable[..., object], members: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="amount is a float, which holds no exact amounts"):
        kind(**members)


def test_dates_become_moments_in_utc_and_types_become_members() -> None:
    invoice = NewInvoice(
        type="PAYMENT_REMINDER",
        invoice_number="1",
        original_invoice_amount=4500,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # exact, so taken
        invoice_date=date(2024, 1, 15),
        due_date="2024-02-15",
        collection_notice_date=datetime(2024, 3, 1, tzinfo=UTC),
    )
    assert invoice.invoice_date == datetime(2024, 1, 15, tzinfo=UTC)
    assert invoice.due_date == datetime(2024, 2, 15, tzinfo=UTC)
    assert repr(invoice.type) == "<InvoiceType.PAYMENT_REMINDER: 'PAYMENT_REMINDER'>"
    assert invoice.original_invoice_amount == Decimal(4500)


def test_a_moment_without_a_zone_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigurationError, match="due_date has no time zone"):
        NewInvoice(invoice_number="1", original_invoice_amount=AMOUNT, due_date="2024-01-15T00:00:00")


def test_a_request_pickles_and_copies() -> None:
    payment = NewPayment(invoice_id="i", amount=AMOUNT, extra={"kid": "1"})
    assert pickle.loads(pickle.dumps(payment)) == payment  # noqa: S301  # our own bytes
    assert copy.deepcopy(payment) == payment
