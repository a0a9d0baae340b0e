"""``amili batches``: list, get and wait for the batches of an organization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from amili_async.cli._client_context import opened
from amili_async.cli._console import say, write_fields, write_json
from amili_async.cli._options import All, AsJson, CursorText, Limit, OrganizationId, PageSize
from amili_async.cli._results import Listing, further_members, show_one
from amili_async.cli._running import DONE, FAILED, command_line, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amili_async import Batch

batches = typer.Typer(help="Batches: what was sent to Amili, and what became of it.", no_args_is_help=True)

BatchId = Annotated[str, typer.Argument(metavar="BATCH", help="The batch's id.")]

COLUMNS: dict[str, Callable[[Batch], object]] = {
    "batch": lambda batch: batch.batch_id,
    "type": lambda batch: batch.type,
    "state": lambda batch: batch.state,
    "created": lambda batch: batch.created_at,
    "finished": lambda batch: batch.finished_at,
    "ok": lambda batch: len(batch.succeeded),
    "failed": lambda batch: len(batch.failed),
}


@batches.command("list")
def list_batches(
    organization_id: OrganizationId,
    *,
    state: Annotated[str | None, typer.Option(help="QUEUED, SUCCESS, PARTIAL or FAILED.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Only those of this type, such as INVOICE.")] = None,
    subject_id: Annotated[str | None, typer.Option(help="Only those about this subject.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="Only those made by a write with this key.")] = None,
    sort: Annotated[Literal["ASC", "DESC"] | None, typer.Option(help="Oldest or newest first.")] = None,
    page_size: PageSize = None,
    limit: Limit = 50,
    everything: All = False,
    cursor: CursorText = None,
    as_json: AsJson = False,
) -> None:
    """List an organization's batches."""
    Listing(
        lambda amili, bounds: amili.batches.list(
            organization_id,
            state=state,
            type=kind,
            subject_id=subject_id,
            idempotency_key=idempotency_key,
            sort=sort,
            page_size=page_size,
            limit=bounds.limit,
            cursor=bounds.cursor,
        ),
        COLUMNS,
        as_json=as_json,
        limit=None if everything else limit,
        cursor=cursor,
    ).run()


@batches.command("get")
def get_batch(organization_id: OrganizationId, batch_id: BatchId, *, as_json: AsJson = False) -> None:
    """Show one batch with the outcome of each of its objects."""
    from amili_async import Batch  # noqa: PLC0415  # only where one is read

    show_one("batches.get", organization_id, batch_id, row_type=Batch, fields=_fields, as_json=as_json)


@batches.command("wait")
def wait_for_batch(
    organization_id: OrganizationId,
    batch_id: BatchId,
    *,
    legacy: Annotated[
        bool, typer.Option("--legacy", help="Ask as older servers want it, by the batch's id alone.")
    ] = False,
    deadline: Annotated[float, typer.Option(min=0.1, help="Seconds to wait at most.")] = 300.0,
    as_json: AsJson = False,
) -> None:
    """Wait until a batch is final, telling each change. The exit status is 0 for SUCCESS, 1 for PARTIAL and FAILED."""

    async def work() -> int:
        from amili_async import BatchState, encode  # noqa: PLC0415  # only where it is read

        async with opened() as amili:
            owner = None if legacy else organization_id
            changes = amili.batches.watch(batch_id, organization_id=owner, deadline=deadline)
            batch = await anext(changes)
            say(f"{batch.batch_id} is {batch.state}")
            async for batch in changes:
                say(f"{batch.batch_id} is {batch.state}")
        if as_json:
            write_json(encode(batch))
        else:
            write_fields(_fields(batch))
        return DONE if batch.state == BatchState.SUCCESS else FAILED

    run(work, resume=command_line)


def _fields(batch: Batch) -> Iterator[tuple[str, object]]:
    """Yield what is shown of a batch: its members, then a line for each of its objects, and the reasons of failures."""
    from amili_async import encode  # noqa: PLC0415  # only where there is a batch

    yield "batch", batch.batch_id
    yield "organization", batch.organization_id
    yield "type", batch.type
    yield "state", batch.state
    yield "created", batch.created_at
    yield "finished", batch.finished_at
    for entry in batch.succeeded:
        yield "succeeded", encode(entry).decode()
    for line in batch.failures():
        yield "failed", line
    yield from further_members(batch)
