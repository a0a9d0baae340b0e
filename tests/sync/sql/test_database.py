"""Which database a URL names."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from amili_async.errors import ConfigurationError
from amili_async.sync._sql.urls import database

if TYPE_CHECKING:
    import sqlalchemy as sa

    from amili_async.sync._sql.database import Database


@pytest.mark.parametrize(
    ("url", "dialect"),
    [
        ("sqlite://", "sqlite"),
        ("sqlite:///amili.db", "sqlite"),
        ("sqlite+aiosqlite:///amili.db", "sqlite"),
        ("postgresql://user@host/name", "postgresql"),
        ("postgresql+asyncpg://user@host/name", "postgresql"),
        ("postgres://user:secret@host:5433/name?sslmode=require", "postgresql"),
    ],
)
async def test_these_urls_name_a_database(url: str, dialect: str) -> None:
    found = database(url, patience=1)

    assert found.dialect.name == dialect
    await found.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("amili.db", "must look like one of these: sqlite:///amili.db"),
        ("", "must look like"),
        ("://", "cannot be read"),
        ("mysql://user:secret@host/name", "names 'mysql', which no store here knows"),
        ("postgresql://user:secret@host:port/name", "cannot be read"),
    ],
)
def test_these_name_none_and_the_message_holds_no_password(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        database(url, patience=1)

    assert "secret" not in str(caught.value)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must look like"):
        database(5, patience=1)  # type: ignore[arg-type]  # what a caller without a type checker may pass


def make_table(connection: sa.Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE things (name TEXT PRIMARY KEY)")


def insert(connection: sa.Connection) -> None:
    connection.exec_driver_sql("INSERT INTO things VALUES ('one')")


def insert_and_fail(connection: sa.Connection) -> None:
    insert(connection)
    raise LookupError("the work itself failed")


def count(connection: sa.Connection) -> int:
    return len(connection.exec_driver_sql("SELECT * FROM things").all())


async def opened(url: str) -> Database:
    found = database(url, patience=5)
    await found.run(make_table)
    return found


async def test_work_that_raises_leaves_nothing_behind(url: str) -> None:
    found = await opened(url)
    with pytest.raises(LookupError):
        await found.run(insert_and_fail)

    assert await found.run(count) == 0
    await found.run(insert)
    assert await found.run(count) == 1
    await found.close()


async def test_a_transaction_that_has_begun_is_run_to_its_end_when_the_caller_is_cancelled(url: str) -> None:
    found = await opened(url)
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()

    def slow_insert(connection: sa.Connection) -> None:
        insert(connection)
        loop.call_soon_threadsafe(begun.set)
        connection.exec_driver_sql("SELECT 1")

    task = asyncio.create_task(found.run(slow_insert))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await found.run(count) == 1
    await found.close()


async def test_a_cancelled_transaction_that_fails_is_no_error_of_anybody(url: str) -> None:
    found = await opened(url)
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()

    def fail(connection: sa.Connection) -> None:
        loop.call_soon_threadsafe(begun.set)
        connection.exec_driver_sql("SELECT 1")
        raise LookupError

    task = asyncio.create_task(found.run(fail))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await found.close()
