"""One list, scanned from its checkpoint to its end."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from amili_async._clock import SystemClock
from amili_async._cursor import Cursor
from amili_async.errors import APIError, BadRequestError, ConfigurationError, ForbiddenError
from amili_async.events import QuarantinedRow
from amili_async.sync._list_sync import LeaseLostError, ListSync, Request, Surroundings
from amili_async.sync._progress import Counter
from amili_async.sync._sources import NotRead
from amili_async.sync._store import LeaseConflict, PageWrite, Row, WriteResult
from tests.support.scripted_list import EPOCH, MemoryStore, ScriptedList, row

SPACING = 1000
"""Seconds between rows: more than the overlap, so that a scan need not read on for that."""


@pytest.fixture(autouse=True)
def small_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a scan read no more rows beyond what is known than a page of these tests has."""
    monkeypatch.setattr("amili_async.sync._scan.OVERLAP_ROWS", 5)


class Scene:
    """A list, a store, and what runs over them count."""

    def __init__(self, *, rows: int = 30, page_size: int = 10, open_rows: tuple[int, ...] = ()) -> None:
        self.list = ScriptedList(page_size=page_size)
        self.store: MemoryStore = MemoryStore()
        self.counter = Counter()
        self.clock = SystemClock()
        self.read_cost = 1 / 16
        for number in range(rows):
            self.add(number, final=number not in open_rows)

    def add(self, number: int, *, final: bool = True) -> None:
        self.list.add(row(f"row {number:03}", number * SPACING, final=final))

    def list_sync(self, *, full: bool = False, since: int | None = None) -> ListSync:
        self.counter = Counter()
        self.list.served.clear()
        self.list.asked_again.clear()
        self.list.ahead.clear()
        return ListSync(
            self.list,
            self.store.checkpoint,
            Request(full=full, since=None if since is None else EPOCH + timedelta(seconds=since * SPACING)),
            Surroundings(
                store=self.store,
                counter=self.counter,
                clock=self.clock,
                reads=asyncio.Semaphore(8),
                server_time=self.list.server_time,
                read_cost=lambda: self.read_cost,
            ),
        )

    async def run(self, *, full: bool = False, since: int | None = None) -> ListSync:
        syncing = self.list_sync(full=full, since=since)
        assert await syncing.run(lambda: True)
        return syncing

    def assert_same(self) -> None:
        assert self.store.rows == self.list.rows


async def test_a_first_scan_reads_every_page_once_and_asks_ahead() -> None:
    scene = Scene()

    await scene.run()

    scene.assert_same()
    assert scene.list.served == ["", "0/10", "0/20"]
    assert scene.list.ahead == [True]
    assert (scene.counter.rows, scene.counter.new, scene.counter.changed, scene.counter.pages) == (30, 30, 0, 3)


async def test_a_second_scan_reads_one_page_and_asks_for_none_ahead() -> None:
    scene = Scene()
    await scene.run()

    await scene.run()

    assert scene.list.served == [""]
    assert scene.list.ahead == [False]
    assert (scene.counter.rows, scene.counter.new, scene.counter.changed) == (10, 0, 0)


async def test_new_rows_cost_their_pages_alone() -> None:
    scene = Scene()
    await scene.run()
    scene.add(30)

    await scene.run()

    scene.assert_same()
    assert scene.list.served == [""]
    assert scene.counter.new == 1


async def test_rows_that_were_not_final_are_read_by_id_unless_the_scan_meets_them() -> None:
    scene = Scene(open_rows=(2, 3, 28))
    await scene.run()
    scene.list.finish("row 002")
    scene.list.finish("row 028")

    await scene.run()

    scene.assert_same()
    assert scene.list.asked_again == ["row 003", "row 002"]
    assert (scene.counter.reread, scene.counter.changed, scene.counter.gone) == (2, 2, 0)

    await scene.run()
    assert scene.list.asked_again == ["row 003"]


async def test_a_row_that_is_not_there_is_asked_for_until_a_scan_of_everything_has_not_met_it_either() -> None:
    scene = Scene(open_rows=(15,))
    await scene.run()
    del scene.list.rows["row 015"]

    await scene.run()
    assert (scene.list.served, scene.list.asked_again, scene.counter.gone) == ([""], ["row 015"], 0)

    await scene.run()
    assert (scene.list.served, scene.list.asked_again, scene.counter.gone) == (["", "0/10"], ["row 015"], 0)

    await scene.run()
    assert (scene.list.served, scene.list.asked_again) == (["", "0/10", "0/20"], ["row 015"])
    assert scene.counter.gone == 1
    assert "row 015" in scene.store.rows

    await scene.run()
    assert scene.list.asked_again == []


