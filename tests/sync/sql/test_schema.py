"""The tables: made in an empty database, brought up to date in an older one, left alone in a newer one."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from amili_async.errors import StoreError
from amili_async.sync import Checkpoint, SqlStore, WriteResult
from amili_async.sync._sql.schema import VERSION, metadata, schema
from tests.support.rows import batch, held, portion

if TYPE_CHECKING:
    from collections.abc import Sequence


async def structure(store: SqlStore) -> dict[str, list[tuple[str, str, bool]]]:
    """Return the columns of every table."""

    def look(connection: sa.Connection) -> dict[str, list[tuple[str, str, bool]]]:
        inspector = sa.inspect(connection)
        return {
            table: [
                (column["name"], str(column["type"]), bool(column["nullable"]))
                for column in inspector.get_columns(table)
            ]
            for table in sorted(inspector.get_table_names())
        }

    return await store.database.run(look)


async def test_an_empty_database_gets_all_tables_and_the_version(url: str) -> None:
    async with SqlStore(url) as store:
        assert sorted(await structure(store)) == sorted(metadata.tables)
        assert await held(store, "amili_schema", "version") == [(VERSION,)]


async def test_a_database_of_this_version_is_left_as_it_is(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(batch("a")))

    async with SqlStore(url) as store:
        assert await store.count("batches") == 1


async def test_a_file_of_the_first_version_is_upgraded_in_place(tmp_path: Path, sqlite_url: str) -> None:
    file = sqlite3.connect(tmp_path / "store.db")
    file.executescript((Path(__file__).parent / "version_1.sql").read_text("utf-8"))
    file.close()

    async with SqlStore(sqlite_url) as store:
        assert await held(store, "amili_schema", "version") == [(VERSION,)]
        bookmark = await store.begin("organization", "batches")
        assert isinstance(bookmark, Checkpoint)
        assert bookmark.coverage is not None
        assert list(bookmark.coverage.open) == ["batch 2"]
        assert await held(store, "batches", "id", "state") == [("batch 1", "SUCCESS"), ("batch 2", "QUEUED")]
        assert len(await held(store, "batch_entries", "batch_id")) == 4
        assert await store.write(portion(batch("batch 2"), batch("batch 3"))) == WriteResult(1, 1)
        assert await held(store, "quarantine", "key") == []
        upgraded = await structure(store)

    async with SqlStore("sqlite://") as fresh:
        assert upgraded == await structure(fresh)


async def set_version(store: SqlStore, version: int) -> None:
    await store.database.run(lambda connection: connection.execute(sa.update(schema).values(version=version)))


async def test_a_database_of_a_newer_version_is_refused_with_a_sentence(url: str) -> None:
    async with SqlStore(url) as store:
        await set_version(store, VERSION + 1)

    with pytest.raises(StoreError, match=f"of version {VERSION + 1} and this release knows versions up to {VERSION}"):
        async with SqlStore(url):
            pass


async def test_a_database_with_somebody_elses_tables_is_refused_and_left_alone(url: str) -> None:
    async with SqlStore(url) as store:
        await store.database.run(lambda connection: connection.execute(sa.text("DROP TABLE amili_schema")))

    with pytest.raises(StoreError, match=r"tables that this package did not make .*invoices.*a database of its own"):
        async with SqlStore(url):
            pass


async def test_many_that_open_an_empty_database_at_once_make_its_tables_once(url: str) -> None:
    async def open_and_count() -> int:
        async with SqlStore(url) as store:
            return await store.count("batches")

    counts: Sequence[int] = await asyncio.gather(*(open_and_count() for _ in range(4)))

    assert counts == [0, 0, 0, 0]
