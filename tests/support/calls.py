"""A read and a write to make calls with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.models._envelope import AcceptedBody
from amili_async.sandbox import Fault

if TYPE_CHECKING:
    from amili_async import AmiliClient
    from amili_async.models import Batch

READ = "batches.get"
WRITE = "invoices.create"

ACCEPTED = Fault(WRITE, status=202, body='{"summary":{"status":"SUCCESS"},"data":{"batchId":"b-1"}}')
"""What the write is answered when nothing goes wrong."""


class Calls:
    """One read and one write, each a single request when nothing goes wrong."""

    def __init__(self, organization: str, batch: str) -> None:
        self.organization = organization
        self.batch = batch

    async def read(self, client: AmiliClient) -> Batch:
        return await client.batches.get(self.organization, self.batch)

    async def write(self, client: AmiliClient, *, key: str | None = None, repeatable: bool | None = None) -> str:
        accepted = await client.request(
            "POST",
            f"/orgs/{self.organization}/invoices",
            json={"invoices": [{"invoiceNumber": "INV-1"}]},
            type=AcceptedBody,
            idempotency_key=key,
            repeatable=repeatable,
        )
        return accepted.batch_id