async def test_a_row_that_is_not_there_for_a_moment_is_read_by_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(open_rows=(2,))
    await scene.run()
    scene.list.finish("row 002")

    async def not_now(_row_id: str, /) -> NotRead:
        return NotRead.ABSENT

    with monkeypatch.context() as patch:
        patch.setattr(scene.list, "refetch", not_now)
        await scene.run()
    assert scene.store.rows["row 002"] != scene.list.rows["row 002"]

    await scene.run()
    scene.assert_same()


async def test_where_every_read_by_id_fails_the_rows_are_asked_for_again_by_the_next_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(open_rows=(2,))
    await scene.run()
    scene.list.finish("row 002")

    async def forbidden(_row_id: str, /) -> Row:
        raise ForbiddenError("no", status=403)

    with monkeypatch.context() as patch:
        patch.setattr(scene.list, "refetch", forbidden)
        with pytest.raises(ForbiddenError):
            await scene.run()

    await scene.run()
    scene.assert_same()


async def test_where_no_row_can_be_read_by_its_id_the_list_is_read_down_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(open_rows=(2,))
    await scene.run()

    async def no_route(_row_id: str, /) -> NotRead:
        return NotRead.NO_ROUTE

    monkeypatch.setattr(scene.list, "refetch", no_route)
    await scene.run()
    scene.list.finish("row 002")

    await scene.run()
    scene.assert_same()


async def test_many_rows_are_read_again_in_several_transactions() -> None:
    scene = Scene(rows=130, open_rows=tuple(range(120)))
    await scene.run()
    before = scene.store.writes

    syncing = scene.list_sync()
    turns = 0
    while not await syncing.run(lambda: False):
        turns += 1

    assert scene.store.writes - before == 4
    assert turns == 2


async def test_a_row_that_became_unreadable_is_set_aside_when_it_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(open_rows=(2,))
    await scene.run()
    unreadable = QuarantinedRow(index=0, path="$.createdAt", reason="expected a time", raw=b"{}")

    async def refetch(_row_id: str, /) -> QuarantinedRow:
        return unreadable

    monkeypatch.setattr(scene.list, "refetch", refetch)
    await scene.run()

    assert (scene.counter.quarantined, scene.counter.reread) == (1, 0)


async def test_full_reads_every_page_again_and_finds_what_changed() -> None:
    scene = Scene()
    await scene.run()
    scene.list.add(row("row 003", 3 * SPACING + 1))

    await scene.run()
    assert scene.counter.changed == 0

    await scene.run(full=True)
    scene.assert_same()
    assert scene.counter.changed == 1
    assert len(scene.list.served) == 3


async def test_a_turn_ends_after_a_page_and_the_scan_goes_on_where_it_stood() -> None:
    scene = Scene()
    syncing = scene.list_sync()
    turns = 0

    while not await syncing.run(lambda: False):
        turns += 1

    scene.assert_same()
    assert turns == 2
    assert scene.list.served == ["", "0/10", "0/20"]


async def test_a_scan_that_an_earlier_run_began_is_finished_and_then_topped_up() -> None:
    scene = Scene()
    assert not await scene.list_sync().run(lambda: False)
    scene.add(30)
    scene.add(31)

    syncing = scene.list_sync()
    assert syncing.cursor == Cursor(token="0/10")  # a page token
    assert await syncing.run(lambda: True)

    scene.assert_same()
    assert scene.list.served == ["0/10", "0/20", "0/30", ""]
    assert syncing.cursor is None


async def test_a_run_with_another_aim_does_not_finish_the_scan_of_the_one_before() -> None:
    scene = Scene()
    assert not await scene.list_sync().run(lambda: False)

    await scene.run(full=True)

    assert scene.list.served == ["", "0/10", "0/20"]


async def test_since_leaves_older_rows_out_and_stops_there() -> None:
    scene = Scene()

    await scene.run(since=25)

    assert sorted(scene.store.rows) == [f"row {number:03}" for number in range(25, 30)]
    assert scene.list.served in (["", "0/10"], [""])

    await scene.run()
    scene.assert_same()


async def test_a_refused_page_token_restarts_the_scan_once_and_says_so() -> None:
    scene = Scene()
    assert not await scene.list_sync().run(lambda: False)
    scene.list.expire_tokens()

    syncing = await scene.run()

    scene.assert_same()
    assert syncing.restart is not None
    assert syncing.restart.reason == "its page token was refused (400)"
    assert (syncing.restart.organization_id, syncing.restart.resource) == ("organization", "batches")
    assert scene.list.served == ["", "1/10", "1/20", ""]


async def test_a_page_token_that_is_refused_again_ends_the_scan() -> None:
    scene = Scene()
    scene.list.before_page = scene.list.expire_tokens

    syncing = scene.list_sync()
    with pytest.raises(BadRequestError):
        await syncing.run(lambda: True)

    assert scene.list.refused == 2
    assert syncing.cursor is not None


