"""A client meets a rate limit: it slows down, and fails nothing that has time left."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Literal, Protocol, Unpack

import pytest

from amili_async import AmiliClient, DeadlineExceededError, RateLimitedError, RetryPolicy
from tests.support.rate_limited_server import RateLimitedServer
from tests.support.rate_limits import Bucket, LimitReq
from tests.support.turns import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from amili_async._client import ClientSettings
    from amili_async._clock import Clock
    from amili_async.events import CallEnded, RateLearned
    from tests.support.rate_limits import Limiter

SECONDS = 40.0


class ClientOf(Protocol):
    """Makes clients of a server; they are closed when the test ends."""

    def __call__(self, server: RateLimitedServer, **settings: Unpack[ClientSettings]) -> AmiliClient: ...


@pytest.fixture
async def client_of(clock: Clock) -> AsyncIterator[ClientOf]:  # noqa: ARG001  # clients take the clock that is in force
    async with AsyncExitStack() as opened:

        def make(server: RateLimitedServer, **settings: Unpack[ClientSettings]) -> AmiliClient:
            client = server.serve(AmiliClient("token", **settings))
            opened.push_async_callback(client.aclose)
            return client

        yield make


async def keep_calling(client: AmiliClient, *, tasks: int, seconds: float = SECONDS) -> None:
    """Let so many tasks call for so many seconds, one call after the other each; the first error ends it."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds

    async def call() -> None:
        while loop.time() < ends:
            await client.request("GET", "/x")

    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(call())


LIMITS: dict[str, Callable[[], Limiter]] = {
    "bucket": lambda: Bucket(20, 20),
    "bucket, told": lambda: Bucket(20, 20, 1.0),
    "bucket, told nothing": lambda: Bucket(20, 20, 0.0),
    "limit_req": lambda: LimitReq(20),
}


@pytest.mark.parametrize("tasks", [1, 8, 100])
@pytest.mark.parametrize("limit", LIMITS)
async def test_a_client_keeps_to_the_limit_that_it_has_met_and_no_call_fails(
    client_of: ClientOf, limit: str, tasks: int
) -> None:
    server = RateLimitedServer(LIMITS[limit]())
    client = client_of(server)
    await keep_calling(client, tasks=tasks)
    assert server.kept(20, 10.0, SECONDS) >= 0.93
    assert server.refused(10.0) < 0.05
    assert client.rate == pytest.approx(20, rel=0.2)


async def test_copies_learn_and_keep_to_the_same_limit(client_of: ClientOf) -> None:
    server = RateLimitedServer(Bucket(20, 20))
    client = client_of(server)
    copies = [client.with_options(deadline=seconds) for seconds in (50.0, 60.0, 70.0)]
    await asyncio.gather(*(keep_calling(copy, tasks=10, seconds=30.0) for copy in copies))
    assert server.refused(10.0) < 0.05
    assert {copy.rate for copy in copies} == {client.rate}


async def test_calls_go_in_the_order_in_which_they_came_those_that_were_refused_included(client_of: ClientOf) -> None:
    server = RateLimitedServer(Bucket(20, 5))
    client = client_of(server)
    ended: list[int] = []

    async def call(number: int) -> None:
        await client.request("GET", "/x")
        ended.append(number)

    await asyncio.gather(*(call(number) for number in range(200)))
    assert max(abs(place - number) for place, number in enumerate(ended)) <= 32  # two times what is in flight


async def test_a_call_that_is_refused_to_its_deadline_ends_as_refused(client_of: ClientOf) -> None:
    server = RateLimitedServer(Bucket(1e-9, 0))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(RateLimitedError) as caught:
        await client_of(server, deadline=30.0).request("GET", "/x")
    assert caught.value.status == 429
    assert caught.value.attempts == len(server.arrivals) > 3
    assert loop.time() - begun == pytest.approx(30.0)


async def test_a_call_whose_turn_never_came_says_where_its_time_went(client_of: ClientOf) -> None:
    server = RateLimitedServer(Bucket(1e-9, 0))
    client = client_of(server, deadline=30.0)
    others = [asyncio.create_task(client.request("GET", "/x")) for _ in range(5)]
    await asyncio.wait(others, timeout=10.0)
    with pytest.raises(DeadlineExceededError) as caught:
        await client.with_options(deadline=5.0).request("GET", "/x")
    assert caught.value.attempts == 0
    assert caught.value.spent["gate"] == pytest.approx(5.0, abs=0.01)
    await asyncio.gather(*others, return_exceptions=True)


@pytest.mark.parametrize("deadline", [None, 30.0])
async def test_one_attempt_means_one(client_of: ClientOf, deadline: float | None) -> None:
    server = RateLimitedServer(Bucket(1e-9, 0))
    with pytest.raises(RateLimitedError):
        await client_of(server, deadline=deadline, retry=RetryPolicy(attempts=1)).request("GET", "/x")
    assert len(server.arrivals) == 1


@pytest.mark.parametrize("rate", ["learn", None, 100.0])
async def test_without_a_deadline_attempts_bound_what_is_refused(
    client_of: ClientOf, rate: float | Literal["learn"] | None
) -> None:
    server = RateLimitedServer(Bucket(1e-9, 0))
    with pytest.raises(RateLimitedError):
        await client_of(server, deadline=None, rate=rate).request("GET", "/x")
    assert len(server.arrivals) == 3


