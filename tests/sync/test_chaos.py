"""Under fire a sync ends with every row once, and the command line says in one line what happened.

Server, database and pooler are not ours; they are killed, frozen, filled and restarted in the middle of a run, and
clocks step. What the store holds is held against what the server lists.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, closing, suppress
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import asyncpg
import pytest

from amili_async import AmiliClient, RetryPolicy, StoreError
from amili_async.sync import SqlStore, sync
from tests.outside.collection_server import PREFIX
from tests.outside.programs import temporary_folder, wait_for
from tests.outside.upstream import Upstream, running_upstream
from tests.support.full_disk import Ran, on_a_full_disk
from tests.support.postgresql import Server, nobody_else_at, throwaway_pgbouncer, throwaway_postgresql
from tests.support.processes import popen
from tests.sync.conftest import new_database

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.kill, pytest.mark.outside]

ORGANIZATIONS = [f"organization-{number}" for number in range(6)]
BATCHES = 150
PAGE = 10
PAGES = len(ORGANIZATIONS) * BATCHES // PAGE
SLOWLY = 0.05
"""Seconds that the server takes for each answer, so that things happen in the middle of a run."""
SLOWER = 0.4
"""Seconds that it takes from the page on at which something is to happen, so that a late look finds much left."""
ENDS = 300.0
"""Seconds in which a command has ended, or never will."""
AMILI = (sys.executable, "-c", "import sys; from amili_async.cli import main; sys.exit(main())")
SYNC = ("sync", *(word for name in ORGANIZATIONS for word in ("--org", name)))


class Begin(Protocol):
    """Starts ``amili sync`` of all organizations, which is gone with the test."""

    def __call__(self, server: Upstream, *words: str, **environment: str) -> subprocess.Popen[str]: ...


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Start commands that are gone with the test, also where it fails."""
    with ExitStack() as running:

        def start(server: Upstream, *words: str, **environment: str) -> subprocess.Popen[str]:
            given = {**os.environ, **environment_of(server), **environment}
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            return running.enter_context(popen(*AMILI, *SYNC, *words, env=given, **pipes))

        yield start


@pytest.fixture
def server() -> Iterator[Upstream]:
    """An API that shares no code with the sandbox, in a process of its own, slow enough to be disturbed."""
    with running_upstream(batches=BATCHES, entries=1, page_size=PAGE) as upstream:
        upstream.rules({"delay": SLOWLY})
        yield upstream


@pytest.fixture(scope="module")
def database() -> Iterator[Server]:
    """A PostgreSQL server to be stopped, filled and frozen."""
    with throwaway_postgresql() as running:
        yield running


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def environment_of(server: Upstream) -> dict[str, str]:
    """Return what leads the command line to a server."""
    return {
        "AMILI_CLIENT_ID": "outside",
        "AMILI_CLIENT_SECRET": "secret",
        "AMILI_BASE_URL": f"{server.url}{PREFIX}",
        "AMILI_TOKEN_URL": f"{server.url}/token",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }


def ended(process: subprocess.Popen[str]) -> Ran:
    """Return what came of a command."""
    printed, said = process.communicate(timeout=ENDS)
    assert "Traceback" not in said, said
    return Ran(process.returncode, printed, said)


def slow_from(server: Upstream, pages: int) -> None:
    """Have the server answer quickly until it was asked for so many pages in all, and slowly from then on."""
    quick = max(0, pages - len(server.seen("GET")))
    server.rules({"method": "GET", "skip": quick, "delay": SLOWER}, {"delay": SLOWLY})


def answered(server: Upstream, pages: int) -> None:
    """Wait until the server was asked for so many pages."""
    wait_for(lambda: len(server.seen("GET")) >= pages, f"{pages} pages", within=ENDS)


def new_rows(run: Ran) -> int:
    """Return how many new rows a run says that it has written."""
    found = re.search(r"batches: ([\d,]+) new", run.printed)
    return int(found[1].replace(",", "")) if found else 0


