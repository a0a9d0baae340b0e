"""What a report shows, read from a store in a handful of queries: numbers, and words that name no person."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec
import sqlalchemy as sa

from amili_async._upstream.msgspec import public_in
from amili_async.sync._arguments import beginning, check_store, named
from amili_async.sync._sql.columns import values_for
from amili_async.sync._sql.schema import ROW_TABLES, batch_entries, batches, drift, invoices, lists, quarantine, runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy.engine import Dialect

    from amili_async.sync import SqlStore

    Query: TypeAlias = sa.Select[*tuple[Any, ...]]

T = TypeVar("T")

DAYS = 60
"""Days that are shown one by one."""

MOST = 100
"""Rows of a table, at most: a page is read by a person."""

TERMINAL = ("SUCCESS", "PARTIAL", "FAILED")

AGES = (("under an hour", 1 / 24), ("under a day", 1.0), ("under a week", 7.0), ("under a month", 30.0))

_NAME = re.compile(r"[A-Za-z_$ ][A-Za-z_$.\[\]… -]*")
"""What may be a name of the API's, or words of this package's. What has digits or signs may be a person's."""

_CODE = re.compile(r"[A-Z][A-Z_]{2,39}")


@public_in("amili_async.report")
class Day(msgspec.Struct, frozen=True):
    """The batches that came to be on one day."""

    day: str
    success: int
    partial: int
    failed: int
    open: int


@public_in("amili_async.report")
class Amount(msgspec.Struct, frozen=True):
    """What invoices of one currency and status come to."""

    currency: str
    status: str
    invoices: int
    original: Decimal
    remaining: Decimal


@public_in("amili_async.report")
class Organization(msgspec.Struct, frozen=True):
    """An organization's batches."""

    organization_id: str
    batches: int
    objects: int
    failed: int

    @property
    def rate(self) -> float:
        """The share of its objects that failed, from 0 to 1."""
        return self.failed / self.objects if self.objects else 0.0


@public_in("amili_async.report")
class Failed(msgspec.Struct, frozen=True):
    """One object that failed, with what may name a person."""

    organization_id: str
    batch_id: str
    moment: str
    reference: str
    message: str


