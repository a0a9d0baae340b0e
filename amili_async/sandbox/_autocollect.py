"""AutoCollect, the older API: all lower case, one big object, no envelope."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

from amili_async.sandbox._identifiers import Kind
from amili_async.sandbox._pages import Answer, Refusal
from amili_async.sandbox._shapes import Value, date, is_array, is_object, money, to_json

if TYPE_CHECKING:
    from amili_async.sandbox._collection import Collection
    from amili_async.sandbox._pages import Request
    from amili_async.sandbox._seed_data import Invoice, Organization
    from amili_async.sandbox._state import State

ATTACHMENT = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
"""What every attachment holds."""

_MOST_CASES = 200
_ACCOUNT = "86011117947"


class AutoCollect:
    """Answers AutoCollect's operations from the same invoices as the rest."""

    def __init__(self, state: State, collection: Collection, *, undocumented: bool) -> None:
        self._state = state
        self._collection = collection
        self._undocumented = undocumented

    def get_batch(self, request: Request) -> Answer:
        """Return creditors, cases and settlements, of one creditor or of the first."""
        query = request.query
        organization = self._creditor(query.get("creditorid"))
        closed = query.get("includeclosed", "false").lower() == "true"
        invoices = [
            invoice
            for invoice in islice(self._collection.all(organization, None), _MOST_CASES)
            if (closed or invoice.status != "CLOSED")
            and query.get("customerref") in {None, invoice.customer_number}
            and query.get("ledgerref") in {None, invoice.number}
        ]
        settled = [invoice for invoice in invoices if invoice.paid]
        answer: Value = {
            "batchid": self._state.seed_data.identifiers.make(Kind.BATCH, organization.ordinal),
            "offline": False,
            "creditor": [_creditor(organization, len(settled))],
            "case": [self._case(invoice) for invoice in invoices],
            "settlement": [self._settlement(invoice) for invoice in settled],
        }
        return Answer(200, to_json(answer).encode())

    def send_batch(self, request: Request) -> Answer:
        """Take a batch; the answer is the object that G1 shows as ``status`` (inferred)."""
        if not request.logged.headers.get("content-type", "").startswith("application/json-patch+json"):
            raise Refusal(400, "send application/json-patch+json")
        try:
            sent: object = json.loads(request.logged.body)
        except ValueError:
            raise Refusal(400, "the body is not JSON") from None
        cases = sent.get("case", []) if is_object(sent) else None
        if not is_array(cases):
            raise Refusal(400, "the body must be a batch object")
        errors: list[Value] = []
        responses: list[Value] = []
        for index, case in enumerate(cases):
            reference = case.get("ledgerref") if is_object(case) else None
            place: dict[str, Value] = {"objectname": "case", "objectindex": index}
            if isinstance(reference, str) and reference:
                responses.append({**place, "ledgerref": reference, "status_statuscode": "0"})
            else:
                errors.append({**place, "message": "ledgerref is missing"})
        answer: Value = {"statuscode": 2 if errors else 0, "errors": errors, "responses": responses}
        return Answer(200, to_json(answer).encode())

    def attachment(self, request: Request) -> Answer:
        """Return a file."""
        if not request.query.get("attachmentid"):
            raise Refusal(400, "attachmentid is missing")
        return Answer(200, ATTACHMENT, "application/pdf")

    def ping(self, _: Request) -> Answer:
        """Answer."""
        return Answer(200, b'"pong"')

    def _creditor(self, identifier: str | None) -> Organization:
        if identifier is None:
            return self._state.organizations[0]
        for organization in self._state.organizations:
            if identifier.lower() in {organization.id, organization.number}:
                return organization
        raise Refusal(404, "no such creditor")

    def _case(self, invoice: Invoice) -> Value:
        credited = self._collection.credited(invoice)
        remaining = money(max(0, invoice.amount - invoice.paid - credited))
        closed_at = self._collection.closed_at(invoice)
        return {
            **_references(invoice),
            "customername": f"{invoice.first_name} {invoice.last_name}",
            "currencycode": invoice.currency,
            "regdate": date(invoice.created_at),
            "closuredate": None if closed_at is None else date(closed_at),
            "isdebtcollection": invoice.type == "COLLECTION_NOTICE",
            "billdate": date(invoice.invoice_date),
            "duedate": date(invoice.due_date),
            "originalsum": money(invoice.amount),
            "paidsum": money(invoice.paid),
            "remainingsum": remaining,
            "originalprincipal": money(invoice.amount),
            "paidprincipal": money(invoice.paid),
            "remainingprincipal": remaining,
            **{f"{kind}{what}": money(0) for what in ("fee", "interest") for kind in ("original", "paid", "remaining")},
            "service_description": invoice.description,
            "status_statuscode": "0",
            "reminders": 1,
            "debtcollectionlist": False,
            "history": [
                {
                    "type": "letter",
                    "loggedat": date(invoice.created_at),
                    "message": "Betalingsoppfordring sendt",
                    "subject": "Betalingsoppfordring",
                    "conversationid": None,
                    "attachmentid": str(invoice.case_number),
                }
            ],
            "paymentDetails": {
                "paymentValue": remaining,
                "currency": invoice.currency,
                "kid": invoice.kid,
                "bankAccount": _ACCOUNT,
                "dueDate": date(invoice.due_date),
            },
        }

    def _settlement(self, invoice: Invoice) -> Value:
        members: dict[str, Value] = {"creditorid": invoice.organization.number, **_references(invoice)}
        return {**members, "paidsum": money(invoice.paid)} if self._undocumented else members


def _creditor(organization: Organization, last_settlement: int) -> Value:
    contact: Value = {
        "fullname": "Kari Nordmann",
        "workphone": "+47 22 00 00 00",
        "email": "faktura@example.com",
        "isinvoicequery": True,
        "isremittancereport": True,
        "isorderconfirmation": False,
        "iscollectionlist": True,
        "isweb": True,
    }
    return {
        "idnumber": organization.number,
        "parentidnumber": None,
        "onlydebtcollection": False,
        "vattype": "standard",
        "fullname": organization.name,
        "street": "Storgata 1",
        "city": "Oslo",
        "zipcode": "0150",
        "countrycode": "NO",
        "bankaccountno": _ACCOUNT,
        "contact": contact,
        "casehandler": contact,
        "sourceid": organization.id,
        "reminderflow": "standard",
        "debtcollectiontransfer": "automatic",
        "invoicearchive": True,
        "hasforeigndebtors": False,
        "hasforeigncurrency": False,
        "disabled": False,
        "lastsettlementid": last_settlement,
    }


def _references(invoice: Invoice) -> dict[str, Value]:
    return {
        "customerref": invoice.customer_number,
        "ledgerref": invoice.number,
        "referencenumber": invoice.source_id,
        "casenumber": invoice.case_number,
    }
