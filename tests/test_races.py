"""Whatever order ready callbacks run in: tokens, gate, pace, pages, closing and leases keep their word.

``pytest -m fuzz tests/test_races.py`` plays each scene with 500 seeds, the quick run with a few; a failure names its
seed, and ``--race-seed`` replays it.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import AsyncExitStack, closing, suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import pytest

from amili_async import (
    AmiliClient,
    AmiliError,
    Batch,
    ClientClosedError,
    ClientCredentials,
    Cursor,
    DeadlineExceededError,
    Pager,
    RateLimitedError,
    TokenError,
)
from amili_async import _clock as clock_module
from amili_async._call.limits import Limits
from amili_async._protocol.grants import refused_grant
from amili_async._protocol.rate import FixedPace, LearnedPace
from amili_async.errors import ServerError
from amili_async.sync import LeaseConflict, SqlStore
from tests.support.changing_list import ChangingList
from tests.support.rate_limited_server import RateLimitedServer
from tests.support.rate_limits import Bucket, LimitReq
from tests.support.rows import batch, held, portion
from tests.support.shuffled_loop import SEEDS, play, replay
from tests.support.turns import running

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from amili_async._protocol.options import Options
    from amili_async._protocol.requests import Body, Call
    from amili_async._upstream.aiohttp import RequestSentSignal
    from tests.support.rate_limits import Limiter
    from tests.support.shuffled_loop import Scene

T = TypeVar("T")

A_FEW = 20


async def some_cancelled(scene: Scene, tasks: list[asyncio.Task[None]]) -> None:
    """Cancel some tasks, now and then, and return once all of them have ended; an error of theirs is raised."""
    for task in scene.chance.sample(tasks, len(tasks) // 3):
        await scene.pause()
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome


# -- tokens


async def tokens(scene: Scene) -> None:
    """One request at a time; nobody is handed a token again after it was refused; nobody waits for ever."""
    under_way = most = 0
    asked = 0
    refused: set[str] = set()

    async def endpoint(form: Mapping[str, str], /) -> bytes:
        nonlocal under_way, most, asked
        del form
        asked += 1
        number = asked
        under_way += 1
        most = max(most, under_way)
        try:
            await scene.pause()
            if scene.chance.random() < 0.2:
                raise refused_grant(503, {}, b"", scene.clock.time())
            return json.dumps({"access_token": f"t{number}", "expires_in": scene.chance.choice([1, 40, 3600])}).encode()
        finally:
            under_way -= 1

    with clock_module.installed(scene.clock):
        provider = ClientCredentials("id", "secret")

        async def caller() -> None:
            for _ in range(3):
                await scene.pause(20.0)
                known = frozenset(refused)
                try:
                    token = await provider.token(endpoint)
                except TokenError:
                    continue
                assert token not in known
                if scene.chance.random() < 0.3:
                    await scene.pause()
                    refused.add(token)
                    provider.reject(token)

        await some_cancelled(scene, [asyncio.create_task(caller()) for _ in range(8)])
        provider.reopen()
        await scene.clock.sleep(1.0)  # a renewal in the background is nobody's, and ends by itself
    assert most == 1


# -- the gate, the slots and the pace


async def turns_at_the_gate(scene: Scene) -> None:
    """No more than so many at once, none while the gate is closed, all in the order in which they came."""
    pace = scene.chance.choice([None, FixedPace(20.0), LearnedPace()])
    limits = Limits(scene.clock, concurrency=scene.chance.choice([1, 2, 5]), pace=pace)
    inside = 0
    came = 0
    entered: list[tuple[float, int]] = []

    async def caller() -> None:
        nonlocal inside, came
        await scene.pause(3.0)
        number = came = came + 1
        if not limits.take():
            await limits.acquire()
        inside += 1
        entered.append((scene.clock.monotonic(), number))
        try:
            assert inside <= limits.concurrency
            await scene.pause()
            if limits.learned is not None:
                now = scene.clock.monotonic()
                if scene.chance.random() < 0.3:
                    limits.learned.refused(now, now, 0.0)
                else:
                    limits.accepted(now, {})
        finally:
            inside -= 1
            limits.release()

    async def closing() -> None:
        for _ in range(3):
            await scene.pause(2.0)
            limits.gate.close(scene.chance.random() * 2)

    tasks = [asyncio.create_task(caller()) for _ in range(12)]
    await some_cancelled(scene, [*tasks, asyncio.create_task(closing())])
    assert inside == 0
    # Those whose turn came in one moment may be woken in any order.
    moments = sorted(entered, key=lambda entry: entry[1])
    assert [moment for moment, _ in moments] == sorted(moment for moment, _ in moments)
    limits.reopen()
    for _ in range(limits.concurrency):
        if not limits.take():
            await limits.acquire()
    await scene.clock.sleep(10.0)
    assert not limits.take()


# -- whole calls, against a server that limits the rate, and a client that is closed under them


async def calls(scene: Scene) -> None:
    """Each call ends in its answer or a typed error, and a client that is closed leaves nothing behind."""
    limiters: list[Limiter] = [Bucket(20, 3), Bucket(20, 3, 1.0), LimitReq(20), Bucket(1e9, 1e9)]
    with clock_module.installed(scene.clock):
        server = RateLimitedServer(scene.chance.choice(limiters), seed=scene.chance.randrange(1000))
        client = server.serve(AmiliClient("token", concurrency=scene.chance.choice([1, 4]), deadline=None))
        answered = 0

        async def caller() -> None:
            nonlocal answered
            copy = client.with_options(deadline=scene.chance.choice([0.05, 1.0, 10.0]))
            for _ in range(3):
                await scene.pause()
                try:
                    assert await copy.request("GET", "/x") == b"{}"
                except (RateLimitedError, DeadlineExceededError):
                    continue
                except ClientClosedError:
                    return
                answered += 1

        tasks = [asyncio.create_task(caller()) for _ in range(8)]
        closes = scene.chance.random() < 0.5
        if closes:
            await scene.pause(2.0)
            await client.aclose()
        await some_cancelled(scene, tasks)
        if not closes:
            assert answered
            await client.aclose()
    assert answered <= sum(ok for _, ok in server.arrivals)
    await scene.clock.sleep(200.0)
    assert running() == []


# -- pages


class SlowList(ChangingList):
    """A list whose pages take time, and now and then fail; more than one at a time is none of a walk's."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(range(scene.chance.randrange(9)), page_size=scene.chance.choice([1, 2, 3]), keyset=True)
        self.fails = True
        self._scene = scene
        self._under_way = 0

    async def send(
        self, call: Call, read: Callable[[Body], T], options: Options, sent_signal: RequestSentSignal | None = None
    ) -> T:
        assert not self._under_way
        self._under_way += 1
        try:
            await self._scene.pause()
            if sent_signal is not None:
                sent_signal.done = True
            await self._scene.pause()
            if self.fails and self._scene.chance.random() < 0.1:
                raise ServerError("the server failed", status=500)
            return await super().send(call, read, options)
        finally:
            self._under_way -= 1


