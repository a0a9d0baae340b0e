"""What a model encodes, it decodes to an equal value; unknown values, raw parts and money survive byte for byte."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from amili_async import (
    AutoCollectBatch,
    AutoCollectCase,
    AutoCollectPaymentDetails,
    Batch,
    BatchState,
    BatchType,
    Case,
    CaseInvoice,
    CaseStatus,
    Creditor,
    Debtor,
    DebtorType,
    FailedEntry,
    Invoice,
    InvoiceSuccess,
    InvoiceType,
    LegacyError,
    LegacyResponse,
    LegacyStatus,
    NewCorrection,
    NewInvoice,
    NewPayment,
    PaymentType,
    RawValue,
    Settlement,
    UnknownEntry,
    encode,
)
from amili_async._decoding import Reader
from amili_async.models._inputs import is_bounded

if TYPE_CHECKING:
    from decimal import Decimal

    from amili_async.models import Model

TEXT = st.text(max_size=12)
MAYBE = st.none() | TEXT
MOMENT = st.datetimes(timezones=st.just(UTC), min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30))  # noqa: DTZ001  # the zone is the strategy's
MONEY = st.decimals(allow_nan=False, allow_infinity=False).filter(is_bounded) | st.decimals(
    min_value=-(10**9), max_value=10**9, places=2, allow_nan=False
)

LEGACY = st.builds(
    LegacyStatus,
    status_code=st.none() | st.integers(0, 9),
    errors=st.lists(st.builds(LegacyError, object_name=MAYBE, message=MAYBE), max_size=2).map(tuple),
    responses=st.lists(st.builds(LegacyResponse, ledger_ref=MAYBE, status_statuscode=MAYBE), max_size=2).map(tuple),
)


def unknown(tag: str, number: int) -> UnknownEntry:
    return UnknownEntry(type=tag, raw=json.dumps({"x": number, "$type": tag}).encode())


UNKNOWN = st.builds(unknown, TEXT.filter(lambda tag: tag != "invoiceSuccess"), st.integers())
KNOWN = st.builds(InvoiceSuccess, invoice_id=TEXT, invoice_number=MAYBE, case_id=MAYBE)
FAILED = st.sampled_from([b"null", b"{ }", b'{"message": "no",  "id": 4}', b'"text"', b"[1,\n2]"]).map(FailedEntry)
BATCH = st.builds(
    Batch,
    batch_id=TEXT,
    type=st.none() | TEXT.map(BatchType),
    status=st.none() | TEXT.map(BatchState) | LEGACY,
    created_at=st.none() | MOMENT,
    finished_at=st.none() | MOMENT,
    organization_id=MAYBE,
    succeeded=st.lists(KNOWN | UNKNOWN, max_size=4).map(tuple),
    failed=st.lists(FAILED, max_size=3).map(tuple),
)
INVOICE = st.builds(
    Invoice,
    id=TEXT,
    organization=st.none() | st.builds(Creditor, id=MAYBE, name=MAYBE),
    invoice_number=MAYBE,
    type=st.none() | TEXT.map(InvoiceType),
    created_at=st.none() | MOMENT,
)
SETTLEMENT = st.builds(
    Settlement, case_number=MAYBE, exchange_rate=st.none() | MONEY, settlement_date=st.none() | st.dates()
)
CASE = st.builds(
    Case,
    case_id=TEXT,
    case_number=MAYBE,
    status=st.none() | TEXT.map(CaseStatus),
    invoices=st.lists(st.builds(CaseInvoice, original_amount=st.none() | MONEY, currency=MAYBE), max_size=2).map(tuple),
    debtors=st.lists(st.builds(Debtor, type=st.none() | TEXT.map(DebtorType), full_name=MAYBE), max_size=2).map(tuple),
)
AUTOCOLLECT = st.builds(
    AutoCollectBatch,
    batch_id=MAYBE,
    cases=st.lists(
        st.builds(
            AutoCollectCase,
            case_number=MAYBE,
            original_sum=st.none() | MONEY,
            payment_details=st.none() | st.builds(AutoCollectPaymentDetails, payment_value=MONEY, kid=MAYBE),
        ),
        max_size=2,
    ).map(tuple),
)
GIVEN_TEXT = TEXT.filter(str.strip)
GIVEN_OR_NEITHER = st.sampled_from([None, UNSET]) | GIVEN_TEXT
NEW_INVOICE = st.builds(
    NewInvoice,
    type=st.sampled_from([None, UNSET, *InvoiceType]),
    invoice_number=GIVEN_TEXT,
    original_invoice_amount=MONEY.filter(lambda amount: amount > 0),
    vat=st.sampled_from([None, UNSET, True, False]),
    invoice_date=st.sampled_from([None, UNSET]) | MOMENT | st.dates() | MOMENT.map(datetime.isoformat),
)
NEW_PAYMENT = st.builds(
    NewPayment,
    invoice_id=GIVEN_TEXT,
    type=st.sampled_from([None, UNSET, *PaymentType]),
    amount=MONEY | st.integers(1 - 10**30, 10**30 - 1),
    currency=GIVEN_OR_NEITHER,
)
NEW_CORRECTION = st.builds(
    NewCorrection,
    invoice_id=GIVEN_TEXT,
    amount=MONEY,
    date=st.sampled_from([None, UNSET]) | MOMENT | MOMENT.map(datetime.isoformat),
    description=st.sampled_from([None, UNSET]) | TEXT,
)
UNUSUAL = pytest.mark.filterwarnings("ignore::amili_async.UnusualValueWarning")
"""Random amounts have random digits."""


@UNUSUAL
@given(BATCH | INVOICE | SETTLEMENT | CASE | AUTOCOLLECT | LEGACY | NEW_INVOICE | NEW_PAYMENT | NEW_CORRECTION)
def test_what_a_model_encodes_it_decodes_to_an_equal_value(model: Model) -> None:
    written = encode(model)
    reader: Reader[Any] = Reader(type(model))
    read = reader.bare(written, None)
    assert read == model
    assert type(read) is type(model)
    assert encode(read) == written


@given(st.lists(BATCH, max_size=3))
def test_several_models_are_written_as_an_array(batches: list[Batch]) -> None:
    assert encode(batches) == b"[" + b",".join(map(encode, batches)) + b"]"


@UNUSUAL
@given(MONEY)
def test_money_is_written_as_its_digits(amount: Decimal) -> None:
    written = encode(NewPayment(invoice_id="i", amount=amount))
    digits = re.fullmatch(rb'\{"invoiceId":"i","amount":(.*)\}', written)
    assert digits is not None
    assert digits[1].decode() == str(amount)


def test_an_unknown_value_a_raw_part_and_money_survive_byte_for_byte() -> None:
    body = b'{"batchId":"b","type":"NEW","status":"SEEN","succeeded":[{ "$type" : "new", "sum": 1.50 }],"failed":[ ]}'
    batch = Reader(Batch).bare(body, None)
    assert encode(batch) == body.replace(b"[ ]", b"[]")
    case = b'{"caseId":"c","status":"NEW","invoices":[{"originalAmount":4500.00,"paidAmount":0.10}]}'
    assert encode(Reader(Case).bare(case, None)) == case


def test_an_open_value_is_written_as_it_came() -> None:
    assert encode(RawValue(raw=b'{ "a": 1.0 }')) == b'{ "a": 1.0 }'


def test_a_failed_entry_inside_a_batch_is_written_as_it_came() -> None:
    batch = Batch(batch_id="b", failed=(FailedEntry(b'{"message":  "no"}'),))
    assert encode(batch) == b'{"batchId":"b","failed":[{"message":  "no"}]}'
    assert msgspec.json.decode(encode(batch))["failed"] == [{"message": "no"}]
