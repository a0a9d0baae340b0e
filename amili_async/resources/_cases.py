"""Cases: listed, and acted on by routes of which only the names are public."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amili_async.models import Case, CaseStatus, InvoiceType
from amili_async.models._inputs import choice
from amili_async.resources._arguments import model_of, number, span, text, text_or_number
from amili_async.resources._base import WritingResource

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Coroutine, Iterable

    from typing_extensions import TypeVar

    from amili_async._cursor import Cursor
    from amili_async._lists.pager import Pager
    from amili_async._protocol.options import OnInvalid
    from amili_async._protocol.requests import Identifier
    from amili_async.models import Accepted, DateLike
    from amili_async.resources._operation_client import Query
    from amili_async.resources._streaming import Stream

    CaseT = TypeVar("CaseT", bound=Case, default=Case)


class Cases(WritingResource):
    """``client.cases``: collection cases, listed, and acted on by routes that are guesses.

    All but `list` are operations of mark U: only their names are public, their paths are guesses. Calling one warns
    once, unless ``AmiliClient(routes=...)`` gives the path that Amili confirmed. Each takes a ``json`` body to send as
    Amili says, and returns the batch that the answer names, or ``None``. They are writes: repeated only where they
    surely were not executed.
    """

    def list(
        self,
        organization_id: Identifier,
        *,
        status: CaseStatus | str | None = None,
        type: InvoiceType | str | None = None,
        case_number: str | int | None = None,
        customer_number: str | int | None = None,
        unique_source_invoice_id: str | None = None,
        search_term: str | None = None,
        from_created_at: DateLike | None = None,
        to_created_at: DateLike | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        limit: int | None = None,
        cursor: Cursor | None = None,
        prefetch: bool = True,
        on_invalid: OnInvalid | None = None,
        model: type[CaseT] | None = None,
    ) -> Pager[CaseT]:
        """Return a pager over an organization's cases.

        Documented (D): getcasesbyorganization-4326442e0. Each page is a read, so it is retried on timeouts and 5xx.
        Dates are a ``date``, a datetime with a zone, or ISO 8601 text; paging options as for ``batches.list``.

        Raises:
            InvalidArgumentError: an argument that cannot be right, such as a datetime without a zone.
            AmiliError: while iterating, as of any read; with the `Cursor` to go on from.
        """
        query = _filters(
            status=status,
            type=type,
            case_number=case_number,
            customer_number=customer_number,
            unique_source_invoice_id=unique_source_invoice_id,
            search_term=search_term,
            from_created_at=from_created_at,
            to_created_at=to_created_at,
            page_size=page_size,
        )
        return self._caller.pager(
            "cases.list",
            organization_id,
            row_type=model_of(model, Case),
            query=query,
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
        status: CaseStatus | str | None = None,
        type: InvoiceType | str | None = None,
        customer_number: str | int | None = None,
        search_term: str | None = None,
        from_created_at: DateLike | None = None,
        to_created_at: DateLike | None = None,
        page_size: int | None = None,
        on_invalid: OnInvalid | None = None,
        model: type[CaseT] | None = None,
    ) -> Stream[tuple[str, CaseT]]:
        """Return a stream of ``(organization_id, case)`` from many organizations, as ``batches.stream`` does.

        Raises:
            InvalidArgumentError: an argument that cannot be right, by its name.
            AmiliError: while iterating, as of any read; with a note of its organization and the `Cursor` of its walk.
        """
        query = _filters(
            status=status,
            type=type,
            customer_number=customer_number,
            search_term=search_term,
            from_created_at=from_created_at,
            to_created_at=to_created_at,
            page_size=page_size,
        )
        return self._stream(
            "cases.list",
            organization_ids,
            row_type=model_of(model, Case),
            query=query,
            concurrency=concurrency,
            on_invalid=on_invalid,
        )

    async def accept_debt_collection_list(
        self, organization_id: Identifier, case_id: Identifier, *, json: object = None
    ) -> Accepted | None:
        """Agree to a case going to debt collection (U).

        Raises:
            NotFoundError: no such case, or the guessed path leads nowhere.
            OutcomeUnknownError: sent, and it is not known whether it took effect.
        """
        return await self._do("accept_debt_collection_list", organization_id, case_id, json)

    async def reject_debt_collection_list(
        self, organization_id: Identifier, case_id: Identifier, *, json: object = None
    ) -> Accepted | None:
        """Refuse a case's going to debt collection (U).

        Raises:
            NotFoundError: no such case, or the guessed path leads nowhere.
            OutcomeUnknownError: sent, and it is not known whether it took effect.
        """
        return await self._do("reject_debt_collection_list", organization_id, case_id, json)

    async def pause(self, organization_id: Identifier, case_id: Identifier, *, json: object = None) -> Accepted | None:
        """Pause a case (U).

        Raises:
            NotFoundError: no such case, or the guessed path leads nowhere.
            OutcomeUnknownError: sent, and it is not known whether it took effect.
        """
        return await self._do("pause", organization_id, case_id, json)

    async def withdraw(
        self, organization_id: Identifier, case_id: Identifier, *, json: object = None
    ) -> Accepted | None:
        """Take a case back from collection (U).

        Raises:
            NotFoundError: no such case, or the guessed path leads nowhere.
            OutcomeUnknownError: sent, and it is not known whether it took effect.
        """
        return await self._do("withdraw", organization_id, case_id, json)

    async def resume(self, organization_id: Identifier, case_id: Identifier, *, json: object = None) -> Accepted | None:
        """Go on with a paused case (U).

        Raises:
            NotFoundError: no such case, or the guessed path leads nowhere.
            OutcomeUnknownError: sent, and it is not known whether it took effect.
        """
        return await self._do("resume", organization_id, case_id, json)

    async def accept_eviction_request(
        self, organization_id: Identifier, case_id: Identifier, *, json: object = None
    ) -> Accepted | None:
        """Agree to asking for an eviction (U).

        Raises:
            NotFoundError: no such case, or the guessed path leads nowhere.
            OutcomeUnknownError: sent, and it is not known whether it took effect.
        """
        return await self._do("accept_eviction_request", organization_id, case_id, json)

    async def reject_eviction_request(
        self, organization_id: Identifier, case_id: Identifier, *, json: object = None
    ) -> Accepted | None:
        """Refuse to ask for an eviction (U).

        Raises:
            NotFoundError: no such case, or the guessed path leads nowhere.
            OutcomeUnknownError: sent, and it is not known whether it took effect.
        """
        return await self._do("reject_eviction_request", organization_id, case_id, json)

    async def accept_eviction_confirmation(
        self, organization_id: Identifier, case_id: Identifier, *, json: object = None
    ) -> Accepted | None:
        """Agree to an eviction's confirmation (U).

        Raises:
            NotFoundError: no such case, or the guessed path leads nowhere.
            OutcomeUnknownError: sent, and it is not known whether it took effect.
        """
        return await self._do("accept_eviction_confirmation", organization_id, case_id, json)

    async def reject_eviction_confirmation(
        self, organization_id: Identifier, case_id: Identifier, *, json: object = None
    ) -> Accepted | None:
        """Refuse an eviction's confirmation (U).

        Raises:
            NotFoundError: no such case, or the guessed path leads nowhere.
            OutcomeUnknownError: sent, and it is not known whether it took effect.
        """
        return await self._do("reject_eviction_confirmation", organization_id, case_id, json)

    def _do(
        self, action: str, organization_id: Identifier, case_id: Identifier, json: object
    ) -> Coroutine[Any, Any, Accepted | None]:
        return self._act(
            f"cases.{action}", organization_id, case_id, json=json, recovery_hint="cases.list shows the case's status"
        )


def _filters(
    *,
    status: object = None,
    type: object = None,
    case_number: object = None,
    customer_number: object = None,
    unique_source_invoice_id: object = None,
    search_term: object = None,
    from_created_at: object = None,
    to_created_at: object = None,
    page_size: object = None,
) -> Query:
    begins, ends = span(from_created_at, to_created_at, ("from_created_at", "to_created_at"))
    return (
        ("Status", choice(CaseStatus, status, "status")),
        ("Type", choice(InvoiceType, type, "type")),
        ("CaseNumber", text_or_number(case_number, "case_number")),
        ("CustomerNumber", text_or_number(customer_number, "customer_number")),
        ("UniqueSourceInvoiceId", text(unique_source_invoice_id, "unique_source_invoice_id")),
        ("SearchTerm", text(search_term, "search_term")),
        ("FromCreatedAt", begins),
        ("ToCreatedAt", ends),
        ("PageSize", number(page_size, "page_size")),
    )
