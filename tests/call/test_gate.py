"""One 429 holds every call of a client back until the moment named, whatever becomes of the call that met it."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from amili_async import RetryPolicy
from amili_async._call.limits import GATE_JITTER
from amili_async.errors import RateLimitedError
from amili_async.sandbox import Fault
from tests.support.calls import ACCEPTED, READ

if TYPE_CHECKING:
    from amili_async import AmiliClient, ClientCredentials
    from amili_async.events import AttemptEnded, GateClosed
    from amili_async.sandbox import Sandbox, VirtualClock
    from tests.support.calls import Calls
    from tests.support.factories import ClientFactory

LIMITED = f"{READ}:status=429,retry_after=30,count=1"


class Watch:
    """A hook that writes down when requests of which status ended, in seconds since it was made."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.begun = clock.monotonic()
        self.ended: list[tuple[float, int | None]] = []
        self.closed: list[float] = []

    def on_attempt(self, record: AttemptEnded) -> None:
        self.ended.append((self.clock.monotonic() - self.begun, record.status))

    def on_gate(self, record: GateClosed) -> None:
        self.closed.append(record.seconds)

    def moments(self, status: int) -> list[float]:
        return [moment for moment, seen in self.ended if seen == status]


@pytest.fixture
def watch(clock: VirtualClock, calls: Calls) -> Watch:  # noqa: ARG001  # its requests come before
    return Watch(clock)


@pytest.fixture
def client(make_client: ClientFactory, watch: Watch, sandbox: Sandbox) -> AmiliClient:
    return make_client(sandbox.issue_token(), hooks=[watch])


async def meet_the_429(client: AmiliClient, calls: Calls) -> asyncio.Task[object]:
    """Return a call that has met a 429 and waits."""
    task: asyncio.Task[object] = asyncio.create_task(calls.read(client))
    await asyncio.sleep(0.5)
    return task


async def test_one_429_holds_all_calls_back_until_the_moment_named_and_lets_them_go_spread_out(
    client: AmiliClient, sandbox: Sandbox, calls: Calls, watch: Watch
) -> None:
    sandbox.faults.add(LIMITED)
    first = await meet_the_429(client, calls)
    others = [asyncio.create_task(calls.read(client)) for _ in range(40)]
    await asyncio.gather(first, *others)
    assert sandbox.requests.count(READ) == 42
    moments = watch.moments(200)
    assert min(moments) >= 30.0
    assert max(moments) <= 35.0
    assert len(set(moments)) > 30
    assert watch.closed == [30.0]


async def test_those_who_waited_set_off_spread_out_where_no_pace_is_learnt(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, watch: Watch
) -> None:
    client = make_client(sandbox.issue_token(), hooks=[watch], rate=None)
    sandbox.faults.add(LIMITED)
    first = await meet_the_429(client, calls)
    await asyncio.gather(first, *(calls.read(client) for _ in range(40)))
    moments = watch.moments(200)
    assert min(moments) >= 30.0
    assert max(moments) <= 30.0 + 2 * GATE_JITTER  # the one that was refused draws a wait of its own on top
    assert len({round(moment, 3) for moment in moments}) > 30


async def test_cancelling_the_call_that_met_the_429_leaves_the_gate_closed_and_working(
    client: AmiliClient, sandbox: Sandbox, calls: Calls, watch: Watch
) -> None:
    sandbox.faults.add(LIMITED)
    first = await meet_the_429(client, calls)
    others = [asyncio.create_task(calls.read(client)) for _ in range(10)]
    await asyncio.sleep(5.0)
    first.cancel()
    for other in others[:5]:
        other.cancel()
    await asyncio.gather(*others[5:])
    assert first.cancelled()
    assert sandbox.requests.count(READ) == 6
    assert min(watch.moments(200)) >= 30.0


async def test_an_unrelated_success_does_not_open_the_gate(
    client: AmiliClient, sandbox: Sandbox, calls: Calls, watch: Watch
) -> None:
    sandbox.faults.add("batches.list:latency=10", LIMITED)
    unrelated = asyncio.create_task(client.batches.list(calls.organization, prefetch=False).first())
    await asyncio.sleep(0.5)
    first = await meet_the_429(client, calls)
    late = asyncio.create_task(calls.read(client))
    assert await unrelated is not None
    await asyncio.gather(first, late)
    ten, *after = watch.moments(200)
    assert ten == pytest.approx(10.0)
    assert min(after) >= 30.5


async def test_copies_of_a_client_share_its_gate(
    client: AmiliClient, sandbox: Sandbox, calls: Calls, watch: Watch
) -> None:
    sandbox.faults.add(LIMITED)
    first = await meet_the_429(client, calls)
    await calls.read(client.with_options(deadline=None))
    assert min(watch.moments(200)) >= 30.0
    await first


