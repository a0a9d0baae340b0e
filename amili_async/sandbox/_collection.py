"""What batches have led to: invoices, each with its case, debtor and payments, and a settlement once money came in."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from amili_async.sandbox._identifiers import Kind
from amili_async.sandbox._seed_data import PAID_AFTER, QUEUED, Batch, Invoice, Organization

if TYPE_CHECKING:
    from collections.abc import Iterator

    from amili_async.sandbox._state import State

Place = tuple[int, int]
"""Sequence of the batch, and entry in it."""

CLOSED = "CLOSED"
OPEN = "OPEN"
PAUSED = "PAUSED"
WITHDRAWN = "WITHDRAWN"


class Payment(NamedTuple):
    """Money that came in for an invoice, or, as a correction, that is no longer asked for."""

    id: str
    type: str
    amount: int
    currency: str
    at: int
    description: str = ""


class InvoiceLedger:
    """What is known of one organization's invoices beyond the seed."""

    __slots__ = ("corrections", "given", "history", "payments", "source_ids", "statuses", "sub_statuses")

    def __init__(self) -> None:
        self.given: dict[Place, Invoice] = {}
        """Invoices as they were sent."""
        self.payments: dict[Place, list[Payment]] = {}
        self.corrections: dict[Place, list[Payment]] = {}
        self.statuses: dict[Place, str] = {}
        """Statuses that actions have set."""
        self.sub_statuses: dict[Place, str] = {}
        self.history: dict[Place, list[tuple[int, str]]] = {}
        self.source_ids: set[str] = set()


