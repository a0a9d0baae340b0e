"""SQLite files: what goes wrong is told in a sentence, and many processes take turns."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amili_async.errors import StoreError
from amili_async.sync import Checkpoint, SqlStore, WriteResult
from amili_async.sync._sql import database as database_module
from amili_async.sync._sql import sqlite as sqlite_module
from amili_async.sync._sql.sqlite import set_up
from tests.support.processes import popen
from tests.support.rows import batch, portion
from tests.support.turns import turns

if TYPE_CHECKING:
    import sqlalchemy as sa


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"the SQLite store: unable to open database file \(is its folder there"):
        async with SqlStore(f"sqlite:///{tmp_path}/nowhere/store.db"):
            pass


async def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear reader, " * 100, "utf-8")

    with pytest.raises(StoreError, match=r"file is not a database \(is it the right file"):
        async with SqlStore(f"sqlite:///{tmp_path}/letter.txt"):
            pass


async def test_a_file_that_another_program_keeps_locked_is_waited_for_and_then_told(
    tmp_path: Path, sqlite_url: str
) -> None:
    async with SqlStore(sqlite_url, patience=0.05) as store:
        await store.begin("organization", "batches")
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreError, match=r"database is locked \(another program is writing to it"):
            await store.write(portion(batch("a")))
        other.execute("COMMIT")
        other.close()

        assert await store.write(portion(batch("a"))) == WriteResult(1, 0)


async def test_that_another_program_writes_is_told_after_some_seconds(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with SqlStore(sqlite_url) as store:
        await store.begin("organization", "batches")
        assert caplog.messages == []
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        # For this one transaction: a busy machine may let any other take as long.
        with monkeypatch.context() as impatient:
            for module in (database_module, sqlite_module):
                impatient.setattr(module, "TELL_AFTER", 0.02)
            writing = asyncio.create_task(store.write(portion(batch("a"))))
            while not caplog.messages:  # noqa: ASYNC110  # a log has no event; the run's own limit bounds it
                await asyncio.sleep(0.01)
        other.execute("COMMIT")
        other.close()

        assert await writing == WriteResult(1, 0)
    assert caplog.messages == [
        f"another program is writing to {tmp_path}/store.db; waiting for up to 30 seconds",
    ]


async def test_a_transaction_of_ones_own_that_takes_long_is_no_lock(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(_: sa.Connection) -> bool:
        begun.set()
        return go_on.wait(60)

    async with SqlStore(sqlite_url) as store:
        with monkeypatch.context() as impatient:
            impatient.setattr(database_module, "TELL_AFTER", 0.0)
            slow = asyncio.create_task(store.database.run(work))
            await asyncio.sleep(0)
            # No turn of the loop before the transaction has its lock, for which it would be told to wait.
            assert begun.wait(60)
            behind = asyncio.create_task(store.begin("organization", "batches"))
            await turns(5)
        go_on.set()
        await asyncio.gather(slow, behind)

    assert caplog.messages == []


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
async def test_files_are_their_owners_alone(tmp_path: Path, sqlite_url: str) -> None:
    before = os.umask(0)
    try:
        async with SqlStore(sqlite_url) as store:
            await store.begin("organization", "batches")
            await store.write(portion(batch("a")))

            assert modes(tmp_path) == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}
    finally:
        os.umask(before)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
async def test_a_file_of_an_older_version_becomes_its_owners_alone(tmp_path: Path, sqlite_url: str) -> None:
    file = sqlite3.connect(tmp_path / "store.db")
    file.executescript((Path(__file__).parent / "version_2.sql").read_text("utf-8"))
    file.close()
    (tmp_path / "store.db").chmod(0o644)
    async with SqlStore(sqlite_url):
        assert set(modes(tmp_path).values()) == {0o600}


async def test_a_file_that_its_owner_shares_stays_shared(tmp_path: Path, sqlite_url: str) -> None:
    async with SqlStore(sqlite_url):
        pass
    (tmp_path / "store.db").chmod(0o640)
    async with SqlStore(sqlite_url):
        assert modes(tmp_path)["store.db"] == 0o640


async def test_a_path_is_a_store_too(tmp_path: Path) -> None:
    async with SqlStore(tmp_path / "what?.db") as store:
        assert await store.count("batches") == 0
    assert (tmp_path / "what?.db").exists()


async def test_a_full_disk_is_told_and_what_was_written_stays(sqlite_url: str) -> None:
    async with SqlStore(sqlite_url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(batch("a")))
        await store.database.run(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=1"))

        with pytest.raises(StoreError, match="the SQLite store: database or disk is full"):
            await store.write(portion(*(batch(f"large {number}", more="x" * 10_000) for number in range(100))))

        assert await store.count("batches") == 1


async def test_a_file_can_be_read_by_others_while_it_is_written(tmp_path: Path, sqlite_url: str) -> None:
    async with SqlStore(sqlite_url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(batch("a")))

        other = sqlite3.connect(tmp_path / "store.db")
        assert other.execute("SELECT count(*) FROM batches").fetchall() == [(1,)]
        assert other.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
        other.close()


async def test_a_store_in_memory_serves_a_run() -> None:
    async with SqlStore("sqlite://") as store:
        await store.begin("organization", "batches")
        assert await store.write(portion(batch("a"))) == WriteResult(1, 0)


WRITER = """
import asyncio, sys
from amili_async.sync import SqlStore
from tests.support.rows import batch, portion

async def main(url, name):
    async with SqlStore(url) as store:
        await store.begin(name, "batches")
        for page in range(20):
            await store.write(portion(*(batch(f"{page} {row}") for row in range(10)), organization_id=name))
        await store.finish(name, "batches", None)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_that_write_to_one_file_take_turns(sqlite_url: str) -> None:
    with ExitStack() as running:  # nothing else runs in this loop
        names = [f"process {number}" for number in range(3)]
        writers = [running.enter_context(popen(sys.executable, "-c", WRITER, sqlite_url, name)) for name in names]
        assert [writer.wait(60) for writer in writers] == [0, 0, 0]

    async with SqlStore(sqlite_url) as store:
        assert await store.count("batches") == 3 * 200


async def test_the_lease_of_a_process_that_was_killed_is_taken_over_at_once(sqlite_url: str) -> None:
    code = WRITER.replace("await store.finish", "import os; os.kill(os.getpid(), 9); await store.finish")
    killed = subprocess.run([sys.executable, "-c", code, sqlite_url, "organization"], check=False)  # noqa: ASYNC221, S603  # the same
    assert killed.returncode == -9

    async with SqlStore(sqlite_url) as store:
        assert await store.count("batches") == 200
        assert isinstance(await store.begin("organization", "batches"), Checkpoint)
        assert await store.write(portion(batch("new"))) == WriteResult(1, 0)


class _Busy:
    """Stands in for a connection to a new file that somebody else is opening too."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.made: list[str] = []

    def execute(self, statement: str) -> _Busy:
        if self.refusals:
            self.refusals -= 1
            raise sqlite3.OperationalError("database is locked")
        self.made.append(statement)
        return self

    def close(self) -> None:
        """Close the cursor that this is too."""


def test_two_that_open_a_new_file_at_once_wait_for_each_other() -> None:
    busy: Any = _Busy(refusals=2)
    set_up(busy, 30)
    assert len(busy.made) == len(set(busy.made)) == 4
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        set_up(_busy_for_ever(), 0)


def _busy_for_ever() -> Any:
    return _Busy(refusals=1)
