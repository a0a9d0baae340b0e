"""What is sent: members of the documentation, members that it cuts off, and nothing that cannot be right."""

from __future__ import annotations

import copy
import pickle
import warnings
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async import (
    AutoCollectCase,
    Batch,
    ConfigurationError,
    FailedEntry,
    InvalidArgumentError,
    InvoiceType,
    NewCorrection,
    NewInvoice,
    NewPayment,
    UnknownEntry,
    UnusualValueWarning,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from amili_async.models._request import Request

AMOUNT = Decimal("4500.00")


def test_extra_members_reach_the_wire_unchanged() -> None:
    invoice = NewInvoice(
        invoice_number="1",
        original_invoice_amount=AMOUNT,
        extra={"debtor": {"firstName": "Kari", "score": 2}, "kid": "0012", "sum": Decimal("1.10"), "none": None},
    )
    assert encode(invoice) == (
        b'{"invoiceNumber":"1","originalInvoiceAmount":4500.00,'
        b'"debtor":{"firstName":"Kari","score":2},"kid":"0012","sum":1.10,"none":null}'
    )


def test_a_model_in_an_extra_member_is_sent_as_a_model() -> None:
    payment = NewPayment(invoice_id="i", amount=AMOUNT, extra={"kid": "7"})
    batch = Batch(batch_id="b", succeeded=(UnknownEntry(type="new", raw=b'{"$type":"new", "sum": 1.50}'),))
    invoice = NewInvoice(
        invoice_number="1", original_invoice_amount=AMOUNT, extra={"paid": [payment], "of": {"batch": batch}}
    )
    assert encode(invoice).endswith(
        b'"paid":[{"invoiceId":"i","amount":4500.00,"kid":"7"}],'
        b'"of":{"batch":{"batchId":"b","succeeded":[{"$type":"new", "sum": 1.50}]}}}'
    )


def test_extra_members_that_come_as_json_keep_their_digits() -> None:
    payment = msgspec.json.decode(
        b'{"invoiceId":"i","amount":1.10,"extra":{"fee":0.10,"ids":[12345678901234567890123]}}', type=NewPayment
    )
    assert payment.extra == {"fee": Decimal("0.10"), "ids": [12345678901234567890123]}
    assert encode(payment) == b'{"invoiceId":"i","amount":1.10,"fee":0.10,"ids":[12345678901234567890123]}'


@given(st.dictionaries(st.text().map(lambda name: f"x {name}"), st.integers()))
def test_any_extra_member_is_beside_the_others(extra: dict[str, int]) -> None:
    names = set(NewPayment.__struct_encode_fields__) | set(NewPayment.__struct_fields__)
    extra = {name: value for name, value in extra.items() if name not in names}
    payment = NewPayment(invoice_id="i", amount=AMOUNT, extra=extra)
    assert msgspec.json.decode(encode(payment)) == {"invoiceId": "i", "amount": 4500.0, **extra}


def test_extra_members_are_never_lost_in_silence() -> None:
    payment = NewPayment(invoice_id="i", amount=AMOUNT, extra={"kid": "0012"})
    with pytest.raises(msgspec.ValidationError, match="unknown field `kid`"):
        msgspec.json.decode(encode(payment), type=NewPayment)


@pytest.mark.parametrize("name", ["dueDate", "due_date", "duedate", "Due-Date"])
def test_an_extra_member_that_has_a_field_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"extra names '{name}', which has a field: pass due_date= instead"):
        NewInvoice(invoice_number="1", original_invoice_amount=AMOUNT, extra={name: 1})


HALF: Any = "\udcff"  # half a character, where bytes are due


class OwnStruct(msgspec.Struct, rename="camel"):
    """A struct of a user's that is no model."""

    some_amount: float | msgspec.UnsetType = msgspec.UNSET