def without_progress(said: str) -> list[str]:
    """Return what a run has said beside how far it was and that a database is slow, which a slow machine tells."""
    beside = r"\d of \d organizations, |.* has not answered for \d+ seconds: "
    return [line for line in said.splitlines() if not re.match(beside, line)]


STATEMENT = (
    "SELECT b.organization_id, b.id, (SELECT count(*) FROM batch_entries e "
    "WHERE e.organization_id = b.organization_id AND e.batch_id = b.id) FROM batches b"
)


def stored(store: str) -> Counter[tuple[str, str, int]]:
    """Return organization, id and number of entries of every batch in a store."""
    if "://" not in store:
        with closing(sqlite3.connect(store)) as file:
            assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return Counter(tuple(row) for row in file.execute(STATEMENT))

    async def fetch() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(store)
        rows: list[asyncpg.Record] = await connection.fetch(STATEMENT)
        await connection.close()
        return rows

    return Counter((row[0], row[1], row[2]) for row in asyncio.run(fetch()))


def assert_complete(server: Upstream, store: str = "amili.db") -> None:
    """Hold a store against the server's lists: every row, once, with its entries."""
    listed = Counter((name, batch_id, 1) for name in ORGANIZATIONS for batch_id in server.batch_ids(name))
    assert stored(store) == listed


# The server


