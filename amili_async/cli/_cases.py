"""``amili cases``: list the collection cases of an organization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from amili_async.cli._options import All, AsJson, CursorText, FromDay, Limit, OrganizationId, PageSize, ToDay
from amili_async.cli._results import Listing

if TYPE_CHECKING:
    from collections.abc import Callable

    from amili_async import Case

cases = typer.Typer(help="Collection cases.", no_args_is_help=True)

COLUMNS: dict[str, Callable[[Case], object]] = {
    "case": lambda case: case.case_id,
    "number": lambda case: case.case_number,
    "type": lambda case: case.type,
    "status": lambda case: case.status,
    "substatus": lambda case: case.sub_status,
    "registered": lambda case: case.registered_at,
    "closed": lambda case: case.closed_at,
    "invoices": lambda case: len(case.invoices),
}


@cases.callback()
def group() -> None:
    """Keep ``list`` a command of its own, though it is the only one."""


@cases.command("list")
def list_cases(
    organization_id: OrganizationId,
    *,
    status: Annotated[str | None, typer.Option(help="Only those with this status, such as OPEN.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Only those of this type.")] = None,
    number: Annotated[str | None, typer.Option(help="Only the one with this case number.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only those of this customer number.")] = None,
    source_id: Annotated[str | None, typer.Option(help="Only those of the invoice with this id of your own.")] = None,
    search: Annotated[str | None, typer.Option(help="Only those that this text is found in.")] = None,
    from_date: FromDay = None,
    to_date: ToDay = None,
    page_size: PageSize = None,
    limit: Limit = 50,
    everything: All = False,
    cursor: CursorText = None,
    as_json: AsJson = False,
) -> None:
    """List an organization's cases. Debtors are shown by --json alone."""
    Listing(
        lambda amili, bounds: amili.cases.list(
            organization_id,
            status=status,
            type=kind,
            case_number=number,
            customer_number=customer,
            unique_source_invoice_id=source_id,
            search_term=search,
            from_created_at=from_date,
            to_created_at=to_date,
            page_size=page_size,
            limit=bounds.limit,
            cursor=bounds.cursor,
        ),
        COLUMNS,
        as_json=as_json,
        limit=None if everything else limit,
        cursor=cursor,
    ).run()