class Collection:
    """The invoices of a world. Everything is made from the seed when asked for, and changed by what was written."""

    def __init__(self, state: State, *, undocumented: bool = False) -> None:
        self._state = state
        self._undocumented = undocumented
        self._ledgers: dict[int, InvoiceLedger] = {}

    def ledger(self, organization: Organization) -> InvoiceLedger:
        """Return what is known of an organization's invoices beyond the seed."""
        return self._ledgers.setdefault(organization.ordinal, InvoiceLedger())

    def find(self, text: str, kind: Kind, organization: Organization | None = None) -> Invoice | None:
        """Return the invoice to which an id leads: its own, its case's or its settlement's, as ``kind`` says."""
        place = self._state.seed_data.identifiers.read(text)
        if place is None or place.kind is not kind or place.organization >= len(self._state.organizations):
            return None
        owner = self._state.organizations[place.organization]
        if (organization is not None and owner != organization) or place.sequence >= self._state.length(owner):
            return None
        batch = self._state.batch(owner, place.sequence)
        return self._invoice(batch, place.entry) if place.entry in self._entries(batch) else None

    def all(self, organization: Organization, after: Place | None) -> Iterator[Invoice]:
        """Return an organization's invoices, those of the newest batch first, from behind one on."""
        if after is not None:
            batch = self._state.batch(organization, after[0])
            yield from (self._invoice(batch, entry) for entry in self._entries(batch) if entry > after[1])
        before = after[0] if after is not None else None
        for sequence in self._state.sequences(organization, descending=True, after=before):
            batch = self._state.batch(organization, sequence)
            yield from (self._invoice(batch, entry) for entry in self._entries(batch))

    def current(self, invoice: Invoice) -> Invoice:
        """Return an invoice as it stands by now."""
        return self._invoice(self._state.batch(invoice.organization, invoice.sequence), invoice.entry)

    def payments(self, invoice: Invoice) -> list[Payment]:
        """Return what was paid for an invoice, the oldest first."""
        base = self._base(invoice)
        paid: list[Payment] = []
        if base.paid:
            identifier = self._state.seed_data.identifiers.make(Kind.PAYMENT, *invoice.place)
            paid.append(Payment(identifier, "DIRECT_PAYMENT", base.paid, base.currency, base.created_at + PAID_AFTER))
        return paid + self.ledger(invoice.organization).payments.get((invoice.sequence, invoice.entry), [])

    def credited(self, invoice: Invoice) -> int:
        """Return what corrections have taken off an invoice."""
        corrections = self.ledger(invoice.organization).corrections.get((invoice.sequence, invoice.entry), [])
        return sum(correction.amount for correction in corrections)

    def history(self, invoice: Invoice) -> list[tuple[int, str]]:
        """Return what has happened to an invoice: moments and words."""
        happened = [(invoice.created_at, "REGISTERED")]
        happened += [(payment.at, "PAYMENT") for payment in self.payments(invoice)]
        return happened + self.ledger(invoice.organization).history.get((invoice.sequence, invoice.entry), [])

    def sub_status(self, invoice: Invoice) -> str:
        """Return what a case waits for: the one thing that is documented, until an action has changed it."""
        place = (invoice.sequence, invoice.entry)
        return self.ledger(invoice.organization).sub_statuses.get(place, "DEBT_COLLECTION_LIST_MANUAL")

    def closed_at(self, invoice: Invoice) -> int | None:
        """Return when a case was closed, by what happened last; ``None`` for one that is not."""
        if invoice.status != CLOSED:
            return None
        corrections = self.ledger(invoice.organization).corrections.get((invoice.sequence, invoice.entry), [])
        return max(at for at in (*(at for at, _ in self.history(invoice)), *(one.at for one in corrections)))

    # Changing

    def add_invoice(self, invoice: Invoice) -> None:
        """Keep an invoice as it was sent; it shows up once its batch is done."""
        ledger = self.ledger(invoice.organization)
        ledger.given[invoice.sequence, invoice.entry] = invoice
        ledger.source_ids.add(invoice.source_id)

    def pay(self, invoice: Invoice, payment: Payment, *, correction: bool) -> None:
        """Book a payment or a correction."""
        ledger = self.ledger(invoice.organization)
        booked = ledger.corrections if correction else ledger.payments
        booked.setdefault((invoice.sequence, invoice.entry), []).append(payment)
        self._state.touch()

    def set_status(self, invoice: Invoice, status: str, *, word: str, at: int, sub_status: str | None = None) -> None:
        """Set an invoice's and its case's status."""
        ledger, place = self.ledger(invoice.organization), (invoice.sequence, invoice.entry)
        ledger.statuses[place] = status
        if sub_status is not None:
            ledger.sub_statuses[place] = sub_status
        ledger.history.setdefault(place, []).append((at, word))
        self._state.touch()

    def _entries(self, batch: Batch) -> range | tuple[int, ...]:
        """Return which entries of a batch have become invoices."""
        if batch.state == QUEUED or batch.type not in {"INVOICE", "NONE"}:
            return ()
        if batch.succeeded is None:
            return range(batch.lines - batch.failures)
        read = self._state.seed_data.identifiers.read
        places = [read(success.invoice_id) for success in batch.succeeded]
        return tuple(place.entry for place in places if place is not None and place.sequence == batch.sequence)

    def _base(self, invoice: Invoice) -> Invoice:
        given = self.ledger(invoice.organization).given.get((invoice.sequence, invoice.entry))
        if given is not None:
            return given
        batch = self._state.batch(invoice.organization, invoice.sequence)
        return self._state.seed_data.invoice(batch, invoice.entry)

    def _invoice(self, batch: Batch, entry: int) -> Invoice:
        """Return an invoice as it stands."""
        ledger, place = self.ledger(batch.organization), (batch.sequence, entry)
        invoice = ledger.given.get(place) or self._state.seed_data.invoice(batch, entry)
        payments = ledger.payments.get(place)
        if payments:
            more = sum(payment.amount for payment in payments)
            invoice = invoice._replace(paid=invoice.paid + more, paid_at=payments[-1].at)
        remaining = invoice.amount - invoice.paid - self.credited(invoice)
        # No page says what a closed case is called: one is closed only where somebody has asked for it.
        asked_for = self._undocumented or payments or place in ledger.corrections
        closed = remaining <= 0 and asked_for
        return invoice._replace(status=ledger.statuses.get(place, CLOSED if closed else OPEN))
