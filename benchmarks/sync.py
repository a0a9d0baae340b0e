"""A sync into SQLite and PostgreSQL: rows a second against a bare loop, and the memory over a million batches.

The bare loop walks as many organizations at a time with aiohttp and msgspec, makes the same typed rows, and upserts
them by list and id, with their entries and a cursor, a page in one transaction: by statements such as the store
compiles from SQLAlchemy Core, through the same connections. So it can be run again, and a batch that has changed has
the entries that it has now. It leases nothing, counts nothing, verifies no order and sets no row aside. Beside it stand
the loop that one writes first, SQLAlchemy's own ``execute`` with dictionaries on aiosqlite or asyncpg, and one that is
right once only: it makes up the rows' numbers, so that it has nothing to look up, and another run would write over
other rows.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import shutil
import statistics
import sys
import tempfile
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import aiohttp
import msgspec
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from amili_async._client import AmiliClient
from amili_async.sync import SqlStore, sync
from amili_async.sync._sql.schema import batch_entries, batches, metadata
from amili_async.sync._sql.statements import (
    Append,
    Statement,
    Upsert,
    among,
    listed,
    replacing,
    unnested,
    written_columns,
)
from amili_async.sync._sql.urls import database
from benchmarks.measuring import (
    Row,
    Sample,
    Settings,
    Stopwatch,
    cpu_per_unit,
    figure,
    forget_peak,
    in_subprocess,
    interleave,
    rates,
    ratio,
    resident,
    resident_peak,
)
from benchmarks.peers.ours import PaymentSuccess
from benchmarks.peers.peer import in_tasks
from benchmarks.peers.rows import Batch, InvoiceSuccess, Summary
from benchmarks.report import main
from benchmarks.server import TOKEN, Listing, Server, serving
from tests.support.postgresql import throwaway_postgresql

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from amili_async.sync._sql.columns import Columns

CONCURRENCY = 8

Save: TypeAlias = "Callable[[str, list[Columns], list[Columns], str | None], Awaitable[None]]"

cursors = sa.Table(
    "cursors", sa.MetaData(), sa.Column("organization_id", sa.Text, primary_key=True), sa.Column("token", sa.Text)
)


class _RawPage(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]


class _Failed(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    message: str | None = None
    invoice_number: str | None = None


class _Batch(Batch, frozen=True, gc=False, kw_only=True, rename="camel"):
    """A batch whose failures are kept as they came: their JSON is stored."""

    failed: tuple[msgspec.Raw, ...]  # type: ignore[assignment]  # in place of what they say


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    summary: Summary
    data: list[_Batch]


_raws = msgspec.json.Decoder(_RawPage)
_pages = msgspec.json.Decoder(_Page)
_failures = msgspec.json.Decoder(_Failed | str | None)


def _as_text(moment: datetime | None) -> object:
    return None if moment is None else moment.isoformat(timespec="microseconds")


def _as_it_is(moment: datetime | None) -> object:
    return moment


MOMENTS: dict[str, Callable[[datetime | None], object]] = {"sqlite": _as_text, "postgresql": _as_it_is}
"""How a moment, all of them in UTC, is written."""


def _batch_columns(
    keys: tuple[int, int], batch: _Batch, raw: msgspec.Raw, now: object, moments: Callable[[datetime | None], object]
) -> Columns:
    return (
        *keys,
        batch.batch_id,
        batch.type.value,
        batch.status.value,
        moments(batch.created_at),
        moments(batch.finished_at),
        batch.created_by,
        len(batch.succeeded),
        len(batch.failed),
        now,
        1,
        str(raw, "utf-8"),
    )


def _entry_columns(number: int, batch: _Batch) -> Iterator[Columns]:
    for position, raw in enumerate(batch.failed):
        failed = _failures.decode(raw)
        if isinstance(failed, _Failed):
            message, reference = failed.message, failed.invoice_number
        else:
            message, reference = failed, None
        yield (number, "failed", position, None, None, None, None, message, reference, str(raw, "utf-8"))
    for position, entry in enumerate(batch.succeeded):
        key = (number, "succeeded", position)
        if isinstance(entry, InvoiceSuccess):
            yield (*key, "invoiceSuccess", entry.invoice_id, entry.invoice_number, entry.case_id, None, None, None)
        else:
            text = msgspec.json.encode(entry).decode()
            yield (*key, "paymentSuccess", entry.invoice_id, entry.invoice_number, None, None, None, text)


async def _walk(server: Server, save: Save, moments: Callable[[datetime | None], object]) -> int:
    """Walk all organizations the bare way; return how many rows were saved."""
    keys = itertools.count(1)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:

        async def walk(owner: str) -> int:
            list_key = server.organization_ids.index(owner) + 1
            url = f"{server.base_url}/orgs/{owner}/batches"
            params: dict[str, str] = {}
            rows = 0
            while True:
                async with session.get(url, params=params) as response:
                    response.raise_for_status()
                    body = await response.read()
                page = _pages.decode(body)
                raws = _raws.decode(body).data
                keyed, now = list(zip(keys, page.data, raws, strict=False)), moments(datetime.now(UTC))
                columns = [_batch_columns((key, list_key), batch, raw, now, moments) for key, batch, raw in keyed]
                entries = [entry for key, batch, _ in keyed for entry in _entry_columns(key, batch)]
                await save(owner, columns, entries, page.summary.next_page_token)
                rows += len(columns)
                if not page.summary.next_page_token:
                    return rows
                params["PageToken"] = page.summary.next_page_token

        return await in_tasks(walk)(server.organization_ids, CONCURRENCY)


class _UpsertById:
    """Puts batches where those of the same list and id are, and returns the number of each."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._own = [column for column in written_columns(batches) if column.name != "key"]
        by = ("list_key", "id")
        self._unnested = dialect.name == "postgresql"
        if self._unnested:
            insert = replacing(batches, unnested(batches, self._own), by=by)
            self._upsert = Statement(insert.returning(batches.c.id, batches.c.key), dialect)
        else:
            given: dict[str, Any] = {column.name: sa.bindparam(column.name) for column in self._own}
            insert = replacing(batches, sqlite.insert(batches).values(given), by=by)
            self._text = str(insert.compile(dialect=dialect))
            mine = (batches.c.list_key == sa.bindparam("list_key"), among(batches.c.id, "ids", dialect))
            self._look = Statement(sa.select(batches.c.id, batches.c.key).where(*mine), dialect)

    def run(self, connection: sa.Connection, rows: list[Columns]) -> dict[object, int]:
        if self._unnested:
            arrays = zip(self._own, zip(*rows, strict=True), strict=True)
            return dict(self._upsert.rows(connection, **{f"rows_{column.name}": list(of) for column, of in arrays}))
        driver: Any = connection.connection.driver_connection
        driver.executemany(self._text, rows)
        ids = msgspec.json.encode([row[1] for row in rows]).decode()
        return dict(self._look.rows(connection, list_key=rows[0][0], ids=ids))


