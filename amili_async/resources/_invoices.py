"""Invoices: sent to Amili one write or a whole stream at a time, listed, read, and acted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async._whole_file import save, target_of
from amili_async.models import Invoice, InvoiceStatus, InvoiceType, NewInvoice, RawValue
from amili_async.models._inputs import choice
from amili_async.resources._arguments import model_of, span, text, text_or_number
from amili_async.resources._base import CreatingResource

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Sequence
    from os import PathLike
    from pathlib import Path

    from typing_extensions import TypeVar

    from amili_async._cursor import Cursor
    from amili_async._lists.pager import Pager
    from amili_async._protocol.options import OnInvalid
    from amili_async._protocol.requests import Identifier
    from amili_async.models import Accepted, DateLike
    from amili_async.resources._bulk import BulkWrite
    from amili_async.resources._operation_client import Query
    from amili_async.resources._outcome_search import WriteOutcome
    from amili_async.resources._streaming import Stream

    InvoiceT = TypeVar("InvoiceT", bound=Invoice, default=Invoice)

_ACTION_HINT = "invoices.get(organization_id, invoice_id) shows the invoice's status"


class Invoices(CreatingResource[NewInvoice]):
    """``client.invoices``: sent to Amili, listed, read, acted on."""

    _kind = NewInvoice
    _name = "invoices"

    async def create(
        self, organization_id: Identifier, invoices: Sequence[NewInvoice], *, idempotency_key: str | None = None
    ) -> Accepted:
        """Send invoices as one write; return the batch that they become, for ``batches.wait``.

        A write: repeated only where it surely was not executed. Documented (D): createinvoices-4148067e0; the shape of
        the answer is inferred (I). The key is sent as the header ``IdempotencyKey``; that writes heed it is inferred
        too (I), so it makes nothing safe to repeat unless ``RetryPolicy(trust_idempotency_key=True)`` says so.

        Raises:
            InvalidArgumentError: no invoices, or what cannot be sent, all of it in ``problems``; nothing was sent.
            OutcomeUnknownError: sent, and it is not known whether it took effect: see `find_outcome`.
            ConnectError: never sent, so it may be sent again.
            APIError: refused.
        """
        return await self._create(organization_id, invoices, idempotency_key)

    def create_all(
        self,
        organization_id: Identifier,
        invoices: Iterable[NewInvoice] | AsyncIterable[NewInvoice],
        *,
        chunk_size: int = 100,
        concurrency: int = 4,
        idempotency_prefix: str | None = None,
    ) -> BulkWrite[NewInvoice]:
        """Send any number of invoices, ``chunk_size`` a write; yield the outcome of each write as it completes.

        An outcome is a batch or an error, with the invoices that it is about, so one failed write loses no other; what
        cannot be sent is the error of its chunk alone. With a prefix, the n-th write (from 0) has the key ``prefix-n``:
        the same invoices in the same order get the same keys again. Invoices are taken from the iterable as writes end,
        so it may be endless. If it raises, the writes under way complete first.

        No write on its way is ever cancelled: leaving with ``async with``, or cancelling, sends no further one and
        waits for those under way (at most the client's deadline), whose outcomes are then in ``unread``. Source and
        repetition as for `create`; the limit of a write's size is not documented. ::

            async with amili.invoices.create_all(organization_id, invoices, idempotency_prefix="run-17") as writes:
                async for outcome in writes:
                    if outcome.error is not None:
                        ...

        Raises:
            InvalidArgumentError: an argument that cannot be right, by its name.
        """
        return self._create_all(
            organization_id,
            invoices,
            chunk_size=chunk_size,
            concurrency=concurrency,
            idempotency_prefix=idempotency_prefix,
        )

    async def find_outcome(
        self,
        organization_id: Identifier,
        invoices: Sequence[NewInvoice],
        *,
        idempotency_key: str | None = None,
        deadline: float = 300.0,
    ) -> WriteOutcome[NewInvoice]:
        """Find out whether a write took effect that was sent and not answered; look for as long as it may take.

        Looks for its batch by the key of the write, and for the invoices by ``unique_source_invoice_id`` or number.
        Something that is seen ends the search at once: it is `TookEffect`, and the write must not be sent again. If
        nothing is seen until the deadline it is `NotSeen`, with where it looked and for how long. That proves nothing:
        whether a server's list heeds the filter by key shows only where it finds something, and a slow server may still
        work the write through. Ask Amili before sending it again.

        Raises:
            InvalidArgumentError: an argument that cannot be right.
            DeadlineExceededError: nothing could be read at all where the write would show.
            APIError: refused, as any read may be; TokenError where the credentials were.
        """
        return await self._find_outcome(organization_id, invoices, idempotency_key=idempotency_key, deadline=deadline)

    def list(
        self,
        organization_id: Identifier,
        *,
        status: InvoiceStatus | str | None = None,
        type: InvoiceType | str | None = None,
        invoice_number: str | int | None = None,
        unique_source_invoice_id: str | None = None,
        customer_number: str | int | None = None,
        from_date: DateLike | None = None,
        to_date: DateLike | None = None,
        page_token: str | None = None,
        limit: int | None = None,
        cursor: Cursor | None = None,
        prefetch: bool = True,
        on_invalid: OnInvalid | None = None,
        model: type[InvoiceT] | None = None,
    ) -> Pager[InvoiceT]:
        """Return a pager over an organization's invoices.

        Documented (D): getinvoicesbyorganization-4148068e0; it names no page size. Each page is a read, so it is
        retried on timeouts and 5xx. Paging options as for ``batches.list``.

        Args:
            organization_id: whose invoices.
            status: only those with this status, such as ``"OPEN"``.
            type: only those of this type, such as ``"PAYMENT_REMINDER"``.
            invoice_number: only those with this number.
            unique_source_invoice_id: only the one with this id of your own.
            customer_number: only those of this customer.
            from_date: only those from this day or moment on; of what date, the documentation does not say.
            to_date: only those up to this day or moment.
            page_token: start at this page.
            limit: hand out at most so many.
            cursor: go on where an earlier walk with the same filters stood.
            prefetch: request the next page while this one is worked on.
            on_invalid: what becomes of rows that cannot be read.
            model: a subclass of `Invoice` with further members, to read the rows as.

        Raises:
            InvalidArgumentError: an argument that cannot be right, such as a datetime without a zone.
            AmiliError: while iterating, as of any read; with the `Cursor` to go on from.
        """
        query = _filters(
            status=status,
            type=type,
            invoice_number=invoice_number,
            unique_source_invoice_id=unique_source_invoice_id,
            customer_number=customer_number,
            from_date=from_date,
            to_date=to_date,
        )
        return self._caller.pager(
            "invoices.list",
            organization_id,
            row_type=model_of(model, Invoice),
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
        status: InvoiceStatus | str | None = None,
        type: InvoiceType | str | None = None,
        customer_number: str | int | None = None,
        from_date: DateLike | None = None,
        to_date: DateLike | None = None,
        on_invalid: OnInvalid | None = None,
        model: type[InvoiceT] | None = None,
    ) -> Stream[tuple[str, InvoiceT]]:
        """Return a stream of ``(organization_id, invoice)`` from many organizations, as ``batches.stream`` does.

        Raises:
            InvalidArgumentError: an argument that cannot be right, by its name.
            AmiliError: while iterating, as of any read; with a note of its organization and the `Cursor` of its walk.
        """
        query = _filters(
            status=status, type=type, customer_number=customer_number, from_date=from_date, to_date=to_date
        )
        return self._stream(
            "invoices.list",
            organization_ids,
            row_type=model_of(model, Invoice),
            query=query,
            concurrency=concurrency,
            on_invalid=on_invalid,
        )

    async def get(
        self, organization_id: Identifier, invoice_id: Identifier, *, model: type[InvoiceT] | None = None
    ) -> InvoiceT:
        """Return one invoice.

        Safe to repeat, so it is retried on timeouts and 5xx. Documented (D): getinvoicebyid-4148069e0.

        Raises:
            NotFoundError: no such invoice in this organization.
            DecodeError: the answer is not an invoice; its bytes are on the error.
            AmiliError: refused, not answered or too late, as any read may be.
        """
        return await self._caller.get("invoices.get", organization_id, invoice_id, type=model_of(model, Invoice))

    def payments(self, organization_id: Identifier, invoice_id: Identifier) -> Pager[RawValue]:
        """Return a pager over the payments of an invoice, of a shape that is not documented. G1 only.

        The route is documented (D): get-invoice-payments-by-invoice-id-3939022e0. Retried like every read.

        Raises:
            NotFoundError: while iterating: no such invoice, or no such route since G2.
            AmiliError: as of any read.
        """
        return self._caller.pager("invoices.payments", organization_id, invoice_id, row_type=RawValue)

    def documents(self, organization_id: Identifier, invoice_id: Identifier) -> Pager[RawValue]:
        """Return a pager over what the documents of an invoice are. Route and shape are inferred (I). G1 only.

        Raises:
            NotFoundError: while iterating: no such invoice, or no such route since G2.
            AmiliError: as of any read.
        """
        return self._caller.pager("invoices.documents", organization_id, invoice_id, row_type=RawValue)

    def history(self, organization_id: Identifier, invoice_id: Identifier) -> Pager[RawValue]:
        """Return a pager over what happened to an invoice. Route and shape are inferred (I). G1 only.

        Raises:
            NotFoundError: while iterating: no such invoice, or no such route since G2.
            AmiliError: as of any read.
        """
        return self._caller.pager("invoices.history", organization_id, invoice_id, row_type=RawValue)

    async def download(self, organization_id: Identifier, invoice_id: Identifier, path: str | PathLike[str]) -> Path:
        """Write what the documents route answers into a file, whatever it is; return the file's path.

        The file is whole or absent: it is written under another name, flushed to the disk, then renamed over whatever
        was there. Route and answer are inferred (I). G1 only. Retried like every read.

        Raises:
            ConfigurationError: there is no such folder, or the path is one; nothing was sent.
            OSError: the file cannot be written.
            AmiliError: refused, not answered or too late, as any read may be.
        """
        target = target_of(path)
        body = await self._caller.send(
            "invoices.documents", organization_id, invoice_id, read=bytes, headers={"Accept": "*/*"}
        )
        return await save(body, target)

    async def resume(self, organization_id: Identifier, invoice_id: Identifier) -> Accepted | None:
        """Go on with the collection of a paused invoice; ``None`` where the answer names no batch. G1 only.

        A write: repeated only where it surely was not executed. Documented (D): resume-invoice-3939025e0, a 202 without
        a body.

        Raises:
            BadRequestError: the invoice is not paused, or cannot be resumed.
            OutcomeUnknownError: sent, and it is not known whether it took effect.
        """
        return await self._act("invoices.resume", organization_id, invoice_id, recovery_hint=_ACTION_HINT)

    async def pause(self, organization_id: Identifier, invoice_id: Identifier) -> Accepted | None:
        """Pause the collection of an invoice. The route is inferred (I) from `resume`; all else as there.

        Raises:
            BadRequestError: the invoice does not allow it.
            OutcomeUnknownError: sent, and it is not known whether it took effect.
        """
        return await self._act("invoices.pause", organization_id, invoice_id, recovery_hint=_ACTION_HINT)

    async def withdraw(self, organization_id: Identifier, invoice_id: Identifier) -> Accepted | None:
        """Take an invoice back from collection. The route is inferred (I) from `resume`; all else as there.

        Raises:
            BadRequestError: the invoice does not allow it.
            OutcomeUnknownError: sent, and it is not known whether it took effect.
        """
        return await self._act("invoices.withdraw", organization_id, invoice_id, recovery_hint=_ACTION_HINT)


def _filters(
    *,
    status: object = None,
    type: object = None,
    invoice_number: object = None,
    unique_source_invoice_id: object = None,
    customer_number: object = None,
    from_date: object = None,
    to_date: object = None,
) -> Query:
    begins, ends = span(from_date, to_date, ("from_date", "to_date"))
    return (
        ("Status", choice(InvoiceStatus, status, "status")),
        ("Type", choice(InvoiceType, type, "type")),
        ("InvoiceNumber", text_or_number(invoice_number, "invoice_number")),
        ("UniqueSourceInvoiceId", text(unique_source_invoice_id, "unique_source_invoice_id")),
        ("CustomerNumber", text_or_number(customer_number, "customer_number")),
        ("From", begins),
        ("To", ends),
    )
