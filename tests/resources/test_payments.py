from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from amili_async import AmiliClient, BatchState, ConfigurationError, NewCorrection, NewPayment, OutcomeUnknownError
from amili_async.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from amili_async import Invoice


async def an_invoice(client: AmiliClient, organization: str) -> Invoice:
    invoices = await client.invoices.list(organization, status="OPEN").collect()
    return invoices[0]


@pytest.mark.amili(generation="G1")
async def test_payments_are_sent_exactly_and_become_a_batch(
    client: AmiliClient, sandbox: Sandbox, organization: str
) -> None:
    invoice = await an_invoice(client, organization)
    payment = NewPayment(
        invoice_id=invoice.id,
        type="DIRECT_PAYMENT",
        amount=Decimal("0.10"),
        currency="NOK",
        extra={"paidAt": "2024-01-15"},
    )
    accepted = await client.payments.create(organization, [payment], idempotency_key="p-1")
    request = sandbox.requests.last("payments.create")
    assert request.body == (
        b'{"payments":[{"invoiceId":"' + invoice.id.encode() + b'","type":"DIRECT_PAYMENT","amount":0.10,'
        b'"currency":"NOK","paidAt":"2024-01-15"}]}'
    )
    assert request.headers["idempotencykey"] == "p-1"
    batch = await client.batches.wait(accepted)
    assert batch.state is BatchState.SUCCESS
    assert await client.invoices.payments(organization, invoice.id).collect()


async def test_a_payment_that_may_have_been_made_is_not_made_again(
    client: AmiliClient, sandbox: Sandbox, organization: str
) -> None:
    sandbox.faults.add(Fault("payments.create", status=502, body="{}", acts=True))
    with pytest.raises(OutcomeUnknownError) as caught:
        await client.payments.create(organization, [NewPayment(invoice_id="i", amount=Decimal(1))], idempotency_key="k")
    assert sandbox.requests.count("payments.create") == 1
    assert caught.value.recovery_hint is not None
    assert "idempotency_key" in caught.value.recovery_hint


@pytest.mark.parametrize(
    ("payments", "why"),
    [
        ([], "payments must hold at least one NewPayment"),
        ([NewCorrection(invoice_id="i", amount=Decimal(1))], r"payments\[0\] must be a NewPayment\(...\), not NewCorr"),
    ],
)
async def test_what_holds_no_payments_is_refused(
    client: AmiliClient, sandbox: Sandbox, organization: str, payments: Any, why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        await client.payments.create(organization, payments)
    assert len(sandbox.requests) == 0
