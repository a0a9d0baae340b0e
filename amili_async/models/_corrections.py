"""Corrections of what is owed, such as a credit note, to be told to Amili."""

from decimal import Decimal

from amili_async.models._request import Moment, Request


class NewCorrection(Request, frozen=True, kw_only=True):
    """A correction of an invoice's amount (D and complete, createcorrections-4148074e0)."""

    moments = ("date",)

    invoice_id: str
    amount: Decimal
    """In major units of the currency. A ``float`` is refused."""
    currency: str | None = None
    """ISO 4217, such as ``NOK``."""
    date: Moment | None = None
    description: str | None = None
