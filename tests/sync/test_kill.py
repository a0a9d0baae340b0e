"""Killed at any moment, and resumed each time, a sync ends with what the server has: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from amili_async import AmiliClient, ClientCredentials
from amili_async.sandbox import Sandbox
from amili_async.sync import SqlStore
from amili_async.sync._checkpoint import Checkpoint
from tests.support.postgresql import Server, throwaway_postgresql
from tests.support.processes import child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager

    import sqlalchemy as sa

pytestmark = pytest.mark.kill

KILLS = 30
ORGANIZATIONS = 6
BATCHES = 600
PAGE = 10
LONGEST = 240.0
"""Seconds in which a process has answered or ended, or never will."""


def begin(sandbox: Sandbox, url: str) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    return child(
        *(sys.executable, "-m", "tests.support.sync_process", sandbox.base_url, sandbox.token_url),
        *(*sandbox.credentials, url, *sandbox.organization_ids),
    )


async def answered(sandbox: Sandbox, pages: int, process: asyncio.subprocess.Process) -> None:
    """Wait until the server has answered so many pages, or the process has ended."""
    async with asyncio.timeout(LONGEST):
        while sandbox.requests.count("batches.list") < pages and process.returncode is None:  # noqa: ASYNC110  # of another process
            await asyncio.sleep(0.001)


async def standing(url: str) -> tuple[dict[str, tuple[int, int]], int]:
    """Return how far each walk is (walks finished, pages of the one under way), and how many rows there are."""

    def look(connection: sa.Connection) -> tuple[dict[str, tuple[int, int]], int]:
        far: dict[str, tuple[int, int]] = {}
        statement = "SELECT organization_id, CAST(checkpoint AS TEXT) FROM lists"
        for organization_id, text in connection.exec_driver_sql(statement):
            checkpoint = msgspec.json.decode(str(text), type=Checkpoint)
            far[str(organization_id)] = (checkpoint.scans, checkpoint.scan.pages if checkpoint.scan else 0)
        return far, int(connection.exec_driver_sql("SELECT count(*) FROM batches").scalar_one())

    async with SqlStore(url) as store:
        return await store.database.run(look)


async def assert_same(sandbox: Sandbox, url: str) -> None:
    """Hold every batch, every entry and every byte in the store against what the server answers."""
    credentials = ClientCredentials(*sandbox.credentials)
    expected: dict[str, tuple[str, bytes, int]] = {}
    async with AmiliClient(credentials, base_url=sandbox.base_url, token_url=sandbox.token_url) as client:
        for organization_id in sandbox.organization_ids:
            async for page in client.batches.list(organization_id).pages():
                for batch, raw in zip(page.items, page.raw_items(), strict=True):
                    entries = len(batch.succeeded) + len(batch.failed)
                    expected[batch.batch_id] = (organization_id, bytes(raw), entries)

    def look(connection: sa.Connection) -> list[tuple[object, ...]]:
        entries = "(SELECT count(*) FROM batch_entries e WHERE e.organization_id = b.organization_id AND batch_id = id)"
        statement = f"SELECT id, organization_id, CAST(raw AS TEXT), {entries} FROM batches b"  # noqa: S608  # our own text
        return [tuple(row) for row in connection.exec_driver_sql(statement)]

    async with SqlStore(url) as store:
        rows = await store.database.run(look)
    assert len(rows) == len(expected) == ORGANIZATIONS * BATCHES
    assert {str(row[0]): (str(row[1]), str(row[2]).encode(), row[3]) for row in rows} == expected


async def test_killed_at_thirty_moments_and_resumed_each_time_it_ends_complete(url: str) -> None:
    chance = random.Random(20251122)  # noqa: S311  # moments, not secrets
    before: dict[str, tuple[int, int]] = {}
    rows_before = killed = 0
    async with Sandbox(organizations=ORGANIZATIONS, batches=BATCHES, entries=2, page_size=PAGE) as sandbox:
        for _ in range(KILLS):
            asked = sandbox.requests.count("batches.list")
            async with begin(sandbox, url) as process:
                # From the first page to the eighth, then some moment within it: before, in and after a transaction.
                await answered(sandbox, asked + chance.randint(1, 8), process)
                await asyncio.sleep(chance.random() * 0.01)
                if process.returncode is None:
                    os.kill(process.pid, signal.SIGKILL)
                killed += await asyncio.wait_for(process.wait(), LONGEST) == -signal.SIGKILL

            far, rows = await standing(url)
            assert all(far[name] >= there for name, there in before.items()), "a cursor went back"
            assert rows >= rows_before
            for name, (walks, pages) in far.items():
                assert walks or pages <= BATCHES // PAGE, f"the walk over {name} began anew"
            before, rows_before = far, rows

        assert killed == KILLS
        async with begin(sandbox, url) as process:
            assert await asyncio.wait_for(process.wait(), LONGEST) == 0
        await assert_same(sandbox, url)


@pytest.fixture
def mortal() -> Iterator[Server]:
    """A PostgreSQL server of one's own, to be stopped."""
    with throwaway_postgresql() as server:
        yield server


@pytest.mark.postgres
async def test_a_database_that_dies_in_the_middle_and_comes_back_costs_a_wait_and_nothing_else(mortal: Server) -> None:
    url = mortal.url()
    async with Sandbox(organizations=ORGANIZATIONS, batches=BATCHES, entries=2, page_size=PAGE) as sandbox:
        async with begin(sandbox, url) as process:
            for pages in (20, 60, 100):
                await answered(sandbox, pages, process)
                assert process.returncode is None
                await asyncio.to_thread(mortal.stop)
                await asyncio.to_thread(mortal.start)

            assert await asyncio.wait_for(process.wait(), LONGEST) == 0
        await assert_same(sandbox, url)
