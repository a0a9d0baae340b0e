"""Cancelling a call at each of its awaits, and after each turn of the loop: nothing is left behind.

The client has one slot over a pool of one connection, so whatever a cancelled call kept would stop the next one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

import aiohttp
import pytest

from amili_async import AmiliClient, ClientCredentials, RetryPolicy
from tests.support.calls import ACCEPTED, READ, WRITE
from tests.support.turns import turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator

    from amili_async.sandbox import Sandbox
    from tests.support.calls import Calls

T = TypeVar("T")


class CancelledAt(Generic[T]):
    """Awaits a coroutine and cancels the task at the coroutine's n-th suspension."""

    def __init__(self, coroutine: Coroutine[object, None, T], number: int) -> None:
        self._coroutine = coroutine
        self._number = number

    def __await__(self) -> Generator[object, None, T]:
        suspensions = 0
        thrown: BaseException | None = None
        while True:
            try:
                waited = self._coroutine.send(None) if thrown is None else self._coroutine.throw(thrown)
            except StopIteration as ended:
                value: T = ended.value
                return value
            suspensions += 1
            if suspensions == self._number:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            thrown = None
            try:
                yield waited
            except BaseException as error:  # noqa: BLE001  # passed on to the coroutine
                thrown = error


async def run(awaitable: CancelledAt[T]) -> T:
    return await awaitable


SCENARIOS: dict[str, list[str]] = {
    "all well": [],
    "cold, without a token": ["token:latency=1"],
    "a slow answer": [f"{READ}:latency=1", f"{WRITE}:status=202,latency=1"],
    "a body in pieces": [f"{READ}:slow-body,seconds=1"],
    "a replay": [f"{READ}:status=401,count=1", f"{WRITE}:status=401,count=1"],
    "a repeat": [f"{READ}:status=503,retry_after=1,count=1", f"{WRITE}:status=503,retry_after=1,count=1"],
    "a dropped connection": [f"{READ}:reset,count=1"],
    "a body cut short": [f"{READ}:close-in-body,count=1"],
    "an error with a body": [f"{READ}:status=422,latency=1"],
    "a token that fails first": ["token:status=503,count=1"],
}


@pytest.fixture
def turnwise() -> bool:
    return False


@pytest.fixture
async def session(turnwise: bool) -> AsyncIterator[aiohttp.ClientSession]:  # noqa: FBT001  # a fixture
    """A pool of one connection; where each await is to be met, connecting is one of them every time."""
    connector = aiohttp.TCPConnector(limit=1, force_close=not turnwise)
    async with aiohttp.ClientSession(connector=connector) as pool:
        yield pool


@pytest.fixture
def make(sandbox: Sandbox, session: aiohttp.ClientSession) -> Callable[[], AmiliClient]:
    """Make clients with one slot and no token, all over that pool."""
    return lambda: AmiliClient(
        ClientCredentials(*sandbox.credentials),
        base_url=sandbox.base_url,
        token_url=sandbox.token_url,
        session=session,
        concurrency=1,
        timeout=5.0,
        retry=RetryPolicy(max_wait=0.0),
    )


async def check_that_nothing_is_left(client: AmiliClient, calls: Calls, tasks: set[asyncio.Task[object]]) -> None:
    # With a slot, a connection or a lock kept back it would wait for its deadline; a token request that nobody waits
    # for any more may take its second.
    await asyncio.wait_for(calls.read(client), 2.5)
    await turns(5)
    assert others() <= tasks


def others() -> set[asyncio.Task[object]]:
    own = asyncio.current_task()
    return {task for task in asyncio.all_tasks() if task is not own}


async def attempt(call: Coroutine[object, None, object], number: int, *, turnwise: bool) -> bool:
    """Make a call that is cancelled at a point; return whether it came that far."""
    if turnwise:
        task: asyncio.Task[object] = asyncio.create_task(_plain(call))
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
    else:
        task = asyncio.create_task(run(CancelledAt(call, number)))
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
    return task.cancelled()


async def _plain(call: Coroutine[object, None, object]) -> object:
    return await call


@pytest.mark.parametrize("turnwise", [False, True], ids=["at each await", "after each turn"])
@pytest.mark.parametrize("operation", [READ, WRITE])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_call_cancelled_anywhere_leaves_nothing_behind(
    scenario: str, operation: str, make: Callable[[], AmiliClient], sandbox: Sandbox, calls: Calls, *, turnwise: bool
) -> None:
    tasks = others()
    cancelled = 0
    for number in range(1, 40):
        client = make()
        with sandbox.faults.during(*SCENARIOS[scenario], ACCEPTED):
            call = calls.read(client) if operation == READ else calls.write(client)
            if not await attempt(call, number, turnwise=turnwise):
                break
        cancelled += 1
        await check_that_nothing_is_left(client, calls, tasks)
    assert cancelled >= 3


@pytest.mark.parametrize("turnwise", [False, True], ids=["at each await", "after each turn"])
async def test_a_call_cancelled_in_the_queue_or_at_the_gate_leaves_nothing_behind(
    make: Callable[[], AmiliClient], sandbox: Sandbox, calls: Calls, *, turnwise: bool
) -> None:
    tasks = others()
    cancelled = 0
    for number in range(1, 40):
        client = make()
        with sandbox.faults.during(f"{READ}:status=429,retry_after=2,latency=1,count=1"):
            # This one holds the slot, and closes the gate while the other is queued for it.
            first = asyncio.create_task(calls.read(client))
            await asyncio.sleep(0.5)
            came = await attempt(calls.read(client), number, turnwise=turnwise)
            await first
        if not came:
            break
        cancelled += 1
        await check_that_nothing_is_left(client, calls, tasks)
    assert cancelled >= 3


async def test_cancelling_from_a_timeout_of_the_callers_own_is_not_taken_for_the_clients(
    make: Callable[[], AmiliClient], sandbox: Sandbox, calls: Calls
) -> None:
    client = make()
    sandbox.faults.add(f"{READ}:hang,count=1")
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(1.0):
            await calls.read(client)
    assert type(caught.value) is TimeoutError
    await calls.read(client)


async def test_one_of_a_task_group_that_fails_cancels_the_others_and_the_client_goes_on(
    make: Callable[[], AmiliClient], sandbox: Sandbox, calls: Calls
) -> None:
    client = make()
    sandbox.faults.add(f"{WRITE}:status=404", f"{READ}:latency=1,count=1")

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(calls.write(client))
            group.create_task(calls.read(client))

    with pytest.raises(ExceptionGroup):
        await both()
    await calls.read(client)
