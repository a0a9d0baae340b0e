"""The tables of `SqlStore`, column by column: what each holds stands in its comment, from which the documents are made.

Rows of the API lie in a table for each resource, typed columns beside ``raw``, the JSON as it was received; what a row
consists of (a batch's entries, a case's invoices and debtors) lies in tables of its own. They refer to each other by
numbers, which keeps them small; `views` gives them the names and the ids that people ask by.

Moments are ``timestamptz`` on PostgreSQL and ISO 8601 text in UTC on SQLite, which sorts and compares the same way;
days are ``date`` and text; amounts and rates are ``numeric`` and text in plain digits, so that none is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

if TYPE_CHECKING:
    from sqlalchemy.schema import SchemaItem

VERSION = 3
"""The version of the tables below, and of the views over them."""

metadata = sa.MetaData()

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Moment = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
Day = sa.Date().with_variant(sa.Text(), "sqlite")
Amount = sa.Numeric().with_variant(sa.Text(), "sqlite")
Json = sa.Text().with_variant(postgresql.JSON(), "postgresql")

ROW_KEY = ("key", "list_key", "id")
"""The columns that every table of rows begins with."""

ROW_STATE = ("synced_at", "revision", "raw", "gone_at", "missing_since")
"""The columns that every table of rows ends with."""

MARKS = ("gone_at", "missing_since")
"""Those of them that are not written with a row, but once it is missed. Whatever is gone is missing."""


def _text(name: str, comment: str, *, key: bool = False, required: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=key, nullable=not (key or required), comment=comment)


def _count(name: str, comment: str, *, key: bool = False, required: bool = True) -> sa.Column[int]:
    return sa.Column(
        name, Number, primary_key=key, autoincrement=False, nullable=not (key or required), comment=comment
    )


def _seconds(name: str, comment: str, *, required: bool = True) -> sa.Column[float]:
    return sa.Column(name, sa.Float, nullable=not required, comment=comment)


def _moment(name: str, comment: str) -> sa.Column[object]:
    return sa.Column(name, Moment, comment=comment)


def _day(name: str, comment: str) -> sa.Column[object]:
    return sa.Column(name, Day, comment=comment)


def _amount(name: str, comment: str) -> sa.Column[object]:
    return sa.Column(name, Amount, comment=comment)


def _raw(comment: str, *, required: bool = True) -> sa.Column[str]:
    return sa.Column("raw", Json, nullable=not required, comment=comment)


def _numbered() -> sa.Column[int]:
    return sa.Column("key", Number, sa.Identity(), primary_key=True, comment="the row's number in this store")


def _rows(name: str, *columns: SchemaItem, comment: str) -> sa.Table:
    """Return a table of the API's rows, with the columns that they all have around its own."""
    missing = _moment("missing_since", "since when complete scans do not meet the row; null while they do")
    not_met = missing.is_not(None)
    return sa.Table(
        name,
        metadata,
        _numbered(),
        _count("list_key", "the list that the row is on: `lists.key`"),
        _text("id", "the row's id at Amili", required=True),
        *columns,
        _moment("synced_at", "when this state of the row was written, by the database's clock"),
        _count("revision", "the number of the write that made the row what it is; later writes have larger ones"),
        _raw("the row's JSON as it was received"),
        _moment("gone_at", "when the row was proved to be gone from the server; null while it is there"),
        missing,
        sa.UniqueConstraint("list_key", "id"),
        sa.Index(f"{name}_by_revision", "revision"),
        sa.Index(f"{name}_missing", "list_key", sqlite_where=not_met, postgresql_where=not_met),
        comment=comment,
    )


def _members(name: str, owner: str, *columns: SchemaItem, comment: str) -> sa.Table:
    """Return a table of what rows consist of, each by its owner and its place in it."""
    return sa.Table(
        name,
        metadata,
        _count(owner, f"the row that this belongs to: `{owner.removesuffix('_key')}_rows.key`", key=True),
        *columns,
        comment=comment,
        sqlite_with_rowid=False,
    )


schema = sa.Table(
    "amili_schema",
    metadata,
    _count("version", "the version of the tables"),
    _count("revision", "SQLite: the number of the last write; PostgreSQL counts in the sequence amili_revisions"),
    comment="One row: what this package must know of the store before it uses it.",
)

revisions = sa.Sequence("amili_revisions", metadata=metadata)
"""Numbers the writes, on PostgreSQL."""

