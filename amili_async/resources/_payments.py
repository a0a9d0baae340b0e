"""Payments: what a creditor received directly, told to Amili."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.models._payments import NewPayment
from amili_async.resources._writing import BY_KEY, WritingResource, body_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amili_async._protocol.requests import Identifier
    from amili_async.models._accepted import Accepted


class Payments(WritingResource):
    """``client.payments``."""

    async def create(
        self, organization_id: Identifier, payments: Sequence[NewPayment], *, idempotency_key: str | None = None
    ) -> Accepted:
        """Tell Amili of payments in one write; return the batch that they become, for ``batches.wait``.

        Documented (D): createpayments-4148070e0; the shape of the answer is inferred (I). Repetition, key and errors as
        for ``invoices.create``.
        """
        return await self._create(
            "payments.create",
            organization_id,
            body=body_of(payments, NewPayment, "payments"),
            idempotency_key=idempotency_key,
            recovery_hint=f"{BY_KEY}; cases.list shows what is left to pay",
        )
