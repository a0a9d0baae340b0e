"""How a database comes to have the tables of this version: made in an empty one, brought up to date in an older one.

Everything happens in one transaction: a process that is killed in the middle of it leaves the older version, whole.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from amili_async._decoding import Reader
from amili_async.errors import StoreError
from amili_async.events import QuarantinedRow
from amili_async.models._cases import Case
from amili_async.models._invoices import Invoice
from amili_async.sync._sql import schema as tables
from amili_async.sync._sql.columns import case_invoice_columns, debtor_columns, invoice_columns, values_for
from amili_async.sync._sql.schema import VERSION, lists, metadata, schema
from amili_async.sync._sql.sqlite import make_private
from amili_async.sync._sql.statements import Append
from amili_async.sync._sql.views import VIEWS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from amili_async.sync._sql.columns import Columns

T = TypeVar("T")

logger = logging.getLogger("amili_async.store")

_LOCK = 5_277_142
"""A number of our own, on which those who open a PostgreSQL database wait for each other."""

_OLDER = frozenset({"amili_schema", "walks", "batches", "batch_entries", "quarantine"}) | {
    *("invoices", "cases", "settlements", "gates", "webhook_seen"),  # since version 2
}
"""The tables of older versions, whose rows stood by the texts of their ids."""

_REVISION = 1
"""The number of the write that rows of an older version are taken to come from."""

_CLAIMED, _KEPT = 300.0, 30 * 86_400.0
"""Seconds for which older versions took a claim for good, and remembered what was handled."""

_AT_ONCE = 1000
"""Rows read again in one go."""


def prepare(connection: sa.Connection) -> None:
    """Make the tables in an empty database, or bring those of an older version up to date.

    Raises:
        StoreError: the database is of a newer version, or has tables of these names that are not ours.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    inspector = sa.inspect(connection)
    present = set(inspector.get_table_names())
    if schema.name not in present:
        _refuse_strangers(present | set(inspector.get_view_names()))
        _create(connection)
        return
    found = connection.execute(sa.select(schema.c.version)).scalar_one()
    if found > VERSION:
        raise StoreError(
            f"the store is of version {found} and this release knows versions up to {VERSION}: upgrade amili-async, or "
            "use another store"
        )
    if found < VERSION:
        _upgrade(connection, present)


def _refuse_strangers(present: set[str]) -> None:
    taken = sorted(present & {*metadata.tables, *(view.name for view in VIEWS)})
    if taken:
        raise StoreError(
            f"the database has tables that this package did not make ({', '.join(taken)}); "
            "give the store a database of its own"
        )


def _create(connection: sa.Connection) -> None:
    statements: list[str] = []
    dialect = connection.dialect

    def collect(statement: Any, *_: object, **__: object) -> None:
        statements.append(str(statement.compile(dialect=dialect)))

    recorder: Any = sa.create_mock_engine(f"{dialect.name}://", collect)
    metadata.create_all(recorder, checkfirst=False)
    statements += [view.definition(dialect) for view in VIEWS]
    if dialect.name == "postgresql":
        # All in one: each column's comment is a statement of its own.
        statements = [f"DO $do$ BEGIN {';'.join(statements)}; END $do$"]
    for statement in statements:
        connection.exec_driver_sql(statement)
    connection.execute(sa.insert(schema).values(version=VERSION, revision=0))


def _upgrade(connection: sa.Connection, present: set[str]) -> None:
    """Make this version's tables of those of version 1 or 2; version 1 had but some of these."""
    logger.warning("bringing the store up to version %d: a million rows take about a minute", VERSION)
    names = sorted(present & _OLDER)
    for name in names:
        connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO older_{name}")
    _create(connection)
    reflected = sa.MetaData()
    reflected.reflect(connection, only=[f"older_{name}" for name in names])
    older = {name: reflected.tables[f"older_{name}"] for name in names}
    indexes = [index for table in metadata.sorted_tables for index in table.indexes]
    for index in indexes:
        index.drop(connection)
    _copy_lists(connection, older)
    for resource in tables.ROW_TABLES:
        if resource in older:
            _copy_rows(connection, resource, older[resource])
    _copy_entries(connection, older["batch_entries"])
    _copy(connection, tables.quarantine, _listed(older["quarantine"], None))
    if "gates" in older:
        _copy(connection, tables.gates, sa.select(*older["gates"].c))
        _copy_deliveries(connection, older["webhook_seen"])
        _read_invoices(connection)
        _read_cases(connection)
    for index in indexes:
        index.create(connection)
    for table in older.values():
        table.drop(connection)
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(tables.revisions.next_value()))
    else:
        make_private(connection)
    connection.execute(sa.update(schema).values(revision=_REVISION))


def _copy(connection: sa.Connection, table: sa.Table, rows: sa.Select[*tuple[Any, ...]]) -> None:
    names = [column.name for column in rows.selected_columns]
    connection.execute(sa.insert(table).from_select(names, rows))


