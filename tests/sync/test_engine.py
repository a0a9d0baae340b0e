"""Many organizations into a store, against a real server: nothing lost, nothing twice, whoever fails fails alone."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Unpack
from uuid import UUID

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from amili_async import AmiliClient, ClientCredentials
from amili_async._clock import SystemClock, installed
from amili_async._cursor import Cursor
from amili_async.errors import ConfigurationError, StoreError, TokenError, UnauthorizedError
from amili_async.sandbox import Fault, Sandbox
from amili_async.sync import (
    Checkpoint,
    Counts,
    LeaseConflict,
    PageWrite,
    Progress,
    SqlStore,
    SyncReport,
    WriteResult,
    sync,
)
from amili_async.sync import _engine as engine
from amili_async.sync._arguments import beginning
from tests.support.scripted_list import MemoryStore
from tests.support.virtual_time import virtual_loop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
    from pathlib import Path

    from amili_async._client import ClientSettings
    from amili_async.events import AttemptEnded
    from amili_async.sync import Store


@pytest.fixture
def small_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a scan read no more rows beyond what is known than these tests' lists have."""
    monkeypatch.setattr("amili_async.sync._scan.OVERLAP_ROWS", 5)


ALL = ("batches", "invoices", "cases", "settlements")


class Pauseless(SystemClock):
    """A clock on which a client's pauses take no time."""

    async def sleep(self, seconds: float) -> None:
        del seconds
        await asyncio.sleep(0)


@asynccontextmanager
async def connected(sandbox: Sandbox, **settings: Unpack[ClientSettings]) -> AsyncGenerator[AmiliClient]:
    given: ClientSettings = {"base_url": sandbox.base_url, "token_url": sandbox.token_url, **settings}
    with installed(Pauseless()):
        client = AmiliClient(ClientCredentials(*sandbox.credentials), **given)
    async with client:
        yield client


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    """Three organizations with five pages each."""
    return {"organizations": 3, "batches": 50, "entries": 1, "page_size": 10}


@pytest.fixture
def clock() -> Iterator[Pauseless]:
    pauseless = Pauseless()
    with installed(pauseless):
        yield pauseless


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[SqlStore]:
    async with SqlStore(sqlite_url) as opened:
        yield opened


class AfterRequests:
    """A hook that does something when so many requests were answered."""

    def __init__(self, number: int, act: Callable[[], object]) -> None:
        self.left = number
        self.act = act

    def on_attempt(self, _record: AttemptEnded, /) -> None:
        self.left -= 1
        if self.left == 0:
            self.act()


def rows_of(path: Path) -> dict[str, tuple[str, str]]:
    """Return organization and state of every batch in a file, by id; each id must be there once."""
    file = sqlite3.connect(path)
    rows = file.execute("SELECT id, organization_id, state FROM batches").fetchall()
    file.close()
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: (row[1], row[2]) for row in rows}


async def truth(sandbox: Sandbox) -> dict[str, tuple[str, str]]:
    """Return what the server has."""
    async with connected(sandbox) as client:
        return {
            batch.batch_id: (organization_id, str(batch.state))
            async for organization_id, batch in client.batches.stream(sandbox.organization_ids)
        }


@pytest.fixture
def same(sandbox: Sandbox, tmp_path: Path, store: SqlStore) -> Callable[[], object]:
    """Hold the file against the server."""
    del store

    async def check() -> None:
        assert rows_of(tmp_path / "store.db") == await truth(sandbox)

    return check


# Whole runs


async def test_all_batches_of_all_organizations_are_in_the_store_and_counted(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore, tmp_path: Path
) -> None:
    report = await sync(client, sandbox.organization_ids, store)

    assert rows_of(tmp_path / "store.db") == await truth(sandbox)
    assert report.ok
    assert report.organizations == 3
    assert report.resources == {"batches": Counts(rows=150, new=150, pages=15)}
    assert report.requests == 15
    assert report.seconds > 0


@pytest.mark.usefixtures("small_overlap")
async def test_run_again_it_adds_nothing_and_says_so(sandbox: Sandbox, client: AmiliClient, store: SqlStore) -> None:
    await sync(client, sandbox.organization_ids, store)

    report = await sync(client, sandbox.organization_ids, store)

    assert (report.organizations, report.total.new, report.total.changed) == (3, 0, 0)
    assert report.requests == 3


