"""What Amili sends is kept whole: members that no field names, nulls, kinds of values, at every depth."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amili_async import (
    Accepted,
    AutoCollectBatch,
    AutoCollectCase,
    Batch,
    Case,
    CaseInvoice,
    ConfigurationError,
    Currency,
    Debtor,
    FailedEntry,
    Invoice,
    InvoiceSuccess,
    RawValue,
    Settlement,
    SucceededEntry,
    Summary,
    UnknownEntry,
    decode,
    encode,
)
from amili_async._decoding import Reader
from amili_async.models import Extra, Received
from amili_async.models._envelope import AcceptedBody
from amili_async.models._inputs import in_utc
from amili_async.models._received import NOT_SENT, learnt
from tests.support.examples import example

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amili_async.models import Model


class PaymentSuccess(SucceededEntry, tag="paymentSuccess", frozen=True, kw_only=True):
    payment_id: str


class MyInvoice(Invoice, frozen=True, kw_only=True):
    """An invoice with members that its user knows of."""

    debt_left: Decimal | None = None
    notes: dict[str, object] = {}  # noqa: RUF012  # msgspec makes a new one each time


def first_and_later(kind: type[Any], raw: bytes) -> list[Any]:
    """Return what JSON is read as when it is met for the first time, and when it was learnt."""
    reader = Reader(kind, entry_types=(PaymentSuccess,))
    page = b'{"data":[' + raw + b"]}"
    first, later = reader.bare(raw, None), reader.bare(raw, None)
    (whole,) = reader.page(page, None).rows
    (alone,) = Reader(kind, entry_types=(PaymentSuccess,)).page(page, None).rows
    return [first, later, whole, alone]


CASE = (
    b'{"caseId":"c","caseNumber":7,"amount":1.50,"extra":{"a":[1e3,null]},"closedAt":null,"creditorNumber":null,'
    b'"debtors":[{"debtorId":"d","phone":"1"},{"phone":null}],"invoices":[{"currency":{"code":"NOK"},"vat":0.250}]}'
)


def test_what_no_field_names_is_in_extra_at_every_depth() -> None:
    for case in first_and_later(Case, CASE):
        assert dict(case.extra) == {"amount": Decimal("1.50"), "extra": {"a": [1000, None]}}
        assert [dict(debtor.extra) for debtor in case.debtors] == [{"phone": "1"}, {"phone": None}]
        (invoice,) = case.invoices
        assert invoice.currency == Currency(extra={"code": "NOK"})
        assert str(invoice.extra["vat"]) == "0.250"
        assert (case.case_number, case.closed_at, case.creditor_number) == ("7", None, None)


def test_it_is_written_again_digit_for_digit_with_nulls_and_kinds() -> None:
    for case in first_and_later(Case, CASE):
        assert json.loads(encode(case), parse_float=str) == json.loads(CASE, parse_float=str)


def test_where_all_is_named_extra_is_empty_and_the_struct_plain() -> None:
    for invoice in first_and_later(Invoice, b'{"id":"i","type":"NEW"}')[:1]:
        assert dict(invoice.extra) == {}
        assert type(invoice) is Invoice


def test_however_it_was_read_it_is_the_same() -> None:
    given_as = Case(
        case_id="c",
        case_number="7",
        debtors=(Debtor(debtor_id="d", extra={"phone": "1"}), Debtor(extra={"phone": None})),
        invoices=(CaseInvoice(currency=Currency(extra={"code": "NOK"}), extra={"vat": Decimal("0.25")}),),
        extra={"amount": Decimal("1.5"), "extra": {"a": [1000, None]}},
    )
    cases: list[Case] = [given_as, *first_and_later(Case, CASE)]
    kinds = {type(case) for case in cases}
    assert len(kinds) > 1
    assert {kind.__name__ for kind in kinds} == {"Case"}
    assert {repr(kind) for kind in kinds} == {"<class 'amili_async.models.Case'>"}
    for one in cases:
        for other in cases:
            assert one == other
            assert not one != other  # noqa: SIM202  # both are asked
            assert hash(one) == hash(other)
    assert len(set(cases)) == 1


def test_models_that_differ_in_extra_alone_are_two() -> None:
    plain, more = Invoice(id="i"), Invoice(id="i", extra={"a": 1})
    assert plain != more
    assert len({plain, more, Invoice(id="i", extra={"a": 2})}) == 3
    assert Invoice(id="i", extra={"a": 1}) == decode(b'{"id":"i","a":1.0}', Invoice)
    assert plain != Summary()
    assert plain != MyInvoice(id="i")


def test_a_repr_and_rich_show_nothing_of_it() -> None:
    for case in first_and_later(Case, CASE):
        assert "phone" not in repr(case)
        assert "amount" not in repr(case)
        assert repr(case).startswith("Case(case_id='c', case_number='7', invoices=(CaseInvoice(currency=Currency()")
        assert repr(case.extra) == "Extra(amount, extra)"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_survives_pickle(protocol: int) -> None:
    for case in first_and_later(Case, CASE):
        again = pickle.loads(pickle.dumps(case, protocol))  # noqa: S301  # our own bytes
        assert again == case
        assert json.loads(encode(again), parse_float=str) == json.loads(CASE, parse_float=str)


def test_a_list_that_was_null_is_empty_in_a_copy_too() -> None:
    for case in first_and_later(Case, b'{"caseId":"c","invoices":null,"amount":1}'):
        for again in (copy.copy(case), copy.deepcopy(case), pickle.loads(pickle.dumps(case))):  # noqa: S301  # our own bytes
            assert again == case
            assert again.invoices == ()
            assert json.loads(encode(again))["invoices"] is None


def test_it_is_unpickled_in_a_process_that_has_learnt_nothing() -> None:
    cases = first_and_later(Case, CASE)
    code = (
        "import pickle, sys\n"
        "from amili_async import Case, encode\n"
        "cases = pickle.load(sys.stdin.buffer)\n"
        "assert all(type(case) is Case and case == cases[0] for case in cases)\n"
        "sys.stdout.buffer.write(b'\\n'.join(map(encode, cases)))"
    )
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], input=pickle.dumps(cases), stdout=-1, check=True)  # noqa: S603  # this interpreter, with code from this file
    for written in ran.stdout.splitlines():
        assert json.loads(written, parse_float=str) == json.loads(CASE, parse_float=str)


def test_it_survives_copies() -> None:
    for case in first_and_later(Case, CASE):
        for again in (copy.copy(case), copy.deepcopy(case)):
            assert again == case
            assert json.loads(encode(again), parse_float=str) == json.loads(CASE, parse_float=str)


def test_it_survives_a_replaced_member_and_can_be_replaced_itself() -> None:
    for case in first_and_later(Case, CASE):
        other = msgspec.structs.replace(case, case_id="d", closed_at=datetime(2025, 1, 1, tzinfo=UTC))
        assert (other.case_id, other.extra) == ("d", case.extra)
        written = json.loads(encode(other))
        assert (written["closedAt"], written["amount"], written["creditorNumber"]) == (
            "2025-01-01T00:00:00Z",
            1.5,
            None,
        )
        for extra in ({}, {"new": 1}, Extra({"new": 1}), case.debtors[0].extra):
            replaced = msgspec.structs.replace(case, extra=extra)
            assert replaced.extra == extra
            assert json.loads(encode(replaced)).keys() & {"amount", "new", "phone", "extra"} == {*extra}


def test_a_member_of_any_name_is_kept() -> None:
    names = ["extra", "(extra)", "_0", "plain", "", 'q"', "a\\b", "\n", "æ", "x" * 100, "$type", "__class__"]
    raw = json.dumps({"id": "i", **{key: {"a": 1} for key in names}}).encode()
    for invoice in first_and_later(Invoice, raw):
        assert dict(invoice.extra) == {key: {"a": 1} for key in names}
        assert json.loads(encode(invoice)) == json.loads(raw)
        assert invoice == pickle.loads(pickle.dumps(invoice))  # noqa: S301  # our own bytes


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (b"0.1", Decimal("0.1")),
        (b"12345678901234567890123", 12345678901234567890123),
        (b"1" * 5000, Decimal("1" * 5000)),
        (b"-0.0", Decimal("-0.0")),
        (b"1e400", Decimal("1e400")),
        (b"1e9999999999999999999", "1e9999999999999999999"),
        (b'[{"a":0.30}]', [{"a": Decimal("0.30")}]),
        (b"true", True),
    ],
)
def test_a_value_of_any_kind_is_exact(written: bytes, value: object) -> None:
    for row in first_and_later(Summary, b'{"new":' + written + b"}"):
        assert row.extra["new"] == value
        assert type(row.extra["new"]) is type(value)
        assert encode(row) == b'{"new":' + written + b"}"


def test_extra_is_a_mapping() -> None:
    extra = decode(b'{"id":"i","b":1,"a":null}', Invoice).extra
    assert (set(extra), len(extra), "b" in extra, extra.get("c")) == ({"a", "b"}, 2, True, None)
    assert dict(extra.items()) == {"a": None, "b": 1}
    assert hash(extra) == hash(decode(b'{"a":null,"b":1,"id":"i"}', Invoice).extra)


def test_the_same_is_true_of_open_values_and_of_what_users_ask_for_as_a_dict() -> None:
    raw = b'{"a":0.10,"b":[1.0]}'
    exact = {"a": Decimal("0.10"), "b": [Decimal("1.0")]}
    assert RawValue(raw).json == exact
    assert RawValue(raw).extra == exact
    kinds: tuple[Any, ...] = (dict, dict[str, object], object)
    for kind in kinds:
        read: object = Reader(kind).one(b'{"data":' + raw + b"}", None)
        assert read == exact
        assert str(read) == str(exact)
    case = decode(b'{"reminders":0.10,"vat":0.20}', AutoCollectCase)
    assert (str(case.reminders), str(case.extra["vat"])) == ("0.10", "0.20")


def test_a_member_that_a_user_named_is_no_extra() -> None:
    raw = b'{"id":"i","debtLeft":1.50,"notes":{"a":0.10},"new":0.20}'
    for invoice in first_and_later(MyInvoice, raw):
        assert invoice.debt_left == Decimal("1.50")
        assert invoice.notes == {"a": Decimal("0.10")}
        assert isinstance(invoice.notes["a"], Decimal)
        assert dict(invoice.extra) == {"new": Decimal("0.20")}
        assert json.loads(encode(invoice), parse_float=str) == json.loads(raw, parse_float=str)


def test_both_kinds_of_entries_have_it() -> None:
    raw = (
        b'{"batchId":"b","succeeded":[{"$type":"invoiceSuccess","invoiceId":"i","a":1.0},'
        b'{"$type":"paymentSuccess","paymentId":"p","a":2},{"$type":"new","a":3.0}],"failed":[{"a":4.0},null,"no"]}'
    )
    for batch in first_and_later(Batch, raw):
        assert batch.succeeded == (
            InvoiceSuccess(invoice_id="i", extra={"a": 1}),
            PaymentSuccess(payment_id="p", extra={"a": 2}),
            UnknownEntry(type="new", raw=b'{"$type":"new","a":3.0}'),
        )
        assert [dict(entry.extra) for entry in batch.succeeded] == [{"a": 1}, {"a": 2}, {"$type": "new", "a": 3}]
        assert [dict(entry.extra) for entry in batch.failed] == [{"a": 4}, {}, {}]
        assert encode(batch) == raw


def test_an_extra_that_names_a_field_is_refused_when_it_is_written() -> None:
    for name in ("batchUrl", "batch_url"):
        with pytest.raises(ConfigurationError, match=f"extra names '{name}', which Accepted has a field for"):
            encode(Accepted(batch_id="b", organization_id="o", extra={name: 1}))


def test_what_a_caller_adds_is_written_at_any_depth() -> None:
    case = Case(case_id="c", debtors=(Debtor(extra={"a": Decimal("1.50"), "b": [Debtor(debtor_id="d")]}),))
    assert encode(case) == b'{"caseId":"c","debtors":[{"a":1.50,"b":[{"debtorId":"d"}]}]}'
    assert encode([case, case]) == b"[" + encode(case) + b"," + encode(case) + b"]"


def test_what_cannot_be_json_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="a object cannot be written as JSON"):
        encode(Summary(extra={"a": object()}))


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_moment_at_the_calendar_s_end_is_read_and_written_and_never_raises(moment: str) -> None:
    for batch in first_and_later(Batch, b'{"batchId":"b","createdAt":"' + moment.encode() + b'"}'):
        assert json.loads(encode(batch))["createdAt"] == moment
        assert pickle.loads(pickle.dumps(batch)) == batch  # noqa: S301  # our own bytes
        assert in_utc(batch.created_at).year == batch.created_at.year
        assert in_utc(batch.created_at).utcoffset() == timedelta(0)


def test_msgspec_itself_refuses_what_it_would_lose() -> None:
    for raw in (b'{"id":"i","new":1}', b'{"id":"i","type":null}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(raw, type=Invoice)


def test_what_was_absent_stays_so_and_what_was_empty_too() -> None:
    for raw in (b'{"batchId":"b"}', b'{"batchId":"b","succeeded":[]}', b'{"batchId":"b","failed":[]}'):
        for batch in first_and_later(Batch, raw):
            assert encode(batch) == raw
            assert encode(pickle.loads(pickle.dumps(batch))) == raw  # noqa: S301  # our own bytes
            assert encode(copy.deepcopy(batch)) == raw
            assert batch == Batch(batch_id="b")
    assert NOT_SENT == ()
    assert repr(NOT_SENT) == "()"


@pytest.mark.parametrize("name", ["finishedAt", "succeeded", "failed"])
def test_what_was_null_is_written_as_null_again(name: str) -> None:
    raw = b'{"batchId":"b","%b":null}' % name.encode()
    for batch in first_and_later(Batch, raw):
        assert encode(batch) == raw
        assert encode(pickle.loads(pickle.dumps(batch))) == raw  # noqa: S301  # our own bytes
        assert batch == Batch(batch_id="b", extra=batch.extra)
        assert (batch.finished_at, batch.succeeded, batch.failed) == (None, (), ())


def test_the_names_of_a_model_are_its_fields_and_what_users_need() -> None:
    for batch in first_and_later(Batch, b'{"batchId":"b","new":1,"finishedAt":null}'):
        assert dir(batch) == sorted(
            [
                *("batch_id", "type", "status", "created_at", "finished_at", "organization_id", "created_by"),
                *("succeeded", "failed", "extra", "state", "legacy_status", "failures"),
            ]
        )


def test_a_learnt_struct_does_not_come_between_a_user_s_class_and_its_fields() -> None:
    kind = learnt(MyInvoice, ["new"], ["debt_left"])
    assert issubclass(kind, MyInvoice)
    assert kind.__doc__ == MyInvoice.__doc__
    assert kind.__qualname__ == "MyInvoice"
    read = msgspec.json.decode(b'{"id":"i","debtLeft":null,"new":1}', type=kind)
    assert read == MyInvoice(id="i", extra={"new": 1})
    match read:
        case MyInvoice(id=found, debt_left=None):
            assert found == "i"
        case _:
            pytest.fail("no MyInvoice")


# AutoCollect: the two halves of an exchange

AUTOCOLLECT = (
    b'{"batchid":7,"offline":null,"new":{"a":1.0},"creditor":[{"idnumber":null,"vattype":null,"zipcode":"0150"},'
    b'{"vattype":2.50,"reminderflow":[1.0],"contact":{"fullname":null,"x":1}}],"settlement":[],'
    b'"case":[{"originalsum":"12.50","paidsum":5,"remainingsum":7.50,"paidfee":null,"reminders":null,'
    b'"paymentDetails":{"paymentValue":"1","kid":null},"history":null}]}'
)


def test_what_autocollect_sent_is_sent_back_as_it_came() -> None:
    for batch in first_and_later(AutoCollectBatch, AUTOCOLLECT):
        assert json.loads(encode(batch), parse_float=str) == json.loads(AUTOCOLLECT, parse_float=str)
        (case,) = batch.cases
        assert (case.original_sum, case.paid_sum, case.remaining_sum, case.paid_fee, case.original_fee) == (
            *(Decimal("12.50"), Decimal(5), Decimal("7.50"), None, None),
        )
        assert (case.reminders, case.debt_collection_list, case.history) == (None, None, ())
        assert (batch.creditors[1].vat_type, batch.creditors[1].reminder_flow) == (Decimal("2.50"), [Decimal("1.0")])
        assert batch == first_and_later(AutoCollectBatch, AUTOCOLLECT)[0]
        assert {type(one.cases[0].original_sum) for one in (batch, copy.deepcopy(batch))} == {Decimal}


@pytest.mark.parametrize("amount", [b"true", b'"much"', b"[]", b"{}", b"1e99", b'"1e-99"', b'"NaN"', b'"Infinity"'])
def test_an_amount_of_autocollect_that_is_none_does_not_fit(amount: bytes) -> None:
    reader = Reader(AutoCollectBatch)
    row = reader.row(b'{"case":[{"originalsum":' + amount + b"}]}", 0, None)
    assert (row.path, row.reason) == ("$.case[0]", "Expected an amount in original_sum")  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue]  # a QuarantinedRow


# Whatever is added

WHOLE: list[tuple[str, type[Any]]] = [
    ("batch", Batch),
    ("batches_g1", Batch),
    ("invoice", Invoice),
    ("cases", Case),
    ("settlements", Settlement),
    ("accepted", AcceptedBody),
    ("autocollect_batch", AutoCollectBatch),
]
"""The documented examples of what Amili answers, with what each is read as."""

NUMBER = st.integers() | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ADDED = st.dictionaries(
    st.text(max_size=6).map(lambda text: f"x{text}") | st.sampled_from(["extra", "(extra)", "_0", "", "private"]),
    ANY_JSON,
    max_size=3,
)


def objects_in(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in JSON, the outermost first."""
    if isinstance(value, dict):
        yield value
        for member in value.values():  # pyright: ignore[reportUnknownVariableType]  # JSON
            yield from objects_in(member)
    if isinstance(value, list):
        for item in value:  # pyright: ignore[reportUnknownVariableType]  # JSON
            yield from objects_in(item)


