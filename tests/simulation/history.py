"""Histories: what a server and a job go through together, drawn at random, and what must hold whatever that is.

A history is values only, so that hypothesis can draw and shrink it. `play` lets it happen on virtual time.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

import pytest

from amili_async import AmiliClient, ClientCredentials
from amili_async import _clock as clock_module
from amili_async.errors import UnauthorizedError
from amili_async.sync import SyncReport, sync
from tests.simulation.server import CollectionServer, Death, Fault, List, Order, Paging, Resource, Row
from tests.simulation.store import Killed, Store
from tests.simulation.wire import Answer, session
from tests.support.virtual_time import run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from amili_async.sandbox import VirtualClock
    from amili_async.sync import PageWrite
    from tests.simulation.wire import Request

T = TypeVar("T")

ROOT = "http://127.0.0.1:1"
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0

LATEST = 14 * MINUTE
"""By how much a row may come late and is found all the same: less than the overlap, by the pages that a scan takes."""


class Listing(NamedTuple):
    """What an organization's list is like."""

    resource: Resource = "batches"
    order: Order = "newest"
    heeds_sort: bool = True
    paging: Paging = "offset"
    page_size: int = 5
    reads_by_id: bool = True
    trailing_page: bool = False
    hollow: bool = False
    """Whether an empty page stands before each page but the first."""
    rows: int = 12
    gap: float = HOUR
    """Seconds between two rows."""
    open_every: int = 4
    """Every so many rows one may still change."""
    without_ids: bool = False


ChangeKind = Literal[
    "add",
    "add open",
    "add many",
    "ahead",
    "late",
    "very late",
    "finish",
    "amend",
    "delete",
    "delete open",
    "spoil",
    "mend",
    "kill tokens",
    "reorder",
]


class Change(NamedTuple):
    """Something that happens to a list, before a request of the run."""

    at: int
    kind: ChangeKind
    organization: int = 0
    number: int = 0


TroubleKind = Literal["401", "403", "404", "429", "429 later", "500", "503", "disconnect", "empty", "by id 404", "slow"]


class Trouble(NamedTuple):
    """What the server answers in place of itself."""

    kind: TroubleKind
    organization: int = 0
    skip: int = 0
    times: int = 1


