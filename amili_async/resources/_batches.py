"""Batches: what every write becomes, listed, read, and streamed over many organizations at once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from amili_async._protocol.options import seconds
from amili_async.errors import APIError, InvalidArgumentError, NotFoundError
from amili_async.models import Batch, BatchState, BatchType, OpenEnum
from amili_async.models._inputs import choice
from amili_async.resources._arguments import model_of, number, text
from amili_async.resources._base import Resource
from amili_async.resources._polling import all_of, batch_and_organization, is_unknown_here, watched
from amili_async.resources._streaming import Stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from typing_extensions import TypeVar

    from amili_async._cursor import Cursor
    from amili_async._lists.pager import Pager
    from amili_async._protocol.options import OnInvalid
    from amili_async._protocol.requests import Identifier
    from amili_async.models import Accepted
    from amili_async.resources._operation_client import Query

    BatchT = TypeVar("BatchT", bound=Batch, default=Batch)


class SortDirection(OpenEnum):
    """The order of a list by age (I: the values are not documented)."""

    ASC = "ASC"
    DESC = "DESC"


class Batches(Resource):
    """``client.batches``: what every write becomes, listed, read, waited for."""

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
        model: type[BatchT] | None = None,
    ) -> Pager[BatchT]:
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
            model: a subclass of `Batch` with further members, to read the rows as.

        Raises:
            InvalidArgumentError: an argument that cannot be right, by its name.
            AmiliError: while iterating, as of any read; with the `Cursor` to go on from.
        """
        query = _filters(
            state=state,
            type=type,
            subject_id=subject_id,
            idempotency_key=idempotency_key,
            page_size=page_size,
            sort=sort,
        )
        return self._caller.pager(
            "batches.list",
            organization_id,
            row_type=model_of(model, Batch),
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
        model: type[BatchT] | None = None,
    ) -> Pager[BatchT]:
        """Return a pager over the batches of all organizations. Only G1 servers have it; options as for `list`.

        Documented (D): get-all-batches-3939027e0.

        Raises:
            InvalidArgumentError: an argument that cannot be right, by its name.
            AmiliError: while iterating, as of any read; with the `Cursor` to go on from.
        """
        query = _filters(state=state, type=type, page_size=page_size, sort=sort)
        return self._caller.pager(
            "batches.list_all",
            row_type=model_of(model, Batch),
            query=query,
            page_token=page_token,
            limit=limit,
            cursor=cursor,
            prefetch=prefetch,
            on_invalid=on_invalid,
        )

    async def get(
        self, organization_id: Identifier, batch_id: Identifier, *, model: type[BatchT] | None = None
    ) -> BatchT:
        """Return one batch with its outcome so far.

        Safe to repeat, so it is retried on timeouts and 5xx. Documented (D): getbatchbyid-4148060e0; G3 only, see
        `get_by_id` for older servers.

        Raises:
            NotFoundError: no such batch in this organization.
            DecodeError: the answer is not a batch; its bytes are on the error.
            AmiliError: refused, not answered or too late, as any read may be.
        """
        return await self._caller.get("batches.get", organization_id, batch_id, type=model_of(model, Batch))

    async def get_by_id(self, batch_id: Identifier, *, model: type[BatchT] | None = None) -> BatchT:
        """Return one batch by its id alone.

        Documented (D) and marked "Legacy (To be removed)": get-batch-by-id-3939029e0. Retried like `get`.

        Raises:
            NotFoundError: no such batch.
            DecodeError: the answer is not a batch; its bytes are on the error.
            AmiliError: refused, not answered or too late, as any read may be.
        """
        return await self._caller.get("batches.get_by_id", batch_id, type=model_of(model, Batch))

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
        model: type[BatchT] | None = None,
    ) -> Stream[tuple[str, BatchT]]:
        """Return a stream of ``(organization_id, batch)`` from many organizations, ``concurrency`` walked at once.

        Within an organization the order is the server's, between them it is that of arrival. At most two pages of
        each walk are held in memory. Ids are taken from the iterable as walks end, so it may be endless. Leave it with
        ``async with`` to stop all walks at once. Options and source as for `list`.

        Raises:
            InvalidArgumentError: an argument that cannot be right, such as one id in place of several.
            AmiliError: while iterating, as of any read: with a note of its organization and the `Cursor` of its walk.
        """
        query = _filters(state=state, type=type, subject_id=subject_id, page_size=page_size, sort=sort)
        return self._stream(
            "batches.list",
            organization_ids,
            row_type=model_of(model, Batch),
            query=query,
            concurrency=concurrency,
            on_invalid=on_invalid,
        )

    async def wait(
        self,
        batch: Accepted | Batch | Identifier,
        *,
        organization_id: Identifier | None = None,
        deadline: float | None = 300.0,
        model: type[BatchT] | None = None,
    ) -> BatchT:
        """Return a batch once it is final, whatever its outcome: look at ``batch.state``.

        Polls with growing pauses. A 404 counts as "not there yet" for the first half minute, a state that this version
        does not know as not final, and what passes, such as an outage, is waited out. Waiting again with the same id
        goes on where this left off.

        Args:
            batch: what a write or a read returned, or the id of a batch.
            organization_id: whose batch; an `Accepted` knows. Without one, and where the server knows no such batch or
                no such route (404, 405, 410, 501), the legacy `get_by_id` is asked: older servers have no other.
            deadline: seconds in all; ``None`` for no limit.
            model: a subclass of `Batch` with further members, to read the batch as.

        Raises:
            InvalidArgumentError: an argument that cannot be right.
            DeadlineExceededError: it is not final yet; ``batch`` is what was seen last.
            NotFoundError: there is no such batch.
            APIError: refused; TokenError where the credentials were.
            DecodeError: an answer is not a batch; its bytes are on the error.
        """
        changes = self.watch(batch, organization_id=organization_id, deadline=deadline, model=model)
        latest = await anext(changes)
        async for changed in changes:
            latest = changed
        return latest

    def watch(
        self,
        batch: Accepted | Batch | Identifier,
        *,
        organization_id: Identifier | None = None,
        deadline: float | None = 300.0,
        model: type[BatchT] | None = None,
    ) -> Stream[BatchT]:
        """Return a stream of a batch, anew each time that it has changed, ending with the final one.

        Arguments and errors are those of `wait`.

        Raises:
            DeadlineExceededError: it is not final yet; ``batch`` is what was seen last.
            NotFoundError: there is no such batch.
            AmiliError: all else as of `wait`.
        """
        batch_id, owner = batch_and_organization(batch, organization_id)
        limit = None if deadline is None else seconds(deadline, "deadline")
        kind = model_of(model, Batch)
        options = self._caller.options
        by_id_alone = owner is None

        async def read(remaining: float | None) -> BatchT:
            nonlocal by_id_alone
            limits = [each for each in (remaining, options.deadline) if each is not None]
            caller = self._caller.with_options(msgspec.structs.replace(options, deadline=min(limits, default=None)))
            unknown: APIError | None = None
            if not by_id_alone:
                try:
                    return await caller.get("batches.get", owner, batch_id, type=kind)
                except APIError as error:
                    if not is_unknown_here(error):
                        raise
                    unknown = error
            try:
                found = await caller.get("batches.get_by_id", batch_id, type=kind)
            except APIError as error:
                if unknown is None or not is_unknown_here(error):
                    raise
                # One 404 of the two says that it is not there, or not yet; without any, no route leads to a batch.
                missing = (each for each in (unknown, error) if isinstance(each, NotFoundError))
                raise next(missing, unknown) from None
            by_id_alone = True
            return found

        return Stream("batches.watch", watched(read, self._caller.transport.clock, limit))

    def wait_all(
        self,
        batches: Iterable[Accepted | Batch | Identifier],
        *,
        organization_id: Identifier | None = None,
        deadline: float | None = 300.0,
        model: type[BatchT] | None = None,
    ) -> Stream[BatchT]:
        """Return a stream of many batches, each as it becomes final, under one deadline for all of them.

        Each is waited for as by `wait`, with its arguments. What fails for one keeps none of the others: it is raised
        after the last of them.

        Raises:
            InvalidArgumentError: an argument that cannot be right, such as one batch in place of several.
            DeadlineExceededError: some are not final yet; ``pending`` has their ids.
            AmiliError: of the first batch that could not be waited for, as `wait` raises it.
        """
        if isinstance(batches, str | bytes) or not isinstance(batches, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
            raise InvalidArgumentError("batches must be several, such as [accepted], not one")
        given = [batch_and_organization(batch, organization_id) for batch in batches]
        limit = None if deadline is None else seconds(deadline, "deadline")
        kind = model_of(model, Batch)
        # All of them begin when the stream is first asked, and so under one deadline.
        waits = {
            batch_id: partial(self.wait, batch_id, organization_id=owner, deadline=limit, model=kind)
            for batch_id, owner in given
        }
        return Stream("batches.wait_all", all_of(waits))


def _filters(
    *,
    state: object = None,
    type: object = None,
    subject_id: object = None,
    idempotency_key: object = None,
    page_size: object = None,
    sort: object = None,
) -> Query:
    return (
        ("State", choice(BatchState, state, "state")),
        ("Type", choice(BatchType, type, "type")),
        ("SubjectId", text(subject_id, "subject_id")),
        ("IdempotencyKey", text(idempotency_key, "idempotency_key")),
        ("PageSize", number(page_size, "page_size")),
        ("SortDirection", choice(SortDirection, sort, "sort")),
    )
