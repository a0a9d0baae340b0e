"""What syncs added or changed: in order, once each, and nothing missed by whoever goes on from where they stood."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amili_async.errors import ConfigurationError, StoreError
from amili_async.models import Batch, BatchState
from amili_async.sync import Change, SqlStore, changes, sync
from amili_async.sync._sql import changes as module
from amili_async.sync._sql import checkpoints
from amili_async.sync._sql.checkpoints import WRITING
from tests.support.rows import batch, held, portion

if TYPE_CHECKING:
    from datetime import date

    from amili_async import AmiliClient
    from amili_async.sandbox import Sandbox


async def seen(store: SqlStore, since: datetime | date | str | None = None) -> list[Change]:
    return [change async for change in changes(store, since)]


def ids(found: list[Change]) -> list[str]:
    return [change.id for change in found]


async def test_rows_come_in_the_order_of_their_last_change_each_once(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(batch("a"), batch("b")))
        await store.write(portion(batch("c"), batch("a"), batch("b", status="FAILED")))
        found = await seen(store)

        assert ids(found) == ["a", "b", "c"] or ids(found) == ["a", "c", "b"]
        assert ids(found)[0] == "a"
        assert {change.organization_id for change in found} == {"organization"}
        value = next(change for change in found if change.id == "b").read()
        assert isinstance(value, Batch)
        assert value.state is BatchState.FAILED


async def test_whoever_goes_on_from_a_position_meets_what_came_since(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(batch("a"), batch("b")))
        first = await seen(store)
        assert ids(await seen(store, first[0].position)) == ["b"]
        assert await seen(store, first[-1].position) == []

        await store.write(portion(batch("a"), batch("b", status="FAILED"), batch("c")))
        assert sorted(ids(await seen(store, first[-1].position))) == ["b", "c"]


async def test_a_row_that_is_gone_or_back_is_a_change(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(batch("a"), batch("b")))
        before = (await seen(store))[-1].position
        await store.write(portion(gone=("a",)))
        [gone] = await seen(store, before)
        assert (gone.id, gone.gone) == ("a", True)
        await store.write(portion(batch("a")))
        [back] = await seen(store, gone.position)

        assert (back.id, back.gone) == ("a", False)


async def test_since_a_moment_and_since_a_day(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(batch("a")))
        now = datetime.now(UTC)

        assert ids(await seen(store, now - timedelta(hours=1))) == ["a"]
        assert await seen(store, now + timedelta(hours=1)) == []
        assert ids(await seen(store, (now - timedelta(days=2)).date())) == ["a"]


@pytest.mark.amili(organizations=2, batches=6)
async def test_since_a_run(url: str, sandbox: Sandbox, client: AmiliClient) -> None:
    async with SqlStore(url) as store:
        first = await sync(client, sandbox.organization_ids[:1], store)
        second = await sync(client, sandbox.organization_ids[1:], store, resources=("batches", "settlements"))
        assert {(first.run,), (second.run,)} == {*await held(store, "runs", "id")}

        everything = await seen(store)
        assert len(await seen(store, first.run)) == len(everything)
        of_second = await seen(store, second.run)
        assert {change.organization_id for change in of_second} == {sandbox.organization_ids[1]}
        assert {change.resource for change in of_second} == {"batches", "settlements"}
        assert everything[-len(of_second) :] == of_second


async def test_one_resource_and_one_organization_can_be_asked_for(url: str) -> None:
    async with SqlStore(url) as store:
        for name in ("one", "other"):
            await store.begin(name, "batches")
            await store.write(portion(batch(f"of {name}"), organization_id=name))

        assert [change.id async for change in changes(store, organization_id="other")] == ["of other"]
        assert [change.id async for change in changes(store, resources=("cases",))] == []


@pytest.mark.parametrize("since", ["nothing", "5.x", ".5", ""])
async def test_what_is_no_position_and_no_run_is_refused(sqlite_url: str, since: str) -> None:
    async with SqlStore(sqlite_url) as store:
        with pytest.raises(ConfigurationError, match="is no position of a change, and this store knows no run"):
            await seen(store, since)
        with pytest.raises(ConfigurationError, match="with its time zone"):
            await seen(store, datetime(2025, 1, 1))  # noqa: DTZ001  # the mistake


async def test_what_a_person_owes_is_no_part_of_its_repr(sqlite_url: str) -> None:
    async with SqlStore(sqlite_url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(batch("a", failed=[{"message": "Ola Nordmann"}])))
        [found] = await seen(store)

    assert "Ola" in found.raw.decode()
    assert "Ola" not in repr(found)


@given(
    writes=st.lists(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 2)), max_size=4), max_size=8),
    at_once=st.integers(1, 5),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
async def test_a_reader_that_stops_anywhere_ends_with_what_the_store_has(
    writes: list[list[tuple[str, int]]], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    copy: dict[str, bytes] = {}
    position: str | None = None
    async with SqlStore("sqlite://") as store:
        await store.begin("organization", "batches")
        for number, rows in enumerate(writes):
            await store.write(portion(*(batch(row_id, number=value) for row_id, value in dict(rows).items())))
            taken = 0
            async for change in changes(store, position):
                copy[change.id], position = change.raw, change.position
                taken += 1
                if number < len(writes) - 1 and taken > number % 3:
                    break
        kept = await held(store, "batches", "id", "raw")

    assert copy == {str(row_id): str(raw).encode() for row_id, raw in kept}


# Writes at the same time, which PostgreSQL commits in another order than it numbered them in


@pytest.mark.postgres
async def test_a_write_that_commits_behind_a_later_one_is_not_missed(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "WAIT_FOR_WRITES", 600.0)  # however late a busy machine ends the other one
    async with SqlStore(postgresql_url) as store:
        for name in ("slow", "quick"):
            await store.begin(name, "batches")
        other = await asyncpg.connect(postgresql_url)
        transaction = other.transaction()
        await transaction.start()
        # As every write does: the lock that is shared, then a number.
        await other.execute(f"SELECT pg_advisory_xact_lock_shared({WRITING})")
        await other.execute("SELECT nextval('amili_revisions')")
        await store.write(portion(batch("q"), organization_id="quick"))

        reading = asyncio.create_task(seen(store))
        await asyncio.sleep(0.05)
        assert not reading.done(), "a number below the last one may still be committed"
        await transaction.rollback()
        await other.close()
        assert ids(await reading) == ["q"]


@pytest.mark.postgres
async def test_a_write_that_never_ends_is_told_and_holds_nobody_else_back(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "WAIT_FOR_WRITES", 0.05)
    async with SqlStore(postgresql_url, patience=1) as store:
        await store.begin("organization", "batches")
        other = await asyncpg.connect(postgresql_url)
        transaction = other.transaction()
        await transaction.start()
        await other.execute(f"SELECT pg_advisory_xact_lock_shared({WRITING})")
        with pytest.raises(StoreError, match=r"another session holds a lock .* \(SQLSTATE 55P03\)"):
            await seen(store)
        await store.write(portion(batch("a")))
        await transaction.rollback()
        await other.close()

        assert ids(await seen(store)) == ["a"]


@pytest.mark.postgres
async def test_readers_beside_many_writers_miss_nothing(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "WAIT_FOR_WRITES", 600.0)  # of seconds, a busy machine takes one for eight writes

    async def write(store: SqlStore, number: int) -> None:
        name = f"organization {number}"
        await store.begin(name, "batches")
        for page in range(10):
            await store.write(portion(*(batch(f"{number} {page} {row}") for row in range(3)), organization_id=name))

    async with SqlStore(postgresql_url) as store, SqlStore(postgresql_url) as reader:
        writing = asyncio.gather(*(write(store, number) for number in range(8)))
        copy: set[str] = set()
        position: str | None = None
        while not writing.done():
            async for change in changes(reader, position):
                copy.add(change.id)
                position = change.position
        await writing
        async for change in changes(reader, position):
            copy.add(change.id)

        count = sa.text("SELECT count(*) FROM batches")
        assert await reader.database.read(lambda connection: connection.execute(count).scalar_one()) == 240
        assert len(copy) == 240