@pytest.mark.usefixtures("small_overlap")
async def test_one_new_batch_in_500_costs_two_list_pages_at_most_and_the_open_ones(sqlite_url: str) -> None:
    async with (
        Sandbox(organizations=1, batches=500, entries=1) as sandbox,
        connected(sandbox) as client,
        SqlStore(sqlite_url) as store,
    ):
        [organization_id] = sandbox.organization_ids
        await sync(client, [organization_id], store)
        sandbox.requests.clear()
        new = sandbox.add_batch(organization_id)
        opened = sandbox.batch_ids(organization_id)[:500][-5:]
        for batch_id in opened[:2]:
            sandbox.finish(batch_id)

        report = await sync(client, [organization_id], store)

        assert report.total.new == 1
        assert report.total.changed == 2
        assert sandbox.requests.count("batches.list") <= 2
        assert sandbox.requests.count("batches.get") <= len(opened)
        assert new in {row[0] for row in await all_rows(store)}


async def all_rows(store: SqlStore) -> list[tuple[object, ...]]:
    def look(connection: object) -> list[tuple[object, ...]]:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT id, state FROM batches")]  # type: ignore[attr-defined]  # a connection

    return await store.database.run(look)


@pytest.mark.parametrize("order", ["oldest", "shuffled"])
async def test_a_server_that_sorts_otherwise_loses_nothing(order: str, tmp_path: Path, sqlite_url: str) -> None:
    async with (
        Sandbox(organizations=2, batches=40, entries=1, page_size=10, order=order, heeds_sort=False) as sandbox,  # type: ignore[arg-type]  # one of its orders
        connected(sandbox) as client,
        SqlStore(sqlite_url) as store,
    ):
        await sync(client, sandbox.organization_ids, store)
        for organization_id in sandbox.organization_ids:
            sandbox.add_batch(organization_id)
        sandbox.requests.clear()

        report = await sync(client, sandbox.organization_ids, store)

        assert rows_of(tmp_path / "store.db") == await truth(sandbox)
        assert report.total.new == 2
        assert report.total.pages == 10


@pytest.mark.parametrize("heeds_sort", [True, False], ids=["newest first", "oldest first"])
async def test_rows_that_come_while_the_walk_runs_are_not_lost(
    heeds_sort: bool,  # noqa: FBT001  # a column of the table
    tmp_path: Path,
    sqlite_url: str,
) -> None:
    async with (
        Sandbox(organizations=1, batches=50, entries=1, page_size=10, order="oldest", heeds_sort=heeds_sort) as sandbox,
        SqlStore(sqlite_url) as store,
    ):
        hook = AfterRequests(3, lambda: [sandbox.add_batch() for _ in range(15)])
        async with connected(sandbox, hooks=(hook,)) as client:
            await sync(client, sandbox.organization_ids, store)
            await sync(client, sandbox.organization_ids, store)

        assert rows_of(tmp_path / "store.db") == await truth(sandbox)
        assert len(rows_of(tmp_path / "store.db")) == 65


async def test_page_tokens_that_expire_restart_a_walk_once_and_the_report_says_so(
    sandbox: Sandbox, store: SqlStore, tmp_path: Path
) -> None:
    async with connected(sandbox, hooks=(AfterRequests(3, sandbox.expire_page_tokens),)) as client:
        report = await sync(client, sandbox.organization_ids[:1], store)

    assert report.ok
    assert [(one.organization_id, one.resource) for one in report.restarts] == [
        (sandbox.organization_ids[0], "batches")
    ]
    assert "refused (400)" in report.restarts[0].reason
    assert len(rows_of(tmp_path / "store.db")) == 50


async def test_all_lists_of_an_organization_are_read(sandbox: Sandbox, client: AmiliClient, store: SqlStore) -> None:
    report = await sync(client, sandbox.organization_ids[:1], store, resources=ALL)

    assert report.organizations == 1
    for resource in ALL:
        assert report.resources[resource].new > 0
        assert await store.count(resource) == report.resources[resource].new

    refetch = await sync(client, sandbox.organization_ids[:1], store, resources=ALL)
    assert {name: (counts.new, counts.changed) for name, counts in refetch.resources.items()} == dict.fromkeys(
        ALL, (0, 0)
    )