async def test_a_429_without_a_moment_closes_the_gate_for_that_calls_own_wait_where_no_pace_is_learnt(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, watch: Watch
) -> None:
    client = make_client(sandbox.issue_token(), hooks=[watch], rate=None)
    sandbox.faults.add(f"{READ}:status=429,count=1")
    await calls.read(client)
    (closed,) = watch.closed
    (moment,) = watch.moments(200)
    assert 0 < closed <= 1.0
    assert moment >= closed - 1e-9


async def test_a_date_is_kept_to_by_the_servers_own_clock(
    client: AmiliClient, sandbox: Sandbox, calls: Calls, watch: Watch, clock: VirtualClock
) -> None:
    clock.step(300.0)  # ours runs ahead: by it the moment named has long passed
    server_now = clock.time() - 300.0
    headers = {"Date": formatdate(server_now, usegmt=True)}
    sandbox.faults.add(
        Fault(READ, status=429, retry_after=formatdate(server_now + 20, usegmt=True), headers=headers, count=1)
    )
    await calls.read(client)
    assert watch.moments(200)[0] >= 20.0


async def test_a_429_for_longer_than_the_policy_allows_ends_the_call_at_once_and_closes_the_gate_for_as_long(
    client: AmiliClient, sandbox: Sandbox, calls: Calls, watch: Watch
) -> None:
    sandbox.faults.add(f"{READ}:status=429,retry_after=5000,count=1")
    with pytest.raises(RateLimitedError) as caught:
        await calls.read(client)
    assert caught.value.retry_after == 5000.0
    assert caught.value.attempts == 1
    assert watch.closed == [120.0]
    with pytest.raises(RateLimitedError) as refused:
        await calls.read(client)
    assert refused.value.attempts == 0
    await calls.read(client.with_options(deadline=None))
    assert min(watch.moments(200)) >= 120.0


async def test_no_slot_is_held_at_the_gate(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, watch: Watch
) -> None:
    client = make_client(sandbox.issue_token(), hooks=[watch], concurrency=1)
    sandbox.faults.add(LIMITED)
    waiting = [await meet_the_429(client, calls) for _ in range(4)]
    # Behind a slot that is held it would wait for its deadline; at the gate it learns at once that it opens too late.
    with pytest.raises(RateLimitedError):
        await calls.read(client.with_options(deadline=5.0))
    assert watch.clock.monotonic() - watch.begun == pytest.approx(2.0)
    await asyncio.gather(*waiting)


async def test_calls_that_wait_for_a_slot_while_the_gate_closes_wait_at_the_gate_too(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, watch: Watch
) -> None:
    client = make_client(sandbox.issue_token(), hooks=[watch], concurrency=1)
    sandbox.faults.add(f"{READ}:status=429,retry_after=30,latency=2,count=1", ACCEPTED)
    first = asyncio.create_task(calls.read(client))
    await asyncio.sleep(1.0)
    queued = asyncio.create_task(calls.write(client))
    await asyncio.gather(first, queued)
    assert watch.moments(429) == [pytest.approx(2.0)]
    assert min(watch.moments(200) + watch.moments(202)) >= 32.0


async def test_token_requests_do_not_wait_at_the_gate(
    make_client: ClientFactory, auth: ClientCredentials, sandbox: Sandbox, calls: Calls, watch: Watch
) -> None:
    client = make_client(hooks=[watch])
    sandbox.faults.add(LIMITED)
    first = await meet_the_429(client, calls)
    auth.reject(sandbox.requests.last(READ).headers["authorization"].removeprefix("Bearer "))
    before = watch.clock.monotonic()
    await client.authenticate()
    assert sandbox.requests.count("token") == 2
    assert watch.clock.monotonic() == before
    await first


async def test_a_gate_closed_by_one_client_holds_no_other_back(
    client: AmiliClient, make_client: ClientFactory, sandbox: Sandbox, calls: Calls, clock: VirtualClock
) -> None:
    sandbox.faults.add(LIMITED)
    first = await meet_the_429(client, calls)
    before = clock.monotonic()
    await calls.read(make_client(sandbox.issue_token()))
    assert clock.monotonic() == before
    await first


async def test_a_503_with_a_moment_holds_only_its_own_call_back(
    client: AmiliClient, sandbox: Sandbox, calls: Calls, watch: Watch
) -> None:
    sandbox.faults.add(f"{READ}:status=503,retry_after=30,count=1", ACCEPTED)
    first = await meet_the_429(client, calls)
    await calls.write(client)
    assert watch.moments(202) == [pytest.approx(0.5)]
    await first
    assert watch.moments(200)[0] >= 30.0
    assert watch.closed == []


async def test_a_429_closes_the_gate_even_where_its_own_call_is_not_repeated(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, watch: Watch
) -> None:
    client = make_client(sandbox.issue_token(), hooks=[watch], retry=RetryPolicy(attempts=1))
    sandbox.faults.add(LIMITED)
    with pytest.raises(RateLimitedError):
        await calls.read(client)
    await calls.read(client)
    assert watch.moments(200)[0] >= 30.0
