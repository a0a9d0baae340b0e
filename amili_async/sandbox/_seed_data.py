"""What the sandbox's seeded data looks like: each organization, batch and invoice made from the seed when asked for.

Nothing is stored. The same seed and place give the same object, so ten thousand organizations or a million batches cost
what is looked at.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from amili_async.sandbox._identifiers import ENTRIES, Identifiers, Kind

FIRST_NAMES = (  # noqa: SIM905  # a word list reads best as words
    "Anne Berit Camilla Dagny Elin Frida Gunn Hedda Ingrid Jorunn Kari Liv Marit Nora Oda Ragnhild Sigrid "
    "Tone Unni Vilde Åse Arne Bjørn Dag Eirik Finn Geir Håkon Ivar Jon Kjell Lars Magnus Nils Ola Per "
    "Ragnar Sverre Terje Øystein"
).split()

LAST_NAMES = (  # noqa: SIM905  # a word list reads best as words
    "Aas Bakken Berge Bråten Dahl Eide Fossum Gundersen Haugen Hovland Iversen Jensen Kristoffersen Lie "
    "Lunde Moen Myhre Nygård Næss Olsen Pettersen Rønning Sandvik Skår Solberg Strand Sæther Tangen Tveit "
    "Ødegård Østby Ås"
).split()

COMPANY_FIRST = (  # noqa: SIM905  # the same
    "Fjellheim Nordlys Bryggen Solsiden Vestfold Lofoten Havgap Skogly Granli Tindtoppen Fjordgløtt Myrdal "
    "Elvebakken Storgata Sørøya Kvitøy Hardanger Romsdal Trøndelag Nidaros"
).split()

COMPANY_TRADES = (
    "Rørlegger",
    "Tannklinikk",
    "Bilverksted",
    "Elektro",
    "Kraft",
    "Bredbånd",
    "Treningssenter",
    "Regnskap",
    "Byggevare",
    "Dyreklinikk",
    "Barnehage",
    "Møbler",
    "Båtutleie",
    "Optikk",
    "Sykkel & Sport",
)

DESCRIPTIONS = (
    "Månedsleie",
    "Rørleggerarbeid",
    "Tannbehandling",
    "Strøm og nettleie",
    "Medlemskap",
    "Service og EU-kontroll",
    "Varekjøp",
    "Bredbånd",
    "Årsavgift",
    "Konsultasjon",
)

FAILURES = (
    "Organisasjonsnummer er ugyldig",
    "Forfallsdato er før fakturadato",
    "Faktura finnes allerede",
    "Skyldner mangler adresse",
    "Beløp må være større enn null",
    "Ukjent valuta",
)


END_OF_TIMELINE = 1_760_000_000_000
"""The moment (Unix milliseconds) just after the newest seeded batch: autumn 2025."""

_USUAL_STEP = 37 * 60_000
_LONGEST_TIMELINE = 3 * 365 * 86_400_000
_DAY = 86_400_000
PAID_AFTER = 2 * _DAY
"""Milliseconds after its registration at which a seeded invoice is paid."""

QUEUED = "QUEUED"
SUCCESS = "SUCCESS"
PARTIAL = "PARTIAL"
FAILED = "FAILED"


class Organization(NamedTuple):
    """A creditor. Name and number are made when asked for: there may be ten thousand, of which few are looked at."""

    ordinal: int
    id: str
    seed: int

    @property
    def name(self) -> str:
        """Its name."""
        draw = self._draw()
        return f"{draw.choice(COMPANY_FIRST)} {draw.choice(COMPANY_TRADES)} AS"

    @property
    def number(self) -> str:
        """Its number in the Norwegian register: nine digits of which the last checks the others."""
        return _organization_number(self._draw().randrange(10**7))

    def _draw(self) -> Random:
        return Random(f"organization {self.ordinal} of {self.seed}")  # noqa: S311  # sample data


class SucceededItem(NamedTuple):
    """An entry of a batch that came through."""

    tag: str
    """The ``$type`` that it goes by."""
    invoice_id: str
    invoice_number: str
    case_id: str
    own_id: str | None = None
    """The id of the payment or correction, where it is one."""


class FailedItem(NamedTuple):
    """An entry of a batch that did not."""

    entry: int
    reference: str
    message: str


class Batch(NamedTuple):
    """A batch, its entries excepted: for seeded ones they are made only where a page shows them."""

    organization: Organization
    sequence: int
    """Its number among the organization's batches, in the order of their making; unique, and what lists sort by."""
    id: str
    type: str
    state: str
    created_at: int
    """Unix milliseconds, as all moments here."""
    finished_at: int | None
    created_by: str
    lines: int
    """How many entries it has, failed ones included."""
    failures: int
    idempotency_key: str
    succeeded: tuple[SucceededItem, ...] | None = None
    """Its entries, where they were given and are not made from the seed."""
    failed: tuple[FailedItem | None, ...] | None = None