class Step(NamedTuple):
    """One run of the job, what happens during it, how it ends, and how long it is to the next one."""

    changes: tuple[Change, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    end: Literal["by itself", "cancelled", "killed before a write", "killed after a write"] = "by itself"
    after: int = 3
    """Cancelled after so many turns of the event loop, killed in this write."""
    full: bool = False
    refresh: float | None = None
    """Seconds for which rows that may still change are not read again where there are many."""
    death: Death = "400"
    pause: float = HOUR


class History(NamedTuple):
    """Everything."""

    listings: tuple[Listing, ...]
    steps: tuple[Step, ...]
    overlap_rows: int = 6
    max_open: int = 200
    turn: int = 50
    concurrency: int = 2
    date_ahead: float = 0.0
    client_ahead: float = 0.0
    """By how much the job's clock is ahead of the server's."""
    latency: float = 0.0


class World:
    """The server, the store, and what is known of both by whoever looks from outside."""

    def __init__(self, history: History, clock: VirtualClock) -> None:
        self.history = history
        self.clock = clock
        self.server = CollectionServer(clock.time)
        self.server.behind = history.client_ahead
        self.server.date_ahead = history.date_ahead
        self.server.latency = history.latency
        self.store = Store()
        self.store.before_write = self._written
        self.troubled: set[str] = set()
        """Organizations that something went wrong for in this run."""
        self.unsure: set[str] = set()
        """Organizations of whose rows a paging by offset may have skipped some, or a dead token cut off."""
        self.spoiled: set[str] = set()
        """Rows that could not be read for some of this run."""
        self.misled = False
        """Whether the server ever said of a row that it has none of it, and had it."""
        self.listings: dict[str, Listing] = {}
        self._kill: tuple[int, bool] | None = None
        for number, listing in enumerate(history.listings):
            name = f"organization-{number}"
            self.listings[name] = listing
            rows = self._list_of(name)
            for field in ("order", "heeds_sort", "paging", "page_size", "reads_by_id", "trailing_page", "hollow"):
                setattr(rows, field, getattr(listing, field))
            begin = self.server.now - (listing.rows + 1) * listing.gap
            for index in range(listing.rows):
                moment = begin + index * listing.gap
                rows.add(moment, final=not self._is_open(listing, index), has_id=not listing.without_ids)

    @staticmethod
    def _is_open(listing: Listing, number: int) -> bool:
        return number % listing.open_every == 0

    def _list_of(self, organization_id: str) -> List:
        return self.server.list_of(organization_id, self.listings[organization_id].resource)

    # What happens

    def change(self, change: Change, death: Death, *, running: bool) -> None:
        """Let something happen to a list."""
        name = f"organization-{change.organization % len(self.listings)}"
        rows, listing = self._list_of(name), self.listings[name]
        now, number = self.server.now, change.number
        has_id = not listing.without_ids
        present = list(rows.rows.values())
        chosen = present[number % len(present)] if present else None
        open_rows = [row for row in present if not row.final]
        match change.kind:
            case "add" | "add open":
                rows.add(now, final=change.kind == "add", has_id=has_id)
            case "add many":
                for _ in range(4 + number % 20):
                    rows.add(now, has_id=has_id)
            case "ahead":
                ahead = (1 + number % 24) * 10 * MINUTE
                rows.add(now, moment=now + (ahead if number % 3 else 10 * ahead), has_id=has_id)
            case "late":
                rows.add(now, moment=now - number % LATEST, has_id=has_id)
            case "very late":
                rows.add(now, moment=now - HOUR - number * HOUR, has_id=has_id)
            case "finish" if open_rows:
                row = open_rows[number % len(open_rows)]
                row.final, row.version = True, row.version + 1
            case "amend" if chosen is not None:
                chosen.version += 1
            case "delete" | "delete open":
                victims = open_rows if change.kind == "delete open" else present
                if victims:
                    self._delete(name, rows, victims[number % len(victims)], running=running)
            case "spoil" if chosen is not None:
                chosen.readable = False
                self.spoiled.add(chosen.id)
            case "mend":
                for row in present:
                    row.readable = True
            case "kill tokens":
                rows.era, rows.death = rows.era + 1, death
                if running:
                    self.troubled.add(name)
                    if death in ("empty", "first page"):
                        self.unsure.add(name)
            case "reorder":
                rows.era, rows.death = rows.era + 1, "400"
                orders: list[Order] = ["newest", "oldest", "shuffled"]
                rows.order = orders[number % 3]
                if running:
                    self.troubled.add(name)
                    self.unsure.add(name)
            case _:
                pass  # nothing there that it could happen to

    def _delete(self, name: str, rows: List, victim: Row, *, running: bool) -> None:
        del rows.rows[victim.id]
        rows.gone.add(victim.id)
        unfinished = b'"walk"' in self.store.of(name, rows.resource).checkpoint
        if rows.paging == "offset" and (running or unfinished):
            # Those below have moved up, past whoever was about to read on from his offset.
            self.unsure.add(name)

    def _fault(self, trouble: Trouble) -> Fault:
        name = f"organization-{trouble.organization % len(self.listings)}"
        resource = self.listings[name].resource
        path = f"/orgs/{name}/{resource}"
        by_id = trouble.kind == "by id 404"
        self.troubled.add(name)
        if by_id:
            self.misled = True
        answers = {
            "401": Answer(401),
            "403": Answer(403),
            "404": Answer(404),
            "by id 404": Answer(404),
            "429": Answer(429),
            "429 later": Answer(429, headers={"Retry-After": "30"}),
            "500": Answer(500),
            "503": Answer(503, headers={"Retry-After": "2"}),
            "disconnect": Answer(200, b'{"summary": {}, "data": []}', disconnects=True),
            "empty": Answer(200, b'{"summary": {"status": "SUCCESS"}, "data": []}'),
            "slow": Answer(500, latency=45.0),
        }

        def matches(request: Request) -> bool:
            if by_id:
                return request.path.startswith(f"{path}/") or request.path.startswith("/batches/")
            return request.path == path

        if trouble.kind == "empty":
            # In the place of a page in the middle it cuts the list off, and nothing can tell.
            self.unsure.add(name)
        # A 401 is answered to the request with the new token too.
        times = 2 * trouble.times if trouble.kind == "401" else trouble.times
        return Fault(answers[trouble.kind], matches=matches, count=times, skip=trouble.skip)

    def _written(self, page: PageWrite) -> bool:
        rows = self._list_of(page.organization_id)
        if not self.misled and page.organization_id not in self.unsure:
            wrong = [name for name in page.gone if name in rows.rows]
            assert not wrong, f"marked as gone, and on the server: {wrong}"
        if self._kill is None:
            return False
        left, takes_effect = self._kill
        self._kill = (left - 1, takes_effect)
        if left > 0:
            return False
        self.store.dead = not takes_effect
        return takes_effect

    # A run

    async def play(self, step: Step, client: AmiliClient) -> SyncReport | None:
        """Let one run happen; return its report, if it lived to make one."""
        self.troubled.clear()
        self.server.faults = [self._fault(trouble) for trouble in step.troubles]
        waiting = sorted(step.changes)
        asked = 0

        def before(request: Request) -> None:
            nonlocal asked
            if request.path == "/token":
                return
            while waiting and waiting[0].at <= asked:
                self.change(waiting.pop(0), step.death, running=asked > 0)
            asked += 1

        self.server.before = before
        self.spoiled.clear()
        before_run = {name: self._promised(name) for name in self.listings}
        self._kill = None
        if step.end.startswith("killed"):
            self._kill = (step.after, step.end == "killed after a write")
        report = await self._run(client, step)
        self.server.before = lambda _: None
        for change in waiting:
            self.change(change, step.death, running=False)
        self._kill = None
        if self.store.dead:
            self.store.restarted()
        assert not self.store.held, f"leases left: {self.store.held}"
        if report is not None:
            self._check(report, before_run)
        return report

    async def _run(self, client: AmiliClient, step: Step) -> SyncReport | None:
        resources = tuple(dict.fromkeys(listing.resource for listing in self.listings.values()))
        working = asyncio.create_task(
            sync(
                client,
                list(self.listings),
                self.store,
                resources=resources,
                concurrency=self.history.concurrency,
                full=step.full,
                refresh=None if step.refresh is None else timedelta(seconds=step.refresh),
            )
        )
        if step.end == "cancelled":
            for _ in range(step.after * 10):
                await asyncio.sleep(0)
            working.cancel()
        try:
            return await working
        except asyncio.CancelledError:
            assert step.end == "cancelled"
        except Killed:
            assert step.end.startswith("killed")
        except UnauthorizedError:
            # Nobody was answered, which takes that something went wrong for everybody.
            assert self.troubled == set(self.listings)
        return None

    def mend(self) -> None:
        """Let every row be readable."""
        for name in self.listings:
            for row in self._list_of(name).rows.values():
                row.readable = True

    async def reconcile(self, client: AmiliClient) -> None:
        """Run with nobody to disturb it, and believe whatever the server says is gone."""
        resources = tuple(dict.fromkeys(listing.resource for listing in self.listings.values()))
        report = await sync(client, list(self.listings), self.store, resources=resources, max_gone=1.0)
        assert report.ok, report.failures

    # What must hold

    def _promised(self, name: str) -> dict[str, Row]:
        """Return the rows that a run that begins now must not miss."""
        rows = self._list_of(name)
        return {row.id: row for row in rows.rows.values() if row.readable and self._is_in_time(rows, row)}

    def _is_in_time(self, rows: List, row: Row) -> bool:
        return rows.resource == "settlements" or row.appeared - row.moment <= LATEST

    def _check(self, report: SyncReport, before_run: dict[str, dict[str, Row]]) -> None:
        """Hold a run's report against what is kept."""
        failed = {failure.organization_id for failure in report.failures}
        for failure in report.failures:
            innocent = failure.organization_id not in self.troubled
            assert not innocent or failure.error == "ReconciliationError", failure
        for name, promised in before_run.items():
            if name in failed or name in self.unsure:
                continue
            rows = self._list_of(name)
            there = [row for row in promised.values() if row.id in rows.rows and row.id not in self.spoiled]
            missing = [row.id for row in there if not self._kept(name, row)]
            assert not missing, f"{name} is synced, without {missing}"

    def _kept(self, name: str, row: Row) -> bool:
        kept = self.store.of(name, self.listings[name].resource)
        if row.has_id:
            return row.id in kept.rows or not row.readable
        return bool(kept.rows)

    def assert_open_rows_are_fresh(self) -> None:
        """Look whether what may still change is as the server has it, where runs look at it each time."""
        for name in self.listings:
            rows = self._list_of(name)
            kept = self.store.of(name, rows.resource)
            for row in rows.rows.values():
                if name in self.unsure or not row.has_id or not self._is_in_time(rows, row):
                    continue
                assert row.id in kept.rows, (name, row)
                if not row.final:
                    assert _version(kept.rows[row.id].raw) == row.version, (name, row)

    def assert_same(self) -> None:
        """Look whether store and server are equal, row for row, and what is gone is known to be."""
        for name in self.listings:
            rows = self._list_of(name)
            kept = self.store.of(name, rows.resource)
            if self.listings[name].without_ids:
                continue
            there = {row_id: row for row_id, row in kept.rows.items() if row_id not in kept.gone}
            assert sorted(there) == sorted(rows.rows), name
            for row_id, row in rows.rows.items():
                assert _version(there[row_id].raw) == row.version, (name, row)


def _version(raw: bytes) -> int:
    _, found, rest = raw.partition(b'"description": "version ')
    return int(rest.partition(b'"')[0]) if found else 0


def play(history: History) -> None:
    """Let a history happen, then let everything be well, and look whether nothing was lost."""

    async def main(clock: VirtualClock) -> None:
        with clock_module.installed(clock):
            await _play(World(history, clock), clock)

    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("amili_async.sync._scan.OVERLAP_ROWS", history.overlap_rows)
        patch.setattr("amili_async.sync._scan.MAX_OPEN", history.max_open)
        patch.setattr("amili_async.sync._engine.TURN", history.turn)
        run(main)


async def _play(world: World, clock: VirtualClock) -> None:
    async def in_a_process(work: Callable[[AmiliClient], Coroutine[None, None, T]]) -> T:
        async with (
            session(world.server) as opened,
            AmiliClient(
                ClientCredentials("client", "secret"),
                base_url=ROOT,
                token_url=f"{ROOT}/token",
                session=opened,
                trust_env=False,
            ) as client,
        ):
            return await work(client)

    for step in world.history.steps:
        await in_a_process(partial(world.play, step))
        await clock.sleep(step.pause)
    world.mend()
    for _ in range(2):
        assert await in_a_process(partial(world.play, Step())) is not None
        await clock.sleep(MINUTE)
    world.assert_open_rows_are_fresh()
    await clock.sleep(8 * DAY)
    for _ in range(2):
        await in_a_process(world.reconcile)
        await clock.sleep(MINUTE)
    world.assert_same()
