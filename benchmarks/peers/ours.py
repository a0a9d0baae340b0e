"""This client, as its README recommends, with nothing turned off."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from amili_async import AmiliClient, SucceededEntry
from benchmarks.server import TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from benchmarks.peers.peer import Walk


class PaymentSuccess(SucceededEntry, tag="paymentSuccess", frozen=True, kw_only=True):
    """A payment that was taken."""

    invoice_id: str
    invoice_number: str
    payment_id: str


@asynccontextmanager
async def opened(base_url: str) -> AsyncGenerator[Walk, None]:
    """Open a client; one organization is a pager, many are a stream."""
    async with AmiliClient(TOKEN, base_url=base_url, entry_types=(PaymentSuccess,), concurrency=64) as amili:

        async def walk(organization_ids: Sequence[str], concurrency: int) -> int:
            entries = 0
            if concurrency > 1:
                async for _, batch in amili.batches.stream(organization_ids, concurrency=concurrency):
                    entries += len(batch.succeeded)
                return entries
            for organization_id in organization_ids:
                async for batch in amili.batches.list(organization_id):
                    entries += len(batch.succeeded)
            return entries

        yield walk
