"""Corrections: changes of what is owed, such as credit notes, told to Amili."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.models._corrections import NewCorrection
from amili_async.resources._writing import BY_KEY, WritingResource, body_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amili_async._protocol.requests import Identifier
    from amili_async.models._accepted import Accepted


class Corrections(WritingResource):
    """``client.corrections``."""

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
