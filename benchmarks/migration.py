"""An older store of a million rows is brought up to date, killed half way first: ``python -m benchmarks.migration``.

The fixture of version 2 is multiplied: 800,000 batches with 1.7 million entries, 100,000 invoices, 100,000 cases. The
first upgrade is killed two seconds into copying the entries, and must leave the older store as it was; the second one
is timed. That is a file; ``postgresql`` does the same on a throwaway server. Done by hand; the figures stand in the
page of the store.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from amili_async.sync import SqlStore
from amili_async.sync._sql.urls import database
from benchmarks.measuring import ROOT
from tests.support.postgresql import throwaway_postgresql

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

TABLES = {
    "batches": ("id", 88_889),
    "batch_entries": ("batch_id", 88_889),
    "invoices": ("id", 6_250),
    "cases": ("id", 6_250),
}
"""How often each row of the fixture is copied, and what tells the copies apart."""

UPGRADE = """
import asyncio, os, signal, sys, threading, time
import sqlalchemy as sa
from amili_async.sync import SqlStore

dying = sys.argv[2] == "die"

async def main():
    store = SqlStore(sys.argv[1])
    engine = store.database._engine

    @sa.event.listens_for(getattr(engine, "sync_engine", engine), "before_cursor_execute")
    def look(_connection, _cursor, statement, *_):
        if dying and statement.startswith("INSERT INTO batch_entry_rows"):
            threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGKILL)).start()

    async with store:
        print(time.process_time())

asyncio.run(main())
"""


async def _on(url: str, statements: Sequence[str]) -> list[tuple[object, ...]]:
    """Run statements without a store between; return what the last of them answers."""
    opened = database(url, patience=600)

    def work(connection: sa.Connection) -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = []
        for statement in statements:
            answer = connection.exec_driver_sql(statement)
            found = [tuple(row) for row in answer] if answer.returns_rows else []
        return found

    try:
        return await opened.run(work)
    finally:
        await opened.close()


def _multiplied(columns: Sequence[str], table: str) -> str:
    name, times = TABLES[table]
    shown = ", ".join(f"t.{name} || '-' || n.k" if column == name else f't."{column}"' for column in columns)
    numbers = f"WITH RECURSIVE n(k) AS (SELECT 2 UNION ALL SELECT k + 1 FROM n WHERE k < {times})"  # noqa: S608  # our own
    return f"INSERT INTO {table} {numbers} SELECT {shown} FROM {table} t CROSS JOIN n"  # noqa: S608  # the same


async def _made(url: str) -> None:
    """Make the older store."""
    folder = ROOT / "tests" / "sync" / "sql"
    if url.startswith("sqlite"):
        import sqlite3  # noqa: PLC0415  # beside its only use

        with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
            file.executescript((folder / "version_2.sql").read_text("utf-8"))
    else:
        connection = await asyncpg.connect(url)
        await connection.execute((folder / "version_2_postgresql.sql").read_text("utf-8"))
        await connection.close()
    for table in TABLES:
        await _on(url, [_multiplied([str(row[0]) for row in await _on(url, [_columns_of(url, table)])], table)])


def _columns_of(url: str, table: str) -> str:
    if url.startswith("sqlite"):
        return f"SELECT name FROM pragma_table_info('{table}')"  # noqa: S608  # our own names
    where = f"table_name = '{table}' AND table_schema = 'public'"
    return f"SELECT column_name FROM information_schema.columns WHERE {where} ORDER BY ordinal_position"  # noqa: S608  # the same


async def _facts(url: str) -> list[tuple[object, ...]]:
    """Return what must be the same before and after, killed or not."""
    lengths = {table: f"sum(length({name})), sum(length(CAST(raw AS TEXT)))" for table, (name, _) in TABLES.items()}
    parts = [f"SELECT '{table}', count(*), {sums} FROM {table}" for table, sums in lengths.items()]  # noqa: S608  # our own
    return [tuple(map(str, row)) for row in await _on(url, [" UNION ALL ".join(parts) + " ORDER BY 1"])]


async def _upgraded(url: str, how: str) -> tuple[int, float, str]:
    command = [sys.executable, "-c", UPGRADE, url, how]
    begun = time.monotonic()
    done = await asyncio.to_thread(subprocess.run, command, check=False, capture_output=True, text=True, cwd=ROOT)
    return done.returncode, time.monotonic() - begun, done.stdout.strip() or done.stderr[-500:]


async def measure(url: str) -> None:
    """Make an older store, kill its upgrade, upgrade it, and say what that took."""
    await _made(url)
    before = await _facts(url)
    print("made:", before, flush=True)
    code, seconds, _ = await _upgraded(url, "die")
    after = await _facts(url)
    print(f"killed after {seconds:.0f} s ({code}): the older store is as it was: {after == before}", flush=True)
    [version] = await _on(url, ["SELECT version FROM amili_schema"])
    code, seconds, said = await _upgraded(url, "live")
    upgraded = await _facts(url)
    print(f"version {version[0]} upgraded in {seconds:.0f} s ({code}), CPU of the process {said} s", flush=True)
    print("every row as it was:", upgraded == before, flush=True)
    async with SqlStore(url) as store:
        print("opened again:", await store.count("batches"), "batches", flush=True)


def main() -> None:
    """Measure on the database that was asked for."""
    if sys.argv[1:] == ["postgresql"]:
        with throwaway_postgresql() as server:
            asyncio.run(measure(server.url()))
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "store.db")
            asyncio.run(measure(f"sqlite:///{path}"))
            print(f"{path.stat().st_size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
