"""The JSON that the sandbox writes, spelled by hand from the public documentation, one function for each object.

Nothing here is shared with the client's models: a member misspelt in both would be found by nobody.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, TypeGuard, Union

from amili_async.sandbox._identifiers import SEQUENCES, Identifiers, Kind

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
"""Which of the API's generations is served: that of 2025, of late 2025, or of 2026."""
GENERATIONS: tuple[Generation, ...] = ("G1", "G2", "G3")
LastPage = Literal["absent", "null", "empty"]
"""What stands for the next page's token on the last page."""


class Dialect(NamedTuple):
    """How a server speaks: the generation of its API, and whether it says more than the public pages do."""

    generation: Generation
    undocumented: bool = False
    """Whether it sends members, values and types behind the places where the pages break off: made up, every one."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATUS_CODES = {"QUEUED": 0, "SUCCESS": 0, "PARTIAL": 2, "FAILED": 3}
"""Zero is printed, and taken to mean that nothing went wrong (I); the others are made up."""


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


def envelope(head: str, data: str, dialect: Dialect) -> bytes:
    """Return a whole answer. The order of the two members is not promised, so G2 turns it round."""
    first, second = (f'"data":{data}', head) if dialect.generation == "G2" else (head, f'"data":{data}')
    more = ',"links":{"self":null}' if dialect.undocumented else ""
    return f"{{{first},{second}{more}}}".encode()


def batch(
    batch: Batch, succeeded: Sequence[SucceededItem], failed: Sequence[FailedItem | None], dialect: Dialect
) -> str:
    """Return a batch with its entries (sections 5.1 and 5.2 of the API's description)."""
    generation = dialect.generation
    status = _status_object(batch, succeeded, failed) if generation == "G1" else quoted(batch.state)
    finished = ""
    if batch.finished_at is not None:
        finished = f',"finishedAt":"{moment(batch.finished_at, generation)}"'
    elif generation != "G1":
        finished = ',"finishedAt":null'
    through = ",".join([success(entry, dialect) for entry in succeeded])
    lost = ",".join([failure(entry, generation) for entry in failed])
    more = f',"reference":{quoted(batch.idempotency_key)},"progress":1.00' if dialect.undocumented else ""
    return (
        f'{{"batchId":"{batch.id}","type":{quoted(batch.type)},"status":{status},'
        f'"createdAt":"{moment(batch.created_at, generation)}"{finished},'
        f'"organizationId":"{batch.organization.id}","createdBy":"{batch.created_by}",'
        f'"succeeded":[{through}],"failed":[{lost}]{more}}}'
    )


def success(entry: SucceededItem, dialect: Dialect) -> str:
    """Return an entry that came through: ``$type`` first in G1, last in G2, and left out for invoices in G3.

    Only ``invoiceSuccess`` is documented, so the entry of a payment or a correction says which invoice it is of in just
    that form, unless undocumented types are wanted.
    """
    number, tag = quoted(entry.invoice_number), "invoiceSuccess"
    if entry.own_id is not None and dialect.undocumented:
        tag = entry.tag
        member = "paymentId" if tag == "paymentSuccess" else "correctionId"
        members = f'"{member}":"{entry.own_id}","invoiceId":"{entry.invoice_id}","invoiceNumber":{number}'
    elif dialect.generation == "G1":
        members = f'"invoiceNumber":{number},"caseId":"{entry.case_id}","invoiceId":"{entry.invoice_id}"'
    else:
        members = f'"invoiceId":"{entry.invoice_id}","invoiceNumber":{number},"caseId":"{entry.case_id}"'
    if dialect.undocumented:
        members += ',"warnings":[]'
    if dialect.generation == "G1":
        return f'{{"$type":{quoted(tag)},{members}}}'
    if dialect.generation == "G2" or tag != "invoiceSuccess":
        return f'{{{members},"$type":{quoted(tag)}}}'
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


def invoice(invoice: Invoice, credited: int, dialect: Dialect) -> str:
    """Return an invoice as it is read (5.4): documented (D) up to ``createdAt``, then what a case says of it (I)."""
    owner, generation = invoice.organization, dialect.generation
    members: dict[str, Value] = {
        "id": invoice.id,
        "organization": {"id": owner.id, "organizationNumber": owner.number, "name": owner.name},
        "invoiceNumber": invoice.number,
        "collectionCaseNumber": str(invoice.case_number),
        "type": invoice.type,
        "status": invoice.status,
        "createdAt": moment(invoice.created_at, generation),
        "caseId": invoice.case_id,
        "batchId": invoice.batch_id,
        "uniqueSourceInvoiceId": invoice.source_id,
        "invoiceDate": moment(invoice.invoice_date, generation),
        "dueDate": moment(invoice.due_date, generation),
        "registeredAt": moment(invoice.created_at, generation),
        **_amounts(invoice, credited),
        "currency": invoice.currency,
    }
    if dialect.undocumented:
        members |= {"description": invoice.description, "kid": invoice.kid, "attachments": [], "debtor": _address()}
    return to_json(members)


def case(
    invoice: Invoice,
    credited: int,
    sub_status: str,
    identifiers: Identifiers,
    dialect: Dialect,
    *,
    closed_at: int | None,
) -> str:
    """Return the case of an invoice (5.7): its number is a number here, and ``currency`` a text."""
    owner, generation = invoice.organization, dialect.generation
    members: dict[str, Value] = {
        "caseId": invoice.case_id,
        "caseNumber": invoice.case_number,
        "organizationId": owner.id,
        "creditorId": identifiers.make(Kind.CREDITOR, owner.ordinal),
        "creditorNumber": str(1000 + owner.ordinal),
        "status": invoice.status,
        "subStatus": sub_status,
        "type": invoice.type,
        "description": invoice.description,
        "registeredAt": moment(invoice.created_at, generation),
        "closedAt": None if closed_at is None else moment(closed_at, generation),
        "caseToken": f"{invoice.case_number:x}",
        "invoices": [_case_invoice(invoice, credited, dialect)],
        "debtors": [_debtor(invoice, identifiers, dialect)],
    }
    if dialect.undocumented:
        members["kid"] = invoice.kid
    return to_json(members)


def _case_invoice(invoice: Invoice, credited: int, dialect: Dialect) -> Value:
    return {
        "invoiceId": invoice.id,
        "invoiceNumber": invoice.number,
        "caseId": invoice.case_id,
        "invoiceDate": moment(invoice.invoice_date, dialect.generation),
        "dueDate": moment(invoice.due_date, dialect.generation),
        "batchId": invoice.batch_id,
        "registeredAt": moment(invoice.created_at, dialect.generation),
        **_amounts(invoice, credited),
        "uniqueSourceInvoiceId": invoice.source_id,
        # The page prints an object without members; elsewhere it is a text.
        "currency": {"code": invoice.currency} if dialect.undocumented else invoice.currency,
    }


def _amounts(invoice: Invoice, credited: int) -> dict[str, Value]:
    remaining = money(max(0, invoice.amount - invoice.paid - credited))
    return {
        "originalAmount": money(invoice.amount),
        "remainingAmount": remaining,
        "remainingPrincipal": remaining,
        "paidAmount": money(invoice.paid),
        "creditedAmount": money(credited),
    }


def _debtor(invoice: Invoice, identifiers: Identifiers, dialect: Dialect) -> Value:
    number = int(invoice.customer_number) if invoice.customer_number.isdecimal() else 0
    members: dict[str, Value] = {
        "debtorId": identifiers.make(Kind.DEBTOR, invoice.organization.ordinal, number % SEQUENCES),
        "type": "PRIVATE",
        "debtorNumber": str(20_000 + number),
        "customerNumber": invoice.customer_number,
        "firstName": invoice.first_name,
        "lastName": invoice.last_name,
        "fullName": f"{invoice.first_name} {invoice.last_name}",
    }
    return {**members, "address": _address()} if dialect.undocumented else members


def _address() -> Value:
    return {"street": "Storgata 1", "zipCode": "0150", "city": "Oslo", "countryCode": "NO"}


def settlement(invoice: Invoice, settlement_id: str, dialect: Dialect) -> str:
    """Return what was paid out for an invoice (5.6): the case's number is a text here."""
    members: dict[str, Value] = {
        "settlementId": settlement_id,
        "settlementDate": settlement_date(invoice),
        "caseNumber": str(invoice.case_number),
        "collectionType": "REMINDER",
        "currency": invoice.currency,
        "customerReference": invoice.customer_number,
        "exchangeRate": 1.0,
        "invoiceId": invoice.id,
        "invoiceNumber": invoice.number,
    }
    if dialect.undocumented:
        members |= {"amount": money(invoice.paid), "kid": invoice.kid, "lines": [{"type": "PRINCIPAL", "fee": None}]}
    return to_json(members)


def settlement_date(invoice: Invoice) -> str:
    """Return the day on which an invoice's money was paid out: the one after it came in."""
    return date(invoice.paid_at + 86_400_000)


def payment(payment: Payment, invoice: Invoice, dialect: Dialect) -> str:
    """Return a payment, in the members of 5.5."""
    members: dict[str, Value] = {
        "invoiceId": invoice.id,
        "type": payment.type,
        "amount": money(payment.amount),
        "currency": payment.currency,
    }
    if dialect.undocumented:
        members |= {"paymentId": payment.id, "paymentDate": moment(payment.at, dialect.generation)}
    return to_json(members)


def document(invoice: Invoice, document_id: str) -> str:
    """Return what says which paper belongs to an invoice; its members are made up."""
    return to_json({"documentId": document_id, "name": f"{invoice.number}.pdf", "contentType": "application/pdf"})


def history_entry(at: int, word: str, generation: Generation) -> str:
    """Return a line of an invoice's history; its members are made up."""
    return to_json({"type": word, "loggedAt": moment(at, generation)})


def batch_completed(event_id: str, at: int, batch: Batch, dialect: Dialect) -> bytes:
    """Return the event of a finished batch (6)."""
    data: dict[str, Value] = {"batchId": batch.id, "organizationId": batch.organization.id, "status": batch.state}
    return _event(event_id, "type", "BATCH_COMPLETED", at, data, dialect)


def settlement_created(event_id: str, at: int, invoice: Invoice, settlement_id: str, dialect: Dialect) -> bytes:
    """Return the event of a settlement (6)."""
    data: dict[str, Value] = {
        "settlementId": settlement_id,
        "organizationId": invoice.organization.id,
        "settlementDate": settlement_date(invoice),
        "invoiceId": invoice.id,
        "invoiceNumber": invoice.number,
        "caseNumber": str(invoice.case_number),
    }
    return _event(event_id, "type", "SETTLEMENT_CREATED", at, data, dialect)


def case_event(event_id: str, at: int, invoice: Invoice, changed: tuple[str, ...], dialect: Dialect) -> bytes:
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
        return _event(event_id, "eventType", "CASE", at, data, dialect)
    return _event(event_id, "eventType", "CASE_UPDATED", at, {**data, "fields": list(changed)}, dialect)


def _event(id_: str, member: str, name: str, at: int, data: dict[str, Value], dialect: Dialect) -> bytes:  # noqa: PLR0917  # the parts of one object
    """Return an event; Amili spells the member with its name in two ways."""
    stamp = moment(at, "G1")
    event: dict[str, Value] = {"id": id_, member: name, "source": "COLLECTION", "timeStamp": stamp, "data": data}
    if dialect.undocumented:
        event |= {"version": 2, "data": {**data, "amount": money(450_000)}}
    return to_json(event).encode()
