"""The store's rows on their way out: typed, whole, in the order of their numbers, with little of them in memory.

A table is read a range of rows at a time, each in a short transaction of its own: whoever writes meanwhile is not held
up, and each row comes once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import msgspec
import sqlalchemy as sa

from amili_async.errors import ConfigurationError, StoreError
from amili_async.models._extra import Extra
from amili_async.sync._arguments import beginning, named
from amili_async.sync._sql import schema
from amili_async.sync._sql.columns import READERS, values_for
from amili_async.sync._sql.schema import ROW_TABLES, lists

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from amili_async.sync._sql.database import Database

_Owners: TypeAlias = dict[int, tuple[str, tuple[Any, ...]]]
"""Rows of the API by their key: their JSON, and the columns that are theirs."""

_Read: TypeAlias = tuple[_Owners, list[tuple[Any, ...]]]
"""Rows of the API, and what is exported of them, each behind the key of its row."""

Kind = Literal["text", "whole", "amount", "moment", "day", "json"]

AT_ONCE = 2000
"""Rows of the API read in one go, at most; what they consist of comes with them."""

BYTES_AT_ONCE = 8 * 2**20
"""What the JSON of rows that are read in one go may take together, unless one row takes more."""

_encoder = msgspec.json.Encoder(decimal_format="number")


class Column(NamedTuple):
    """A column of an exported table."""

    name: str
    kind: Kind


class Filter(NamedTuple):
    """Which rows are wanted."""

    organization_id: str | None = None
    since: datetime | date | None = None
    """Rows that came to be before it are left out; those without a moment are not."""


class _Table(NamedTuple):
    """A table as it is exported."""

    resource: str
    members: sa.Table | None
    """What rows consist of; ``None`` where the rows themselves are exported."""
    unnamed: Callable[[object, Sequence[Any]], object]
    """Returns the members that no column names, of a row's value and its columns."""
    only: str | None = None
    """Which outcome, where only one is exported."""
    owner: str = ""
    """What the column with the id of a member's row is called."""


def _of_row(value: object, _row: Sequence[Any]) -> object:
    return getattr(value, "extra", None)


def _of_entry(value: object, row: Sequence[Any]) -> object:
    outcome, position = row[0], row[1]
    return _of_member(value, "succeeded", position) if outcome == "succeeded" else None


def _of_invoice(value: object, row: Sequence[Any]) -> object:
    return _of_member(value, "invoices", row[0])


def _of_debtor(value: object, row: Sequence[Any]) -> object:
    return _of_member(value, "debtors", row[0])


def _of_member(value: object, members: str, position: int) -> object:
    found: Sequence[object] = getattr(value, members, ())
    return getattr(found[position], "extra", None) if position < len(found) else None


TABLES = {
    "batches": _Table("batches", None, _of_row),
    "entries": _Table("batches", schema.batch_entries, _of_entry, owner="batch_id"),
    "failed": _Table("batches", schema.batch_entries, _of_entry, only="failed", owner="batch_id"),
    "invoices": _Table("invoices", None, _of_row),
    "cases": _Table("cases", None, _of_row),
    "case_invoices": _Table("cases", schema.case_invoices, _of_invoice, owner="case_id"),
    "debtors": _Table("cases", schema.debtors, _of_debtor, owner="case_id"),
    "settlements": _Table("settlements", None, _of_row),
}
"""What can be exported, by its name."""

MOMENTS = {
    "batches": "created_at",
    "invoices": "created_at",
    "cases": "registered_at",
    "settlements": "settlement_date",
}
"""The column that says when a row came to be."""


