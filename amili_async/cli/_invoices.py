"""``amili invoices``: list and get the invoices of an organization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from amili_async.cli._options import All, AsJson, CursorText, FromDay, Limit, OrganizationId, ToDay
from amili_async.cli._results import Listing, members, show_one

if TYPE_CHECKING:
    from collections.abc import Callable

    from amili_async import Invoice

invoices = typer.Typer(help="Invoices that were handed over to Amili.", no_args_is_help=True)

COLUMNS: dict[str, Callable[[Invoice], object]] = {
    "invoice": lambda invoice: invoice.id,
    "number": lambda invoice: invoice.invoice_number,
    "case": lambda invoice: invoice.collection_case_number,
    "type": lambda invoice: invoice.type,
    "status": lambda invoice: invoice.status,
    "created": lambda invoice: invoice.created_at,
}


@invoices.command("list")
def list_invoices(
    organization_id: OrganizationId,
    *,
    status: Annotated[str | None, typer.Option(help="Only those with this status, such as OPEN.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Only those of this type, such as NOTICE.")] = None,
    number: Annotated[str | None, typer.Option(help="Only those with this invoice number.")] = None,
    source_id: Annotated[str | None, typer.Option(help="Only the one with this id of your own.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only those of this customer number.")] = None,
    from_date: FromDay = None,
    to_date: ToDay = None,
    limit: Limit = 50,
    everything: All = False,
    cursor: CursorText = None,
    as_json: AsJson = False,
) -> None:
    """List an organization's invoices."""
    Listing(
        lambda amili, bounds: amili.invoices.list(
            organization_id,
            status=status,
            type=kind,
            invoice_number=number,
            unique_source_invoice_id=source_id,
            customer_number=customer,
            from_date=from_date,
            to_date=to_date,
            limit=bounds.limit,
            cursor=bounds.cursor,
        ),
        COLUMNS,
        as_json=as_json,
        limit=None if everything else limit,
        cursor=cursor,
    ).run()


@invoices.command("get")
def get_invoice(
    organization_id: OrganizationId,
    invoice_id: Annotated[str, typer.Argument(metavar="INVOICE", help="The invoice's id.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show one invoice."""
    from amili_async import Invoice  # noqa: PLC0415  # only where one is read

    show_one("invoices.get", organization_id, invoice_id, row_type=Invoice, fields=members, as_json=as_json)
