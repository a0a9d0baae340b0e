"""Which function answers which operation: every operation of the route table, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.sandbox._unconfirmed import guesses
from amili_async.sandbox._writes import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from amili_async.sandbox._autocollect import AutoCollect
    from amili_async.sandbox._collection_reads import CollectionReads
    from amili_async.sandbox._pages import Answer, Page, Request
    from amili_async.sandbox._reads import BatchReads
    from amili_async.sandbox._shapes import Generation
    from amili_async.sandbox._state import State
    from amili_async.sandbox._writes import Writes


def handlers(
    world: State,
    *,
    generation: Generation,
    batches: BatchReads,
    collection: CollectionReads,
    writes: Writes,
    autocollect: AutoCollect,
) -> Mapping[str, Callable[[Request], Page | Answer]]:
    """Return the functions by operation."""
    return {
        "batches.list_all": batches.list_all,
        "batches.list": batches.list,
        "batches.get": batches.get,
        "batches.get_by_id": batches.get_by_id,
        "invoices.create": writes.create_invoices,
        "invoices.list": collection.list_invoices,
        "invoices.get": collection.get_invoice,
        "invoices.payments": collection.payments,
        "invoices.documents": collection.documents,
        "invoices.history": collection.history,
        **{f"invoices.{name}": writes.action(name) for name in ("resume", "pause", "withdraw")},
        "payments.create": writes.create_payments,
        "corrections.create": writes.create_corrections,
        "settlements.list": collection.list_settlements,
        "settlements.get": collection.get_settlement,
        "cases.list": collection.list_cases,
        **{f"cases.{name}": writes.action(name) for name in ACTIONS},
        "autocollect.get_batch": autocollect.get_batch,
        "autocollect.send_batch": autocollect.send_batch,
        "autocollect.attachment": autocollect.attachment,
        "autocollect.ping": autocollect.ping,
        **guesses(world, generation),
    }
