"""Batches: what every write becomes, listed, read, and streamed over many organizations at once."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from amili_async._protocol.options import seconds
from amili_async.errors import APIError, NotFoundError
from amili_async.models import Batch, BatchState, BatchType, OpenEnum
from amili_async.models._inputs import choice
from amili_async.resources._arguments import number, text
from amili_async.resources._base import Resource
from amili_async.resources._polling import batch_and_organization, watched
from amili_async.resources._streaming import merged

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Iterable

    from amili_async._cursor import Cursor
    from amili_async._lists.pager import Pager
    from amili_async._protocol.options import OnInvalid
    from amili_async._protocol.requests import Identifier
    from amili_async.models import Accepted


class SortDirection(OpenEnum):
    """The order of a list by age (I: the values are not documented)."""

    ASC = "ASC"
    DESC = "DESC"


class Batches(Resource):
    """``client.batches``."""

    def list(
        self,
        organization_id: Identifier,
        *,
        state: BatchState | str | None = None,
        type: BatchType | str | None = None,
        subject_id: str | None = None,
        idempotency_key: str | None = None,
        page_size: int | None = None,
        sort: SortDirection | str | None = None,
        page_token: str | None = None,
        limit: int | None = None,
        cursor: Cursor | None = None,
        prefetch: bool = True,
        on_invalid: OnInvalid | None = None,
    ) -> Pager[Batch]:
        """Return a pager over an organization's batches.

        Documented (D): getbatchesbyorganization-4148061e0; ``subject_id`` and ``idempotency_key`` since G3, the values
        of ``sort`` are inferred (I). Each page is a read, so it is retried on timeouts and 5xx.

        Args:
            organization_id: whose batches.
            state: only those in this state, such as ``"PARTIAL"``.
            type: only those of this type, such as ``"INVOICE"``.
            subject_id: only those about this subject.
            idempotency_key: only those made by a write with this key.
            page_size: rows a page; the server's own choice without it. Limits are not documented.
            sort: ``"ASC"`` or ``"DESC"``.
            page_token: start at this page; `Cursor` can do more.
            limit: hand out at most so many batches.
            cursor: go on where an earlier walk with the same filters stood.
            prefetch: request the next page while this one is worked on.
            on_invalid: ``"raise"`` (the default), ``"skip"``, or a function that takes the `QuarantinedRow`.

        Raises:
            ConfigurationError: an argument that cannot be right. Iterating may raise any other `AmiliError`.
        """
        query = (
            ("State", choice(BatchState, state, "state")),
            ("Type", choice(BatchType, type, "type")),
            ("SubjectId", text(subject_id, "subject_id")),
            ("IdempotencyKey", text(idempotency_key, "idempotency_key")),
            ("PageSize", number(page_size, "page_size")),
            ("SortDirection", choice(SortDirection, sort, "sort")),
        )
        return self._caller.pager(
            "batches.list",
            organization_id,
            row_type=Batch,
            query=query,
            page_token=page_token,
            limit=limit,
            cursor=cursor,
            prefetch=prefetch,
            on_invalid=on_invalid,
        )

    def list_all(
        self,
        *,
        state: BatchState | str | None = None,
        type: BatchType | str | None = None,
        page_size: int | None = None,
        sort: SortDirection | str | None = None,
        page_token: str | None = None,
        limit: int | None = None,
        cursor: Cursor | None = None,
        prefetch: bool = True,
        on_invalid: OnInvalid | None = None,
    ) -> Pager[Batch]:
        """Return a pager over the batches of all organizations. Only G1 servers have it; options as for `list`.

        Documented (D): get-all-batches-3939027e0.
        """
        query = (
            ("State", choice(BatchState, state, "state")),
            ("Type", choice(BatchType, type, "type")),
            ("PageSize", number(page_size, "page_size")),
            ("SortDirection", choice(SortDirection, sort, "sort")),
        )
        return self._caller.pager(
            "batches.list_all",
            row_type=Batch,
            query=query,
            page_token=page_token,
            limit=limit,
            cursor=cursor,
            prefetch=prefetch,
            on_invalid=on_invalid,
        )

    async def get(self, organization_id: Identifier, batch_id: Identifier) -> Batch:
        """Return one batch with its outcome so far.

        Safe to repeat, so it is retried on timeouts and 5xx. Documented (D): getbatchbyid-4148060e0; G3 only, see
        `get_by_id` for older servers.

        Raises:
            NotFoundError: no such batch in this organization.
            DecodeError: the answer is not a batch; its bytes are on the error.
        """
        return await self._caller.get("batches.get", organization_id, batch_id, type=Batch)

    async def get_by_id(self, batch_id: Identifier) -> Batch:
        """Return one batch by its id alone.

        Documented (D) and marked "Legacy (To be removed)": get-batch-by-id-3939029e0. Retried like `get`.

        Raises:
            NotFoundError: no such batch.
            DecodeError: the answer is not a batch; its bytes are on the error.
        """
        return await self._caller.get("batches.get_by_id", batch_id, type=Batch)

    def stream(
        self,
        organization_ids: Iterable[Identifier] | AsyncIterable[Identifier],
        *,
        concurrency: int = 8,
        state: BatchState | str | None = None,
        type: BatchType | str | None = None,
        subject_id: str | None = None,
        page_size: int | None = None,
        sort: SortDirection | str | None = None,
        on_invalid: OnInvalid | None = None,
    ) -> AsyncGenerator[tuple[str, Batch], None]:
        """Yield ``(organization_id, batch)`` from many organizations, ``concurrency`` of them walked at once.

        Within an organization the order is the server's, between them it is that of arrival. At most two pages of
        each walk are held in memory. Ids are taken from the iterable as walks end, so it may be endless. An error ends
        the stream, with a note of its organization and the `Cursor` of its walk. Leave it with ``contextlib.aclosing``
        to stop all walks at once. Options and source as for `list`.
        """

        def walk(organization_id: Identifier) -> Pager[Batch]:
            return self.list(
                organization_id,
                state=state,
                type=type,
                subject_id=subject_id,
                page_size=page_size,
                sort=sort,
                on_invalid=on_invalid,
            )

        return merged(organization_ids, walk, concurrency=concurrency)

    async def wait(
        self,
        batch: Accepted | Identifier,
        *,
        organization_id: Identifier | None = None,
        deadline: float | None = 300.0,
    ) -> Batch:
        """Return a batch once it is final, whatever its outcome: look at ``batch.state``.

        Polls with growing pauses. A 404 counts as "not there yet" for the first half minute, a state that this version
        does not know as not final, and what passes, such as an outage, is waited out. Waiting again with the same id
        goes on where this left off.

        Args:
            batch: what a write returned, or the id of a batch.
            organization_id: whose batch; an `Accepted` knows. Without one, and where `get` knows no such batch, the
                legacy `get_by_id` is asked: older servers have no other.
            deadline: seconds in all; ``None`` for no limit.

        Raises:
            DeadlineExceededError: it is not final yet; ``batch`` is what was seen last.
            NotFoundError: there is no such batch.
        """
        changes = self.watch(batch, organization_id=organization_id, deadline=deadline)
        latest = await anext(changes)
        async for changed in changes:
            latest = changed
        return latest

    def watch(
        self,
        batch: Accepted | Identifier,
        *,
        organization_id: Identifier | None = None,
        deadline: float | None = 300.0,
    ) -> AsyncGenerator[Batch, None]:
        """Return a generator of a batch, anew each time that it has changed, ending with the final one.

        Arguments and errors are those of `wait`.
        """
        batch_id, owner = batch_and_organization(batch, organization_id)
        limit = None if deadline is None else seconds(deadline, "deadline")
        options = self._caller.options

        async def read(remaining: float | None) -> Batch:
            limits = [each for each in (remaining, options.deadline) if each is not None]
            caller = self._caller.with_options(msgspec.structs.replace(options, deadline=min(limits, default=None)))
            if owner is None:
                return await caller.get("batches.get_by_id", batch_id, type=Batch)
            try:
                return await caller.get("batches.get", owner, batch_id, type=Batch)
            except NotFoundError:
                # Older servers know a batch by its id alone.
                with suppress(APIError):
                    return await caller.get("batches.get_by_id", batch_id, type=Batch)
                raise

        return watched(read, self._caller.transport.clock, limit)
