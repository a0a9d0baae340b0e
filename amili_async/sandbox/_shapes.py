"""The JSON that the sandbox writes, spelled by hand from the public documentation, one function for each object.

Nothing here is shared with the client's models: a member misspelt in both would be found by nobody.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeGuard, Union

from amili_async.sandbox._identifiers import Identifiers, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amili_async.sandbox._collection import Payment
    from amili_async.sandbox._seed_data import Batch, FailedItem, Invoice, SucceededItem

Value: TypeAlias = Union[str, int, float, Decimal, Mapping[str, "Value"], "list[Value]", None]


@lru_cache(maxsize=4096)
def quoted(text: str) -> str:
    """Return text as a JSON string."""
    return json.dumps(text, ensure_ascii=False)


def to_json(value: Value) -> str:
    """Return a value as compact JSON; decimals keep their digits."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return f"{{{','.join([f'{quoted(name)}:{to_json(member)}' for name, member in value.items()])}}}"
    if isinstance(value, list):
        return array(to_json(item) for item in value)
    return json.dumps(value)


def array(items: Iterable[str]) -> str:
    """Return what is JSON already as a JSON array."""
    return f"[{','.join(items)}]"


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Return whether what JSON gave is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[object]]:
    """Return whether what JSON gave is an array."""
    return isinstance(value, list)


def money(ore: int) -> Decimal:
    """Return an amount in major units, with both decimals."""
    return Decimal(ore).scaleb(-2)


Generation = Literal["G1", "G2", "G3"]
GENERATIONS: tuple[Generation, ...] = ("G1", "G2", "G3")
LastPage = Literal["absent", "null", "empty"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATUS_CODES = {"QUEUED": 0, "SUCCESS": 1, "PARTIAL": 2, "FAILED": 3}


def moment(milliseconds: int, generation: Generation) -> str:
    """Return a moment as the generation prints it: to the second in G1, to the millisecond later."""
    at = (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")
    return f"{at[:19]}Z" if generation == "G1" else f"{at[:23]}Z"


def date(milliseconds: int) -> str:
    """Return the day of a moment."""
    return (_EPOCH + timedelta(milliseconds=milliseconds)).date().isoformat()


def summary(*, token: str | None = None, last_page: LastPage | None = None) -> str:
    """Return the member ``summary``; ``last_page`` says how a list's end is marked, ``None`` that it is no list."""
    if token is not None:
        following = f',"nextPageToken":{json.dumps(token)}'
    elif last_page == "null":
        following = ',"nextPageToken":null'
    elif last_page == "empty":
        following = ',"nextPageToken":""'
    else:
        following = ""
    return f'"summary":{{"status":"SUCCESS"{following}}}'


def envelope(head: str, data: str, generation: Generation) -> bytes:
    """Return a whole answer. The order of the two members is not promised, so G2 turns it round."""
    first, second = (f'"data":{data}', head) if generation == "G2" else (head, f'"data":{data}')
    return f"{{{first},{second}}}".encode()


def batch(
    batch: Batch, succeeded: Sequence[SucceededItem], failed: Sequence[FailedItem | None], generation: Generation
) -> str:
    """Return a batch with its entries (sections 5.1 and 5.2 of the API's description)."""
    status = _status_object(batch, succeeded, failed) if generation == "G1" else quoted(batch.state)
    finished = ""
    if batch.finished_at is not None:
        finished = f',"finishedAt":"{moment(batch.finished_at, generation)}"'
    elif generation != "G1":
        finished = ',"finishedAt":null'
    through = ",".join([success(entry, generation) for entry in succeeded])
    lost = ",".join([failure(entry, generation) for entry in failed])
    return (
        f'{{"batchId":"{batch.id}","type":{quoted(batch.type)},"status":{status},'
        f'"createdAt":"{moment(batch.created_at, generation)}"{finished},'
        f'"organizationId":"{batch.organization.id}","createdBy":"{batch.created_by}",'
        f'"succeeded":[{through}],"failed":[{lost}]}}'
    )


def success(entry: SucceededItem, generation: Generation) -> str:
    """Return an entry that came through: ``$type`` first in G1, last in G2, and left out for invoices in G3."""
    number = quoted(entry.invoice_number)
    if entry.own_id is not None:
        member = "paymentId" if entry.tag == "paymentSuccess" else "correctionId"
        members = f'"{member}":"{entry.own_id}","invoiceId":"{entry.invoice_id}","invoiceNumber":{number}'
    elif generation == "G1":
        members = f'"invoiceNumber":{number},"caseId":"{entry.case_id}","invoiceId":"{entry.invoice_id}"'
    else:
        members = f'"invoiceId":"{entry.invoice_id}","invoiceNumber":{number},"caseId":"{entry.case_id}"'
    if generation == "G1":
        return f'{{"$type":{quoted(entry.tag)},{members}}}'
    if generation == "G2" or entry.tag != "invoiceSuccess":
        return f'{{{members},"$type":{quoted(entry.tag)}}}'
    return f"{{{members}}}"


def failure(entry: FailedItem | None, generation: Generation) -> str:
    """Return an entry that failed. Its shape was never shown: ``null`` and ``{}`` occur, members are to be expected."""
    if entry is None:
        return "null" if generation == "G1" else "{}"
    return f'{{"invoiceNumber":{quoted(entry.reference)},"message":{quoted(entry.message)}}}'


def _status_object(batch: Batch, succeeded: Sequence[SucceededItem], failed: Sequence[FailedItem | None]) -> str:
    """Return the member ``status`` of G1."""
    errors = ",".join(
        [
            f'{{"objectname":"invoice","objectindex":{entry.entry},"message":{quoted(entry.message)}}}'
            for entry in failed
            if entry is not None
        ]
    )
    responses = ",".join(
        [
            f'{{"objectname":"invoice","objectindex":{index},"ledgerref":{quoted(entry.invoice_number)},'
            '"status_statuscode":"0"}'
            for index, entry in enumerate(succeeded)
        ]
    )
    return f'{{"statuscode":{_STATUS_CODES.get(batch.state, 9)},"errors":[{errors}],"responses":[{responses}]}}'


def problem(status: int, title: str, detail: str) -> bytes:
    """Return an error as problem details (RFC 9457): likely, since no error body is documented."""
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}).encode()


_DAY = 86_400_000


def invoice(invoice: Invoice, credited: int, generation: Generation) -> str:
    """Return an invoice as it is read (5.4): documented up to ``createdAt``, the rest is made up in its spirit."""
    owner = invoice.organization
    return to_json(
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


def case(invoice: Invoice, credited: int, sub_statuses: str, identifiers: Identifiers, generation: Generation) -> str:
    """Return the case of an invoice (5.7): its number is a number here, and ``currency`` a text."""
    owner = invoice.organization
    return to_json(
        {
            "caseId": invoice.case_id,
            "caseNumber": invoice.case_number,
            "organizationId": owner.id,
            "creditorId": identifiers.make(Kind.CREDITOR, owner.ordinal),
            "creditorNumber": str(1000 + owner.ordinal),
            "status": invoice.status,
            "subStatus": sub_statuses,
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
    return to_json(
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
    return to_json(
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
    return to_json({"documentId": document_id, "name": f"{invoice.number}.pdf", "contentType": "application/pdf"})


def history_entry(at: int, word: str, generation: Generation) -> str:
    """Return a line of an invoice's history; its members are made up."""
    return to_json({"type": word, "loggedAt": moment(at, generation)})


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
    return to_json(event).encode()


def _remaining(invoice: Invoice, credited: int) -> int:
    return max(0, invoice.amount - invoice.paid - credited)
