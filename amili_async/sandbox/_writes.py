"""The operations that write: invoices, payments and corrections become batches, actions take effect at once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from amili_async.sandbox._collection import CLOSED, OPEN, PAUSED, WITHDRAWN, Payment
from amili_async.sandbox._identifiers import ENTRIES, Kind
from amili_async.sandbox._pages import Answer, Refusal
from amili_async.sandbox._reads import asked_invoice, organization_of
from amili_async.sandbox._seed_data import QUEUED, Batch, FailedItem, Invoice, Organization, SucceededItem
from amili_async.sandbox._shapes import Value, is_array, is_object, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from amili_async.sandbox._collection import Collection
    from amili_async.sandbox._pages import Request
    from amili_async.sandbox._shapes import Generation
    from amili_async.sandbox._state import State

MOST_PER_WRITE = 1000
_MOST_MONEY = 10**13

Item = dict[str, object]
"""A member of a request's list, as JSON gave it."""


class Writes:
    """Answers what writes.

    What makes an entry fail is kept to what any collector must refuse: no number, an amount that is not above zero, a
    due date before the invoice's own, an invoice that is there already, an invoice that nobody knows.
    """

    def __init__(
        self,
        state: State,
        collection: Collection,
        *,
        generation: Generation,
        api_root: Callable[[], str],
        heeds_idempotency_key: bool,
        finish_after: float | None,
        finish_polls: int | None,
        on_case: Callable[[Invoice, tuple[str, ...]], None],
        on_settlement: Callable[[Invoice], None],
    ) -> None:
        self._state = state
        self._collection = collection
        self._generation: Generation = generation
        self._api_root = api_root
        self._heeds_key = heeds_idempotency_key
        self._finish_after = finish_after
        self._finish_polls = finish_polls
        self._on_case = on_case
        self._on_settlement = on_settlement

    # Batches

    def create_invoices(self, request: Request) -> Answer:
        """Take invoices; those that can be invoices show up in the lists when the batch is done."""
        organization = organization_of(self._state, request)
        known = self._known(organization, request)
        if known is not None:
            return known
        sequence = self._state.length(organization)
        taken: set[str] = set()
        succeeded: list[SucceededItem] = []
        failed: list[FailedItem] = []
        invoices: list[Invoice] = []
        for entry, item in enumerate(_items(request, "invoices")):
            fault = self._fault_of_invoice(organization, item, taken)
            number = _text(item, "invoiceNumber")
            if fault is not None:
                failed.append(FailedItem(entry, number, fault))
                continue
            taken.add(_text(item, "uniqueSourceInvoiceId"))
            succeeded.append(self._state.invoice_success(organization, sequence, entry, number))
            invoices.append(self._invoice(organization, sequence, entry, item, request.now))

        def effect() -> None:
            for invoice in invoices:
                self._on_case(invoice, ())

        for invoice in invoices:
            self._collection.add_invoice(invoice)
        return self._queue(organization, request, kind="INVOICE", succeeded=succeeded, failed=failed, effect=effect)

    def create_payments(self, request: Request) -> Answer:
        """Take payments; they count when the batch is done."""
        return self._book(request, "payments", correction=False)

    def create_corrections(self, request: Request) -> Answer:
        """Take corrections; they count when the batch is done."""
        return self._book(request, "corrections", correction=True)

    def _book(self, request: Request, member: str, *, correction: bool) -> Answer:
        organization = organization_of(self._state, request)
        known = self._known(organization, request)
        if known is not None:
            return known
        sequence = self._state.length(organization)
        succeeded: list[SucceededItem] = []
        failed: list[FailedItem] = []
        booked: list[tuple[Invoice, Payment]] = []
        kind = Kind.CORRECTION if correction else Kind.PAYMENT
        for entry, item in enumerate(_items(request, member)):
            amount = _ore(item.get("amount"))
            identifier = _text(item, "invoiceId")
            invoice = self._collection.find(identifier, Kind.INVOICE, organization)
            if invoice is None:
                failed.append(FailedItem(entry, identifier, "unknown invoice"))
            elif amount is None or amount <= 0:
                failed.append(FailedItem(entry, invoice.number, "amount must be above zero, with two decimals at most"))
            else:
                own = self._state.seed_data.identifiers.make(kind, organization.ordinal, sequence, entry)
                tag = "correctionSuccess" if correction else "paymentSuccess"
                succeeded.append(SucceededItem(tag, invoice.id, invoice.number, invoice.case_id, own))
                word = _text(item, "type") or ("CORRECTION" if correction else "DIRECT_PAYMENT")
                currency = _text(item, "currency") or "NOK"
                at = int(request.now * 1000)
                payment = Payment(own, word, amount, currency, at, _text(item, "description"))
                booked.append((invoice, payment))

        def effect() -> None:
            for invoice, payment in booked:
                self._pay(invoice, payment, correction=correction)

        word = "CORRECTION" if correction else "PAYMENT"
        return self._queue(organization, request, kind=word, succeeded=succeeded, failed=failed, effect=effect)

    def _pay(self, invoice: Invoice, payment: Payment, *, correction: bool) -> None:
        before = self._collection.current(invoice)
        self._collection.pay(invoice, payment, correction=correction)
        after = self._collection.current(invoice)
        self._on_case(after, ("amounts",) if after.status == before.status else ("amounts", "status"))
        if not correction:
            self._on_settlement(after)

    def _queue(
        self,
        organization: Organization,
        request: Request,
        *,
        kind: str,
        succeeded: list[SucceededItem],
        failed: list[FailedItem],
        effect: Callable[[], None],
    ) -> Answer:
        batch = self._state.add_batch(
            organization,
            type=kind,
            state=QUEUED,
            succeeded=succeeded,
            failed=failed,
            idempotency_key=request.logged.headers.get("idempotencykey"),
        )
        self._state.when_finished(batch, effect)
        if self._finish_polls is not None:
            self._state.finish_at_poll(batch, self._finish_polls)
        elif self._finish_after is not None:
            self._state.finish_at(batch, request.now + self._finish_after)
        return self._accepted(batch)

    def _accepted(self, batch: Batch) -> Answer:
        where = (
            f"/orgs/{batch.organization.id}/batches/{batch.id}" if self._generation == "G3" else f"/batches/{batch.id}"
        )
        data: Value = {"batchId": batch.id, "batchUrl": self._api_root() + where}
        return Answer(202, to_json({"summary": {"status": "SUCCESS"}, "data": data}).encode())

    def _known(self, organization: Organization, request: Request) -> Answer | None:
        """Return the first answer again where the same key came before, if this server heeds keys."""
        key = request.logged.headers.get("idempotencykey")
        sequence = self._state.ledger(organization).keys.get(key) if self._heeds_key and key is not None else None
        return self._accepted(self._state.batch(organization, sequence)) if sequence is not None else None

    def _fault_of_invoice(self, organization: Organization, item: Item, taken: set[str]) -> str | None:
        """Return why an invoice cannot be taken."""
        amount = _ore(item.get("originalInvoiceAmount"))
        invoiced, due = _milliseconds(item, "invoiceDate"), _milliseconds(item, "dueDate")
        source = _text(item, "uniqueSourceInvoiceId")
        if not _text(item, "invoiceNumber"):
            return "invoiceNumber is missing"
        if amount is None or amount <= 0:
            return "originalInvoiceAmount must be above zero, with two decimals at most"
        if invoiced is None or due is None:
            return "invoiceDate or dueDate is missing or no date"
        if due < invoiced:
            return "dueDate is before invoiceDate"
        if source and (source in taken or source in self._collection.ledger(organization).source_ids):
            return "an invoice with this uniqueSourceInvoiceId exists already"
        return None

    def _invoice(self, organization: Organization, sequence: int, entry: int, item: Item, now: float) -> Invoice:
        """Return an invoice as it was sent, and what a register would add to it."""
        batch = self._state.next_batch(organization, int(now * 1000))
        made_up = self._state.seed_data.invoice(batch, entry)
        return made_up._replace(
            sequence=sequence,
            number=_text(item, "invoiceNumber"),
            type=_text(item, "type") or "NOTICE",
            status=OPEN,
            invoice_date=_milliseconds(item, "invoiceDate") or 0,
            due_date=_milliseconds(item, "dueDate") or 0,
            amount=_ore(item.get("originalInvoiceAmount")) or 0,
            paid=0,
            currency=_text(item, "currency") or "NOK",
            description=_text(item, "description"),
            source_id=_text(item, "uniqueSourceInvoiceId") or f"sandbox-{sequence}-{entry}",
            customer_number=_text(item, "customerNumber") or made_up.customer_number,
        )

    # Actions

    def action(self, name: str) -> Callable[[Request], Answer]:
        """Return what answers an action on an invoice or a case: 202 without a body."""
        status, sub_status = ACTIONS[name]

        def act(request: Request) -> Answer:
            organization = organization_of(self._state, request)
            invoice = asked_invoice(self._collection, request, organization)
            if (name == "pause" and invoice.status == PAUSED) or (name == "resume" and invoice.status != PAUSED):
                raise Refusal(400, f"cannot {name} what is {invoice.status}")
            self._collection.set_status(
                invoice,
                status or invoice.status,
                word=name.upper(),
                at=int(request.now * 1000),
                sub_status=sub_status,
            )
            after = asked_invoice(self._collection, request, organization)
            self._on_case(after, ("status",))
            return Answer(202)

        return act


