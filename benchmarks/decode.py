"""Decoding alone: pages of batches by `Reader`, against msgspec's plain tagged union on a page of all-known entries.

The union is what one writes without open types: it decodes the page whose entries are all known and refuses the others,
so its time for that page is the measure of them all.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from amili_async._decoding import Reader
from amili_async.models import Batch, SucceededEntry
from benchmarks.measuring import Row, Sample, Settings, Stopwatch, cpu_per_unit, interleave, ratio
from benchmarks.peers.rows import DECODER
from benchmarks.report import main
from benchmarks.server import Listing, render_rows

if TYPE_CHECKING:
    from collections.abc import Callable

UNION = "plain tagged union"

NEWS = "all known, and news beside the rows"
"""A member of the envelope that no model names."""

NO_ZONE = "all known, and two moments without a zone on each batch"
"""What only makes sense in another writing is read in Python: it costs more than what is documented, in one pass."""

TARGETS = {
    "all known": 1.1,
    NEWS: 1.2,
    NO_ZONE: 3.2,
    "none with $type": 1.2,
    "1 in 100 unknown": 1.8,
    "all unknown": 3.2,
}


class PaymentSuccess(SucceededEntry, tag="paymentSuccess", frozen=True, kw_only=True, gc=False):
    """A second type of entry, as a user teaches it: a union of one is none."""

    invoice_id: str
    invoice_number: str
    payment_id: str


def pages(entries: int, *, payments: bool) -> dict[str, bytes]:
    """Return one page of 100 batches in six variants, by the name of the row that each stands for."""
    draw = random.Random(1)
    batches: list[dict[str, Any]] = json.loads(render_rows(Listing(entries=entries), 0, 0))
    variants = {name: json.loads(json.dumps(batches)) for name in TARGETS}
    for batch in variants[NO_ZONE]:
        batch.update({name: batch[name].rstrip("Z") for name in ("createdAt", "finishedAt") if batch.get(name)})
    for name, rows in variants.items():
        for entry in (entry for batch in rows for entry in batch["succeeded"]):
            if not payments and entry["$type"] == "paymentSuccess":
                entry["$type"] = "invoiceSuccess"
                entry["caseId"] = entry.pop("paymentId")
            if name == "none with $type":
                del entry["$type"]
            elif name == "all unknown" or (name == "1 in 100 unknown" and draw.random() < 0.01):
                entry["$type"] = "correctionSuccess"
    return {
        name: b'{"summary":{"status":"SUCCESS"},"data":%s%s}'
        % (json.dumps(rows, separators=(",", ":")).encode(), b',"totalCount":100' if name == NEWS else b"")
        for name, rows in variants.items()
    }


def side(decode: Callable[[bytes], object], body: bytes, repeats: int) -> Callable[[], Sample]:
    """Return what one side does in a round: decode the same page many times."""

    def run() -> Sample:
        decode(body)
        with Stopwatch() as watch:
            for _ in range(repeats):
                decode(body)
        return watch.sample(repeats)

    return run


def compare(entries: int, settings: Settings, *, payments: bool) -> list[Row]:
    """Measure the variants of one page; with payments, a tenth of the batches hold entries of a second type."""
    variants = pages(entries, payments=payments)
    repeats = max(1, settings.scaled(40_000_000) // len(variants["all known"]))
    sides = {UNION: side(DECODER.decode, variants["all known"], repeats)}
    for name, body in variants.items():
        # One reader a variant: what it learns from one page must not serve another.
        reader = Reader(Batch, entry_types=(PaymentSuccess,) if payments else ())
        sides[name] = side(partial(reader.page, drift=None), body, repeats)
    samples = interleave(sides, settings.rounds)
    union = cpu_per_unit(samples[UNION])
    size = f"{len(variants['all known']) / 1e3:.0f} kB"
    taught = "two types, mixed" if payments else "one type"
    rows: list[Row] = []
    for name, target in TARGETS.items():
        ours = cpu_per_unit(samples[name])
        against = ratio(ours, union)
        rows.append(
            Row(
                what=f"decode {size}, {taught}: {name}, against a {UNION}",
                value=against.value,
                noise=against.noise,
                # Without tags and with several types each batch is looked at: the design names no number for that.
                at_most=None if payments and name == "none with $type" else target,
                detail=f"{statistics.median(ours) * 1e6:.0f} : {statistics.median(union) * 1e6:.0f} us",
            )
        )
    return rows


def measure(settings: Settings) -> list[Row]:
    """Measure batches of 2, of 10 and of 25 entries, with the documented type alone and with a second one taught."""
    return [
        row
        for entries in (2, 10, 25)
        for payments in (False, True)
        for row in compare(entries, settings, payments=payments)
    ]


if __name__ == "__main__":
    sys.exit(main(measure))
