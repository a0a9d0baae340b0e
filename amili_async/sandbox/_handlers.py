"""Which function answers which operation: every operation of the route table, and nothing else.

Those of which only a name is known (mark U) are answered with something plausible, in the usual envelope.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from amili_async.sandbox import _shapes as shapes
from amili_async.sandbox._identifiers import Kind
from amili_async.sandbox._pages import Answer, Refusal, Request
from amili_async.sandbox._reads import organization_of
from amili_async.sandbox._writes import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from amili_async.sandbox._autocollect import AutoCollect
    from amili_async.sandbox._pages import Page, Request
    from amili_async.sandbox._reads import BatchReads, CollectionReads
    from amili_async.sandbox._shapes import Dialect
    from amili_async.sandbox._state import State
    from amili_async.sandbox._writes import Writes


def unconfirmed(state: State, dialect: Dialect) -> Mapping[str, Callable[[Request], Answer]]:
    """Return what answers each of them, by operation."""

    def enveloped(data: str) -> Answer:
        return Answer(200, shapes.envelope(shapes.summary(), data, dialect))

    def reports(request: Request) -> Answer:
        organization = organization_of(state, request)
        identifier = state.seed_data.identifiers.make(Kind.DOCUMENT, organization.ordinal, 1)
        return enveloped(f'[{{"reportId":"{identifier}","name":"Månedsrapport","createdAt":"2025-10-01T04:00:00Z"}}]')

    def ping(_: Request) -> Answer:
        return enveloped('{"message":"pong"}')

    def health(_: Request) -> Answer:
        return enveloped('{"status":"Healthy"}')

    def call(request: Request) -> Answer:
        try:
            sent = json.loads(request.logged.body or b"null")
        except ValueError:
            raise Refusal(400, "the body is not JSON") from None
        return enveloped(json.dumps({"received": sent}, ensure_ascii=False))

    return {
        "organizations.reports": reports,
        "status.ping": ping,
        "status.ping_authorized": ping,
        "status.health": health,
        "banqsoft.call": call,
    }


def handlers(
    state: State,
    *,
    dialect: Dialect,
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
        **unconfirmed(state, dialect),
    }