lists = sa.Table(
    "lists",
    metadata,
    _numbered(),
    _text("organization_id", "whose list", required=True),
    _text("resource", "of what: batches, invoices, cases or settlements", required=True),
    sa.Column("checkpoint", Json, nullable=False, comment="where the scan of the list stands, and what is known"),
    _count("scans", "how many scans of it have ended"),
    _moment("finished_at", "when the last one ended"),
    _moment("reconciled_at", "when the last one began that read the whole list and left no question open"),
    _moment("refreshed_at", "when the last one began that read rows again which may still change"),
    _seconds("seconds", "how long the last one took"),
    _text("error", "what ended the last run on it; null where nothing did"),
    _text("owner", "who is busy with it, as JSON: run, machine, process; null where nobody is"),
    _count("fencing_token", "how often it was taken on; a write by whoever had it before is refused by this"),
    _seconds("leased_at", "since when somebody is, Unix time", required=False),
    _seconds("expires_at", "until when, unless it is renewed, Unix time"),
    sa.UniqueConstraint("organization_id", "resource"),
    comment="Each list of each organization: where its scan stands, and who is busy with it.",
)

batches = _rows(
    "batch_rows",
    _text("type", "what the batch holds"),
    _text("state", "how far it is: QUEUED, SUCCESS, PARTIAL, FAILED, or what Amili says"),
    _moment("created_at", "when it came to be"),
    _moment("finished_at", "when it was done with"),
    _text("created_by", "who made it"),
    _count("succeeded", "how many of its objects succeeded"),
    _count("failed", "how many failed"),
    comment="What writes became.",
)

batch_entries = _members(
    "batch_entry_rows",
    "batch_key",
    _text("outcome", "succeeded or failed", key=True),
    _count("position", "its place among those of this outcome, from 0", key=True),
    _text("type", "its `$type`, or what its members show it to be"),
    _text("invoice_id", "the invoice's id at Amili"),
    _text("invoice_number", "the invoice's number"),
    _text("case_id", "the case that it came to"),
    _text("message", "of a failed one: why, as far as that can be made out (personal data may stand in it)"),
    _text("reference", "of a failed one: which object, as far as that can be made out"),
    _raw("its JSON; null where the columns hold all that the batch's own JSON says of it", required=False),
    comment="What became of each object of a batch.",
)

_MONEY = "in major units of the currency"


def _claims() -> tuple[SchemaItem, ...]:
    """Return what an invoice and an invoice within a case have in common."""
    return (
        _text("unique_source_invoice_id", "the creditor's own id of it"),
        _day("invoice_date", "the day on it"),
        _day("due_date", "the day it was due"),
        _moment("registered_at", "when Amili took it in"),
        _amount("original_amount", f"what was asked for, {_MONEY}"),
        _amount("remaining_amount", f"what is open, {_MONEY}"),
        _amount("remaining_principal", f"what is open of the claim itself, {_MONEY}"),
        _amount("paid_amount", f"what was paid, {_MONEY}"),
        _amount("credited_amount", f"what was credited, {_MONEY}"),
        _text("currency", "ISO 4217"),
    )


invoices = _rows(
    "invoice_rows",
    _text("invoice_number", "its number"),
    _text("collection_case_number", "the number of its case"),
    _text("type", "how far it is in collection"),
    _text("status", "whether it is open"),
    _moment("created_at", "when it came to be"),
    _text("case_id", "its case"),
    _text("batch_id", "the batch that it came with"),
    *_claims(),
    sa.Index("invoice_rows_by_number", "invoice_number"),
    comment="Invoices.",
)

cases = _rows(
    "case_rows",
    _text("case_number", "its number"),
    _text("creditor_id", "whose claim"),
    _text("creditor_number", "the creditor's number"),
    _text("status", "whether it is worked on"),
    _text("sub_status", "what it waits for"),
    _text("type", "how far it is in collection"),
    _moment("registered_at", "when it came to be"),
    _moment("closed_at", "when it was closed"),
    _count("invoices", "how many invoices it holds"),
    _count("debtors", "how many owe"),
    comment="Cases.",
)

case_invoices = _members(
    "case_invoice_rows",
    "case_key",
    _count("position", "its place in the case, from 0", key=True),
    _text("invoice_id", "its id at Amili"),
    _text("invoice_number", "its number"),
    _text("batch_id", "the batch that it came with"),
    *_claims(),
    sa.Index("case_invoice_rows_by_number", "invoice_number"),
    comment="The invoices within each case.",
)

debtors = _members(
    "debtor_rows",
    "case_key",
    _count("position", "their place in the case, from 0", key=True),
    _text("debtor_id", "their id at Amili"),
    _text("type", "what kind of debtor"),
    _text("debtor_number", "their number at Amili"),
    _text("customer_number", "their number at the creditor"),
    _text("first_name", "personal data"),
    _text("last_name", "personal data"),
    _text("full_name", "personal data"),
    comment="Who owes in each case.",
)

