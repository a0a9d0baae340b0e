"""purge(): erase what a store holds of an organization, of a debtor, or from before a moment, without a trace.

What Amili still has comes back with a later sync that reads it: erasure begins there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from amili_async._upstream.msgspec import public_in
from amili_async.errors import ConfigurationError
from amili_async.sync._arguments import beginning, check_store, named
from amili_async.sync._sql import schema
from amili_async.sync._sql.checkpoints import last_revision
from amili_async.sync._sql.columns import values_for
from amili_async.sync._sql.exports import MOMENTS
from amili_async.sync._sql.schema import ROW_TABLES, lists

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    from amili_async.sync._sql.store import SqlStore

_MEMBERS: dict[str, tuple[sa.Table, ...]] = {
    "batches": (schema.batch_entries,),
    "invoices": (),
    "cases": (schema.case_invoices, schema.debtors),
    "settlements": (),
}
"""What the rows of each resource consist of."""


@public_in("amili_async.sync")
class Purged(msgspec.Struct, frozen=True):
    """What was erased, or would be: how many rows of each table."""

    rows: dict[str, int]
    dry_run: bool

    @property
    def total(self) -> int:
        """The rows of all tables."""
        return sum(self.rows.values())


async def purge(
    store: SqlStore,
    *,
    organization_id: str | None = None,
    debtor: str | None = None,
    older_than: datetime | date | None = None,
    dry_run: bool = False,
) -> Purged:
    """Erase rows for good, with what they consist of and what was set aside, and return how many there were.

    On SQLite the file is cleared of what deleted rows leave in free pages and in its log. On PostgreSQL the space is
    given to new rows; backups and replicas are beyond this.

    Args:
        store: an open `SqlStore`.
        organization_id: all that is kept of this organization, and drift, which names none; its next sync begins anew.
        debtor: a debtor's id or number: their cases, and the invoices, settlements and batches that hold one of these.
        older_than: rows that came to be before it, of an organization or of all; one without a moment counts by when it
            was synced. Dead letters, drift and runs of that age go too where no organization is named.
        dry_run: erase nothing, and count.

    Raises:
        ConfigurationError: nothing, or more than one debtor's or organization's share, is named.
        StoreError: the store cannot be written.
    """
    if organization_id is None and debtor is None and older_than is None:
        raise ConfigurationError("say what to erase: organization_id, debtor or older_than")
    if debtor is not None and older_than is not None:
        raise ConfigurationError("a debtor is erased whatever the age: leave older_than out")
    check_store(store)
    work = _Purge(
        named(organization_id, "organization_id"),
        named(debtor, "debtor"),
        beginning(older_than, "older_than"),
        dry_run=dry_run,
    )
    counts = await store.database.run(work.run)
    if not dry_run:
        # Where nothing is left to erase, too: an earlier purge may have been stopped before this.
        await store.database.clear(sorted(counts))
    return Purged(counts, dry_run)


class _Purge:
    """One erasure, in one transaction."""

    def __init__(
        self, organization_id: str | None, debtor: str | None, before: datetime | None, *, dry_run: bool
    ) -> None:
        self._organization_id = organization_id
        self._debtor = debtor
        self._before = before
        self._dry_run = dry_run
        self._counts: dict[str, int] = {}
        self._counted: dict[str, list[sa.ColumnElement[bool]]] = {}
        """What of a table is counted already, where nothing is erased."""

    def run(self, connection: sa.Connection) -> dict[str, int]:
        """Erase, or count; return how many rows of each table."""
        self._counts, self._counted = {}, {}
        if connection.dialect.name == "sqlite" and not self._dry_run:
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
            # No number of a write comes a second time, though the rows that had the last ones go.
            connection.execute(sa.update(schema.schema).values(revision=last_revision(connection.dialect)))
        if self._debtor is not None:
            self._of_debtor(connection, self._debtor)
            return self._counts
        for resource, table in ROW_TABLES.items():
            self._rows(connection, resource, self._of_lists(table) & self._aged(connection, resource, table))
        aside = schema.quarantine
        self._delete(connection, aside, self._of_lists(aside) & self._before_then(connection, aside.c.synced_at))
        if self._organization_id is None:
            for table, moment in _OTHERS:
                self._delete(connection, table, self._before_then(connection, moment))
        elif self._before is None:
            self._mentions(connection, [self._organization_id], sa.true())
            # It names no organization, and comes back where it is met again.
            self._delete(connection, schema.drift, sa.true())
            of_them = sa.select(lists.c.key).where(lists.c.organization_id == self._organization_id)
            self._delete(connection, schema.sightings, schema.sightings.c.list_key.in_(of_them))
            self._delete(connection, lists, lists.c.organization_id == self._organization_id)
        return self._counts

    def _of_lists(self, table: sa.Table) -> sa.ColumnElement[bool]:
        if self._organization_id is None:
            return sa.true()
        return table.c.list_key.in_(sa.select(lists.c.key).where(lists.c.organization_id == self._organization_id))

    def _aged(self, connection: sa.Connection, resource: str, table: sa.Table) -> sa.ColumnElement[bool]:
        """Return a condition on rows that came to be before the moment; without one of their own, were synced then."""
        if self._before is None:
            return sa.true()
        moment, values = table.c[MOMENTS[resource]], values_for(connection.dialect)
        first = values.day(self._before) if resource == "settlements" else values.moment(self._before)
        synced = moment.is_(None) & (table.c.synced_at < values.moment(self._before))
        return (moment < first) | synced

    def _before_then(self, connection: sa.Connection, moment: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        return sa.true() if self._before is None else moment < values_for(connection.dialect).moment(self._before)

    def _rows(self, connection: sa.Connection, resource: str, wanted: sa.ColumnElement[bool]) -> None:
        """Erase rows, and before them what they consist of."""
        table = ROW_TABLES[resource]
        for members in _MEMBERS[resource]:
            owner = next(iter(members.primary_key.columns))
            self._delete(connection, members, owner.in_(sa.select(table.c.key).where(wanted)))
        self._delete(connection, table, wanted)

    def _delete(self, connection: sa.Connection, table: sa.Table, wanted: sa.ColumnElement[bool]) -> None:
        if self._dry_run:
            counted = self._counted.setdefault(table.name, [])
            rows = sa.select(sa.func.count()).select_from(table).where(wanted, *map(sa.not_, counted))
            counted.append(wanted)
            count = connection.execute(rows).scalar_one()
        else:
            count = connection.execute(sa.delete(table).where(wanted)).rowcount
        if count:
            self._counts[table.name] = self._counts.get(table.name, 0) + count

    def _of_debtor(self, connection: sa.Connection, debtor: str) -> None:
        """Erase a debtor's cases, and what holds an invoice of these."""
        person, case, invoice = schema.debtors.c, schema.cases.c, schema.case_invoices.c
        they = sa.or_(
            *(column == debtor for column in (person.debtor_id, person.debtor_number, person.customer_number))
        )
        owned = sa.select(person.case_key).where(they)
        wanted = case.key.in_(owned) & self._of_lists(schema.cases)
        cases = connection.execute(sa.select(case.key, case.id, case.case_number, case.list_key).where(wanted)).all()
        if not cases:
            # A case that cannot be read is set aside, and a dead letter may be all that came.
            self._mentions(connection, [debtor], self._of_lists(schema.quarantine))
            return
        keys, ids, numbers, of_lists = (
            sorted({row[index] for row in cases if row[index] is not None}) for index in range(4)
        )
        claims = sa.select(invoice.invoice_id, invoice.invoice_number).where(invoice.case_key.in_(keys))
        found = connection.execute(claims).all()
        invoice_ids, invoice_numbers = (sorted({row[index] for row in found if row[index]}) for index in range(2))
        names = sa.select(person.full_name, person.debtor_id, person.debtor_number, person.customer_number).where(they)
        told = {text for row in connection.execute(names) for text in row if text}

        creditors = sa.select(lists.c.organization_id).where(lists.c.key.in_(of_lists))
        theirs = sa.select(lists.c.key).where(lists.c.organization_id.in_(creditors))
        bill, paid, entry = schema.invoices.c, schema.settlements.c, schema.batch_entries.c
        self._rows(
            connection,
            "invoices",
            bill.list_key.in_(theirs)
            & sa.or_(bill.id.in_(invoice_ids), bill.case_id.in_(ids), bill.collection_case_number.in_(numbers)),
        )
        self._rows(
            connection,
            "settlements",
            paid.list_key.in_(theirs) & sa.or_(paid.invoice_id.in_(invoice_ids), paid.case_number.in_(numbers)),
        )
        naming = sa.or_(
            entry.invoice_id.in_(invoice_ids),
            entry.case_id.in_(ids),
            entry.invoice_number.in_(invoice_numbers),
            entry.reference.in_([*invoice_ids, *invoice_numbers]),
        )
        batch = schema.batches.c
        holding = connection.execute(
            sa.select(batch.key).where(
                batch.list_key.in_(theirs), batch.key.in_(sa.select(entry.batch_key).where(naming))
            )
        )
        self._rows(connection, "batches", batch.key.in_(holding.scalars().all()))
        self._rows(connection, "cases", case.key.in_(keys))
        self._mentions(connection, [*told, *ids, *invoice_ids, debtor], self._of_lists(schema.quarantine))

    def _mentions(self, connection: sa.Connection, texts: list[str], set_aside: sa.ColumnElement[bool]) -> None:
        """Erase what was kept byte for byte, or says a value that was met, where one of the texts stands in it.

        ``set_aside`` is a condition on the rows that were, which alone are kept by organization.
        """
        written = _written(texts)
        aside, letters, drift, runs = schema.quarantine, schema.webhook_dead_letters, schema.drift, schema.runs
        for table, content, wanted in (
            (aside, aside.c.raw, set_aside),
            (letters, letters.c.body, sa.true()),
            (drift, drift.c.found, sa.true()),
            (runs, runs.c.report, sa.true()),
        ):
            key = tuple(table.primary_key.columns)
            shown = sa.cast(content, sa.Text) if content is runs.c.report else content
            for *of_row, kept in connection.execute(sa.select(*key, shown).where(wanted)).all():
                stored = kept.encode() if isinstance(kept, str) else bytes(kept or b"")
                if _mentions_one(stored, written):
                    this = sa.and_(*(column == value for column, value in zip(key, of_row, strict=True)))
                    self._delete(connection, table, this)


def _written(texts: Iterable[str]) -> set[bytes]:
    """Return how texts may be written in JSON, which may escape letters; in lower case."""
    return {form.encode().lower() for text in texts for form in (text, json.dumps(text)[1:-1])}


def _mentions_one(content: bytes, written: Iterable[bytes]) -> bool:
    """Return whether one of the texts stands in JSON as a whole: the number 7 is not in 4711."""
    content = content.lower()
    for text in written:
        start = content.find(text)
        while start >= 0:
            end = start + len(text)
            if not (content[start - 1 : start].isalnum() or content[end : end + 1].isalnum()):
                return True
            start = content.find(text, start + 1)
    return False


_OTHERS = (
    (schema.webhook_dead_letters, schema.webhook_dead_letters.c.received_at),
    (schema.drift, schema.drift.c.last_seen),
    (schema.runs, schema.runs.c.began_at),
)
"""What is no organization's, and when it is from."""