async def _bare(server: Server, url: str) -> Sample:
    """The bare loop on such statements as the store's, and its connections."""
    opened = database(url, patience=30)
    dialect = opened.dialect
    upsert, upsert_cursor = _UpsertById(dialect), Upsert(cursors, dialect)
    key, *rest = batch_entries.columns
    clear = Statement(sa.delete(batch_entries).where(among(key, "keys", dialect)), dialect)
    append = Append(batch_entries, dialect, [key.name, *(column.name for column in rest)])

    async def save(owner: str, rows: list[Columns], entries: list[Columns], token: str | None) -> None:
        numberless = [row[1:] for row in rows]

        def work(connection: sa.Connection) -> None:
            found = upsert.run(connection, numberless)
            keys = {number: found[row_id] for number, _, row_id, *_ in rows}
            clear.run(connection, keys=listed([*keys.values()], dialect))
            append.run(connection, [(keys[number], *entry) for number, *entry in entries])
            upsert_cursor.run(connection, [(owner, token)])

        await opened.run(work)

    await opened.run(_make_tables)
    with Stopwatch() as watch:
        rows = await _walk(server, save, MOMENTS[dialect.name])
    await opened.close()
    return watch.sample(rows)


async def _once(server: Server, url: str) -> Sample:
    """The loop that makes up the rows' numbers."""
    opened = database(url, patience=30)
    upsert, upsert_entries, upsert_cursor = (
        Upsert(table, opened.dialect) for table in (batches, batch_entries, cursors)
    )

    async def save(owner: str, rows: list[Columns], entries: list[Columns], token: str | None) -> None:
        def work(connection: sa.Connection) -> None:
            upsert.run(connection, rows)
            upsert_entries.run(connection, entries)
            upsert_cursor.run(connection, [(owner, token)])

        await opened.run(work)

    await opened.run(_make_tables)
    with Stopwatch() as watch:
        rows = await _walk(server, save, MOMENTS[opened.dialect.name])
    await opened.close()
    return watch.sample(rows)