def _copy_lists(connection: sa.Connection, older: Mapping[str, sa.Table]) -> None:
    walk = older["walks"].c
    renamed = (
        walk.bookmark.label("checkpoint"),
        walk.holder.label("owner"),
        walk.lease.label("fencing_token"),
        walk.walks.label("scans"),
    )
    same = ("organization_id", "resource", "finished_at", "seconds", "error", "expires_at")
    _copy(connection, lists, sa.select(*(walk[name] for name in same), *renamed))
    for resource in tables.ROW_TABLES:
        if resource in older:
            # Rows whose walk somebody has deleted are rows all the same.
            owner = older[resource].c.organization_id
            known = sa.exists().where(lists.c.organization_id == owner, lists.c.resource == resource)
            owners = sa.select(owner).where(~known).distinct().subquery()
            nothing = sa.cast(sa.literal("{}", sa.Text), tables.Json).label("checkpoint")
            zeros = (sa.literal(0).label(name) for name in ("scans", "seconds", "fencing_token", "expires_at"))
            named = sa.literal(resource, sa.Text).label("resource")
            _copy(connection, lists, sa.select(owners.c.organization_id, named, nothing, *zeros))


def _listed(old: sa.Table, resource: str | None) -> sa.Select[*tuple[Any, ...]]:
    """Return an older table's rows by their list's number; of a table of all resources, each row names its own."""
    mine = lists.c.resource == (old.c.resource if resource is None else resource)
    shown = (column for column in old.c if column.name not in {"organization_id", "resource"})
    whole = old.join(lists, (lists.c.organization_id == old.c.organization_id) & mine)
    return sa.select(lists.c.key.label("list_key"), *shown).select_from(whole)


def _copy_rows(connection: sa.Connection, resource: str, old: sa.Table) -> None:
    rows = _listed(old, resource).add_columns(sa.literal(_REVISION).label("revision"))
    if connection.dialect.name == "sqlite":
        rows = rows.order_by(sa.literal_column(f"{old.name}.rowid"))
    _copy(connection, tables.ROW_TABLES[resource], rows)


def _copy_entries(connection: sa.Connection, old: sa.Table) -> None:
    batch = tables.batches
    whole = old.join(lists, (lists.c.organization_id == old.c.organization_id) & (lists.c.resource == "batches")).join(
        batch, (batch.c.list_key == lists.c.key) & (batch.c.id == old.c.batch_id)
    )
    shown = (column for column in old.c if column.name not in {"organization_id", "batch_id"})
    entries = sa.select(batch.c.key.label("batch_key"), *shown).select_from(whole)
    if connection.dialect.name == "sqlite":
        entries = entries.order_by(sa.literal_column(f"{old.name}.rowid"))
    _copy(connection, tables.batch_entries, entries)


def _copy_deliveries(connection: sa.Connection, old: sa.Table) -> None:
    """Keep what was handled for as long as it would have been, and what was under way as claimed by nobody known."""
    kept = sa.case((old.c.confirmed, _KEPT), else_=_CLAIMED)
    since = old.c["at"]
    columns = (
        old.c.key,
        (since + kept).label("expires_at"),
        sa.case((old.c.confirmed, since)).label("confirmed_at"),
    )
    _copy(connection, tables.webhook_deliveries, sa.select(*columns))


def _read_invoices(connection: sa.Connection) -> None:
    """Fill the columns that are new from each invoice's JSON."""
    table, values = tables.invoices, values_for(connection.dialect)
    names = [column.name for column in table.c if column.name not in {*tables.ROW_KEY, *tables.ROW_STATE}]
    fill = sa.update(table).where(table.c.key == sa.bindparam("row_key"))
    fill = fill.values({name: sa.bindparam(f"new_{name}", type_=table.c[name].type) for name in names})
    for chunk in _reread(connection, table, Reader(Invoice)):
        filled: list[dict[str, object]] = []
        for key, invoice in chunk:
            with suppress(ValueError, OverflowError):
                columns = invoice_columns(invoice, values)
                given = {f"new_{name}": value for name, value in zip(names, columns, strict=True)}
                filled.append({"row_key": key, **given})
        connection.execute(fill, filled)


def _read_cases(connection: sa.Connection) -> None:
    """Write the invoices and the debtors of each case."""
    values = values_for(connection.dialect)
    for table, columns_of in ((tables.case_invoices, case_invoice_columns), (tables.debtors, debtor_columns)):
        append = Append(table, connection.dialect, [column.name for column in table.columns])
        for chunk in _reread(connection, tables.cases, Reader(Case)):
            members: list[Columns] = []
            for key, case in chunk:
                with suppress(ValueError, OverflowError):
                    members += [(key, *columns) for columns in columns_of(case, values)]
            append.run(connection, members)


def _reread(connection: sa.Connection, table: sa.Table, reader: Reader[T]) -> Iterator[list[tuple[int, T]]]:
    """Yield rows of a table by their numbers, read from their JSON, some at a time."""
    after = sa.bindparam("after", type_=tables.Number)
    some = sa.select(table.c.key, sa.cast(table.c.raw, sa.Text)).where(table.c.key > after).order_by(table.c.key)
    last = 0
    while rows := connection.execute(some.limit(_AT_ONCE), {"after": last}).all():
        last = rows[-1][0]
        read = [(key, reader.row(raw.encode(), 0, None)) for key, raw in rows]
        yield [(key, value) for key, value in read if not isinstance(value, QuarantinedRow)]