@pytest.mark.usefixtures("small_overlap")
async def test_batches_of_an_older_server_are_read_again_over_its_own_route(sqlite_url: str) -> None:
    async with (
        Sandbox(organizations=1, batches=30, entries=1, page_size=5, generation="G1") as sandbox,
        connected(sandbox) as client,
        SqlStore(sqlite_url) as store,
    ):
        hour, now = 3600, 1_760_000_000
        opened = [sandbox.add_batch(state="QUEUED", created_at=now + number * hour) for number in range(3)]
        for number in range(20):
            sandbox.add_batch(created_at=now + (10 + number) * hour)
        await sync(client, sandbox.organization_ids, store)
        sandbox.finish(opened[0])
        sandbox.requests.clear()

        report = await sync(client, sandbox.organization_ids, store)

        assert report.ok
        assert (report.total.changed, report.total.pages) == (1, 1)
        assert report.total.reread == sandbox.requests.count("batches.get_by_id") >= 3
        assert len([request for request in sandbox.requests if request.status == 404]) == 1


async def test_since_leaves_out_what_is_older(sandbox: Sandbox, client: AmiliClient, store: SqlStore) -> None:
    newest = (await client.batches.list(sandbox.organization_ids[0], sort="DESC", limit=12).collect())[-1].created_at

    report = await sync(client, sandbox.organization_ids[:1], store, since=newest)

    assert report.total.new == 12
    assert report.total.pages < 5


async def test_full_reads_every_page_again(sandbox: Sandbox, client: AmiliClient, store: SqlStore) -> None:
    await sync(client, sandbox.organization_ids, store)

    report = await sync(client, sandbox.organization_ids, store, full=True)

    assert (report.total.rows, report.total.new, report.total.pages) == (150, 0, 15)


# What fails


async def test_an_organization_that_fails_fails_alone_and_the_next_run_goes_on_from_its_cursor(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore, tmp_path: Path
) -> None:
    bad = sandbox.organization_ids[1]
    sandbox.faults.add(Fault("batches.list", status=403, organization=bad, page=3))

    report = await sync(client, sandbox.organization_ids, store)

    assert not report.ok
    assert report.organizations == 2
    [failure] = report.failures
    assert (failure.organization_id, failure.resource, failure.error) == (bad, "batches", "ForbiddenError")
    assert isinstance(failure.cursor, Cursor)
    assert len(rows_of(tmp_path / "store.db")) == 120

    sandbox.faults.clear()
    sandbox.requests.clear()
    report = await sync(client, sandbox.organization_ids, store)

    assert report.ok
    assert report.total.new == 30
    assert rows_of(tmp_path / "store.db") == await truth(sandbox)


async def test_one_list_that_fails_does_not_keep_an_organizations_others_from_being_read(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore
) -> None:
    sandbox.faults.add(Fault("cases.list", status=501))

    report = await sync(client, sandbox.organization_ids, store, resources=("cases", "batches"))

    assert report.organizations == 0
    assert {failure.resource for failure in report.failures} == {"cases"}
    assert report.resources["batches"].new == 150


async def test_a_run_stops_when_so_many_organizations_have_failed(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore
) -> None:
    sandbox.faults.add(Fault("batches.list", status=403))

    report = await sync(client, sandbox.organization_ids, store, concurrency=1, max_failures=2)

    assert report.stopped
    assert not report.ok
    assert len(report.failures) == 2
    assert isinstance(await store.begin(sandbox.organization_ids[2], "batches"), Checkpoint)


async def test_a_row_that_cannot_be_read_is_set_aside_and_nothing_fails(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore
) -> None:
    sandbox.faults.add(Fault("batches.list", "bad-row", page=2, count=1))

    report = await sync(client, sandbox.organization_ids[:1], store)

    assert report.ok
    assert report.total.quarantined == 1
    assert report.total.new == 49
    report = await sync(client, sandbox.organization_ids[:1], store, full=True)
    assert (report.total.new, report.total.quarantined) == (1, 0)


async def test_a_server_that_refuses_the_direction_is_asked_without_it(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore
) -> None:
    sandbox.faults.add(Fault("batches.list", status=400, count=1))

    report = await sync(client, sandbox.organization_ids, store, concurrency=1)

    assert report.ok
    assert report.total.new == 150
    assert [request.query.get("SortDirection") for request in sandbox.requests.of("batches.list")][:2] == ["DESC", None]