def test_a_server_that_dies_fails_whom_it_was_answering_with_a_line_each_and_the_same_command_goes_on(
    server: Upstream, begin: Begin
) -> None:
    slow_from(server, PAGES // 3)
    process = begin(server)
    answered(server, PAGES // 3)
    server.kill()
    first = ended(process)
    server.start()
    last = ended(begin(server))

    assert (first.status, last.status) == (1, 0)
    heading, *lines = without_progress(first.said)
    assert heading == f"{len(lines)} failed and will be tried again by the next run:"
    for line in lines:
        assert re.match(r" *organization-\d batches\.list: .*no connection to 127\.0\.0\.1:\d+: ", line), line
    assert len(lines) == len({line.split()[0] for line in lines})
    assert 0 < new_rows(first) < len(ORGANIZATIONS) * BATCHES
    assert new_rows(first) + new_rows(last) == len(ORGANIZATIONS) * BATCHES
    assert_complete(server)


def test_a_server_that_is_frozen_for_a_while_costs_that_while_and_nothing_else(server: Upstream, begin: Begin) -> None:
    slow_from(server, PAGES // 5)
    process = begin(server)
    for pages, later in ((PAGES // 5, PAGES // 2), (PAGES // 2, PAGES)):
        answered(server, pages)
        server.freeze()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        server.thaw()
        slow_from(server, later)

    assert (ended(process).status, len(server.seen("GET"))) == (0, PAGES)
    assert_complete(server)


async def test_a_server_that_stays_frozen_fails_everybody_within_the_deadline_and_later_all_is_there(
    server: Upstream,
) -> None:
    async with (
        AmiliClient(
            "outside",
            base_url=f"{server.url}{PREFIX}",
            timeout=1.0,
            deadline=3.0,
            retry=RetryPolicy(attempts=2, max_wait=0.05),
        ) as client,
        SqlStore("sqlite:///amili.db") as store,
    ):
        slow_from(server, PAGES // 5)
        running = asyncio.create_task(sync(client, ORGANIZATIONS, store))
        await asyncio.to_thread(answered, server, PAGES // 5)
        server.freeze()
        report = await asyncio.wait_for(running, ENDS)
        server.thaw()
        slow_from(server, PAGES)
        later = await sync(client.with_options(timeout=30.0, deadline=60.0), ORGANIZATIONS, store)

    assert {failure.organization_id for failure in report.failures} == set(ORGANIZATIONS)
    assert {failure.error for failure in report.failures} <= {"TransportError", "DeadlineExceededError"}
    assert later.ok
    await asyncio.to_thread(assert_complete, server)


# The database


@pytest.mark.postgres
def test_a_database_that_dies_in_the_middle_is_waited_for(server: Upstream, database: Server, begin: Begin) -> None:
    store = new_database(database)
    slow_from(server, PAGES // 4)
    process = begin(server, "--store", store)
    for pages, later in ((PAGES // 4, PAGES // 2), (PAGES // 2, PAGES)):
        answered(server, pages)
        database.stop()
        database.start()
        slow_from(server, later)

    assert (ended(process).status, len(server.seen("GET"))) == (0, PAGES)
    assert_complete(server, store)


@pytest.mark.postgres
def test_a_database_that_is_not_there_is_one_line(server: Upstream, database: Server, begin: Begin) -> None:
    store = new_database(database)
    database.stop()
    try:
        run = ended(begin(server, "--store", store))
    finally:
        database.start()

    assert (run.status, run.printed) == (1, "")
    assert run.said == "Error: PostgreSQL cannot be reached (ConnectionRefusedError)\n"
    assert server.seen("GET") == []


@pytest.mark.postgres
async def test_a_database_that_stays_away_ends_the_run_and_the_next_one_goes_on(
    server: Upstream, database: Server
) -> None:
    url = await asyncio.to_thread(new_database, database)

    async def run_into_it(client: AmiliClient) -> None:
        # So patient that it surely tries to connect again; the lease, which it cannot give back, ends itself meanwhile.
        async with SqlStore(url, patience=7, lease=3) as store:
            await asyncio.to_thread(slow_from, server, PAGES // 3)
            running = asyncio.create_task(sync(client, ORGANIZATIONS, store))
            await asyncio.to_thread(answered, server, PAGES // 3)
            await asyncio.to_thread(database.stop)
            await asyncio.wait_for(running, ENDS)

    async with AmiliClient("outside", base_url=f"{server.url}{PREFIX}") as client:
        try:
            with pytest.raises(StoreError, match="PostgreSQL cannot be reached"):
                await run_into_it(client)
        finally:
            await asyncio.to_thread(database.start)
        await asyncio.to_thread(slow_from, server, PAGES)
        before = sum((await asyncio.to_thread(stored, url)).values())
        async with SqlStore(url) as store:
            report = await sync(client, ORGANIZATIONS, store)

    assert report.ok
    assert before > 0
    assert report.total.new == len(ORGANIZATIONS) * BATCHES - before
    await asyncio.to_thread(assert_complete, server, url)


@pytest.mark.postgres
def test_a_pooler_that_is_restarted_again_and_again_is_waited_for(
    server: Upstream, database: Server, begin: Begin
) -> None:
    if shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip("no PgBouncer on this machine: apt-get install pgbouncer")
    store = new_database(database)
    with throwaway_pgbouncer(database) as pooler:
        moments = (PAGES // 4, PAGES // 2, 3 * PAGES // 4, PAGES)
        slow_from(server, moments[0])
        process = begin(server, "--store", f"{pooler.url(store.rpartition('/')[2])}?pgbouncer=true")
        for pages, later in pairwise(moments):
            answered(server, pages)
            pooler.stop()
            pooler.start()
            slow_from(server, later)
        run = ended(process)

    assert (run.status, len(server.seen("GET"))) == (0, PAGES)
    assert_complete(server, store)


# The disk


def test_a_full_disk_is_one_line_and_with_room_the_same_command_goes_on(server: Upstream, folder: Path) -> None:
    full, room, kept = on_a_full_disk(folder, (*AMILI, *SYNC), size="600k", environment=environment_of(server))

    assert (full.status, full.printed) == (1, "")
    assert without_progress(full.said) == ["Error: the SQLite store: database or disk is full"]
    assert (room.status, without_progress(room.said)) == (0, [])
    assert 0 < new_rows(room) < len(ORGANIZATIONS) * BATCHES, "the disk was full before anything was written"
    assert_complete(server, str(kept / "amili.db"))


LEFT = 300_000
"""Bytes that are free on the database's disk: for some pages, and not for all."""


def mount(*words: str) -> None:
    """Mount something, or change what is mounted."""
    subprocess.run(("mount", *words), check=True)  # noqa: S603, S607  # wherever it is


async def open_and_close(store: str) -> None:
    """Make a store's tables."""
    async with SqlStore(store):
        pass


@pytest.mark.postgres
def test_a_database_whose_disk_is_full_is_one_line_and_with_room_the_same_command_goes_on(
    server: Upstream, begin: Begin
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount what PostgreSQL's own user writes to, so its full disk was not tried")
    with ExitStack() as stack:
        small = stack.enter_context(temporary_folder("small"))
        mount("-t", "tmpfs", "-o", "size=16m", "none", str(small))
        stack.callback(subprocess.run, ("umount", small), check=True)
        database = stack.enter_context(throwaway_postgresql())
        database.give(small, mode=0o700)
        store = new_database(database, tablespace=small)
        asyncio.run(open_and_close(store))
        space = os.statvfs(small)
        (small / "filler").write_bytes(b"0" * (space.f_bavail * space.f_bsize - LEFT))
        full = ended(begin(server, "--store", store))
        before = sum(stored(store).values())
        mount("-o", "remount,size=64m", "none", str(small))
        room = ended(begin(server, "--store", store))
        assert_complete(server, store)

    assert (full.status, full.printed) == (1, "")
    assert without_progress(full.said) == [
        "Error: PostgreSQL has run out of disk, memory or connections (SQLSTATE 53100)"
    ]
    assert room.status == 0
    assert before > 0
    assert new_rows(room) == len(ORGANIZATIONS) * BATCHES - before


def test_invoices_whose_journal_has_no_room_are_not_sent_and_none_is_sent_twice_once_it_has(
    server: Upstream, folder: Path
) -> None:
    server.rules()
    kept = folder / "kept"
    kept.mkdir()
    numbers = [f"INV-{number}" for number in range(150)]
    row = '{{"invoiceNumber": "{}", "originalInvoiceAmount": 100, "currency": "NOK"}}\n'
    (kept / "invoices.jsonl").write_text("".join(row.format(number) for number in numbers), "utf-8")
    command = (*AMILI, "invoices", "create", ORGANIZATIONS[0], "--file", "invoices.jsonl", "--chunk-size", "1", "--yes")
    full, room, _ = on_a_full_disk(folder, command, size="28k", environment=environment_of(server))

    # Of the write for which the disk was full the journal knows that it was to be sent, or nothing.
    last = full.said.splitlines()[-1]
    assert (full.status, last.startswith("Error: "), "Traceback" in full.said) == (1, True, False)
    assert "No space left on device" in last or "the disk took" in last
    accepted = full.printed.count("accepted")
    assert 0 < accepted < len(numbers)
    assert room.status == ("may have been sent" in room.said)
    sent = [json.loads(request.body)["invoices"] for request in server.seen("POST")]
    assert Counter(each["invoiceNumber"] for rows in sent for each in rows) == Counter(numbers)
    assert accepted + room.printed.count("accepted") == len(numbers)


# The clock


def faketime(offset: Path) -> dict[str, str]:
    """Return the environment in which a process sees a time that is off by what a file says; pauses stay as they are.

    Where the library is left to find out which clock a thread waits by, it takes the wrong one: whoever waits for
    Python's lock never sleeps, and everything takes twenty times as long.
    """
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        raise FileNotFoundError("no libfaketime on this machine: `apt-get install faketime`")
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",  # seconds after which it looks at the file again
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
    }


@pytest.mark.parametrize("step", [timedelta(days=2), timedelta(days=-2)], ids=["ahead", "back"])
def test_a_clock_that_steps_in_the_middle_of_a_run_changes_nothing(
    server: Upstream, folder: Path, begin: Begin, step: timedelta
) -> None:
    slow_from(server, PAGES // 6)
    offset = folder / "offset"
    offset.write_text("+0", "ascii")
    process = begin(server, **faketime(offset))
    answered(server, PAGES // 6)
    (folder / "later").write_text(f"{step.days:+d}d", "ascii")
    (folder / "later").replace(offset)  # whole, as it may be read at any moment
    run = ended(process)

    assert (run.status, new_rows(run)) == (0, len(ORGANIZATIONS) * BATCHES)
    assert_complete(server)
    with closing(sqlite3.connect("amili.db")) as file:
        ((earliest, latest),) = file.execute("SELECT min(synced_at), max(synced_at) FROM batches").fetchall()
        leases = file.execute("SELECT count(*) FROM lists WHERE owner IS NOT NULL").fetchall()
    apart = datetime.fromisoformat(latest) - datetime.fromisoformat(earliest)
    assert apart > abs(step) / 2, "the clock has not stepped"
    assert leases == [(0,)]
    again = ended(begin(server))
    assert (again.status, new_rows(again)) == (0, 0)
    assert_complete(server)


@pytest.mark.parametrize("step", [timedelta(days=2), timedelta(days=-2)], ids=["ahead", "back"])
def test_a_run_that_was_killed_before_the_clock_stepped_is_taken_up(
    server: Upstream, folder: Path, begin: Begin, step: timedelta
) -> None:
    slow_from(server, PAGES // 3)
    offset = folder / "offset"
    offset.write_text(f"{step.days:+d}d", "ascii")
    process = begin(server, **faketime(offset))
    answered(server, PAGES // 3)
    process.kill()
    process.communicate(timeout=ENDS)
    slow_from(server, PAGES)
    run = ended(begin(server))

    assert (run.status, without_progress(run.said)) == (0, [])
    assert 0 < new_rows(run) < len(ORGANIZATIONS) * BATCHES
    assert_complete(server)


# A cluster

CLUSTER = """
import time
from distributed import LocalCluster
if __name__ == "__main__":
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0")
    print(cluster.scheduler_address, flush=True)
    time.sleep(600)
"""


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text("ascii").split())
    return found


@pytest.mark.dask
@pytest.mark.postgres
def test_a_killed_scheduler_is_one_line_and_a_command_without_it_goes_on(
    server: Upstream, database: Server, begin: Begin
) -> None:
    store = new_database(database)
    slow_from(server, PAGES // 3)
    given = {**os.environ, **environment_of(server)}
    with popen(
        *(sys.executable, "-c", CLUSTER), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=given
    ) as cluster:
        assert cluster.stdout is not None
        address = cluster.stdout.readline().strip()
        process = begin(server, "--store", store, "--dask", address)
        answered(server, PAGES // 3)
        workers = children(cluster.pid)
        cluster.kill()
        run = ended(process)
        for worker in workers:  # as the machine that they were on would be lost with them
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    assert (run.status, run.printed) == (1, "")
    assert without_progress(run.said) == [
        "Error: the Dask cluster was lost; run again, and it goes on from where it stood"
    ]
    asyncio.run(nobody_else_at(store))
    before = sum(stored(store).values())
    assert 0 < before < len(ORGANIZATIONS) * BATCHES
    slow_from(server, PAGES)
    last = ended(begin(server, "--store", store))
    assert (last.status, new_rows(last)) == (0, len(ORGANIZATIONS) * BATCHES - before)
    assert_complete(server, store)


@pytest.mark.dask
@pytest.mark.postgres
def test_a_killed_worker_is_made_up_for_by_the_same_command(server: Upstream, database: Server, begin: Begin) -> None:
    store = new_database(database)
    slow_from(server, PAGES // 3)
    process = begin(server, "--store", store, "--dask", "local:2")
    answered(server, PAGES // 3)
    worker = max(children(process.pid), key=lambda pid: len(list(Path(f"/proc/{pid}/task").iterdir())))
    os.kill(worker, signal.SIGKILL)
    slow_from(server, PAGES)
    run = ended(process)

    assert run.status == 0
    assert_complete(server, store)
