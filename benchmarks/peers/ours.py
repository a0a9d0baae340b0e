"""This client, as its README recommends, with nothing turned off."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from amili_async import AmiliClient, SucceededEntry
from benchmarks.server import TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.peers.peer import Walk


class PaymentSuccess(SucceededEntry, tag="paymentSuccess", frozen=True, kw_only=True):
    """A payment that was taken."""

    invoice_id: str
    invoice_number: str
    payment_id: str


@asynccontextmanager
async def opened(base_url: str) -> AsyncIterator[Walk]:
    """Open a client; the walk iterates a pager."""
    async with AmiliClient(TOKEN, base_url=base_url, entry_types=(PaymentSuccess,), concurrency=64) as amili:

        async def walk(organization_id: str) -> int:
            entries = 0
            async for batch in amili.batches.list(organization_id):
                entries += len(batch.succeeded)
            return entries

        yield in_tasks(walk)
