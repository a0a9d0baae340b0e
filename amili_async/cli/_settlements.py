"""``amili settlements``: list and get what Amili paid out to an organization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from amili_async.cli._options import All, AsJson, CursorText, FromDay, Limit, OrganizationId, PageSize, ToDay
from amili_async.cli._results import Listing, members, show_one

if TYPE_CHECKING:
    from collections.abc import Callable

    from amili_async import Settlement

settlements = typer.Typer(help="Settlements: what Amili paid out.", no_args_is_help=True)

COLUMNS: dict[str, Callable[[Settlement], object]] = {
    "settlement": lambda settlement: settlement.settlement_id,
    "date": lambda settlement: settlement.settlement_date,
    "case": lambda settlement: settlement.case_number,
    "invoice": lambda settlement: settlement.invoice_number,
    "type": lambda settlement: settlement.collection_type,
    "reference": lambda settlement: settlement.customer_reference,
    "currency": lambda settlement: settlement.currency,
}


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
        COLUMNS,
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