async def _first_try(server: Server, url: str) -> Sample:
    """The bare loop with dictionaries through SQLAlchemy's own `execute`."""
    engine = _engine(url)
    statements = [(table, _upserting(table, engine.dialect.name)) for table in (batches, batch_entries, cursors)]
    writing = asyncio.Lock() if engine.dialect.name == "sqlite" else None

    async def save(owner: str, rows: list[Columns], entries: list[Columns], token: str | None) -> None:
        async with _none() if writing is None else writing, engine.begin() as connection:
            cursor: list[Columns] = [(owner, token)]
            for (table, statement), values in zip(statements, (rows, entries, cursor), strict=True):
                names = [column.name for column in written_columns(table)]
                if values:
                    await connection.execute(statement, [dict(zip(names, value, strict=True)) for value in values])

    async with engine.begin() as connection:
        await connection.run_sync(_make_tables)
    with Stopwatch() as watch:
        rows = await _walk(server, save, MOMENTS[engine.dialect.name])
    await engine.dispose()
    return watch.sample(rows)


def _upserting(table: sa.Table, dialect: str) -> sa.Executable:
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    key = [column.name for column in table.primary_key.columns]
    rest = {name: insert.excluded[name] for name in (c.name for c in written_columns(table)) if name not in key}
    return insert.on_conflict_do_update(index_elements=key, set_=rest)


@asynccontextmanager
async def _none() -> AsyncGenerator[None, None]:
    yield


def _engine(url: str) -> AsyncEngine:
    if url.startswith("postgresql"):
        return create_async_engine(url.replace("postgresql", "postgresql+asyncpg", 1), pool_size=8)
    engine = create_async_engine(url.replace("sqlite", "sqlite+aiosqlite", 1))

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: sa.engine.interfaces.DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    return engine


def _make_tables(connection: sa.Connection) -> None:
    metadata.create_all(connection)
    cursors.create(connection)


def _client(base_url: str) -> AmiliClient:
    """Return a client that knows the types of entries that the bare loop knows."""
    return AmiliClient(TOKEN, base_url=base_url, entry_types=(PaymentSuccess,))


async def _ours(server: Server, url: str) -> Sample:
    async with _client(server.base_url) as client, SqlStore(url) as store:
        with Stopwatch() as watch:
            report = await sync(client, server.organization_ids, store, concurrency=CONCURRENCY)
    if not report.ok:
        raise RuntimeError(f"the sync failed: {report.failures[:1]}")
    return watch.sample(report.total.new)


async def _with_numbers(server: Server, url: str) -> Sample:
    """The sync with one more index, that of entries by invoice number."""
    async with _client(server.base_url) as client, SqlStore(url) as store:
        await store.database.run(sa.Index("batch_entry_rows_by_number", batch_entries.c.invoice_number).create)
        batch_entries.indexes.clear()
        with Stopwatch() as watch:
            report = await sync(client, server.organization_ids, store, concurrency=CONCURRENCY)
    return watch.sample(report.total.new)


SIDES: dict[str, Callable[[Server, str], Awaitable[Sample]]] = {
    "sync()": _ours,
    "bare loop": _bare,
    "loop that is right once": _once,
    "execute() with dictionaries": _first_try,
}


class Databases:
    """Empty databases, one for each run."""

    def __init__(self, folder: Path, port: int | None) -> None:
        self._folder = folder
        self._port = port
        self._count = 0

    def run(self, side: Callable[[Server, str], Awaitable[Sample]], server: Server) -> Sample:
        """Run a side into a new database and throw that away."""
        self._count += 1
        if self._port is None:
            folder = self._folder / str(self._count)
            folder.mkdir()
            sample = asyncio.run(_awaited(side(server, f"sqlite:///{folder}/store.db")))
            shutil.rmtree(folder)
            return sample
        name = f"run_{self._count}"
        asyncio.run(self._administer(f"CREATE DATABASE {name}"))
        sample = asyncio.run(_awaited(side(server, f"postgresql://amili@127.0.0.1:{self._port}/{name}")))
        asyncio.run(self._administer(f"DROP DATABASE {name}"))
        return sample

    async def _administer(self, statement: str) -> None:
        engine = create_async_engine(f"postgresql+asyncpg://amili@127.0.0.1:{self._port}/postgres")
        async with engine.connect() as connection:
            autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await autocommit.exec_driver_sql(statement)
        await engine.dispose()


