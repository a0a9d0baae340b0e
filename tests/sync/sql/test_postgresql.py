"""PostgreSQL: a server that restarts is waited for, and what goes wrong is told without a value."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest
from sqlalchemy.util import await_only

from amili_async._clock import SystemClock, installed
from amili_async.errors import StoreError
from amili_async.sync import RunSummary, SqlStore, SyncReport, WriteResult
from amili_async.sync._sql import checkpoints
from amili_async.sync._sql.schema import webhook_dead_letters
from amili_async.sync._sql.statements import Append
from amili_async.sync._sql.urls import database
from amili_async.sync._store import InvalidValueError
from tests.support.postgresql import Server, throwaway_postgresql
from tests.support.rows import batch, portion
from tests.sync.conftest import new_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import sqlalchemy as sa

pytestmark = pytest.mark.postgres


async def test_a_server_that_was_never_there_is_told_at_once() -> None:
    with pytest.raises(StoreError, match=r"PostgreSQL cannot be reached \(ConnectionRefusedError\)"):
        async with SqlStore("postgresql://amili@127.0.0.1:1/nothing", patience=3600):
            pass


@pytest.mark.parametrize(
    ("user", "name", "words"),
    [
        ("amili", "nowhere", r"the PostgreSQL database does not exist; create it first \(SQLSTATE 3D000\)"),
        ("nobody", "postgres", r"PostgreSQL refused the user or the password \(SQLSTATE 28000\)"),
    ],
)
async def test_a_wrong_url_is_told_in_a_sentence(postgresql: Server, user: str, name: str, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        async with SqlStore(f"postgresql://{user}:secret@127.0.0.1:{postgresql.port}/{name}"):
            pass


async def test_a_url_as_providers_write_it_is_understood(postgresql: Server) -> None:
    url = f"postgres://amili@127.0.0.1:{postgresql.port}/postgres?sslmode=disable"
    found = database(url, patience=1)

    assert await found.run(lambda connection: connection.exec_driver_sql("SELECT 1").scalar_one()) == 1
    await found.close()


@pytest.mark.parametrize(
    ("statement", "error", "words"),
    [
        ("SELECT 'secret'::int", InvalidValueError, "refused a value .SQLSTATE 22P02"),
        ("SELECT * FROM nowhere", StoreError, "its tables were changed .SQLSTATE 42P01"),
        ("SELECT 1 / 0", InvalidValueError, "SQLSTATE 22012"),
        ("DO $$ BEGIN RAISE EXCEPTION 'secret'; END $$", StoreError, "PostgreSQL failed .SQLSTATE P0001"),
    ],
)
async def test_what_postgresql_refuses_is_told_without_the_value(
    postgresql_url: str, statement: str, error: type[StoreError], words: str
) -> None:
    found = database(postgresql_url, patience=1)
    with pytest.raises(error, match=words) as caught:
        await found.run(lambda connection: connection.exec_driver_sql(statement))
    assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"
    await found.close()


class HastyClock(SystemClock):
    """A clock on which pauses take no time, and count."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.then: Callable[[], None] = lambda: None

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.then()
        await asyncio.sleep(0)

    def monotonic(self) -> float:
        return sum(self.slept)


@pytest.fixture
def mortal() -> Iterator[Server]:
    """A server of one's own, to be stopped."""
    with throwaway_postgresql() as server:
        yield server


async def test_a_server_that_restarts_in_the_middle_is_waited_for(mortal: Server) -> None:
    clock = HastyClock()
    with installed(clock):
        store = SqlStore(mortal.url())
    async with store:
        await store.begin("organization", "batches")
        assert await store.write(portion(batch("a"))) == WriteResult(1, 0)
        mortal.stop()
        clock.then = lambda: mortal.start() if len(clock.slept) == 3 else None

        assert await store.write(portion(batch("b"))) == WriteResult(1, 0)
        assert await store.count("batches") == 2
        assert clock.slept[:3] == [0.1, 0.2, 0.4]


async def test_a_server_that_stays_away_is_told_when_patience_ends(mortal: Server) -> None:
    clock = HastyClock()
    with installed(clock):
        store = SqlStore(mortal.url(), patience=10)
    async with store:
        await store.begin("organization", "batches")
        mortal.stop()

        with pytest.raises(StoreError, match="PostgreSQL cannot be reached"):
            await store.write(portion(batch("b")))
        assert 7 < sum(clock.slept) <= 10
        assert max(clock.slept) == 2


