"""Settlements: what Amili paid out, listed and read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.models import Settlement
from amili_async.resources._arguments import model_of, number, span
from amili_async.resources._base import Resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable

    from typing_extensions import TypeVar

    from amili_async._cursor import Cursor
    from amili_async._lists.pager import Pager
    from amili_async._protocol.options import OnInvalid
    from amili_async._protocol.requests import Identifier
    from amili_async.models import DateLike
    from amili_async.resources._operation_client import Query
    from amili_async.resources._streaming import Stream

    SettlementT = TypeVar("SettlementT", bound=Settlement, default=Settlement)


_TOKEN_NAME = "pageToken"  # noqa: S105  # a query name; no other list spells it like this


class Settlements(Resource):
    """``client.settlements``: what Amili paid out."""

    def list(
        self,
        organization_id: Identifier,
        *,
        from_date: DateLike | None = None,
        to_date: DateLike | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        limit: int | None = None,
        cursor: Cursor | None = None,
        prefetch: bool = True,
        on_invalid: OnInvalid | None = None,
        model: type[SettlementT] | None = None,
    ) -> Pager[SettlementT]:
        """Return a pager over an organization's settlements, of a span of days or of all time.

        Documented (D): getsettlements-4148071e0. Each page is a read, so it is retried on timeouts and 5xx. Dates are a
        ``date``, a datetime with a zone, or ISO 8601 text; paging options as for ``batches.list``.

        Raises:
            InvalidArgumentError: an argument that cannot be right, such as a datetime without a zone.
            AmiliError: while iterating, as of any read; with the `Cursor` to go on from.
        """
        query = _filters(from_date=from_date, to_date=to_date, page_size=page_size)
        return self._caller.pager(
            "settlements.list",
            organization_id,
            row_type=model_of(model, Settlement),
            query=query,
            token_name=_TOKEN_NAME,
            page_token=page_token,
            limit=limit,
            cursor=cursor,
            prefetch=prefetch,
            on_invalid=on_invalid,
        )

    def stream(
        self,
        organization_ids: Iterable[Identifier] | AsyncIterable[Identifier],
        *,
        concurrency: int = 8,
        from_date: DateLike | None = None,
        to_date: DateLike | None = None,
        page_size: int | None = None,
        on_invalid: OnInvalid | None = None,
        model: type[SettlementT] | None = None,
    ) -> Stream[tuple[str, SettlementT]]:
        """Return a stream of ``(organization_id, settlement)`` from many organizations, as ``batches.stream`` does.

        Raises:
            InvalidArgumentError: an argument that cannot be right, by its name.
            AmiliError: while iterating, as of any read; with a note of its organization and the `Cursor` of its walk.
        """
        return self._stream(
            "settlements.list",
            organization_ids,
            row_type=model_of(model, Settlement),
            query=_filters(from_date=from_date, to_date=to_date, page_size=page_size),
            token_name=_TOKEN_NAME,
            concurrency=concurrency,
            on_invalid=on_invalid,
        )

    async def get(
        self, organization_id: Identifier, settlement_id: Identifier, *, model: type[SettlementT] | None = None
    ) -> SettlementT:
        """Return one settlement.

        Safe to repeat, so it is retried on timeouts and 5xx. Documented (D): getsettlement-on-id-4148072e0.

        Raises:
            NotFoundError: no such settlement in this organization.
            DecodeError: the answer is not a settlement; its bytes are on the error.
            AmiliError: refused, not answered or too late, as any read may be.
        """
        return await self._caller.get(
            "settlements.get", organization_id, settlement_id, type=model_of(model, Settlement)
        )


def _filters(*, from_date: object, to_date: object, page_size: object) -> Query:
    begins, ends = span(from_date, to_date, ("from_date", "to_date"))
    return (
        ("fromDate", begins),
        ("toDate", ends),
        ("pageSize", number(page_size, "page_size")),
    )
