"""Leases come back: whoever is cancelled, at whatever moment, leaves no list behind for the next run to wait for."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from amili_async.errors import StoreError
from amili_async.sync import Checkpoint, LeaseConflict, SqlStore, sync
from amili_async.sync._sql.lease_owner import LeaseOwner
from amili_async.sync._sql.leases import Leases
from tests.support.rows import batch, held, portion

if TYPE_CHECKING:
    import sqlalchemy as sa

    from amili_async import AmiliClient
    from amili_async.sandbox import Sandbox


async def owners(store: SqlStore) -> set[object]:
    return {row[0] for row in await held(store, "lists", "owner")}


@pytest.mark.amili(organizations=4, batches=12, page_size=4)
async def test_a_sync_cancelled_after_any_number_of_turns_gives_every_list_back(
    url: str, sandbox: Sandbox, client: AmiliClient
) -> None:
    async with SqlStore(url) as store:
        ended = False
        turns = 0
        while not ended:
            running = asyncio.create_task(sync(client, sandbox.organization_ids, store, concurrency=4, full=True))
            for _ in range(turns):
                await asyncio.sleep(0)
            running.cancel()
            [outcome] = await asyncio.gather(running, return_exceptions=True)
            ended = not isinstance(outcome, BaseException)
            turns += 1 + turns // 8

            assert await owners(store) <= {None}, f"cancelled after {turns} turns"


async def test_a_list_taken_on_for_somebody_who_was_cancelled_meanwhile_is_given_back(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database commits, and nobody is there any more to hear of it."""
    committing, cancelled = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    take = Leases.take

    def take_slowly(leases: Leases, connection: sa.Connection, name: tuple[str, str]) -> object:
        lease = take(leases, connection, name)
        loop.call_soon_threadsafe(committing.set)
        if url.startswith("sqlite"):
            cancelled.wait(10)
        return lease

    monkeypatch.setattr(Leases, "take", take_slowly)
    async with SqlStore(url) as store, SqlStore(url) as other:
        beginning = asyncio.create_task(store.begin("organization", "batches"))
        await committing.wait()
        for _ in range(3):
            beginning.cancel()
            await asyncio.sleep(0)
        cancelled.set()
        with pytest.raises(asyncio.CancelledError):
            await beginning

        assert await owners(store) == {None}
        assert await other.begin("organization", "batches") == Checkpoint()


async def test_whoever_was_refused_and_cancelled_gives_nothing_back(url: str) -> None:
    async with SqlStore(url) as store, SqlStore(url) as other:
        await other.begin("organization", "batches")
        beginning = asyncio.create_task(store.begin("organization", "batches"))
        await asyncio.sleep(0)
        beginning.cancel()
        await asyncio.gather(beginning, return_exceptions=True)

        assert not isinstance(await other.write(portion(batch("a"))), LeaseConflict)


async def test_a_list_that_could_not_be_given_back_is_given_back_when_the_store_is_closed(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the database is away")

    async with SqlStore(url) as other:
        async with SqlStore(url) as store:
            await store.begin("organization", "batches")
            with monkeypatch.context() as patched:
                patched.setattr(Leases, "finish", fail)
                with pytest.raises(StoreError):
                    await store.finish("organization", "batches", None)

        assert await other.begin("organization", "batches") == Checkpoint()


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        ("{here}", "process 7 on this machine"),
        ("web-1 {boot} pid:[1]", "process 7 in another container of this machine (web-1)"),
        ("web-1 another-boot pid:[1]", "process 7 on web-1"),
        ("web-1", "process 7 on web-1"),
    ],
)
async def test_who_has_a_list_is_told_with_the_machine_and_the_container(url: str, machine: str, words: str) -> None:
    here = LeaseOwner.here()
    _, boot, _ = here.machine.split(" ")
    machine = machine.format(here=here.machine, boot=boot)
    elsewhere = replace(here, machine=machine, process=7)
    if machine == here.machine:
        elsewhere = replace(elsewhere, process=here.process)
        words = words.replace("7", str(here.process))
    async with SqlStore(url) as store, SqlStore(url) as other:
        await other.begin("organization", "batches")
        statement = "UPDATE lists SET owner = '{}'".format(elsewhere.encode())  # noqa: UP032, S608  # our own text
        await store.database.run(lambda connection: connection.exec_driver_sql(statement))

        conflict = await store.begin("organization", "batches")
        assert isinstance(conflict, LeaseConflict)
        assert conflict.owner == words


async def test_a_list_that_was_taken_on_again_is_held_like_the_first_time(url: str) -> None:
    async with SqlStore(url) as store, SqlStore(url) as other:
        for holder, stranger in ((store, other), (other, store)):
            assert await holder.begin("organization", "batches") == Checkpoint()
            refused = await stranger.begin("organization", "batches")
            assert isinstance(refused, LeaseConflict)
            assert 0 < refused.seconds <= 60
            await holder.finish("organization", "batches", None)
            assert await held(store, "lists", "owner", "expires_at") == [(None, 0)]