def _into(
    databases: Databases, what: str, server: Server, settings: Settings, *, target: float | None
) -> Iterator[Row]:
    """Compare the sides on one kind of database."""
    samples = interleave({name: partial(databases.run, side, server) for name, side in SIDES.items()}, settings.rounds)
    ours, *others = SIDES
    size = f"{server.page_bytes / 1e3:.0f} kB a page"
    for name in others:
        against = ratio(cpu_per_unit(samples[name]), cpu_per_unit(samples[ours]))
        yield Row(
            what=f"sync into {what}, {size}: rows per second of CPU against the {name}",
            value=against.value,
            noise=against.noise,
            at_least=target if name == "bare loop" else None,
            detail=f"CPU a page of 100 {_cpu(samples[ours]):.2f} : {_cpu(samples[name]):.2f} ms",
        )
        by_clock = ratio(rates(samples[ours]), rates(samples[name]))
        yield Row(
            what=f"sync into {what}, {size}: rows/s against the {name}",
            value=by_clock.value,
            noise=by_clock.noise,
            detail=" : ".join(f"{statistics.median(rates(samples[side])):,.0f}" for side in (ours, name)) + " rows/s",
        )


def _indexes(databases: Databases, server: Server, settings: Settings) -> Row:
    """Tell what an index would cost that the store leaves out."""
    sides = {"with": partial(databases.run, _with_numbers, server), "without": partial(databases.run, _ours, server)}
    samples = interleave(sides, settings.rounds)
    cost = ratio(cpu_per_unit(samples["with"]), cpu_per_unit(samples["without"]))
    return Row(
        what="sync into SQLite: CPU with an index of entries by invoice number, which is left out, against none",
        value=cost.value,
        noise=cost.noise,
        detail=f"{_cpu(samples['with']):.2f} : {_cpu(samples['without']):.2f} ms a page of 100",
    )


def measure_indexes(settings: Settings) -> list[Row]:
    """Sync 10 organizations into SQLite, with and without an index that is left out."""
    listing = Listing(organizations=10, pages=settings.scaled(20), entries=2)
    with serving(listing) as server, tempfile.TemporaryDirectory() as folder:
        return [_indexes(Databases(Path(folder), None), server, settings)]


def _cpu(samples: list[Sample]) -> float:
    return statistics.median(sample.cpu_per_unit for sample in samples) * 100 * 1000


async def _in_memory_terms(base_url: str, organization_id: str, folder: str) -> dict[str, float]:
    """Sync one organization, and all of it once more; return the memory that each took above the start."""
    numbers: dict[str, float] = {}
    async with _client(base_url) as client, SqlStore(f"sqlite:///{folder}/store.db") as store:
        gc.collect()
        start = resident()
        for name in ("first", "again"):
            forget_peak()
            report = await sync(client, [organization_id], store, full=name == "again")
            numbers |= {f"{name} rows": report.total.rows, name: resident_peak() - start}
    return numbers


def _memory(settings: Settings) -> list[Row]:
    """Sync a million batches of one organization in a fresh process, and all of them once more."""
    listing = Listing(pages=settings.scaled(10_000), rows=100)
    count = listing.pages * listing.rows
    with serving(listing) as server, tempfile.TemporaryDirectory() as folder:
        numbers = in_subprocess("benchmarks.sync", "memory", server.base_url, server.organization_ids[0], folder)
    rows: list[Row] = []
    for name, what in (("first", "are synced into SQLite"), ("again", "are synced into SQLite once more, in full")):
        if numbers[f"{name} rows"] != count:
            raise RuntimeError(f"{numbers[f'{name} rows']} rows came of {count}")
        above = figure([numbers[name] / 1e6]).value
        rows.append(
            Row(what=f"memory while {count:,} batches {what}, above the start", value=above, unit="MB", at_most=20)
        )
    return rows


def measure(settings: Settings) -> list[Row]:
    """Sync 20 organizations into SQLite and, where there is one, PostgreSQL; then a million batches."""
    rows: list[Row] = []
    for entries in (2, 25):
        listing = Listing(organizations=20, pages=settings.scaled(10), entries=entries)
        with serving(listing) as server, tempfile.TemporaryDirectory() as folder:
            rows += _into(Databases(Path(folder), None), "SQLite", server, settings, target=0.95)
            try:
                with throwaway_postgresql() as postgres:
                    rows += _into(Databases(Path(folder), postgres.port), "PostgreSQL", server, settings, target=0.95)
            except FileNotFoundError as missing:
                print(missing)
    return [*rows, *_memory(settings)]


async def _awaited(sample: Awaitable[Sample]) -> Sample:
    return await sample


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        print(msgspec.json.encode(asyncio.run(_in_memory_terms(*sys.argv[2:]))).decode())
        raise SystemExit(0)
    raise SystemExit(main(measure))