async def test_refused_credentials_end_the_run(sandbox: Sandbox, store: SqlStore) -> None:
    wrong = ClientCredentials("nobody", "nothing")
    async with AmiliClient(wrong, base_url=sandbox.base_url, token_url=sandbox.token_url) as client:
        with pytest.raises(TokenError):
            await sync(client, sandbox.organization_ids, store)

    async with AmiliClient("unknown", base_url=sandbox.base_url) as client:
        with pytest.raises(UnauthorizedError):
            await sync(client, sandbox.organization_ids, store)


async def test_a_token_endpoint_that_fails_for_a_while_fails_organizations_not_the_run(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore
) -> None:
    sandbox.faults.add(Fault("token", status=503))

    report = await sync(client, sandbox.organization_ids[:1], store)

    assert [failure.error for failure in report.failures] == ["TokenError"]


class FailingStore(MemoryStore):
    """A store whose disk is full after a page."""

    async def write(self, page: PageWrite, /) -> WriteResult | LeaseConflict:
        if self.writes:
            raise StoreError("the disk is full")
        return await super().write(page)


async def test_a_store_that_fails_ends_the_run(sandbox: Sandbox, client: AmiliClient) -> None:
    store: Store = FailingStore()

    with pytest.raises(StoreError, match="the disk is full"):
        await sync(client, sandbox.organization_ids, store)


async def test_ids_that_cannot_be_handed_over_end_the_run(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore
) -> None:
    async def ids() -> AsyncIterator[str]:
        yield sandbox.organization_ids[0]
        raise LookupError("the list of customers broke off")

    with pytest.raises(LookupError, match="the list of customers broke off"):
        await sync(client, ids(), store)


# Who has a turn


async def test_ids_may_come_one_by_one_as_uuids_and_more_than_once(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore
) -> None:
    async def ids() -> AsyncIterator[UUID]:
        for organization_id in sandbox.organization_ids * 2:
            yield UUID(organization_id)

    report = await sync(client, ids(), store)

    assert report.total.new == 150
    assert await store.count("batches") == 150


