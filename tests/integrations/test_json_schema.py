"""The schemas of models are true: what `encode` writes fits them, and what could not come does not."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from amili_async import (
    Accepted,
    AutoCollectBatch,
    AutoCollectCase,
    Batch,
    Case,
    FailedEntry,
    Invoice,
    InvoiceType,
    LegacyStatus,
    NewCorrection,
    NewInvoice,
    NewPayment,
    OpenEnum,
    Page,
    RawValue,
    Settlement,
    Summary,
    decode,
    encode,
    models,
)
from amili_async.integrations.json_schema import json_schema
from amili_async.models import Model, Received
from amili_async.models._received import NumberText  # noqa: TC001  # read when a class is made
from amili_async.webhooks import BatchCompleted
from tests.support.examples import example

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


class Detail(msgspec.Struct):
    """What a user's own member holds."""

    code: UUID
    more: dict[str, Decimal] = {}  # msgspec makes a new one each time


class MyInvoice(Invoice, frozen=True, kw_only=True):
    """An invoice with members that its user knows of."""

    remaining_interest: Annotated[Decimal, "NOK"] | None = None
    channel: Literal["EHF", "MAIL"] | None = None
    detail: Detail | None = None
    notes: object = None


READ: tuple[type[Received], ...] = (
    *(Batch, Case, Invoice, MyInvoice, Settlement, Accepted, Summary, LegacyStatus, AutoCollectBatch, AutoCollectCase),
)

JSON: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
MOMENTS = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat())
AMOUNTS = st.decimals(-(10**9), 10**9, places=2)
SCALARS: dict[object, SearchStrategy[Any]] = {
    str: st.text(max_size=8),
    int: st.integers(-(10**9), 10**9),
    bool: st.booleans(),
    Decimal: AMOUNTS,
    date: st.dates().map(str),
    datetime: MOMENTS,
    UUID: st.uuids().map(str),
    type(None): st.none(),
    object: JSON,
}


