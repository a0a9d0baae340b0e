"""The JSON of invoices, cases and settlements, and of webhooks, spelled by hand from the public documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.sandbox._identifiers import Identifiers, Kind
from amili_async.sandbox._json_text import Value, money, written
from amili_async.sandbox._shapes import date, moment

if TYPE_CHECKING:
    from amili_async.sandbox._collection import Payment
    from amili_async.sandbox._seed_data import Batch, Invoice
    from amili_async.sandbox._shapes import Generation

_DAY = 86_400_000


def invoice(invoice: Invoice, credited: int, generation: Generation) -> str:
    """Return an invoice as it is read (5.4): documented up to ``createdAt``, the rest is made up in its spirit."""
    owner = invoice.organization
    return written(
        {
            "id": invoice.id,
            "organization": {"id": owner.id, "organizationNumber": owner.number, "name": owner.name},
            "invoiceNumber": invoice.number,
            "collectionCaseNumber": str(invoice.case_number),
            "type": invoice.type,
            "status": invoice.status,
            "createdAt": moment(invoice.created_at, generation),
            "invoiceDate": moment(invoice.invoice_date, generation),
            "dueDate": moment(invoice.due_date, generation),
            "originalInvoiceAmount": money(invoice.amount),
            "remainingAmount": money(_remaining(invoice, credited)),
            "currency": invoice.currency,
            "uniqueSourceInvoiceId": invoice.source_id,
            "description": invoice.description,
        }
    )


def case(invoice: Invoice, credited: int, substanding: str, identifiers: Identifiers, generation: Generation) -> str:
    """Return the case of an invoice (5.7): its number is a number here, and ``currency`` a text."""
    owner = invoice.organization
    return written(
        {
            "caseId": invoice.case_id,
            "caseNumber": invoice.case_number,
            "organizationId": owner.id,
            "creditorId": identifiers.make(Kind.CREDITOR, owner.ordinal),
            "creditorNumber": str(1000 + owner.ordinal),
            "status": invoice.status,
            "subStatus": substanding,
            "type": invoice.type,
            "description": invoice.description,
            "registeredAt": moment(invoice.created_at, generation),
            "closedAt": moment(invoice.due_date + _DAY, generation) if invoice.status == "CLOSED" else None,
            "caseToken": f"{invoice.case_number:x}",
            "invoices": [_case_invoice(invoice, credited, generation)],
            "debtors": [_debtor(invoice, identifiers)],
        }
    )


def _case_invoice(invoice: Invoice, credited: int, generation: Generation) -> Value:
    return {
        "invoiceId": invoice.id,
        "invoiceNumber": invoice.number,
        "caseId": invoice.case_id,
        "invoiceDate": moment(invoice.invoice_date, generation),
        "dueDate": moment(invoice.due_date, generation),
        "batchId": invoice.batch_id,
        "registeredAt": moment(invoice.created_at, generation),
        "originalAmount": money(invoice.amount),
        "remainingAmount": money(_remaining(invoice, credited)),
        "remainingPrincipal": money(_remaining(invoice, credited)),
        "uniqueSourceInvoiceId": invoice.source_id,
        "paidAmount": money(invoice.paid),
        "creditedAmount": money(credited),
        "currency": invoice.currency,
    }


def _debtor(invoice: Invoice, identifiers: Identifiers) -> Value:
    return {
        "debtorId": identifiers.make(Kind.DEBTOR, *invoice.place),
        "type": "PRIVATE",
        "debtorNumber": str(20_000 + invoice.sequence),
        "customerNumber": invoice.customer_number,
        "firstName": invoice.first_name,
        "lastName": invoice.last_name,
        "fullName": f"{invoice.first_name} {invoice.last_name}",
    }


def settlement(invoice: Invoice, settlement_id: str) -> str:
    """Return what was paid out for an invoice (5.6): the case's number is a text here."""
    return written(
        {
            "settlementId": settlement_id,
            "settlementDate": settlement_date(invoice),
            "caseNumber": str(invoice.case_number),
            "collectionType": "REMINDER",
            "currency": invoice.currency,
            "customerReference": invoice.customer_number,
            "exchangeRate": 1.0,
            "amount": money(invoice.paid),
            "invoiceId": invoice.id,
            "invoiceNumber": invoice.number,
        }
    )


def settlement_date(invoice: Invoice) -> str:
    """Return the day on which an invoice's money was paid out."""
    return date(invoice.created_at + 3 * _DAY)


def payment(payment: Payment, invoice: Invoice, generation: Generation) -> str:
    """Return a payment, in the members of 5.5."""
    return written(
        {
            "paymentId": payment.id,
            "invoiceId": invoice.id,
            "type": payment.type,
            "amount": money(payment.amount),
            "currency": payment.currency,
            "paymentDate": moment(payment.at, generation),
        }
    )


def document(invoice: Invoice, document_id: str) -> str:
    """Return what says which paper belongs to an invoice; its members are made up."""
    return written({"documentId": document_id, "name": f"{invoice.number}.pdf", "contentType": "application/pdf"})


def happening(at: int, word: str, generation: Generation) -> str:
    """Return a line of an invoice's history; its members are made up."""
    return written({"type": word, "loggedAt": moment(at, generation)})


def batch_completed(event_id: str, at: int, batch: Batch) -> bytes:
    """Return the event of a finished batch (6)."""
    data: Value = {"batchId": batch.id, "organizationId": batch.organization.id, "status": batch.state}
    return _event(event_id, "type", "BATCH_COMPLETED", at, data)


def settlement_created(event_id: str, at: int, invoice: Invoice, settlement_id: str) -> bytes:
    """Return the event of a settlement (6)."""
    data: Value = {
        "settlementId": settlement_id,
        "organizationId": invoice.organization.id,
        "settlementDate": settlement_date(invoice),
        "invoiceId": invoice.id,
        "invoiceNumber": invoice.number,
        "caseNumber": str(invoice.case_number),
    }
    return _event(event_id, "type", "SETTLEMENT_CREATED", at, data)


def case_event(event_id: str, at: int, invoice: Invoice, changed: tuple[str, ...] = ()) -> bytes:
    """Return the event of a case that was opened or, with the members that changed, updated (6)."""
    data: dict[str, Value] = {
        "orgId": invoice.organization.id,
        "caseId": invoice.case_id,
        "caseNumber": str(invoice.case_number),
        "type": invoice.type,
        "status": invoice.status,
        "invoices": [invoice.id],
    }
    if not changed:
        return _event(event_id, "eventType", "CASE", at, data)
    return _event(event_id, "eventType", "CASE_UPDATED", at, {**data, "fields": list(changed)})


def _event(event_id: str, member: str, name: str, at: int, data: Value) -> bytes:
    """Return an event; Amili spells the member with its name in two ways."""
    event: Value = {"id": event_id, member: name, "source": "COLLECTION", "timeStamp": moment(at, "G1"), "data": data}
    return written(event).encode()


def _remaining(invoice: Invoice, credited: int) -> int:
    return max(0, invoice.amount - invoice.paid - credited)