async def test_a_large_organization_does_not_hold_up_the_rest(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TURN", 1)

    report = await sync(client, sandbox.organization_ids, store, concurrency=1)

    assert report.total.new == 150
    asked = [request.segments[-2] for request in sandbox.requests.of("batches.list") if request.status == 200]
    first = [asked.index(organization_id) for organization_id in sandbox.organization_ids]
    last = max(index for index, organization_id in enumerate(asked) if organization_id == sandbox.organization_ids[0])
    assert last > max(first)


async def test_no_more_organizations_are_walked_at_once_than_asked_for(client: AmiliClient, sandbox: Sandbox) -> None:
    walked: set[str] = set()
    most = 0

    class Counting(MemoryStore):
        async def begin(self, organization_id: str, _resource: str, /) -> Checkpoint | LeaseConflict:
            nonlocal most
            walked.add(organization_id)
            most = max(most, len(walked))
            return Checkpoint()

        async def finish(self, organization_id: str, _resource: str, error: str | None, /) -> None:
            walked.discard(organization_id)
            await super().finish(organization_id, _resource, error)

    await sync(client, sandbox.organization_ids, Counting(), concurrency=2)

    assert most == 2


# Two runs at once


async def test_two_runs_over_the_same_organizations_do_no_harm(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore, sqlite_url: str, tmp_path: Path
) -> None:
    async with SqlStore(sqlite_url) as other:
        reports = await asyncio.gather(
            sync(client, sandbox.organization_ids, store), sync(client, sandbox.organization_ids, other)
        )

    assert all(report.ok for report in reports)
    assert sum(report.total.new for report in reports) == 150
    assert rows_of(tmp_path / "store.db") == await truth(sandbox)


async def test_an_organization_that_another_run_has_to_the_end_is_left_to_it(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = store.begin

    async def begin_and_shorten(organization_id: str, resource: str) -> Checkpoint | LeaseConflict:
        """Tell of a minute's lease, which no busy machine lets run out, that it would soon have run out."""
        found = await begin(organization_id, resource)
        return replace(found, seconds=0.1) if isinstance(found, LeaseConflict) else found

    monkeypatch.setattr(store, "begin", begin_and_shorten)
    async with SqlStore(sqlite_url) as other:
        await other.begin(sandbox.organization_ids[0], "batches")

        report = await sync(client, sandbox.organization_ids, store)

    assert report.ok
    assert [held.organization_id for held in report.held] == [sandbox.organization_ids[0]]
    assert report.held[0].owner
    assert report.organizations == 2


async def test_an_organization_whose_lease_runs_out_meanwhile_is_taken_over(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore, sqlite_url: str
) -> None:
    async with SqlStore(sqlite_url, lease=0.05) as other:
        await other.begin(sandbox.organization_ids[0], "batches")
        await other.database.run(lambda connection: connection.execute(sa.text("UPDATE lists SET fencing_token = 7")))

        report = await sync(client, sandbox.organization_ids, store)

    assert report.held == ()
    assert report.organizations == 3


class LateStore(MemoryStore):
    """A store that once takes so long to tell of another run's lease that it has run out when that is heard."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def begin(self, _organization_id: str, _resource: str, /) -> Checkpoint | LeaseConflict:
        self.asked += 1
        if self.asked == 2:
            await asyncio.sleep(20)
        return LeaseConflict(10) if self.asked < 3 else self.checkpoint


def test_a_lease_that_runs_out_while_the_store_tells_of_it_is_asked_about_once_more() -> None:
    late = LateStore()

    async def main() -> None:
        async with Sandbox(organizations=1, batches=50, page_size=10) as sandbox, connected(sandbox) as client:
            report = await sync(client, sandbox.organization_ids, late)
        assert (report.held, late.asked, len(late.rows)) == ((), 3, 50)

    with asyncio.Runner(loop_factory=virtual_loop) as runner:
        runner.run(main())


class StolenStore(MemoryStore):
    """A store whose list is taken over after a page, and given back when it is asked for again."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0

    async def begin(self, _organization_id: str, _resource: str, /) -> Checkpoint | LeaseConflict:
        self.begun += 1
        return self.checkpoint

    async def write(self, page: PageWrite, /) -> WriteResult | LeaseConflict:
        return LeaseConflict(1.0) if self.begun == 1 and self.writes else await super().write(page)


async def test_an_organization_that_was_taken_over_is_asked_about_once_more(
    sandbox: Sandbox, client: AmiliClient
) -> None:
    store = StolenStore()

    report = await sync(client, sandbox.organization_ids[:1], store)

    assert store.begun == 2
    assert report.organizations == 1
    assert len(store.rows) == 50


# Progress


async def test_progress_is_told_at_the_beginning_and_at_the_end(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore
) -> None:
    told: list[Progress] = []

    await sync(client, sandbox.organization_ids, store, on_progress=told.append)

    assert (told[0].organizations_done, told[0].organizations_total, told[0].rows) == (0, 3, 0)
    assert (told[-1].organizations_done, told[-1].organizations_total, told[-1].rows) == (3, 3, 150)
    assert told[-1].seconds_left == 0


async def test_the_number_of_organizations_is_known_once_all_are_handed_over(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore
) -> None:
    told: list[Progress] = []

    await sync(client, iter(sandbox.organization_ids), store, on_progress=told.append)

    assert told[0].organizations_total is None
    assert told[-1].organizations_total == 3


async def test_retries_and_waits_are_counted(sandbox: Sandbox, client: AmiliClient, store: SqlStore) -> None:
    sandbox.faults.add(Fault("batches.list", status=503, count=1))
    sandbox.faults.add(Fault("batches.list", status=429, retry_after=0.2, count=1, skip=1))
    told: list[Progress] = []

    report = await sync(client, sandbox.organization_ids, store, concurrency=1, on_progress=told.append)

    assert report.retries == told[-1].retries == 2
    assert report.waited == pytest.approx(0.2, abs=0.1)
    assert report.requests == told[-1].requests == 17


async def test_the_client_is_left_without_the_runs_hook(sandbox: Sandbox, client: AmiliClient, store: SqlStore) -> None:
    await sync(client, sandbox.organization_ids[:1], store)

    assert not client.caller.transport.hooks.listening("on_attempt")


async def test_a_function_for_progress_that_fails_is_logged_once_and_ends_nothing(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0

    def fail(_progress: Progress) -> None:
        nonlocal calls
        calls += 1
        raise LookupError("no such terminal")

    report = await sync(client, sandbox.organization_ids, store, on_progress=fail)

    assert report.ok
    assert calls >= 2
    [record] = [record for record in caplog.records if record.name == "amili_async.sync"]
    assert "on_progress failed" in record.getMessage()
    assert record.exc_info is not None


# Leaving early


async def test_cancelled_it_leaves_whole_pages_and_no_lease(
    sandbox: Sandbox, client: AmiliClient, store: SqlStore, sqlite_url: str, tmp_path: Path
) -> None:
    reached = asyncio.Event()
    hook = AfterRequests(7, reached.set)
    with client.caller.transport.hooks.with_one_more(hook):
        run = asyncio.create_task(sync(client, sandbox.organization_ids, store))
        await reached.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    assert len(rows_of(tmp_path / "store.db")) % 10 == 0
    async with SqlStore(sqlite_url) as other:
        for organization_id in sandbox.organization_ids:
            assert isinstance(await other.begin(organization_id, "batches"), Checkpoint)
            await other.finish(organization_id, "batches", None)

        report = await sync(client, sandbox.organization_ids, other)
    assert report.ok
    assert rows_of(tmp_path / "store.db") == await truth(sandbox)


async def test_a_run_that_ends_in_the_middle_gives_back_those_that_wait_for_a_turn(
    sandbox: Sandbox, client: AmiliClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TURN", 1)
    finished: list[str] = []

    class Store3(MemoryStore):
        async def begin(self, organization_id: str, _resource: str, /) -> Checkpoint | LeaseConflict:
            if organization_id == sandbox.organization_ids[2]:
                raise StoreError("the disk is full")
            return Checkpoint()

        async def finish(self, organization_id: str, _resource: str, _error: str | None, /) -> None:
            finished.append(organization_id)
            raise StoreError("the disk is still full")

    with pytest.raises(StoreError, match="the disk is full"):
        await sync(client, sandbox.organization_ids, Store3(), concurrency=1)

    assert sorted(finished) == sorted(sandbox.organization_ids[:2])


# Wrong use


@pytest.mark.parametrize("resources", [(), "batches", ("batches", "debtors")])
async def test_resources_are_a_list_of_those_there_are(resources: object, client: AmiliClient) -> None:
    with pytest.raises(ConfigurationError, match="resources must be a non-empty subset of batches, invoices, cases"):
        await sync(client, [], MemoryStore(), resources=resources)  # type: ignore[arg-type]  # what somebody may pass


@pytest.mark.parametrize("value", [0, -1, True, 1.5])
async def test_counts_are_whole_numbers_from_one(value: object, client: AmiliClient) -> None:
    with pytest.raises(ConfigurationError, match="concurrency must be a whole number of at least 1"):
        await sync(client, [], MemoryStore(), concurrency=value)  # type: ignore[arg-type]  # what somebody may pass
    with pytest.raises(ConfigurationError, match="max_failures must be a whole number of at least 1"):
        await sync(client, [], MemoryStore(), max_failures=value)  # type: ignore[arg-type]  # the same


async def test_a_single_id_is_no_list_of_ids(client: AmiliClient) -> None:
    with pytest.raises(ConfigurationError, match="organization_ids must be several ids"):
        await sync(client, "7bc05553", MemoryStore())


@pytest.mark.parametrize("organization_id", ["", " ", "..", 5])
async def test_an_id_that_is_none_is_refused_before_anything_is_sent(
    organization_id: object, client: AmiliClient, sandbox: Sandbox
) -> None:
    with pytest.raises(ConfigurationError, match="organization_ids"):
        await sync(client, [organization_id], MemoryStore())  # type: ignore[list-item]  # what somebody may pass

    assert sandbox.requests.count("batches.list") == 0


def test_since_is_a_day_or_a_moment_with_its_zone() -> None:
    assert beginning(None) is None
    assert beginning(date(2025, 3, 9)) == datetime(2025, 3, 9, tzinfo=UTC)
    assert beginning(datetime(2025, 3, 9, 5, tzinfo=UTC)) == datetime(2025, 3, 9, 5, tzinfo=UTC)
    with pytest.raises(ConfigurationError, match="since must be a day, or a moment with its time zone"):
        beginning(datetime(2025, 3, 9))  # noqa: DTZ001  # the wrong thing on purpose


async def test_nobody_to_sync_is_nothing_to_do(client: AmiliClient) -> None:
    report = await sync(client, [], MemoryStore())

    assert report == SyncReport(resources={"batches": Counts()}, seconds=report.seconds)
