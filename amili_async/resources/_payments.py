"""Payments and corrections: what a creditor received directly, and changes of what is owed, told to Amili."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.models import NewCorrection, NewPayment
from amili_async.resources._arguments import needed_key
from amili_async.resources._base import CreatingResource

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Sequence

    from amili_async._protocol.requests import Identifier
    from amili_async.models import Accepted
    from amili_async.resources._bulk import BulkWrite
    from amili_async.resources._outcome_search import WriteOutcome


class Payments(CreatingResource[NewPayment]):
    """``client.payments``: what a creditor received directly."""

    _kind = NewPayment
    _name = "payments"

    async def create(
        self, organization_id: Identifier, payments: Sequence[NewPayment], *, idempotency_key: str | None = None
    ) -> Accepted:
        """Tell Amili of payments in one write; return the batch that they become, for ``batches.wait``.

        Documented (D): createpayments-4148070e0; the shape of the answer is inferred (I). Repetition, key and errors as
        for ``invoices.create``.

        Raises:
            InvalidArgumentError: no payments, or what cannot be sent, all of it in ``problems``; nothing was sent.
            OutcomeUnknownError: sent, and it is not known whether it took effect: see `find_outcome`.
            APIError: refused.
        """
        return await self._create(organization_id, payments, idempotency_key)

    def create_all(
        self,
        organization_id: Identifier,
        payments: Iterable[NewPayment] | AsyncIterable[NewPayment],
        *,
        chunk_size: int = 100,
        concurrency: int = 4,
        idempotency_prefix: str | None = None,
    ) -> BulkWrite[NewPayment]:
        """Send any number of payments, ``chunk_size`` a write, as ``invoices.create_all`` does.

        Raises:
            InvalidArgumentError: an argument that cannot be right, by its name.
        """
        return self._create_all(
            organization_id,
            payments,
            chunk_size=chunk_size,
            concurrency=concurrency,
            idempotency_prefix=idempotency_prefix,
        )

    async def find_outcome(
        self,
        organization_id: Identifier,
        payments: Sequence[NewPayment],
        *,
        idempotency_key: str,
        deadline: float = 300.0,
    ) -> WriteOutcome[NewPayment]:
        """Find out whether a write took effect that was sent and not answered, as ``invoices.find_outcome`` does.

        Looks for its batch by the key of the write: nothing else tells one write's payments from another's.

        Raises:
            InvalidArgumentError: an argument that cannot be right, such as no key.
            DeadlineExceededError: nothing could be read at all where the write would show.
            APIError: refused, as any read may be; TokenError where the credentials were.
        """
        return await self._find_outcome(
            organization_id,
            payments,
            idempotency_key=needed_key(idempotency_key, "payments"),
            deadline=deadline,
        )


class Corrections(CreatingResource[NewCorrection]):
    """``client.corrections``: changes of what is owed, such as credit notes."""

    _kind = NewCorrection
    _name = "corrections"

    async def create(
        self, organization_id: Identifier, corrections: Sequence[NewCorrection], *, idempotency_key: str | None = None
    ) -> Accepted:
        """Tell Amili of corrections in one write; return the batch that they become. Since G2.

        Documented (D), answer included: createcorrections-4148074e0. Repetition, key and errors as for
        ``invoices.create``.

        Raises:
            InvalidArgumentError: no corrections, or what cannot be sent, all of it in ``problems``; nothing was sent.
            OutcomeUnknownError: sent, and it is not known whether it took effect: see `find_outcome`.
            APIError: refused.
        """
        return await self._create(organization_id, corrections, idempotency_key)

    def create_all(
        self,
        organization_id: Identifier,
        corrections: Iterable[NewCorrection] | AsyncIterable[NewCorrection],
        *,
        chunk_size: int = 100,
        concurrency: int = 4,
        idempotency_prefix: str | None = None,
    ) -> BulkWrite[NewCorrection]:
        """Send any number of corrections, ``chunk_size`` a write, as ``invoices.create_all`` does.

        Raises:
            InvalidArgumentError: an argument that cannot be right, by its name.
        """
        return self._create_all(
            organization_id,
            corrections,
            chunk_size=chunk_size,
            concurrency=concurrency,
            idempotency_prefix=idempotency_prefix,
        )

    async def find_outcome(
        self,
        organization_id: Identifier,
        corrections: Sequence[NewCorrection],
        *,
        idempotency_key: str,
        deadline: float = 300.0,
    ) -> WriteOutcome[NewCorrection]:
        """Find out whether a write took effect that was sent and not answered, as ``invoices.find_outcome`` does.

        Looks for its batch by the key of the write: nothing else tells one write's corrections from another's.

        Raises:
            InvalidArgumentError: an argument that cannot be right, such as no key.
            DeadlineExceededError: nothing could be read at all where the write would show.
            APIError: refused, as any read may be; TokenError where the credentials were.
        """
        return await self._find_outcome(
            organization_id,
            corrections,
            idempotency_key=needed_key(idempotency_key, "corrections"),
            deadline=deadline,
        )