async def test_a_session_that_an_operator_ends_costs_a_try(postgresql: Server) -> None:
    url = new_database_url(postgresql)
    clock = HastyClock()
    with installed(clock):
        store = SqlStore(await url)
    async with store:
        await store.begin("organization", "batches")
        connection = await asyncpg.connect(postgresql.url())
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname <> 'postgres' AND usename = 'amili'"
        )
        await connection.close()

        assert await store.write(portion(batch("a"))) == WriteResult(1, 0)
        assert len(clock.slept) <= 1


async def test_a_run_begins_and_ends_beside_a_write_that_takes_long(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each time that it was waited for in vain the other writers have their turn, and it is waited for again."""
    monkeypatch.setattr(checkpoints, "WAIT_FOR_WRITES", 0.01)
    other = await asyncpg.connect(postgresql_url)

    class PatientClock(HastyClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if len(self.slept) == 3:
                await other.execute("ROLLBACK")

    async def write_slowly() -> None:
        clock.slept.clear()
        await other.execute(f"BEGIN; SELECT pg_advisory_xact_lock_shared({checkpoints.WRITING})")

    clock = PatientClock()
    with installed(clock):
        store = SqlStore(postgresql_url)
    async with store:
        await write_slowly()
        run = await store.begin_run(("batches",))
        assert clock.slept == [0.1, 0.2, 0.4]
        await write_slowly()
        await store.end_run(run, RunSummary(outcome="ok", report=SyncReport()))
        assert clock.slept == [0.1, 0.2, 0.4]
    await other.close()


async def new_database_url(server: Server) -> str:
    return await asyncio.to_thread(new_database, server)


async def test_two_that_stand_in_each_others_way_are_both_served(postgresql_url: str) -> None:
    """Each locks one row and then wants the other's: PostgreSQL ends one of the two, which is run again."""
    found = database(postgresql_url, patience=300)

    def make(connection: sa.Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE things (name TEXT PRIMARY KEY, count INTEGER NOT NULL)")
        connection.exec_driver_sql("INSERT INTO things VALUES ('one', 0), ('other', 0)")
        connection.exec_driver_sql("SET deadlock_timeout = '10ms'")

    def count_up(connection: sa.Connection, *names: str) -> None:
        connection.exec_driver_sql("SET LOCAL deadlock_timeout = '10ms'")
        for name in names:
            connection.exec_driver_sql(f"UPDATE things SET count = count + 1 WHERE name = '{name}'")  # noqa: S608  # ours
            connection.exec_driver_sql("SELECT pg_sleep(0.01)")

    await found.run(make)
    await asyncio.gather(
        *(found.run(lambda connection: count_up(connection, "one", "other")) for _ in range(3)),
        *(found.run(lambda connection: count_up(connection, "other", "one")) for _ in range(3)),
    )

    counts = await found.run(lambda connection: connection.exec_driver_sql("SELECT count FROM things").scalars().all())
    assert list(counts) == [6, 6]
    await found.close()


async def test_a_session_that_ends_while_rows_are_copied_costs_a_try(postgresql: Server, postgresql_url: str) -> None:
    clock = HastyClock()
    with installed(clock):
        store = SqlStore(postgresql_url)
    other = await asyncpg.connect(postgresql.url())
    tries = 0
    async with store:
        append = Append(webhook_dead_letters, store.database.dialect, ["key", "body"])

        def copy(connection: sa.Connection) -> int:
            nonlocal tries
            tries += 1
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            if tries == 1:
                await_only(other.execute("SELECT pg_terminate_backend($1, 60000)", pid))
            return append.run(connection, [("a", b"b")])

        assert await store.database.run(copy) == 1
    await other.close()
    assert tries == 2


async def test_a_table_that_cannot_be_cleared_is_told(postgresql_url: str) -> None:
    found = database(postgresql_url, patience=1)
    with pytest.raises(StoreError, match=r"its tables were changed .SQLSTATE 42P01"):
        await found.clear(["nowhere"])
    await found.close()