async def test_nothing_is_held_back_where_no_pace_is_to_be_learnt_but_each_call_by_itself(client_of: ClientOf) -> None:
    server = RateLimitedServer(Bucket(20, 20))
    client = client_of(server, rate=None, deadline=None, retry=RetryPolicy(attempts=100))
    await keep_calling(client, tasks=30, seconds=20.0)
    assert client.rate is None
    assert server.refused() > 0.0


async def test_a_rate_that_is_known_is_kept_from_the_first_call_on(client_of: ClientOf) -> None:
    server = RateLimitedServer(Bucket(20, 2))
    client = client_of(server, rate=19.5)
    await keep_calling(client, tasks=50, seconds=20.0)
    assert server.refused() == 0.0
    assert server.kept(19.5, 0.0, 20.0) >= 0.97
    assert client.rate == 19.5


async def test_a_quota_in_the_headers_is_used_up_and_not_overdrawn(client_of: ClientOf) -> None:
    server = RateLimitedServer(Bucket(1e9, 1e9))
    client = client_of(server)
    server.headers = {"RateLimit": '"default";r=3;t=20'}
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await client.request("GET", "/x")
    server.headers = {}
    await asyncio.gather(*(client.request("GET", "/x") for _ in range(8)))
    moments = [moment - begun for moment, _ in server.arrivals]
    assert sum(moment < 20.0 for moment in moments) == 4
    assert max(moments) == pytest.approx(20.0, abs=0.1)


async def test_a_429_that_tells_of_an_exhausted_quota_is_waited_out_like_a_retry_after(client_of: ClientOf) -> None:
    server = RateLimitedServer(Bucket(1 / 50, 1))
    client = client_of(server)
    server.headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "50"}
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await client.with_options(headers={}).request("GET", "/x")
    client.reopen()  # as if the first answer had said nothing
    server.limiter.admit(loop.time())
    await client.request("GET", "/x")
    assert loop.time() - begun == pytest.approx(50.0, abs=0.1)
    assert len(server.arrivals) == 3


async def test_one_bogus_429_of_a_patient_copy_does_not_close_the_gate_for_years(client_of: ClientOf) -> None:
    server = RateLimitedServer(Bucket(1e-9, 0, 1e8))
    client = client_of(server)
    patient = client.with_options(retry=RetryPolicy(max_retry_after=1e9), deadline=None)
    waiting = asyncio.create_task(patient.request("GET", "/x"))
    await asyncio.sleep(1.0)
    server.limiter = Bucket(20, 20)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await client.with_options(deadline=200.0).request("GET", "/x")
    assert loop.time() - begun == pytest.approx(119.0, abs=0.1)
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_reopening_lets_the_next_call_go_at_once(client_of: ClientOf) -> None:
    server = RateLimitedServer(Bucket(1e-9, 0, 100.0))
    client = client_of(server, deadline=10.0)
    with pytest.raises(RateLimitedError):
        await client.request("GET", "/x")
    with pytest.raises(RateLimitedError, match="the gate opens in 100"):
        await client.request("GET", "/x")
    server.limiter = Bucket(20, 20)
    client.reopen()
    assert client.rate is None
    await client.request("GET", "/x")
    assert len(server.arrivals) == 2


async def test_hooks_are_told_what_is_learnt_and_how_long_calls_were_held_back(client_of: ClientOf) -> None:
    class Watch:
        def __init__(self) -> None:
            self.learnt: list[RateLearned] = []
            self.ended: list[CallEnded] = []

        def on_rate(self, record: RateLearned) -> None:
            self.learnt.append(record)

        def on_call(self, record: CallEnded) -> None:
            self.ended.append(record)

    watch = Watch()
    server = RateLimitedServer(Bucket(20, 20))
    await keep_calling(client_of(server, hooks=[watch]), tasks=50, seconds=20.0)
    assert watch.learnt[-1].rate == pytest.approx(20, rel=0.2)
    assert watch.learnt[-1].burst == pytest.approx(20, rel=0.3)
    late = watch.ended[-1]
    assert late.gate_seconds == pytest.approx(late.seconds, abs=0.1)
    assert late.slot_seconds < 0.1


async def test_cancelling_and_closing_leave_nothing_behind(client_of: ClientOf) -> None:
    server = RateLimitedServer(Bucket(2, 2))
    client = client_of(server)
    waiting = [asyncio.create_task(client.request("GET", "/x")) for _ in range(40)]
    await asyncio.sleep(3.0)
    for task in waiting[:20]:
        task.cancel()
    await asyncio.sleep(1.0)
    await client.aclose()
    await asyncio.wait(waiting)
    await asyncio.sleep(0)
    assert running() == []


async def test_a_steady_server_sees_the_same_requests_in_the_same_order_whether_a_pace_is_learnt_or_not(
    client_of: ClientOf,
) -> None:
    seen: list[list[tuple[float, bool]]] = []
    for rate in ("learn", None):
        server = RateLimitedServer(Bucket(1e9, 1e9))
        client = client_of(server, rate=rate, concurrency=4)
        await asyncio.gather(*(client.request("GET", "/x") for _ in range(50)))
        first = server.arrivals[0][0]
        seen.append([(moment - first, ok) for moment, ok in server.arrivals])
    assert seen[0] == seen[1]