async def test_a_cursor_that_is_not_of_this_list_restarts_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    assert not await scene.list_sync().run(lambda: False)
    pages = scene.list.pages

    def refusing(cursor: Cursor | None, sort: str | None, /, *, ahead: bool) -> object:
        if cursor is not None and not scene.list.served:
            raise ConfigurationError("cursor is of another list")
        return pages(cursor, sort, ahead=ahead)

    monkeypatch.setattr(scene.list, "pages", refusing)
    syncing = await scene.run()

    scene.assert_same()
    assert syncing.restart is not None
    assert syncing.restart.reason == "its page token is not of this list"


@pytest.mark.parametrize("status", [400, 404, 409, 410, 412, 416, 422])
async def test_each_status_by_which_a_page_token_may_be_refused_restarts_the_scan(status: int) -> None:
    scene = Scene()

    def refuse_once() -> None:
        if scene.list.served == [""]:
            scene.list.served.append("refused")
            raise APIError("no", status=status)

    scene.list.before_page = refuse_once
    syncing = await scene.run()

    scene.assert_same()
    assert syncing.restart is not None
    assert syncing.restart.reason == f"its page token was refused ({status})"
    assert scene.list.served[:3] == ["", "refused", ""]


@pytest.mark.parametrize("status", [401, 402, 403, 405, 415, 423, 451, 500, 501, 503])
async def test_an_error_that_says_nothing_of_the_token_ends_the_scan(status: int) -> None:
    scene = Scene()

    def fail() -> None:
        if scene.list.served:
            raise APIError("no", status=status)

    scene.list.before_page = fail
    syncing = scene.list_sync()
    with pytest.raises(APIError):
        await syncing.run(lambda: True)

    assert syncing.restart is None
    assert syncing.cursor == Cursor(token="0/10")  # a page token


@pytest.mark.parametrize("status", [400, 422])
async def test_a_server_that_refuses_the_direction_is_asked_without_it(status: int) -> None:
    scene = Scene()
    scene.list.refusal = status
    scene.list.refuses_sort = True

    syncing = await scene.run()

    scene.assert_same()
    assert scene.list.sort is None
    assert scene.list.refused == 1
    assert syncing.restart is None


async def test_a_first_page_that_is_refused_without_a_direction_ends_the_scan() -> None:
    scene = Scene()
    scene.list.sort = None

    def fail() -> None:
        raise BadRequestError("no", status=400)

    scene.list.before_page = fail
    with pytest.raises(BadRequestError):
        await scene.run()


class LosingStore(MemoryStore):
    """A store whose list another run takes over after a page."""

    async def write(self, page: PageWrite, /) -> WriteResult | LeaseConflict:
        return await super().write(page) if not self.writes else LeaseConflict(5.0)


async def test_a_list_that_another_run_took_over_is_left_to_it() -> None:
    scene = Scene()
    scene.store = LosingStore()

    with pytest.raises(LeaseLostError):
        await scene.run()

    assert len(scene.store.rows) == 10


class TickingClock(SystemClock):
    """A clock that is a second further each time it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now


async def test_the_time_of_a_scan_is_added_up_over_its_runs() -> None:
    scene = Scene()
    taken: list[float] = []
    for _ in range(2):
        scene.clock = TickingClock()
        syncing = scene.list_sync()
        await syncing.run(lambda: False)
        scan = scene.store.checkpoint.scan
        assert scan is not None
        taken.append(scan.seconds)

    assert taken == [1, 2]


async def test_rows_set_aside_are_counted_and_move_nothing() -> None:
    scene = Scene(rows=1)
    aside = QuarantinedRow(index=1, path="$", reason="expected an object", raw=b"1")
    pages = scene.list.pages

    async def with_one_aside(cursor: Cursor | None, sort: str | None, /, *, ahead: bool) -> object:
        async for page in pages(cursor, sort, ahead=ahead):
            yield page._replace(quarantined=(aside,))

    scene.list.pages = with_one_aside  # type: ignore[method-assign,assignment]  # the same list with one row more
    await scene.run()

    assert (scene.counter.rows, scene.counter.quarantined) == (1, 1)


async def test_a_cancelled_scan_has_written_whole_pages() -> None:
    scene = Scene()
    reached = asyncio.Event()
    forever = asyncio.Event()
    write = scene.store.write

    async def slow(page: PageWrite, /) -> WriteResult | LeaseConflict:
        if scene.store.writes == 1:
            reached.set()
            await forever.wait()
        return await write(page)

    scene.store.write = slow  # type: ignore[method-assign]  # a store that hangs at the second page
    task = asyncio.create_task(scene.run())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert len(scene.store.rows) == 10
    scan = scene.store.checkpoint.scan
    assert scan is not None
    assert scan.pages == 1


def test_rows_keep_their_json_byte_for_byte() -> None:
    one = row("a")

    assert isinstance(one, Row)
    assert one.raw == b'{"batchId":"a","status":"SUCCESS","createdAt":"2025-01-01T00:00:00Z"}'
