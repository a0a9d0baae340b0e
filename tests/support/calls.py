"""A read and a write to make calls with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.models._envelope import AcceptedBody
from amili_async.resources._arguments import check_key
from amili_async.resources._operation_client import raw_request
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
        call = raw_request(
            "POST",
            "/orgs/{organization_id}/invoices",
            path_params={"organization_id": self.organization},
            query=None,
            body=b'{"invoices":[{"invoiceNumber":"INV-1"}]}',
            headers=None,
            idempotency_key=check_key(key),
            repeatable=repeatable,
        )
        reader = client.caller.readers.of(AcceptedBody)
        accepted = await client.caller.transport.send(call, lambda body: reader.one(body, None), client.caller.options)
        return accepted.batch_id