async def pages(scene: Scene) -> None:
    """Cancelled, closed or broken off anywhere, a walk's cursor leads to exactly the rest."""
    rows = SlowList(scene)
    expected = [str(row) for row in rows.rows]
    came: list[str] = []
    cursor: Cursor | None = None
    while True:
        rows.fails = scene.chance.random() < 0.8
        limit = scene.chance.choice([None, None, 1, 2, 4])  # with one, the last page is fetched by the caller itself
        pager = rows.pager(cursor=cursor, limit=limit)

        async def walk(pager: Pager[Batch]) -> bool:
            left = scene.chance.randrange(6)
            await scene.pause()
            async for item in pager:
                came.append(item.batch_id)
                if not left:
                    return False
                left -= 1
                await scene.pause()
            return True

        walking = asyncio.create_task(walk(pager))
        way = scene.chance.choice(["to the end", "cancelled", "closed"])
        if way != "to the end":
            await scene.pause(2.0)
            if way == "cancelled":
                walking.cancel()
            else:
                await pager.aclose()
        ended = False
        with suppress(AmiliError, asyncio.CancelledError):
            ended = await walking
        await pager.aclose()
        cursor = Cursor.decode(pager.cursor.encode())
        assert came == expected[: len(came)]
        if ended and way == "to the end" and limit is None:
            break
    assert came == expected


