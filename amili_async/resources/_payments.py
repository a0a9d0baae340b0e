"""Payments and corrections: what a creditor received directly, and changes of what is owed, told to Amili."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.models import NewCorrection, NewPayment
from amili_async.resources._base import BY_KEY, WritingResource, body_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Sequence

    from amili_async._protocol.requests import Identifier
    from amili_async.models import Accepted
    from amili_async.resources._bulk import BulkWrite


class Payments(WritingResource):
    """``client.payments``: what a creditor received directly."""

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

    def create_all(
        self,
        organization_id: Identifier,
        payments: Iterable[NewPayment] | AsyncIterable[NewPayment],
        *,
        chunk_size: int = 100,
        concurrency: int = 4,
        idempotency_prefix: str | None = None,
    ) -> BulkWrite[NewPayment]:
        """Send any number of payments, ``chunk_size`` a write, as ``invoices.create_all`` does."""
        return self._create_all(
            "payments.create_all",
            organization_id,
            payments,
            NewPayment,
            lambda chunk, key: self.create(organization_id, chunk, idempotency_key=key),
            chunk_size=chunk_size,
            concurrency=concurrency,
            idempotency_prefix=idempotency_prefix,
        )


class Corrections(WritingResource):
    """``client.corrections``: changes of what is owed, such as credit notes."""

    async def create(
        self, organization_id: Identifier, corrections: Sequence[NewCorrection], *, idempotency_key: str | None = None
    ) -> Accepted:
        """Tell Amili of corrections in one write; return the batch that they become. G3 only.

        Documented (D), answer included: createcorrections-4148074e0. Repetition, key and errors as for
        ``invoices.create``.
        """
        return await self._create(
            "corrections.create",
            organization_id,
            body=body_of(corrections, NewCorrection, "corrections"),
            idempotency_key=idempotency_key,
            recovery_hint=f"{BY_KEY}; cases.list shows what is left to pay",
        )

    def create_all(
        self,
        organization_id: Identifier,
        corrections: Iterable[NewCorrection] | AsyncIterable[NewCorrection],
        *,
        chunk_size: int = 100,
        concurrency: int = 4,
        idempotency_prefix: str | None = None,
    ) -> BulkWrite[NewCorrection]:
        """Send any number of corrections, ``chunk_size`` a write, as ``invoices.create_all`` does."""
        return self._create_all(
            "corrections.create_all",
            organization_id,
            corrections,
            NewCorrection,
            lambda chunk, key: self.create(organization_id, chunk, idempotency_key=key),
            chunk_size=chunk_size,
            concurrency=concurrency,
            idempotency_prefix=idempotency_prefix,
        )