def holding_itself() -> dict[str, object]:
    loop: dict[str, object] = {}
    loop["again"] = [loop]
    return loop


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ({"sum": 1.5}, r"extra.sum is a float, which holds no exact amounts"),
        ({"a": {"b": [1, {"c": Decimal("NaN")}]}}, r"extra.a.b\[1\].c must be a finite amount"),
        ({"a": (float("inf"),)}, r"extra.a\[0\] is a float"),
        ({"a": "\ud800"}, "extra.a holds half a character"),
        ({"\ud800": 1}, "extra has a member whose name is no text that can be sent"),
        ({"a": {5: 1}}, "extra.a has a member whose name is no text"),
        ({5: 1}, "extra has a member whose name is no text"),
        ({"a": object()}, "extra.a is of the kind object: pass text, exact numbers"),
        ({"a": b"text"}, "extra.a is of the kind bytes"),
        ({"a": {1, 2}}, "extra.a is of the kind set"),
        ({"a": msgspec.UNSET}, "extra.a is UNSET: leave the member out"),
        ({"a": msgspec.Raw(b"{")}, "extra.a is no JSON"),
        (holding_itself(), "is nested more than 100 deep"),
        ({"case": AutoCollectCase(reminders=[1.5])}, r"extra.case.reminders\[0\] is a float"),
        ({"batch": Batch(batch_id="\udcff", failed=(FailedEntry(raw=b"{}"),))}, "extra.batch.batchId holds half"),
        ({"failed": FailedEntry(raw=HALF)}, "extra.failed holds half a character"),
        ({"own": OwnStruct(1.5)}, "extra.own.someAmount is a float"),
        ([1], "extra must be a dict of members by their names on the wire, not list"),
    ],
)
def test_what_cannot_be_sent_is_found_at_any_depth_of_extra(extra: Any, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem) as caught:
        NewPayment(invoice_id="i", amount=AMOUNT, extra=extra)
    assert len(caught.value.problems) == 1


def test_what_json_can_say_is_taken_at_any_depth() -> None:
    extra: dict[str, object] = {
        "a": [None, True, 5, "ø", date(2024, 1, 15), UUID(int=1), InvoiceType.NOTICE, (Decimal("1.0"), {})]
    }
    assert encode(NewPayment(invoice_id="i", amount=AMOUNT, extra=extra)) == (
        b'{"invoiceId":"i","amount":4500.00,"a":[null,true,5,"\xc3\xb8","2024-01-15",'
        b'"00000000-0000-0000-0000-000000000001","NOTICE",[1.0,{}]]}'
    )


