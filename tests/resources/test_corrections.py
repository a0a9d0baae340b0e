from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from amili_async import AmiliClient, BatchState, ConfigurationError, NewCorrection

if TYPE_CHECKING:
    from amili_async.sandbox import Sandbox


async def test_corrections_are_sent_exactly_and_become_a_batch(
    client: AmiliClient, sandbox: Sandbox, organization: str
) -> None:
    invoices = await client.invoices.list(organization, status="OPEN").collect()
    correction = NewCorrection(
        invoice_id=invoices[0].id, amount=Decimal("12.50"), currency="NOK", date="2024-01-15", description="Kreditnota"
    )
    accepted = await client.corrections.create(organization, [correction])
    assert sandbox.requests.last("corrections.create").body == (
        b'{"corrections":[{"invoiceId":"' + invoices[0].id.encode() + b'","amount":12.50,"currency":"NOK",'
        b'"date":"2024-01-15","description":"Kreditnota"}]}'
    )
    assert (await client.batches.wait(accepted)).state is BatchState.SUCCESS


async def test_no_corrections_are_refused(client: AmiliClient, sandbox: Sandbox, organization: str) -> None:
    with pytest.raises(ConfigurationError, match="corrections must hold at least one NewCorrection, and there is none"):
        await client.corrections.create(organization, [])
    assert len(sandbox.requests) == 0
