"""The tables of `SqlStore`, and how a database of an older version becomes one of this version.

Rows lie in a table for each resource: typed columns beside ``raw``, the JSON as it was received. Moments are
``timestamptz`` on PostgreSQL and ISO 8601 text in UTC on SQLite, which sorts and compares the same way; decimal numbers
are ``numeric`` and text, so that no digit is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from amili_async.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = 2
"""The version of the tables below."""

metadata = sa.MetaData()

Moment = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
Day = sa.Date().with_variant(sa.Text(), "sqlite")
Number = sa.Numeric().with_variant(sa.Text(), "sqlite")
Json = sa.Text().with_variant(postgresql.JSON(), "postgresql")


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text)


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, Moment)


def _raw(*, required: bool = True) -> sa.Column[str]:
    return sa.Column("raw", Json, nullable=not required)


schema = sa.Table("amili_schema", metadata, sa.Column("version", sa.Integer, nullable=False))

walks = sa.Table(
    "walks",
    metadata,
    _key("organization_id"),
    _key("resource"),
    sa.Column("bookmark", Json, nullable=False),
    sa.Column("walks", sa.Integer, nullable=False),
    _moment("finished_at"),
    sa.Column("seconds", sa.Float, nullable=False),
    _text("error"),
    _text("holder"),
    sa.Column("lease", sa.Integer, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
)
"""One row for each list of each organization: its bookmark, and who is busy with it.

``lease`` counts how often the list was taken on; a write of whoever had it before is refused by it. ``expires_at`` is
Unix time; ``error`` is what ended the last run.
"""

batches = sa.Table(
    "batches",
    metadata,
    _key("organization_id"),
    _key("id"),
    _text("type"),
    _text("state"),
    _moment("created_at"),
    _moment("finished_at"),
    _text("created_by"),
    sa.Column("succeeded", sa.Integer, nullable=False),
    sa.Column("failed", sa.Integer, nullable=False),
    _moment("synced_at"),
    _raw(),
)

batch_entries = sa.Table(
    "batch_entries",
    metadata,
    _key("organization_id"),
    _key("batch_id"),
    _key("outcome"),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    _text("type"),
    _text("invoice_id"),
    _text("invoice_number"),
    _text("case_id"),
    _text("message"),
    _text("reference"),
    _raw(required=False),
)
"""What became of each object of a batch; ``outcome`` is ``succeeded`` or ``failed``, ``position`` counts within it.

``raw`` is null where the columns hold all that the batch's own ``raw`` says of the entry.
"""

invoices = sa.Table(
    "invoices",
    metadata,
    _key("organization_id"),
    _key("id"),
    _text("invoice_number"),
    _text("collection_case_number"),
    _text("type"),
    _text("status"),
    _moment("created_at"),
    _moment("synced_at"),
    _raw(),
)

cases = sa.Table(
    "cases",
    metadata,
    _key("organization_id"),
    _key("id"),
    _text("case_number"),
    _text("creditor_id"),
    _text("creditor_number"),
    _text("status"),
    _text("sub_status"),
    _text("type"),
    _moment("registered_at"),
    _moment("closed_at"),
    sa.Column("invoices", sa.Integer, nullable=False),
    sa.Column("debtors", sa.Integer, nullable=False),
    _moment("synced_at"),
    _raw(),
)

settlements = sa.Table(
    "settlements",
    metadata,
    _key("organization_id"),
    _key("id"),
    _text("case_number"),
    _text("collection_type"),
    _text("currency"),
    _text("customer_reference"),
    sa.Column("exchange_rate", Number),
    sa.Column("settlement_date", Day),
    _text("invoice_id"),
    _text("invoice_number"),
    _moment("synced_at"),
    _raw(),
)
"""``id`` is the settlement's own, or a hash of its JSON where the list shows none."""

gates = sa.Table("gates", metadata, _key("name"), sa.Column("opens_at", sa.Float, nullable=False))
"""Moments before which nothing is sent, in Unix time, shared by the workers of a cluster."""

webhook_seen = sa.Table(
    "webhook_seen",
    metadata,
    _key("key"),
    sa.Column("confirmed", sa.Boolean, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)
"""Webhook deliveries: claimed, or handled (``confirmed``), and when, in Unix time."""

quarantine = sa.Table(
    "quarantine",
    metadata,
    _key("organization_id"),
    _key("resource"),
    _key("key"),
    _text("path"),
    _text("reason"),
    _moment("synced_at"),
    sa.Column("raw", sa.LargeBinary, nullable=False),
)
"""Rows that no reading made sense of, byte for byte; ``key`` is the row's id, or a hash where it has none."""


def _second_version(connection: sa.Connection) -> None:
    """All resources beside batches, and what clusters and webhooks need."""
    metadata.create_all(connection, (invoices, cases, settlements, gates, webhook_seen), checkfirst=False)


_MIGRATIONS: dict[int, Callable[[sa.Connection], None]] = {1: _second_version}
"""From each older version to the one after it."""

_LOCK = 5_277_142
"""A number of our own, on which those who open a PostgreSQL database wait for each other."""


def prepare(connection: sa.Connection) -> None:
    """Make the tables in an empty database, or bring those of an older version up to date.

    Raises:
        StoreError: the database is of a newer version, or has tables of these names that are not ours.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    present = set(sa.inspect(connection).get_table_names())
    if schema.name not in present:
        _refuse_strangers(present)
        metadata.create_all(connection, checkfirst=False)
        connection.execute(sa.insert(schema).values(version=VERSION))
        return
    found = connection.execute(sa.select(schema.c.version)).scalar_one()
    if found > VERSION:
        raise StoreError(
            f"the store is of version {found} and this release knows versions up to {VERSION}: upgrade amili-async, or "
            "use another store"
        )
    for version in range(found, VERSION):
        _MIGRATIONS[version](connection)
    if found < VERSION:
        connection.execute(sa.update(schema).values(version=VERSION))


def _refuse_strangers(present: set[str]) -> None:
    taken = sorted(present & set(metadata.tables))
    if taken:
        raise StoreError(
            f"the database has tables that this package did not make ({', '.join(taken)}); "
            "give the store a database of its own"
        )