@public_in("amili_async.report")
class SyncRun(msgspec.Struct, frozen=True):
    """One sync into the store."""

    began: str
    outcome: str
    organizations: int
    failed: int
    rows: int
    requests: int
    seconds: float

    @property
    def speed(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds if self.seconds else 0.0


@public_in("amili_async.report")
class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a report shows."""

    made: str
    organization_id: str | None
    since: str | None
    counts: tuple[tuple[str, int, int], ...]
    """Resource, organizations whose list is kept, rows."""
    days: tuple[Day, ...]
    codes: tuple[tuple[str, int], ...]
    """Why objects failed, by code; the last line counts those without one."""
    amounts: tuple[Amount, ...]
    ages: tuple[tuple[str, int], ...]
    """How old batches are that are not final."""
    organizations: tuple[Organization, ...]
    organizations_left_out: int
    drift: tuple[tuple[str, str, str, str, int, str], ...]
    """Operation, kind, path, what was found, in how many runs, when last."""
    quarantine: tuple[tuple[str, str, str, int], ...]
    """Resource, path, reason, rows."""
    runs: tuple[SyncRun, ...]
    """The latest first."""
    failed: tuple[Failed, ...] = ()
    """The latest that failed: personal data, only where it was asked for."""


class _Queries:
    """The queries of one report, each in a transaction of its own: a sync that runs meanwhile is not held up."""

    def __init__(self, store: SqlStore, organization_id: str | None, since: datetime | None) -> None:
        self._store = store
        self._dialect: Dialect = store.database.dialect
        self._organization_id = organization_id
        self._since = since

    async def rows(self, statement: Query) -> list[tuple[Any, ...]]:
        """Return what a query answers."""
        return await self.each(statement, lambda found: [tuple(row) for row in found])

    async def each(self, statement: Query, take: Callable[[Iterable[Any]], T]) -> T:
        """Return what is made of a query's rows while they stream in."""

        def work(connection: sa.Connection) -> T:
            return take(connection.execution_options(yield_per=5_000).execute(statement))

        return await self._store.database.run(work)

    def of_batches(self, *columns: sa.ColumnElement[Any], table: sa.Table = batches) -> Query:
        """Return a query over the batches that the report is about."""
        owner = lists.c
        statement = sa.select(*columns).select_from(table.join(lists, owner.key == table.c.list_key))
        statement = statement.where(table.c.gone_at.is_(None))
        if self._organization_id is not None:
            statement = statement.where(owner.organization_id == self._organization_id)
        if self._since is not None:
            statement = statement.where(table.c.created_at >= self.moment(self._since))
        return statement

    def moment(self, moment: datetime) -> sa.ColumnElement[Any]:
        """Return a moment as the database keeps it."""
        return sa.literal(values_for(self._dialect).moment(moment))

    @property
    def day(self) -> sa.ColumnElement[Any]:
        """The day in UTC on which a batch came to be."""
        created = batches.c.created_at
        if self._dialect.name == "postgresql":
            return sa.func.to_char(sa.func.timezone("UTC", created), "YYYY-MM-DD")
        return sa.func.substr(created, 1, 10)

    @property
    def code(self) -> sa.ColumnElement[Any]:
        """The code that a failed entry's JSON gives, where it is an object that has one."""
        raw, names = batch_entries.c.raw, ("code", "errorCode")
        if self._dialect.name == "postgresql":
            # Written out: a parameter would be taken for JSON, as what stands before the operator is.
            members: list[sa.ColumnElement[Any]] = [raw.op("->>")(sa.literal_column(f"'{name}'")) for name in names]
            return sa.case((sa.cast(raw, sa.Text).like("{%"), sa.func.coalesce(*members)))
        members = [sa.func.json_extract(raw, f"$.{name}") for name in names]
        return sa.case((sa.func.json_valid(raw) == 1, sa.func.coalesce(*members)))


async def read_figures(
    store: SqlStore,
    *,
    organization_id: str | None = None,
    since: datetime | date | None = None,
    with_personal_data: bool = False,
    now: datetime | None = None,
) -> Figures:
    """Return the figures of a store, of one organization or all, of batches since a moment or a day, or all.

    Nothing in them names a person, unless ``with_personal_data`` asks for the latest failures as Amili worded them.

    Raises:
        StoreError: the database cannot be read.
    """
    check_store(store)
    since = beginning(since)
    named(organization_id, "organization_id")
    now = now or datetime.now(UTC)
    queries = _Queries(store, organization_id, since)
    return Figures(
        made=f"{now:%Y-%m-%d %H:%M} UTC",
        organization_id=organization_id,
        since=None if since is None else f"{since.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        counts=await _counts(queries, organization_id),
        days=await _days(queries),
        codes=await _codes(queries),
        amounts=await _amounts(queries),
        ages=await _ages(queries, now),
        **await _organizations(queries),
        drift=await _drift(queries, with_personal_data=with_personal_data),
        quarantine=await _quarantine(queries, organization_id),
        runs=await _runs(queries),
        failed=await _failed(queries) if with_personal_data else (),
    )


async def _counts(queries: _Queries, organization_id: str | None) -> tuple[tuple[str, int, int], ...]:
    kept = sa.select(lists.c.resource, sa.func.count()).group_by(lists.c.resource)
    if organization_id is not None:
        kept = kept.where(lists.c.organization_id == organization_id)
    organizations = dict(await queries.rows(kept))
    found: list[tuple[str, int, int]] = []
    for resource, table in ROW_TABLES.items():
        if resource in organizations:
            (row,) = await queries.rows(_of_organization(table, organization_id))
            found.append((resource, organizations[resource], row[0]))
    return tuple(found)


def _of_organization(table: sa.Table, organization_id: str | None) -> Query:
    statement = sa.select(sa.func.count()).select_from(table).where(table.c.gone_at.is_(None))
    if organization_id is None:
        return statement
    return statement.join(lists, lists.c.key == table.c.list_key).where(lists.c.organization_id == organization_id)


async def _days(queries: _Queries) -> tuple[Day, ...]:
    state = batches.c.state
    counted = [sa.func.count(sa.case((state == name, 1))) for name in TERMINAL]
    is_open = sa.func.count(sa.case((sa.or_(state.not_in(TERMINAL), state.is_(None)), 1)))
    statement = (
        queries.of_batches(queries.day.label("day"), *counted, is_open)
        .where(batches.c.created_at.is_not(None))
        .group_by(sa.text("day"))
        .order_by(sa.text("day DESC"))
        .limit(DAYS)
    )
    return tuple(Day(*row) for row in reversed(await queries.rows(statement)))


async def _codes(queries: _Queries) -> tuple[tuple[str, int], ...]:
    code = queries.code.label("code")
    statement = (
        queries.of_batches(code, sa.func.count())
        .join(batch_entries, batch_entries.c.batch_key == batches.c.key)
        .where(batch_entries.c.outcome == "failed")
        .group_by(sa.text("code"))
    )

    def take(found: Iterable[Any]) -> tuple[tuple[str, int], ...]:
        named: dict[str, int] = {}
        without = 0
        for name, count in found:
            # What is no code may be a sentence, and a sentence may name somebody.
            if isinstance(name, str) and _CODE.fullmatch(name):
                named[name] = count
            else:
                without += count
        ranked = sorted(named.items(), key=lambda pair: (-pair[1], pair[0]))
        shown, rest = ranked[:MOST], sum(count for _, count in ranked[MOST:])
        others = (("other codes", rest),) if rest else ()
        return (*shown, *others, *((("without a code", without),) if without else ()))

    return await queries.each(statement, take)


async def _amounts(queries: _Queries) -> tuple[Amount, ...]:
    column = invoices.c
    statement = queries.of_batches(
        column.currency, column.status, column.original_amount, column.remaining_amount, table=invoices
    )

    def take(found: Iterable[Any]) -> tuple[Amount, ...]:
        sums: dict[tuple[str, str], list[Any]] = {}
        # Added up here and not by the database: SQLite would add binary fractions.
        for currency, status, original, remaining in found:
            entry = sums.setdefault((currency or "", status or ""), [0, Decimal(0), Decimal(0)])
            entry[0] += 1
            entry[1] += Decimal(original or 0)
            entry[2] += Decimal(remaining or 0)
        return tuple(Amount(*key, *sums[key]) for key in sorted(sums)[:MOST])

    return await queries.each(statement, take)


async def _ages(queries: _Queries, now: datetime) -> tuple[tuple[str, int], ...]:
    created, state = batches.c.created_at, batches.c.state
    bounds = [(name, queries.moment(now - timedelta(days=days))) for name, days in AGES]
    older: list[sa.ColumnElement[int]] = [sa.func.count(sa.case((created > bound, 1))) for _, bound in bounds]
    statement = queries.of_batches(*older, sa.func.count()).where(sa.or_(state.not_in(TERMINAL), state.is_(None)))
    ((*counted, total),) = await queries.rows(statement)
    found: list[tuple[str, int]] = []
    before = 0
    for (name, _), count in zip(bounds, counted, strict=True):
        found.append((name, count - before))
        before = count
    return (*found, ("older", total - before))


async def _organizations(queries: _Queries) -> dict[str, Any]:
    succeeded, failed = sa.func.sum(batches.c.succeeded), sa.func.sum(batches.c.failed)
    statement = (
        queries.of_batches(lists.c.organization_id, sa.func.count(), succeeded, failed)
        .group_by(lists.c.organization_id)
        .order_by(sa.func.count().desc(), lists.c.organization_id)
    )
    rows = await queries.rows(statement)
    shown = tuple(
        Organization(name, count, int(ok or 0) + int(bad or 0), int(bad or 0)) for name, count, ok, bad in rows[:MOST]
    )
    return {"organizations": shown, "organizations_left_out": max(0, len(rows) - MOST)}


async def _drift(queries: _Queries, *, with_personal_data: bool) -> tuple[tuple[str, str, str, str, int, str], ...]:
    column = drift.c
    statement = (
        sa.select(column.operation, column.kind, column.path, column.found, column["count"], column.last_seen)
        .order_by(column.last_seen.desc(), column.operation, column.path)
        .limit(MOST)
    )

    def shown(name: str) -> str:
        return name if with_personal_data or _NAME.fullmatch(name) else "…"

    return tuple(
        (operation, kind, shown(path), shown(found), count, _moment(last_seen))
        for operation, kind, path, found, count, last_seen in await queries.rows(statement)
    )


async def _quarantine(queries: _Queries, organization_id: str | None) -> tuple[tuple[str, str, str, int], ...]:
    column, count = quarantine.c, sa.func.count()
    statement = (
        sa.select(lists.c.resource, column.path, column.reason, count)
        .select_from(quarantine.join(lists, lists.c.key == column.list_key))
        .group_by(lists.c.resource, column.path, column.reason)
        .order_by(count.desc())
        .limit(MOST)
    )
    if organization_id is not None:
        statement = statement.where(lists.c.organization_id == organization_id)
    return tuple((row[0], row[1] or "", row[2] or "", row[3]) for row in await queries.rows(statement))


async def _runs(queries: _Queries) -> tuple[SyncRun, ...]:
    column = runs.c
    names = ("began_at", "outcome", "organizations", "failed", "rows", "requests", "seconds")
    statement = sa.select(*(column[name] for name in names)).order_by(column.began_at.desc()).limit(MOST)
    found: list[SyncRun] = []
    for began, outcome, *counts in await queries.rows(statement):
        organizations, failed, rows, requests, seconds = (count or 0 for count in counts)
        found.append(SyncRun(_moment(began), outcome or "", organizations, failed, rows, requests, seconds))
    return tuple(found)


async def _failed(queries: _Queries) -> tuple[Failed, ...]:
    entry, batch = batch_entries.c, batches.c
    statement = (
        queries.of_batches(lists.c.organization_id, batch.id, batch.created_at, entry.reference, entry.message)
        .join(batch_entries, entry.batch_key == batch.key)
        .where(entry.outcome == "failed")
        .order_by(batch.created_at.desc(), batch.id, entry.position)
        .limit(MOST)
    )
    return tuple(
        Failed(row[0], row[1], _moment(row[2]), row[3] or "", row[4] or "") for row in await queries.rows(statement)
    )


def _moment(value: object) -> str:
    """Return a moment of either database to the minute, in UTC."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
    return "" if value is None else str(value)[:16].replace("T", " ")


def attention(figures: Figures) -> list[str]:
    """Return what a person should look at, a line each."""
    found: list[str] = []
    last = figures.runs[0] if figures.runs else None
    if last is not None and last.failed:
        found.append(f"{many(last.failed, 'organization')} failed in the last sync; the next one tries again")
    elif last is not None and last.outcome not in {"ok", "running"}:
        found.append(f"the last sync, of {last.began}, ended as {last.outcome}")
    set_aside = sum(count for *_, count in figures.quarantine)
    if set_aside:
        found.append(f"{many(set_aside, 'row')} that could not be read, in the view quarantine")
    old = dict(figures.ages).get("older", 0)
    if old:
        found.append(f"{many(old, 'batch', 'batches')} not final after a month")
    if figures.drift:
        found.append(f"{many(len(figures.drift), 'difference')} from the documentation, in the table drift")
    return found


def many(count: int, one: str, more: str | None = None) -> str:
    """Return a count with its noun."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"