def values(annotation: Any) -> SearchStrategy[Any]:
    """Return JSON that Amili might send at an annotation."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return values(inner[0])
    if origin in {Union, types.UnionType}:
        return st.one_of([values(one) for one in inner])
    if origin is Literal:
        return st.sampled_from(inner)
    if origin in {dict, Mapping}:
        return st.dictionaries(st.text(max_size=4), values(inner[1]), max_size=2)
    if origin is tuple:
        return st.lists(values(inner[0]), max_size=3)
    if isinstance(annotation, TypeVar):
        return entries() if annotation.__name__ == "Succeeded" else JSON
    if isinstance(annotation, type) and issubclass(annotation, OpenEnum):
        return st.sampled_from([str(one) for one in annotation]) | st.text(max_size=8)
    return objects(annotation) if issubclass(annotation, msgspec.Struct) else SCALARS[annotation]


def entries() -> SearchStrategy[Any]:
    known = st.fixed_dictionaries({"invoiceId": st.text(min_size=1)}, optional={"$type": st.just("invoiceSuccess")})
    other = st.fixed_dictionaries({"$type": st.sampled_from(["paymentSuccess", "x"])}, optional={"amount": AMOUNTS})
    return known | other | JSON


def objects(kind: type[msgspec.Struct]) -> SearchStrategy[dict[str, Any]]:
    fields = [field for field in msgspec.structs.fields(kind) if field.name != "extra"]
    amounts: tuple[str, ...] = getattr(kind, "amounts", ())
    of = {
        each.encode_name: AMOUNTS | AMOUNTS.map(str) if each.name in amounts else values(each.type) for each in fields
    }
    named = st.fixed_dictionaries(
        {each.encode_name: of[each.encode_name] for each in fields if each.required},
        optional={each.encode_name: st.none() | of[each.encode_name] for each in fields if not each.required},
    )
    if not issubclass(kind, Received):
        return named
    return st.tuples(st.dictionaries(st.text(max_size=4), JSON, max_size=2), named).map(
        lambda two: {**two[0], **two[1]}
    )


formats = FormatChecker()


@formats.checks("date-time", raises=ValueError)
def is_moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


as_sent = msgspec.json.Encoder(decimal_format="number")

VALIDATORS: dict[Any, Draft202012Validator] = {}


def validator(kind: Any) -> Draft202012Validator:
    if kind not in VALIDATORS:
        schema = json_schema(kind)
        Draft202012Validator.check_schema(schema)
        VALIDATORS[kind] = Draft202012Validator(schema, format_checker=formats)
    return VALIDATORS[kind]


def check(kind: Any, written: bytes) -> None:
    validator(kind).validate(json.loads(written))  # pyright: ignore[reportUnknownMemberType]  # half typed


def what_is_read_and_written_fits(data: st.DataObject, kind: type[Received]) -> None:
    check(kind, encode(decode(as_sent.encode(data.draw(objects(kind))), kind)))


DAYS = st.none() | st.dates() | st.dates().map(str) | st.datetimes(timezones=st.just(UTC)) | MOMENTS
TEXT = st.text("abc 12", min_size=1).filter(str.strip)
POSITIVE = st.decimals(Decimal("0.01"), 10**9, places=2)
EXTRA = st.dictionaries(st.sampled_from(["debtor", "kid", "x"]), JSON, max_size=2)
TYPES = st.sampled_from([*InvoiceType]) | st.just(InvoiceType("OTHER")) | st.none()
REQUESTS = st.one_of(
    st.builds(
        NewInvoice,
        invoice_number=TEXT,
        original_invoice_amount=POSITIVE,
        type=TYPES,
        vat=st.none() | st.booleans(),
        invoice_date=DAYS,
        due_date=DAYS,
        collection_notice_date=DAYS,
        currency=st.none() | TEXT,
        description=st.text("abc"),
        extra=EXTRA,
    ),
    st.builds(NewPayment, invoice_id=TEXT, amount=AMOUNTS, type=st.none() | st.just("DIRECT_PAYMENT"), extra=EXTRA),
    st.builds(NewCorrection, invoice_id=TEXT, amount=AMOUNTS, date=DAYS, extra=EXTRA),
)

slow = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.mark.parametrize("kind", READ)
@settings(max_examples=12, deadline=None, suppress_health_check=slow)
@given(data=st.data())
def test_what_is_read_and_written_fits_its_schema(kind: type[Received], data: st.DataObject) -> None:
    what_is_read_and_written_fits(data, kind)


@pytest.mark.filterwarnings("ignore::amili_async.UnusualValueWarning")
@settings(max_examples=40, deadline=None)
@given(sent=REQUESTS)
def test_what_is_sent_fits_its_schema(sent: NewInvoice | NewPayment | NewCorrection) -> None:
    check(type(sent), encode(sent))


@pytest.mark.fuzz
@settings(max_examples=1000, deadline=None, suppress_health_check=slow)
@given(data=st.data(), kind=st.sampled_from(READ))
def test_a_thousand_models_fit(kind: type[Received], data: st.DataObject) -> None:
    what_is_read_and_written_fits(data, kind)


@pytest.mark.fuzz
@pytest.mark.filterwarnings("ignore::amili_async.UnusualValueWarning")
@settings(max_examples=1000, deadline=None)
@given(sent=REQUESTS)
def test_a_thousand_requests_fit(sent: NewInvoice | NewPayment | NewCorrection) -> None:
    check(type(sent), encode(sent))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(
            (Page[Batch], "envelope"),
            (Page[Batch], "batches_g1"),
            (Page[Case], "cases"),
            (Page[Settlement], "settlements"),
        ),
        (AutoCollectBatch, "autocollect_batch"),
    ],
)
def test_what_the_documentation_prints_fits(kind: Any, name: str) -> None:
    check(kind, example(name))


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (Batch, b"{}"),
        (Batch, b'{"batchId":7}'),
        (Batch, b'{"batchId":"b","createdAt":"yesterday"}'),
        (Batch, b'{"batchId":"b","succeeded":{}}'),
        (Batch, b'{"batchId":"b","succeeded":[{"$type":"invoiceSuccess"}]}'),
        (Batch, b'{"batchId":"b","status":7}'),
        (Invoice, b'{"id":"i","remainingAmount":"4500.00"}'),
        (Settlement, b'{"settlementDate":"2024-01-15T00:00:00Z"}'),
        (NewInvoice, b'{"invoiceNumber":"","originalInvoiceAmount":1}'),
        (NewInvoice, b'{"invoiceNumber":"1","originalInvoiceAmount":0}'),
        (NewInvoice, b'{"invoiceNumber":"1"}'),
        (Page[Batch], b'{"summary":{}}'),
        (list[Batch], b'{"batchId":"b"}'),
        (MyInvoice, b'{"id":"i","channel":"FAX"}'),
    ],
)
def test_what_cannot_come_does_not_fit(kind: Any, written: bytes) -> None:
    assert not validator(kind).is_valid(json.loads(written))  # pyright: ignore[reportUnknownMemberType]  # half typed


def test_every_model_has_a_schema_and_money_is_a_number_wherever_it_stands() -> None:
    money = 0
    kinds = [kind for kind in map(vars(models).get, models.__all__) if isinstance(kind, type)]
    for kind in kinds:
        if issubclass(kind, Model | OpenEnum):
            schema = json_schema(kind)
            Draft202012Validator.check_schema(schema)
            assert schema["$defs"][kind.__name__]["description"]
            for field in msgspec.structs.fields(kind) if issubclass(kind, Received) else ():
                if field.type == Decimal:
                    properties = schema["$defs"][kind.__name__]["properties"]
                    assert properties[field.encode_name] == {"type": ["number", "null"]}
                    money += 1
    assert money > 10


@pytest.mark.parametrize("kind", [RawValue, FailedEntry, BatchCompleted])
def test_what_has_no_documented_shape_may_be_anything(kind: type[Model]) -> None:
    assert json_schema(kind)["$defs"][kind.__name__].keys() == {"title", "description"}


def test_an_entry_is_of_a_known_type_by_its_tag_or_of_any_other() -> None:
    schema = json_schema(Batch)["$defs"]
    entry = schema["Batch"]["properties"]["succeeded"]
    assert entry["type"] == ["array", "null"]
    assert entry["items"]["anyOf"] == [{"$ref": "#/$defs/InvoiceSuccess"}, {"$ref": "#/$defs/UnknownEntry"}]
    assert schema["InvoiceSuccess"]["properties"]["$type"] == {"const": "invoiceSuccess"}


def test_two_models_of_one_name_are_two() -> None:
    class Invoice(Received, frozen=True, kw_only=True):
        """Another of that name."""

        other: models.Invoice | None = None
        number: NumberText = ""
        tags: tuple[str, ...] = ()
        kind: OpenEnum | None = None
        count: float = 0.0
        many: list[Any] = []  # noqa: RUF012  # msgspec makes a new one each time

    found = json_schema(Invoice)["$defs"]
    assert {"Invoice", "Invoice1"} <= found.keys()
    assert found["Invoice"]["properties"]["many"] == {"type": ["array", "null"], "items": {}}