class Invoice(NamedTuple):
    """An invoice, its case and its debtor: an entry of a batch, seen as a thing of its own."""

    organization: Organization
    sequence: int
    entry: int
    id: str
    case_id: str
    batch_id: str
    number: str
    case_number: int
    type: str
    status: str
    created_at: int
    invoice_date: int
    due_date: int
    amount: int
    """Øre, as all amounts here."""
    paid: int
    paid_at: int
    """When money last came in, where any did."""
    currency: str
    description: str
    source_id: str
    customer_number: str
    first_name: str
    last_name: str

    @property
    def kid(self) -> str:
        """The reference that goes with a payment in Norway: digits of which the last checks the others (modulus 10)."""
        return kid(self.case_number)

    @property
    def place(self) -> tuple[int, int, int]:
        """Where it is, as ids say it: organization, sequence, entry."""
        return self.organization.ordinal, self.sequence, self.entry


class SeedData:
    """Makes what a seed stands for."""

    def __init__(self, *, seed: int, organizations: int, batches: int, entries: int) -> None:
        self.seed = seed
        self.batches = batches
        self.entries = entries
        self.identifiers = Identifiers(seed)
        self.count = organizations
        self._step = max(1, min(_USUAL_STEP, _LONGEST_TIMELINE // max(1, batches)))

    def _draw(self, organization: int, sequence: int, entry: int = 0xFFF) -> Random:
        return Random(((self.seed << 20 | organization) << 24 | sequence) << 12 | entry)  # noqa: S311  # sample data

    def organization(self, index: int) -> Organization:
        """Return the n-th organization."""
        return Organization(index, self.identifiers.make(Kind.ORGANIZATION, index), self.seed)

    def created_at(self, organization: int, sequence: int) -> int:
        """Return when a seeded batch was made: later for a later sequence, and no two organizations at once."""
        return END_OF_TIMELINE - (self.batches - sequence) * self._step + self._step * organization // self.count

    def batch(self, organization: Organization, sequence: int, *, finished: bool = False) -> Batch:
        """Return a seeded batch; with ``finished``, a queued one as it will be."""
        draw = self._draw(organization.ordinal, sequence)
        kind = draw.choices(("INVOICE", "PAYMENT", "CORRECTION", "NONE"), (82, 12, 4, 2))[0]
        lines = 1 + int(self.entries * 2 * draw.random()) if self.entries else 0
        fate = draw.random()
        failures = 0
        if fate < 0.07:  # noqa: PLR2004  # the shares of life
            failures = lines
        elif fate < 0.18 and lines > 1:  # noqa: PLR2004  # the same
            failures = 1 + int(draw.random() * (lines - 1) * 0.4)
        created_at = self.created_at(organization.ordinal, sequence)
        finished_at: int | None = created_at + 400 + int(draw.random() * 9_000)
        state = SUCCESS if not failures else FAILED if failures == lines else PARTIAL
        if not finished and sequence >= self.batches - max(1, self.batches // 100):
            # Only the newest are still waiting, as in life.
            state, finished_at = QUEUED, None
        return Batch(
            organization=organization,
            sequence=sequence,
            id=self.identifiers.make(Kind.BATCH, organization.ordinal, sequence),
            type=kind,
            state=state,
            created_at=created_at,
            finished_at=finished_at,
            created_by=self.identifiers.make(Kind.PERSON, organization.ordinal, 0, draw.randrange(4)),
            lines=lines,
            failures=failures,
            idempotency_key=f"erp-{organization.ordinal}-{sequence}",
        )

    def successes(self, batch: Batch) -> tuple[SucceededItem, ...]:
        """Return the entries that came through."""
        if batch.state == QUEUED:
            return ()
        if batch.succeeded is not None:
            return batch.succeeded
        organization, sequence = batch.organization.ordinal, batch.sequence
        make = self.identifiers.make
        through = range(batch.lines - batch.failures)
        if batch.type in {"PAYMENT", "CORRECTION"}:
            tag = "paymentSuccess" if batch.type == "PAYMENT" else "correctionSuccess"
            own = Kind.PAYMENT if batch.type == "PAYMENT" else Kind.CORRECTION
            earlier, there = self._invoices_before(batch)
            return tuple(
                SucceededItem(
                    tag,
                    make(Kind.INVOICE, organization, earlier, entry % there),
                    invoice_number(earlier, entry % there),
                    make(Kind.CASE, organization, earlier, entry % there),
                    make(own, organization, sequence, entry),
                )
                for entry in through
            )
        return tuple(
            SucceededItem(
                "invoiceSuccess",
                make(Kind.INVOICE, organization, sequence, entry),
                invoice_number(sequence, entry),
                make(Kind.CASE, organization, sequence, entry),
            )
            for entry in through
        )

    def _invoices_before(self, batch: Batch) -> tuple[int, int]:
        """Return the sequence of the invoice batch that a payment batch pays for, and how many invoices it has."""
        for sequence in range(batch.sequence - 1, -1, -1):
            earlier = self.batch(batch.organization, sequence)
            if earlier.type == "INVOICE" and earlier.lines > earlier.failures:
                return sequence, earlier.lines - earlier.failures
        return batch.sequence, 1

    def failures(self, batch: Batch) -> tuple[FailedItem | None, ...]:
        """Return the entries that failed; ``None`` for one of which nothing is said."""
        if batch.state == QUEUED:
            return ()
        if batch.failed is not None:
            return batch.failed
        start = batch.lines - batch.failures
        return tuple(
            None
            if (batch.sequence + entry) % 5 == 4  # noqa: PLR2004  # every fifth
            else FailedItem(
                entry,
                invoice_number(batch.sequence, entry),
                FAILURES[(batch.sequence + entry) % len(FAILURES)],
            )
            for entry in range(start, batch.lines)
        )

    def invoice(self, batch: Batch, entry: int) -> Invoice:
        """Return the invoice that an entry of a seeded batch became."""
        organization = batch.organization
        draw = self._draw(organization.ordinal, batch.sequence, entry)
        amount = round(draw.lognormvariate(7.6, 1.0) * 100)
        fate = draw.random()
        paid = amount if fate < 0.45 else amount // 2 if fate < 0.55 else 0  # noqa: PLR2004  # the shares of life
        invoice_date = batch.created_at // _DAY * _DAY - draw.randrange(20, 60) * _DAY
        make = self.identifiers.make
        kind = draw.choices(("NOTICE", "PAYMENT_REMINDER", "COLLECTION_NOTICE"), (4, 3, 3))[0]
        description = draw.choice(DESCRIPTIONS)
        customer = 10_000 + draw.randrange(5_000)
        # Whoever has a customer number is called the same on every invoice.
        name = Random(f"customer {customer} of {organization.id}")  # noqa: S311  # sample data
        return Invoice(
            organization=organization,
            sequence=batch.sequence,
            entry=entry,
            id=make(Kind.INVOICE, organization.ordinal, batch.sequence, entry),
            case_id=make(Kind.CASE, organization.ordinal, batch.sequence, entry),
            batch_id=batch.id,
            number=invoice_number(batch.sequence, entry),
            case_number=5_000_001 + (batch.sequence * self.count + organization.ordinal) * ENTRIES + entry,
            type=kind,
            status="CLOSED" if paid == amount else "OPEN",
            created_at=batch.created_at,
            invoice_date=invoice_date,
            due_date=invoice_date + 14 * _DAY,
            amount=amount,
            paid=paid,
            paid_at=batch.created_at + PAID_AFTER,
            currency="NOK",
            description=description,
            source_id=f"erp-order-{batch.sequence}-{entry}",
            customer_number=str(customer),
            first_name=name.choice(FIRST_NAMES),
            last_name=name.choice(LAST_NAMES),
        )


def invoice_number(sequence: int, entry: int) -> str:
    """Return the number printed on an invoice: unique within its organization."""
    return f"F-{100_000 + sequence}-{entry:02d}"


def kid(number: int) -> str:
    """Return a number with the digit behind it that checks it (modulus 10, which others call Luhn's)."""
    doubled = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(str(number)))]
    return f"{number}{-sum(value // 10 + value % 10 for value in doubled) % 10}"


def _organization_number(draw: int) -> str:
    """Return nine digits, the last of which checks the others (modulus 11)."""
    while True:
        digits = f"9{draw:07d}"
        remainder = (
            sum(int(digit) * weight for digit, weight in zip(digits, (3, 2, 7, 6, 5, 4, 3, 2), strict=True)) % 11
        )
        if remainder != 1:
            return f"{digits}{(11 - remainder) % 11}"
        draw = (draw + 1) % 10**7