def normalised(value: Any) -> Any:
    """Return JSON as it is after the changes that the documentation names: fractions of a second, an explicit tag."""
    if isinstance(value, dict):
        members = {str(name): normalised(member) for name, member in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # JSON
        for entry in members.get("succeeded", ()):
            entry.setdefault("$type", "invoiceSuccess")
        return members
    if isinstance(value, list):
        return [normalised(item) for item in value]  # pyright: ignore[reportUnknownVariableType]  # JSON
    if isinstance(value, str) and value[:4].isdigit() and value.endswith("Z"):
        return datetime.fromisoformat(value)
    return value


def check_that_nothing_is_lost(name: str, kind: type[Any], adding: Callable[[], dict[str, Any]]) -> None:
    answer: dict[str, Any] = json.loads(example(name))
    body: Any = answer.get("data", answer)
    rows: list[Any] = [*body] if isinstance(body, list) else [body]
    for found in [one for row in rows for one in objects_in(row)]:
        found.update({name: value for name, value in adding().items() if name not in found})
    encoder = msgspec.json.Encoder(decimal_format="number")
    reader = Reader(kind, entry_types=(PaymentSuccess,))
    for _ in range(2):
        for row in rows:
            raw = encoder.encode(row)
            read: Model = reader.bare(raw, None)
            expected = normalised(json.loads(raw, parse_float=str))
            assert normalised(json.loads(encode(read), parse_float=str)) == expected
            again = pickle.loads(pickle.dumps(read))  # noqa: S301  # our own bytes
            assert (again, hash(again)) == (read, hash(read))
            assert normalised(json.loads(encode(again), parse_float=str)) == expected


@pytest.mark.parametrize(("name", "kind"), WHOLE)
def test_a_documented_example_is_written_as_it_was_read(name: str, kind: type[Any]) -> None:
    check_that_nothing_is_lost(name, kind, dict)


@pytest.mark.parametrize(("name", "kind"), WHOLE)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_whatever_is_added_wherever_is_written_again(name: str, kind: type[Any], data: st.DataObject) -> None:
    check_that_nothing_is_lost(name, kind, lambda: data.draw(ADDED))


@pytest.mark.fuzz
@pytest.mark.parametrize(("name", "kind"), WHOLE)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_whatever_is_added_often_is_written_again(name: str, kind: type[Any], data: st.DataObject) -> None:
    check_that_nothing_is_lost(name, kind, lambda: data.draw(ADDED))


def test_every_model_that_is_received_is_tried_above() -> None:
    assert issubclass(FailedEntry, Received)
    assert all(issubclass(kind, Received) for _, kind in WHOLE)