class Export:
    """One table of a store, as typed rows.

    Raises:
        ConfigurationError: there is no such table.
    """

    def __init__(self, database: Database, table: str, wanted: Filter, *, with_raw: bool = False) -> None:
        if table not in TABLES:
            raise ConfigurationError(f"table {table!r} is none of {', '.join(TABLES)}")
        named(wanted.organization_id, "organization_id")
        self._since = beginning(wanted.since)
        self.name = table
        self._database = database
        self._table = TABLES[table]
        self._wanted = wanted
        self.resource = self._table.resource
        rows, members = ROW_TABLES[self._table.resource], self._table.members
        self._rows = rows
        if members is None:
            hidden = {"key", "list_key", "revision", "raw", "missing_since"}
            own = [column for column in rows.columns if column.name not in hidden]
        else:
            own = [column for column in members.columns if not column.name.endswith("_key")]
        self._own = own
        names = [
            Column("organization_id", "text"),
            *([Column(self._table.owner, "text")] if members is not None else []),
        ]
        raw = [Column("raw", "json")] if with_raw and members is None else []
        self._with_raw = bool(raw)
        self.columns = (*names, *(Column(column.name, _kind(column)) for column in own), Column("extra", "json"), *raw)

    async def count(self) -> int:
        """Return how many rows of the API are gone through, which may have none, one or many of what is exported."""
        whole = self._rows.join(lists, lists.c.key == self._rows.c.list_key)
        counted = self._filtered(sa.select(sa.func.count()).select_from(whole))
        return await self._database.read(lambda connection: int(connection.execute(counted).scalar_one()))

    async def check_synced(self) -> None:
        """Do nothing where the list that the rows are on was ever synced.

        Raises:
            StoreError: it was not, so that nothing does not look like no rows.
        """
        known = sa.select(sa.exists().where(lists.c.resource == self.resource))
        if not await self._database.read(lambda connection: bool(connection.execute(known).scalar_one())):
            raise StoreError(f"no {self.resource} were synced into this store: amili sync --resource {self.resource}")

    async def chunks(self) -> AsyncGenerator[tuple[int, list[tuple[Any, ...]]], None]:
        """Iterate over the rows, some at a time, each time with how many rows of the API were gone through for them."""
        last = 0
        while True:
            found = await self._database.read(partial(self._read, last))
            if found is None:
                return
            last, gone_through, read = found
            yield gone_through, list(self._finished(*read))

    def _read(self, last: int, connection: sa.Connection) -> tuple[int, int, _Read] | None:
        row, members = self._rows.c, self._table.members
        raw = sa.cast(row.raw, sa.Text)
        whole = self._rows.join(lists, lists.c.key == row.list_key)
        sizes = self._filtered(sa.select(row.key, sa.func.length(raw)).select_from(whole)).where(row.key > last)
        some = _within([(key, size) for key, size in connection.execute(sizes.order_by(row.key).limit(AT_ONCE))])
        if not some:
            return None
        here = row.key.between(some[0], some[-1])
        own = [sa.cast(column, sa.Text) if column.name == "raw" else column for column in self._own]
        shown: list[sa.ColumnElement[Any]] = [row.key, raw, lists.c.organization_id]
        shown += own if members is None else [row.id]
        found = connection.execute(self._filtered(sa.select(*shown).select_from(whole)).where(here).order_by(row.key))
        owners = {key: (text, tuple(rest)) for key, text, *rest in found}
        if members is None:
            return some[-1], len(some), (owners, [(key, *rest) for key, (_, rest) in owners.items()])
        order = tuple(members.primary_key.columns)
        whole = whole.join(members, order[0] == row.key)
        rows = self._filtered(sa.select(order[0].label("owner_key"), *own).select_from(whole)).where(here)
        if self._table.only is not None:
            rows = rows.where(members.c.outcome == self._table.only)
        # Each statement sees what is committed by then: a row that came between the two is left to the next export.
        parts = [
            (key, *owners[key][1], *rest) for key, *rest in connection.execute(rows.order_by(*order)) if key in owners
        ]
        return some[-1], len(some), (owners, parts)

    def _filtered(self, rows: sa.Select[*tuple[Any, ...]]) -> sa.Select[*tuple[Any, ...]]:
        organization_id, since = self._wanted.organization_id, self._since
        if organization_id is not None:
            rows = rows.where(lists.c.organization_id == organization_id)
        if since is not None:
            moment = self._rows.c[MOMENTS[self._table.resource]]
            values = values_for(self._database.dialect)
            first = values.day(since) if _kind(moment) == "day" else values.moment(since)
            rows = rows.where(sa.or_(moment.is_(None), moment >= first))
        return rows

    def _finished(self, owners: _Owners, rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Yield rows in the types of Python, with what no column names."""
        reader = READERS[self._table.resource]
        ids = 1 if self._table.members is None else 2
        made = [_MADE.get(column.kind) for column in self.columns[ids : -1 - self._with_raw]]
        owner, value, raw = None, None, ""
        for owner_key, *rest in rows:
            if owner_key != owner:
                owner, raw = owner_key, owners[owner_key][0]
                value = reader.row(raw.encode(), 0, None)
            own = [
                make(one) if make is not None and isinstance(one, str) else one
                for make, one in zip(made, rest[ids:], strict=True)
            ]
            extra = self._table.unnamed(value, rest[ids:])
            text = _encoder.encode(extra.members).decode() if isinstance(extra, Extra) and extra else None
            yield (*rest[:ids], *own, text, *((raw,) if self._with_raw else ()))


_MADE: dict[Kind, Callable[[str], object]] = {
    "moment": datetime.fromisoformat,
    "day": date.fromisoformat,
    "amount": Decimal,
}
"""What SQLite keeps as text."""


def _within(sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Return the first of these keys whose rows are small enough together; one, however large its row is."""
    together = accumulate(size for _, size in sizes)
    return [key for (key, _), size in zip(sizes, together, strict=True) if size <= BYTES_AT_ONCE] or [
        key for key, _ in sizes[:1]
    ]


def _kind(column: sa.ColumnElement[Any]) -> Kind:
    kinds: dict[object, Kind] = {
        schema.Moment: "moment",
        schema.Day: "day",
        schema.Amount: "amount",
        schema.Number: "whole",
    }
    return "json" if getattr(column, "name", "") == "raw" else kinds.get(column.type, "text")
