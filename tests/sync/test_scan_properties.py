"""Whatever the order on the wire, whenever rows come and the process dies: nothing is lost and nothing is twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amili_async._clock import SystemClock
from amili_async.sync._list_sync import ListSync
from amili_async.sync._progress import Counter
from amili_async.sync._scan import OVERLAP_ROWS
from tests.support.scripted_list import EPOCH, Crash, MemoryStore, Order, Paging, ScriptedList, row

if TYPE_CHECKING:
    from amili_async.sync._store import Row


class Step:
    """One run of a sync, and what happens to the server during it."""

    def __init__(
        self,
        *,
        changes: list[tuple[int, str, int]],
        crash_in: int | None,
        crash_after: bool,
        full: bool,
        expire: bool,
        order: Order | None,
    ) -> None:
        self.changes = changes
        self.crash_in = crash_in
        self.crash_after = crash_after
        self.full = full
        self.expire = expire
        self.order: Order | None = order

    def __repr__(self) -> str:
        return f"Step({vars(self)})"


orders: st.SearchStrategy[Order] = st.sampled_from(["newest", "oldest", "shuffled"])
pagings: st.SearchStrategy[Paging] = st.sampled_from(["offset", "keyset"])
changes = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from(["add", "add open", "late", "finish", "forget"]), st.integers(0, 400)),
    max_size=8,
)
steps = st.builds(
    Step,
    changes=changes,
    crash_in=st.none() | st.integers(0, 6),
    crash_after=st.booleans(),
    full=st.sampled_from([False, False, False, True]),
    expire=st.sampled_from([False, False, False, True]),
    order=st.none() | orders,
)


def seconds_of(one: Row) -> float:
    assert one.moment is not None
    return (one.moment - EPOCH).total_seconds()


class World:
    """A server that changes while it is read, and a store that survives whatever happens to the process."""

    def __init__(
        self, *, order: Order, paging: Paging, page_size: int, max_tracked_open: int, rows: int, gap: int
    ) -> None:
        self.made = f"World({order=}, {paging=}, {page_size=}, {max_tracked_open=}, {rows=}, {gap=})"
        self.list = ScriptedList(order=order, paging=paging, page_size=page_size, max_tracked_open=max_tracked_open)
        self.store = MemoryStore()
        self.now = 0
        self.count = 0
        self.gap = gap
        self.forgotten: set[str] = set()
        for number in range(rows):
            self._add(final=number % 5 != 0)

    def __repr__(self) -> str:
        return self.made

    def change(self, kind: str, seconds: int) -> None:
        rows = sorted(self.list.rows.values(), key=lambda one: one.id)
        if kind == "add":
            self._add(seconds, final=True)
        elif kind == "add open":
            self._add(seconds, final=False)
        elif kind == "late":
            # It becomes visible only now, and is older than others: by less than the overlap, in time and in rows.
            self.count += 1
            newest = sorted(map(seconds_of, rows), reverse=True)
            least = max([self.now - 240, *newest[OVERLAP_ROWS - 10 : OVERLAP_ROWS - 9]])
            self.list.add(row(f"row {self.count:04}", max(self.now - seconds % 240, least), final=True))
        elif kind == "finish" and rows:
            self.list.finish(rows[seconds % len(rows)].id)
        elif kind == "forget" and rows and self.list.paging == "keyset":
            # With pages counted from the start a row that goes moves others out of sight, on any server.
            self.forgotten.add(self.list.rows.pop(rows[seconds % len(rows)].id).id)

    def _add(self, seconds: int = 0, *, final: bool) -> None:
        self.now += seconds or self.gap
        self.count += 1
        self.list.add(row(f"row {self.count:04}", self.now, final=final))

    def run(self, step: Step | None = None) -> bool:
        """Sync once; return whether the process survived it."""
        schedule = [] if step is None else sorted(step.changes)
        page = 0

        def before_page() -> None:
            nonlocal page
            while schedule and schedule[0][0] <= page:
                _, kind, seconds = schedule.pop(0)
                self.change(kind, seconds)
            page += 1

        self.list.before_page = before_page
        self.store.crash_in = None if step is None else step.crash_in
        self.store.crash_after = step is not None and step.crash_after
        if step is not None and (step.expire or step.order):
            self.list.expire_tokens()
            self.list.order = step.order or self.list.order
        course = ListSync(
            self.list,
            self.store,
            self.store.bookmark,
            full=step is not None and step.full,
            since=None,
            tally=Counter(),
            clock=SystemClock(),
        )
        try:
            assert asyncio.run(course.run(lambda: True))
        except Crash:
            return False
        finally:
            self.list.before_page = lambda: None
        return True

    def same(self) -> bool:
        kept = {name: one for name, one in self.store.rows.items() if name not in self.forgotten}
        return kept == self.list.rows


worlds = st.builds(
    World,
    order=orders,
    paging=pagings,
    page_size=st.integers(1, 7),
    max_tracked_open=st.sampled_from([0, 2, 200]),
    rows=st.integers(0, 30) | st.just(80),
    gap=st.sampled_from([1, 60, 1000]),
)
history = given(worlds, st.lists(steps, max_size=5))


def nothing_is_lost(world: World, script: list[Step]) -> None:
    for step in script:
        world.run(step)

    world.run()

    assert world.same()
    assert world.store.bookmark.walk is None


@history
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_after_any_history_one_undisturbed_run_makes_store_and_server_equal(world: World, script: list[Step]) -> None:
    nothing_is_lost(world, script)


@pytest.mark.fuzz
@history
@settings(max_examples=1_500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_over_many_more_histories(world: World, script: list[Step]) -> None:
    nothing_is_lost(world, script)
