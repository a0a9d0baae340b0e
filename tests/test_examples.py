"""Every JSON example of Amili's documentation is read."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import pytest

from amili_async import (
    AutoCollectBatch,
    Batch,
    BatchState,
    BatchType,
    Case,
    CaseInvoice,
    CaseStatus,
    CaseSubStatus,
    ClientCredentials,
    CollectionType,
    Creditor,
    Currency,
    Debtor,
    DebtorType,
    Drift,
    FailedEntry,
    Invoice,
    InvoiceStatus,
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
    Summary,
    UnusualValueWarning,
    encode,
)
from amili_async._decoding import Reader
from amili_async.models._envelope import AcceptedBody
from amili_async.webhooks import BatchCompleted, CaseCreated, CaseUpdated, SettlementCreated, parse_event
from tests.support.examples import FOLDER, example

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amili_async import OpenEnum

MOMENT = datetime(2019, 8, 24, 14, 15, 22, tzinfo=UTC)
ORGANIZATION = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
INVOICE = "cfa69f56-2faf-4a1f-a011-1980d4e385b0"
BATCH = "ae257e86-dc53-4865-9c97-5b125a3a5ac2"
CASE = "1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b"


def drift_free(drift: Drift) -> None:
    pytest.fail(f"a documented example differs from the documentation: {drift}")


def test_every_example_is_read_by_a_test_of_this_module() -> None:
    source = (FOLDER.parent / "test_examples.py").read_text("utf-8")
    examples = {path.stem for path in FOLDER.glob("*.json")}
    assert examples
    assert {name for name in examples if f'example("{name}")' not in source} == set()


async def test_the_token() -> None:
    async def exchange(form: Mapping[str, str], /) -> bytes:
        assert form == {"grant_type": "client_credentials", "client_id": "id", "client_secret": "secret"}
        return example("token")

    assert await ClientCredentials("id", "secret").token(exchange) == "eyJ0eXAi"


def test_the_envelope() -> None:
    page = Reader(RawValue).page(example("envelope"), drift_free)
    assert page.summary == Summary(status="SUCCESS", next_page_token="eyJwYWdlIjoyfQ")
    assert page.rows == []


def test_a_page_of_batches_as_the_first_generation_sends_it() -> None:
    page = Reader(Batch).page(example("batches_g1"), drift_free)
    assert page.summary == Summary(status="string", next_page_token="string")
    assert page.rows == [
        Batch(
            batch_id="5579c111-9c50-47e2-af92-f16d52e63189",
            type=BatchType.NONE,
            status=LegacyStatus(
                status_code=0,
                errors=(LegacyError(object_name="string", object_index=0, message="string"),),
                responses=(
                    LegacyResponse(
                        object_name="string", object_index=0, ledger_ref="string", status_statuscode="string"
                    ),
                ),
            ),
            created_at=MOMENT,
            finished_at=MOMENT,
            organization_id="7bc05553-4b68-44e8-b7bc-37be63c6d9e9",
            created_by="25a02396-1048-48f9-bf93-102d2fb7895e",
            succeeded=(
                InvoiceSuccess(
                    invoice_id="4f163819-178d-470c-a246-d6768476a6ec", invoice_number="string", case_id="string"
                ),
            ),
            failed=(FailedEntry(raw=b"null"),),
        )
    ]


def test_a_batch_as_the_current_generation_sends_it() -> None:
    assert Reader(Batch).one(example("batch"), drift_free) == Batch(
        batch_id=BATCH,
        type=BatchType.INVOICE,
        status=BatchState.SUCCESS,
        created_at=datetime(2025, 3, 9, 14, 30, tzinfo=UTC),
        finished_at=datetime(2025, 3, 9, 14, 30, 5, tzinfo=UTC),
        organization_id=ORGANIZATION,
        created_by="8a1b2c3d-4e5f-6789-abcd-ef0123456789",
        succeeded=(InvoiceSuccess(invoice_id=INVOICE, invoice_number="INV-2025-001"),),
    )


def test_the_answer_to_a_write() -> None:
    accepted = Reader(AcceptedBody).one(example("accepted"), drift_free)
    assert accepted.batch_id == BATCH
    assert accepted.batch_url == f"https://api.amili.no/collection/v1/batches/{BATCH}"


def test_invoices_to_be_created() -> None:
    documented = msgspec.json.decode(example("invoices_create"))["invoices"][0]
    invoice = NewInvoice(
        type="NOTICE",
        invoice_number="INV-2024-00123",
        vat=True,
        fees=True,
        original_invoice_amount=Decimal("4500.00"),
        currency="NOK",
        invoice_date="2024-01-15T00:00:00Z",
        due_date="2024-02-15T00:00:00Z",
        collection_notice_date=None,
        unique_source_invoice_id="erp-order-9981",
        description="string",
    )
    assert msgspec.json.decode(encode(invoice)) == documented
    assert b'"originalInvoiceAmount":4500.00,' in encode(invoice)


def test_payments_to_be_created() -> None:
    documented = msgspec.json.decode(example("payments_create"))["payments"][0]
    payment = NewPayment(invoice_id=INVOICE, type=PaymentType.DIRECT_PAYMENT, amount=Decimal(0), currency="NOK")
    assert msgspec.json.decode(encode(payment)) == documented


def test_corrections_to_be_created() -> None:
    documented = msgspec.json.decode(example("corrections_create"))["corrections"][0]
    with pytest.warns(UnusualValueWarning, match="currency is no ISO 4217 code"):
        correction = NewCorrection(
            invoice_id=INVOICE,
            amount=Decimal(0),
            currency="string",
            date="2019-08-24T14:15:22.123Z",
            description="string",
        )
    assert msgspec.json.decode(encode(correction)) == documented


def test_an_invoice() -> None:
    assert Reader(Invoice).one(example("invoice"), drift_free) == Invoice(
        id=INVOICE,
        organization=Creditor(id=ORGANIZATION, organization_number="987654321", name="string"),
        invoice_number="INV-2024-00123",
        collection_case_number="5000001",
        type=InvoiceType.PAYMENT_REMINDER,
        status=InvoiceStatus.OPEN,
        created_at=datetime(2024, 1, 15, tzinfo=UTC),
    )


def test_settlements() -> None:
    assert Reader(Settlement).page(example("settlements"), drift_free).rows == [
        Settlement(
            case_number="1234567",
            collection_type=CollectionType.REMINDER,
            currency="NOK",
            customer_reference="string",
            exchange_rate=Decimal("1.0"),
        )
    ]


def test_cases_whose_currency_is_an_empty_object() -> None:
    drifts: list[Drift] = []
    page = Reader(Case).page(example("cases"), drifts.append)
    assert page.rows == [
        Case(
            case_id=CASE,
            case_number="0",
            organization_id=ORGANIZATION,
            creditor_id="9d8c7b6a-5f4e-4d3c-8b2a-1f0e9d8c7b6a",
            creditor_number="string",
            status=CaseStatus.OPEN,
            sub_status=CaseSubStatus.DEBT_COLLECTION_LIST_MANUAL,
            type=InvoiceType.PAYMENT_REMINDER,
            description="string",
            registered_at=MOMENT,
            closed_at=MOMENT,
            case_token="string",
            invoices=(
                CaseInvoice(
                    invoice_id=INVOICE,
                    invoice_number="string",
                    case_id=CASE,
                    invoice_date=MOMENT,
                    due_date=MOMENT,
                    batch_id=BATCH,
                    registered_at=MOMENT,
                    original_amount=Decimal(0),
                    remaining_amount=Decimal(0),
                    remaining_principal=Decimal(0),
                    unique_source_invoice_id="string",
                    paid_amount=Decimal(0),
                    credited_amount=Decimal(0),
                    currency=Currency(),
                ),
            ),
            debtors=(
                Debtor(
                    debtor_id="7a6b5c4d-3e2f-4101-9a8b-7c6d5e4f3a2b",
                    type=DebtorType.PRIVATE,
                    debtor_number="string",
                    customer_number="string",
                    first_name="string",
                    last_name="string",
                    full_name="string",
                ),
            ),
        )
    ]
    assert drifts == []


def test_autocollect_s_batch_and_all_its_members() -> None:
    body = example("autocollect_batch")
    batch = Reader(AutoCollectBatch).bare(body, drift_free)
    assert batch.creditors[0].case_handler == batch.creditors[0].contact
    assert batch.cases[0].payment_details is not None
    assert batch.cases[0].payment_details.payment_value == 0
    assert batch.cases[0].history[0].attachment_id == "string"
    # Nothing is lost: what was read is what is written.
    assert msgspec.json.decode(encode(batch)) == msgspec.json.decode(body)


def test_the_events_of_webhooks() -> None:
    completed = parse_event(example("webhook_batch_completed"))
    assert isinstance(completed, BatchCompleted)
    assert (completed.batch_id, completed.status) == (BATCH, BatchState.SUCCESS)
    settled = parse_event(example("webhook_settlement_created"))
    assert isinstance(settled, SettlementCreated)
    assert (settled.settlement_date, settled.case_number) == (date(2025, 8, 15), "1234567")
    created = parse_event(example("webhook_case"))
    assert isinstance(created, CaseCreated)
    assert (created.organization_id, len(created.invoices)) == (ORGANIZATION, 2)
    updated = parse_event(example("webhook_case_updated"))
    assert isinstance(updated, CaseUpdated)
    assert updated.fields == ("amounts", "status", "type", "description")


def test_the_documented_values_are_known_and_no_others() -> None:
    seen: dict[type[OpenEnum], set[str]] = {
        BatchState: {"QUEUED", "SUCCESS", "PARTIAL", "FAILED"},
        BatchType: {"NONE", "INVOICE", "PAYMENT", "CORRECTION"},
        InvoiceType: {"NOTICE", "PAYMENT_REMINDER", "COLLECTION_NOTICE"},
        InvoiceStatus: {"OPEN"},
        CaseStatus: {"OPEN", "PAUSED"},
        CaseSubStatus: {"DEBT_COLLECTION_LIST_MANUAL"},
        DebtorType: {"PRIVATE"},
        PaymentType: {"DIRECT_PAYMENT"},
        CollectionType: {"REMINDER"},
    }
    assert {kind: {str(member) for member in kind} for kind in seen} == seen