def test_all_problems_are_told_at_once_each_by_its_member_s_name() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        NewInvoice(
            type="PAYMENT_REMINDR",
            invoice_number="",
            vat="yes",  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # one of the problems
            original_invoice_amount=Decimal(0),
            currency=5,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # one of the problems
            due_date="soon",
            extra={"a": 0.5, "vat": True},
        )
    assert [problem.split()[0] for problem in caught.value.problems] == [
        *("type", "invoice_number", "vat", "original_invoice_amount", "currency", "due_date", "extra", "extra.a")
    ]
    assert str(caught.value).startswith("NewInvoice: 8 problems: type is 'PAYMENT_REMINDR': did you mean")


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (b'{"invoiceNumber":" ","originalInvoiceAmount":1}', "invoice_number must not be empty"),
        (b'{"invoiceNumber":"1","originalInvoiceAmount":0.00}', "original_invoice_amount must be above zero"),
        (b'{"invoiceNumber":"1","originalInvoiceAmount":1,"type":"notice"}', 'did you mean "NOTICE"'),
        (b'{"invoiceNumber":"1","originalInvoiceAmount":1,"dueDate":"soon"}', "due_date is not ISO 8601"),
        (b'{"invoiceNumber":"1","originalInvoiceAmount":1,"extra":{"dueDate":1}}', "pass due_date= instead"),
        (b'{"invoiceNumber":null,"originalInvoiceAmount":1}', r"got `null` - at `\$.invoiceNumber`"),
        (b'{"invoiceNumber":1,"originalInvoiceAmount":1}', r"got `int` - at `\$.invoiceNumber`"),
    ],
)
def test_a_request_that_comes_as_json_is_held_to_the_same(written: bytes, problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.json.decode(written, type=NewInvoice)


@pytest.mark.parametrize(
    ("kind", "members", "name"),
    [
        (NewInvoice, {"invoice_number": None, "original_invoice_amount": AMOUNT}, "invoice_number must be text"),
        (NewInvoice, {"invoice_number": "1", "original_invoice_amount": None}, "original_invoice_amount must be a dec"),
        (NewPayment, {"invoice_id": None, "amount": AMOUNT}, "invoice_id must be text, not None"),
        (NewCorrection, {"invoice_id": "i", "amount": AMOUNT, "date": 5}, "date must be a date"),
    ],
)
def test_none_for_what_is_required_is_refused(kind: Callable[..., object], members: Any, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=name):
        kind(**members)


@pytest.mark.parametrize("kind", [NewPayment, NewCorrection])
def test_payments_and_corrections_may_be_of_zero(kind: Callable[..., Request]) -> None:
    assert encode(kind(invoice_id=UUID(int=1), amount=Decimal(0))) == (
        b'{"invoiceId":"00000000-0000-0000-0000-000000000001","amount":0}'
    )


@pytest.mark.parametrize("kind", [NewInvoice, NewPayment, NewCorrection])
def test_absent_and_null_are_two_things_for_every_optional_member(kind: type[Request]) -> None:
    required: dict[str, Any] = {"invoice_number": "1", "original_invoice_amount": 1, "invoice_id": "i", "amount": 1}
    fields = msgspec.structs.fields(kind)
    needed = {field.name: required[field.name] for field in fields if field.required}
    optional = [field for field in fields if not field.required and field.name != "extra"]
    nothing: dict[str, Any] = {field.name: None for field in optional}
    absent, null = kind(**needed), kind(**needed, **nothing)
    assert all(getattr(absent, field.name) is msgspec.UNSET for field in optional)
    sent = msgspec.json.decode(encode(absent))
    assert {*sent} == {field.encode_name for field in fields if field.required}
    assert msgspec.json.decode(encode(null)) == {**sent, **{field.encode_name: None for field in optional}}
    assert absent != null


@pytest.mark.parametrize(
    ("members", "warning"),
    [
        ({"original_invoice_amount": Decimal("0.001")}, "original_invoice_amount is finer than the currency's"),
        ({"original_invoice_amount": Decimal("0.50"), "currency": "JPY"}, "is finer than the currency's"),
        ({"currency": "nok"}, "currency is no ISO 4217 code"),
        ({"invoice_date": date(2024, 1, 15), "due_date": "2024-01-14T23:00:00Z"}, "due_date is before invoice_date"),
    ],
)
def test_what_may_be_a_slip_is_a_warning_at_the_line_that_made_it(members: Any, warning: str) -> None:
    given: dict[str, Any] = {"invoice_number": "1", "original_invoice_amount": AMOUNT, **members}
    with pytest.warns(UnusualValueWarning, match=f"NewInvoice: .*{warning}") as caught:
        invoice = NewInvoice(**given)
    assert [each.filename for each in caught] == [__file__]
    with warnings.catch_warnings(action="error"):
        encode(invoice)


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


def test_days_stay_days_and_types_become_members() -> None:
    invoice = NewInvoice(
        type="PAYMENT_REMINDER",
        invoice_number="1",
        original_invoice_amount=4500,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # exact, so taken
        invoice_date=datetime(2024, 1, 15, tzinfo=ZoneInfo("Europe/Oslo")),
        due_date="2024-02-15T00:00:00Z",
        collection_notice_date=datetime(2024, 3, 1),  # noqa: DTZ001  # its own day counts
    )
    assert encode(invoice) == (
        b'{"type":"PAYMENT_REMINDER","invoiceNumber":"1","originalInvoiceAmount":4500,'
        b'"invoiceDate":"2024-01-15","dueDate":"2024-02-15T00:00:00Z","collectionNoticeDate":"2024-03-01"}'
    )
    assert invoice.type is InvoiceType.PAYMENT_REMINDER


def test_a_correction_s_moment_needs_a_zone() -> None:
    with pytest.raises(InvalidArgumentError, match="date has no time zone"):
        NewCorrection(invoice_id="i", amount=AMOUNT, date="2024-01-15T00:00:00")


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"invoice_nr": "1"}, "NewInvoice: there is no member 'invoice_nr'; did you mean invoice_number. Mem"),
        (
            {"invoiceNumber": "1"},
            "there is no member 'invoiceNumber'; did you mean invoice_number. Members that have no",
        ),
        ({"zip": "0150"}, "there is no member 'zip'; there are .*unique_source_invoice_id.* go into extra="),
        ({}, "NewInvoice: invoice_number and original_invoice_amount are missing"),
        ({"invoice_number": "1"}, "NewInvoice: original_invoice_amount is missing"),
    ],
)
def test_a_wrong_keyword_is_named_with_what_would_be_right(members: Any, why: str) -> None:
    with pytest.raises(TypeError, match=why):
        NewInvoice(**members)


def test_members_are_given_by_name() -> None:
    member: Any = "INV-1"
    with pytest.raises(TypeError, match="NewPayment: members are given by name, such as amount="):
        NewPayment(member)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # what it refuses


def test_a_request_pickles_and_copies() -> None:
    payment = NewPayment(invoice_id="i", amount=AMOUNT, extra={"kid": "1"})
    assert pickle.loads(pickle.dumps(payment)) == payment  # noqa: S301  # our own bytes
    assert copy.deepcopy(payment) == payment