# -- leases


async def leases(scene: Scene, file: Path) -> None:
    """A list is one's at a time, and comes back whoever is cancelled."""
    lists = [f"{scene.seed}-{number}" for number in range(2)]
    holders: dict[str, str] = {}

    async def run(store: SqlStore, name: str) -> None:
        for organization in scene.chance.sample(lists, len(lists)):
            await scene.pause(0.05)
            if isinstance(await store.begin(organization, "batches"), LeaseConflict):
                continue
            assert organization not in holders
            holders[organization] = name
            try:
                await scene.pause(0.05)
                written = await store.write(portion(batch(name), organization_id=organization))
                assert not isinstance(written, LeaseConflict)
            finally:
                del holders[organization]
                await store.finish(organization, "batches", None)

    async with AsyncExitStack() as opened:
        stores = [await opened.enter_async_context(SqlStore(f"sqlite:///{file}", run=name)) for name in "ab"]
        tasks = [asyncio.create_task(run(store, name)) for store, name in zip(stores, "ab", strict=True)]
        await some_cancelled(scene, tasks)
        owners = {
            owner
            for organization, owner in await held(stores[0], "lists", "organization_id", "owner")
            if organization in lists
        }
        assert owners <= {None}


SCENES = {scene.__name__: scene for scene in (tokens, turns_at_the_gate, calls, pages)}


@pytest.mark.parametrize("seeds", [A_FEW, pytest.param(SEEDS, marks=pytest.mark.fuzz)])
@pytest.mark.parametrize("scene", SCENES)
def test_it_holds_in_whatever_order_callbacks_run(pytestconfig: pytest.Config, scene: str, seeds: int) -> None:
    replay(pytestconfig, SCENES[scene], seeds=seeds)


@pytest.mark.parametrize("seeds", [A_FEW, pytest.param(SEEDS, marks=pytest.mark.fuzz)])
def test_leases_are_one_owners_at_a_time_in_whatever_order_callbacks_run(
    pytestconfig: pytest.Config, tmp_path: Path, seeds: int
) -> None:
    file = tmp_path / "store.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # the last to close a file tidies it up, which takes a while
        replay(pytestconfig, partial(leases, file=file), seeds=seeds)


def test_a_race_is_found_and_its_seed_is_told_and_finds_it_again(pytestconfig: pytest.Config) -> None:
    async def racing(scene: Scene) -> None:
        del scene
        order: list[int] = []

        async def arrive(number: int) -> None:
            order.append(number)

        await asyncio.gather(*(arrive(number) for number in range(3)))
        assert order == [0, 1, 2]

    with pytest.raises(AssertionError) as caught:
        replay(pytestconfig, racing)
    (note,) = caught.value.__notes__
    seed = int(note.rpartition(" ")[2])
    for _ in range(2):
        with pytest.raises(AssertionError):
            play(racing, seed)


def test_what_is_left_behind_or_not_looked_at_fails_too() -> None:
    async def leaving(scene: Scene) -> None:
        left.append(asyncio.create_task(scene.clock.sleep(100.0)))

    async def forgetting(scene: Scene) -> None:
        asyncio.get_running_loop().create_future().set_exception(ValueError("nobody looks"))
        await scene.pause()

    left: list[asyncio.Task[None]] = []
    with pytest.raises(AssertionError, match="left behind"):
        play(leaving, 0)
    with pytest.raises(AssertionError, match="nobody looks"):
        play(forgetting, 0)