ACTIONS: Mapping[str, tuple[str | None, str | None]] = {
    "pause": (PAUSED, None),
    "resume": (OPEN, None),
    "withdraw": (WITHDRAWN, None),
    "accept_debt_collection_list": (None, "DEBT_COLLECTION_LIST_ACCEPTED"),
    "reject_debt_collection_list": (CLOSED, "DEBT_COLLECTION_LIST_REJECTED"),
    "accept_eviction_request": (None, "EVICTION_REQUEST_ACCEPTED"),
    "reject_eviction_request": (None, "EVICTION_REQUEST_REJECTED"),
    "accept_eviction_confirmation": (None, "EVICTION_CONFIRMATION_ACCEPTED"),
    "reject_eviction_confirmation": (None, "EVICTION_CONFIRMATION_REJECTED"),
}
"""The status and the sub-status that each action leads to; made up, as the actions' pages show none."""


def _items(request: Request, member: str) -> list[Item]:
    """Return the list that a request sends.

    Raises:
        Refusal: the body is not JSON of the documented shape, or the list is empty or too long.
    """
    content_type = request.logged.headers.get("content-type", "")
    if not content_type.startswith("application/json"):
        raise Refusal(400, f"send application/json, not {content_type or 'a body without a content type'}")
    try:
        body: object = json.loads(request.logged.body, parse_float=Decimal, parse_int=Decimal)
    except ValueError:
        raise Refusal(400, "the body is not JSON") from None
    sent = body.get(member) if is_object(body) else None
    items = [item for item in sent if is_object(item)] if is_array(sent) else None
    if items is None or not is_array(sent) or len(items) < len(sent):
        raise Refusal(400, f'the body must be {{"{member}": [{{...}}, ...]}}')
    if not 1 <= len(items) <= min(MOST_PER_WRITE, ENTRIES):
        raise Refusal(422, f"{member} must hold 1 to {MOST_PER_WRITE} items")
    return items


def _text(item: Item, name: str) -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""


def _ore(value: object) -> int | None:
    """Return an amount in øre; ``None`` for what is no amount: text, too, since money goes as a JSON number."""
    if not isinstance(value, Decimal) or not -_MOST_MONEY < value < _MOST_MONEY:
        return None
    ore = value * 100
    return int(ore) if ore == ore.to_integral_value() else None


def _milliseconds(item: Item, name: str) -> int | None:
    try:
        at = datetime.fromisoformat(_text(item, name))
    except ValueError:
        return None
    return int((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1000)
