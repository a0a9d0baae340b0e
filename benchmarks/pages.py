"""Pages of batches drawn like real ones, from a seed: what a client must be fast on, in place of what flatters it.

The shares are written below. Nothing in such a page is unknown to a client that was taught ``paymentSuccess``, unless
`Mix` asks for it. `flattering` draws what the benchmarks served before: every batch final, of one type, none failed.
"""

from __future__ import annotations

import random
from decimal import Decimal

import msgspec

TYPES = {"INVOICE": 55, "PAYMENT": 30, "CORRECTION": 10, "NONE": 5}
STATES = {"SUCCESS": 62, "PARTIAL": 20, "FAILED": 10, "QUEUED": 8}
UNKNOWN_TYPES = ("CASE_ACTION", "EVICTION")
UNKNOWN_STATES = ("REVIEWED", "ON_HOLD")

FAILING = 1 / 3
"""The batches in which something failed: 1 to 3 entries of it, so that a batch has two thirds of one on average."""

FAILURES = {"object": 70, "text": 20, "null": 10}

FRACTIONS = 2 / 3
"""The batches whose moments have fractions of a second."""

TAG_FIRST = 3 / 4
"""The entries in which ``$type`` is the first member; in the others it is the last."""

REASONS = (
    "Ugyldig kontonummer",
    "Fakturaen finnes allerede",
    "Kunden er ikke på listen over skyldnere",
    "Beløpet må være større enn 0",
    "Bjørn Ågård, Sørkjosen: adressen er ufullstendig",
    "Unknown customer",
    "Due date lies before the invoice date",
)

MEMBERS = ("remainingAmount", "processingNote", "externalReference", "priority", "retryCount", "isManual")
"""The members that no model names, in the order in which `Mix.unknown_members` takes them."""


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """What a page holds."""

    rows: int = 100
    entries: int = 1
    """Succeeded entries a batch, on average; a batch has from none to twice as many."""
    unknown_members: int = 0
    """Members on every row that no model names: amounts, texts and flags, the same names on each."""
    unknown_values: float = 0.0
    """The share of batches of a type, and of those in a state, that no enum lists."""
    unknown_entries: float = 0.0
    """The share of entries with a ``$type`` that nobody taught."""
    flattering: bool = False
    """Whether all is final and of one type, entries are as many everywhere, and nothing failed."""


def render_page(mix: Mix, seed: object, *, token: str | None = None) -> bytes:
    """Return a page with its envelope, the same for the same arguments."""
    following = "" if token is None else f',"nextPageToken":"{token}"'
    return b'{"summary":{"status":"SUCCESS"%s},"data":%s}' % (following.encode(), render_rows(mix, seed))


def render_rows(mix: Mix, seed: object, *, owner: str = "7bc05553-4b68-44e8-b7bc-37be63c6d9e9") -> bytes:
    """Return the JSON array of a page's batches."""
    draw = random.Random(str(seed))
    rows = [_batch(mix, draw, owner) for _ in range(mix.rows)]
    return _encoder.encode(rows)


_encoder = msgspec.json.Encoder(decimal_format="number")


def _batch(mix: Mix, draw: random.Random, owner: str) -> dict[str, object]:
    real = not mix.flattering
    state = _one_of(draw, STATES) if real else "SUCCESS"
    kind = _one_of(draw, TYPES) if real else "INVOICE"
    count = draw.randint(0, 2 * mix.entries) if real else mix.entries
    succeeded = [] if state == "QUEUED" else [_entry(mix, draw, kind) for _ in range(count)]
    failing = real and draw.random() < FAILING
    fraction = f".{draw.randrange(1000):03d}" if not real or draw.random() < FRACTIONS else ""
    start = f"2025-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}T{draw.randint(0, 23):02d}:30:"
    batch: dict[str, object] = {
        "batchId": _uuid(draw),
        "type": draw.choice(UNKNOWN_TYPES) if draw.random() < mix.unknown_values else kind,
        "status": draw.choice(UNKNOWN_STATES) if draw.random() < mix.unknown_values else state,
        "createdAt": f"{start}00{fraction}Z",
        "finishedAt": f"{start}{draw.randint(1, 59):02d}{fraction}Z",
        "organizationId": owner,
        "createdBy": f"8a1b2c3d-4e5f-6789-abcd-{draw.randrange(50):012x}",
        "succeeded": succeeded,
        "failed": [_failure(draw) for _ in range(draw.randint(1, 3))] if failing else [],
    }
    if state == "QUEUED":
        del batch["finishedAt"]
    for place, name in enumerate(MEMBERS[: mix.unknown_members]):
        batch[name] = _value(draw, place)
    return batch


def _entry(mix: Mix, draw: random.Random, kind: str) -> dict[str, object]:
    number = draw.randrange(1_000_000)
    members: dict[str, object] = {"invoiceId": _uuid(draw), "invoiceNumber": f"INV-2025-{number:06d}"}
    members["paymentId" if kind == "PAYMENT" else "caseId"] = _uuid(draw)
    tag = "paymentSuccess" if kind == "PAYMENT" else "invoiceSuccess"
    if draw.random() < mix.unknown_entries:
        tag = "correctionSuccess"
    return {"$type": tag, **members} if mix.flattering or draw.random() < TAG_FIRST else {**members, "$type": tag}


def _failure(draw: random.Random) -> object:
    shape = _one_of(draw, FAILURES)
    if shape == "null":
        return None
    reason = draw.choice(REASONS)
    if shape == "text":
        return reason
    return {"message": reason, "invoiceNumber": f"INV-2025-{draw.randrange(1_000_000):06d}"}


def _value(draw: random.Random, place: int) -> object:
    match place % 6:
        case 0:
            return Decimal(f"{draw.randrange(1, 1_000_000)}.{draw.randrange(100):02d}")
        case 1:
            return draw.choice(REASONS)
        case 2:
            return _uuid(draw)
        case 5:
            return draw.random() < 0.5
        case _:
            return draw.randrange(100)


def _one_of(draw: random.Random, shares: dict[str, int]) -> str:
    return draw.choices(tuple(shares), tuple(shares.values()))[0]


def _uuid(draw: random.Random) -> str:
    text = f"{draw.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