settlements = _rows(
    "settlement_rows",
    _text("case_number", "the case that it is about"),
    _text("collection_type", "what kind of collection it comes from"),
    _text("currency", "ISO 4217"),
    _text("customer_reference", "the creditor's reference"),
    _amount("exchange_rate", "the rate that was applied"),
    _day("settlement_date", "the day from which the money counts"),
    _text("invoice_id", "the invoice's id at Amili"),
    _text("invoice_number", "the invoice's number"),
    comment="What Amili paid out; a row's id is the settlement's own, or a hash of its JSON where the list shows none.",
)

quarantine = sa.Table(
    "quarantined_rows",
    metadata,
    _count("list_key", "the list that the row is on: `lists.key`", key=True),
    _text("key", "the row's id, or a hash of its bytes where it has none that can be read", key=True),
    _text("path", "where in it reading failed"),
    _text("reason", "what was expected there"),
    _moment("synced_at", "when it was set aside"),
    sa.Column("raw", sa.LargeBinary, nullable=False, comment="the row, byte for byte"),
    comment="Rows that no reading makes sense of, or that the database refuses, until they can be read.",
)

sightings = sa.Table(
    "sightings",
    metadata,
    _count("list_key", "a list that is scanned from end to end: `lists.key`", key=True),
    _count("row_key", "a row that the scan has met so far: its `key`", key=True),
    comment="What a complete scan that is under way has met; empty between such scans.",
    sqlite_with_rowid=False,
)

runs = sa.Table(
    "runs",
    metadata,
    _text("id", "the run's name", key=True),
    _moment("began_at", "when it began, by the database's clock"),
    _moment("ended_at", "when it ended; null while it is under way, and after it was killed"),
    _text("outcome", "running, ok, failed (some organizations), stopped, interrupted, or the error that ended it"),
    _text("resources", "what was synced, with commas between"),
    _count("organizations", "organizations synced to their end"),
    _count("failed", "organizations that were not"),
    _count("held", "organizations left to another run that was busy with them"),
    _count("rows", "rows read"),
    _count("new", "rows that the store had not"),
    _count("changed", "rows that had changed"),
    _count("quarantined", "rows set aside"),
    _count("gone", "rows found to be gone"),
    _count("pages", "pages read"),
    _count("requests", "requests sent, repeats among them"),
    _count("retries", "repeats"),
    _seconds("waited", "seconds for which the server told it to wait"),
    _seconds("seconds", "seconds from its beginning to its end"),
    _seconds("rate", "requests a second, over all of it", required=False),
    _count("first_revision", "writes of this run have larger revisions than this"),
    _count("last_revision", "and none larger than this; null while it is under way", required=False),
    sa.Column("report", Json, comment="the whole report as JSON, with each failure; null while it is under way"),
    comment="Every sync into this store.",
)

drift = sa.Table(
    "drift",
    metadata,
    _text("operation", "the operation that was answered so", key=True),
    _text("kind", "member, value, type or leniency", key=True),
    _text("path", "where in the answer", key=True),
    _text("found", "the unknown name or value, or what was done about it", key=True),
    _moment("first_seen", "when it was first met"),
    _moment("last_seen", "when it was last met"),
    _count("count", "in how many runs"),
    comment="Where answers differ from the documentation.",
)

gates = sa.Table(
    "gates",
    metadata,
    _text("name", "api, who is at work, or what is to stop", key=True),
    _seconds("opens_at", "Unix time"),
    comment="Moments before which nothing is sent, shared by the workers of a cluster.",
)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    _text("key", "the delivery's key", key=True),
    _text("owner", "who has claimed it: another text for each claim"),
    _seconds("expires_at", "until when the claim is good, or the delivery remembered, Unix time"),
    _seconds("confirmed_at", "when it was handled, Unix time; null before", required=False),
    comment="Webhook deliveries that are being handled or were.",
)

webhook_dead_letters = sa.Table(
    "webhook_dead_letters",
    metadata,
    _text("key", "the delivery's key", key=True),
    _moment("received_at", "when it came, by the database's clock"),
    _text("event", "the event's name"),
    _text("reason", "why it could not be read"),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="the body, byte for byte (it may hold personal data)"),
    comment="Webhook events that could not be read and were answered all the same: look at them.",
)

ROW_TABLES = {"batches": batches, "invoices": invoices, "cases": cases, "settlements": settlements}
"""The table of each resource's rows."""
