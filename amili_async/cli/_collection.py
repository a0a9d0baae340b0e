"""``amili invoices``, ``amili cases`` and ``amili settlements``: the lists of an organization, and one row of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from amili_async.cli._options import All, AsJson, CursorText, FromDay, Limit, OrganizationId, PageSize, ToDay
from amili_async.cli._results import Listing, members, show_one

if TYPE_CHECKING:
    from collections.abc import Callable

    from amili_async import Case, Invoice, Settlement

invoices = typer.Typer(help="Invoices that were handed over to Amili.", no_args_is_help=True)
cases = typer.Typer(help="Collection cases.", no_args_is_help=True)
settlements = typer.Typer(help="Settlements: what Amili paid out.", no_args_is_help=True)

INVOICE_COLUMNS: dict[str, Callable[[Invoice], object]] = {
    "invoice": lambda invoice: invoice.id,
    "number": lambda invoice: invoice.invoice_number,
    "case": lambda invoice: invoice.collection_case_number,
    "type": lambda invoice: invoice.type,
    "status": lambda invoice: invoice.status,
    "created": lambda invoice: invoice.created_at,
}

CASE_COLUMNS: dict[str, Callable[[Case], object]] = {
    "case": lambda case: case.case_id,
    "number": lambda case: case.case_number,
    "type": lambda case: case.type,
    "status": lambda case: case.status,
    "substatus": lambda case: case.sub_status,
    "registered": lambda case: case.registered_at,
    "closed": lambda case: case.closed_at,
    "invoices": lambda case: len(case.invoices),
}

SETTLEMENT_COLUMNS: dict[str, Callable[[Settlement], object]] = {
    "settlement": lambda settlement: settlement.settlement_id,
    "date": lambda settlement: settlement.settlement_date,
    "case": lambda settlement: settlement.case_number,
    "invoice": lambda settlement: settlement.invoice_number,
    "type": lambda settlement: settlement.collection_type,
    "reference": lambda settlement: settlement.customer_reference,
    "currency": lambda settlement: settlement.currency,
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
        INVOICE_COLUMNS,
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


@cases.callback()
def group() -> None:
    """Keep ``list`` a command of its own, though it is the only one of cases."""


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
        CASE_COLUMNS,
        as_json=as_json,
        limit=None if everything else limit,
        cursor=cursor,
    ).run()


@settlements.command("list")
def list_settlements(
    organization_id: OrganizationId,
    *,
    from_date: FromDay = None,
    to_date: ToDay = None,
    page_size: PageSize = None,
    limit: Limit = 50,
    everything: All = False,
    cursor: CursorText = None,
    as_json: AsJson = False,
) -> None:
    """List an organization's settlements."""
    Listing(
        lambda amili, bounds: amili.settlements.list(
            organization_id,
            from_date=from_date,
            to_date=to_date,
            page_size=page_size,
            limit=bounds.limit,
            cursor=bounds.cursor,
        ),
        SETTLEMENT_COLUMNS,
        as_json=as_json,
        limit=None if everything else limit,
        cursor=cursor,
    ).run()


@settlements.command("get")
def get_settlement(
    organization_id: OrganizationId,
    settlement_id: Annotated[str, typer.Argument(metavar="SETTLEMENT", help="The settlement's id.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show one settlement."""
    from amili_async import Settlement  # noqa: PLC0415  # only where one is read

    show_one("settlements.get", organization_id, settlement_id, row_type=Settlement, fields=members, as_json=as_json)
