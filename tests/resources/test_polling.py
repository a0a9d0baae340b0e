"""Waiting ends with the batch, whatever its outcome, or says what was seen last."""

from __future__ import annotations

import asyncio
import itertools
import pickle
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async import (
    Accepted,
    AmiliClient,
    APIError,
    Batch,
    BatchState,
    ConfigurationError,
    DeadlineExceededError,
    ForbiddenError,
    InvalidArgumentError,
    NotFoundError,
    ServerError,
    TokenError,
)
from amili_async._clock import installed
from amili_async.resources._polling import LAST_LOOK, LONGEST_PAUSE, watched
from amili_async.sandbox import Fault, Sandbox, VirtualClock
from tests.support.turns import running
from tests.support.virtual_time import run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from amili_async.sandbox._shapes import Generation

QUEUED = Batch(batch_id="b", status=BatchState.QUEUED)
DONE = Batch(batch_id="b", status=BatchState.PARTIAL)
ODD = Batch(batch_id="b", status=BatchState("REVIEW"))


def reading(
    script: Sequence[Batch | Exception], clock: VirtualClock
) -> tuple[Callable[[float | None], Awaitable[Batch]], list[float]]:
    """Return what answers polls by a script, its last line again and again, and the moments of the polls."""
    moments: list[float] = []
    begun = clock.monotonic()

    async def read(remaining: float | None) -> Batch:
        assert remaining is None or remaining > 0
        answer = script[min(len(moments), len(script) - 1)]
        moments.append(clock.monotonic() - begun)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return read, moments


async def changes(script: Sequence[Batch | Exception], clock: VirtualClock, deadline: float | None) -> list[Batch]:
    read, _ = reading(script, clock)
    return [batch async for batch in watched(read, clock, deadline)]


def test_each_change_is_yielded_once_and_the_final_one_ends_it() -> None:
    async def main(clock: VirtualClock) -> None:
        assert await changes([QUEUED, QUEUED, ODD, QUEUED, DONE, ODD], clock, 300.0) == [QUEUED, ODD, QUEUED, DONE]

    run(main)


def test_a_404_is_not_there_yet_for_half_a_minute() -> None:
    async def main(clock: VirtualClock) -> None:
        missing = NotFoundError("no such batch", status=404)
        assert await changes([missing, missing, DONE], clock, 300.0) == [DONE]
        read, moments = reading([missing], clock)
        with pytest.raises(NotFoundError):
            await anext(watched(read, clock, 300.0))
        assert 30 <= moments[-1] <= 30 + LONGEST_PAUSE

    run(main)


def test_a_404_of_a_batch_that_was_there_is_an_error() -> None:
    async def main(clock: VirtualClock) -> None:
        with pytest.raises(NotFoundError):
            await changes([QUEUED, NotFoundError("gone", status=404)], clock, 300.0)

    run(main)


def test_an_outage_is_waited_out_and_a_refusal_is_not() -> None:
    async def main(clock: VirtualClock) -> None:
        down = ServerError("down", status=503)
        assert await changes([QUEUED, down, down, DONE], clock, 300.0) == [QUEUED, DONE]
        with pytest.raises(ForbiddenError):
            await changes([QUEUED, ForbiddenError("no", status=403)], clock, 300.0)

    run(main)


@given(st.floats(0.5, 400))
def test_a_missed_deadline_carries_the_last_batch_seen_and_looks_until_the_end(deadline: float) -> None:
    async def main(clock: VirtualClock) -> None:
        begun = clock.monotonic()
        read, moments = reading([QUEUED], clock)
        with pytest.raises(DeadlineExceededError) as caught:
            async for _ in watched(read, clock, deadline):
                pass
        assert caught.value.batch == QUEUED
        assert "still QUEUED" in str(caught.value)
        assert clock.monotonic() - begun <= deadline
        assert deadline - moments[-1] <= min(LAST_LOOK, deadline / 4) + 1e-6
        backoff_delays = [after - before for before, after in itertools.pairwise(moments)]
        assert all(pause <= LONGEST_PAUSE for pause in backoff_delays)

    run(main)


def test_a_deadline_of_a_batch_never_seen_says_so_and_keeps_the_reason() -> None:
    async def main(clock: VirtualClock) -> None:
        down = ServerError("down", status=503, operation="batches.get")
        with pytest.raises(DeadlineExceededError, match="not seen at all") as caught:
            await changes([down], clock, 10.0)
        assert caught.value.batch is None
        assert caught.value.__cause__ is down
        assert caught.value.operation == "batches.get"

    run(main)


def test_without_a_deadline_it_waits_for_as_long_as_it_takes() -> None:
    async def main(clock: VirtualClock) -> None:
        assert await changes([*[QUEUED] * 1000, DONE], clock, None) == [QUEUED, DONE]
        assert clock.monotonic() > 10_000

    run(main)


def test_the_error_of_a_missed_deadline_travels_with_its_batch() -> None:
    error = DeadlineExceededError("late", batch=QUEUED)
    assert pickle.loads(pickle.dumps(error)).batch == QUEUED  # noqa: S301  # our own bytes


# Against a server


@asynccontextmanager
async def served(
    clock: VirtualClock, *, generation: Generation = "G3"
) -> AsyncGenerator[tuple[AmiliClient, Sandbox, Batch]]:
    """Serve a sandbox with a queued batch of its first organization, and a client, on a clock without waiting."""
    with installed(clock):
        async with (
            Sandbox(
                organizations=1, batches=8, entries=2, finish_after=None, generation=generation, clock=clock.time
            ) as sandbox,
            AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, trust_env=False) as client,
        ):
            batch = await client.batches.list(sandbox.organization_ids[0], state="QUEUED").first()
            assert batch is not None
            sandbox.requests.clear()
            yield client, sandbox, batch


@pytest.mark.parametrize("by", ["accepted", "organization", "id"])
def test_a_batch_is_waited_for_by_what_is_known_of_it(by: str) -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, batch):
            organization = sandbox.organization_ids[0]
            seen: list[BatchState] = []
            watching = client.batches.watch(
                Accepted(batch_id=batch.batch_id, organization_id=organization) if by == "accepted" else batch.batch_id,
                organization_id=organization if by == "organization" else None,
            )
            async for changed in watching:
                seen.append(changed.state)
                if changed.state == "QUEUED":
                    sandbox.finish(batch.batch_id, "FAILED")
            assert seen == ["QUEUED", "FAILED"]
            assert {request.operation for request in sandbox.requests} == {
                "batches.get_by_id" if by == "id" else "batches.get"
            }

    run(main)


def test_on_an_older_server_a_batch_is_found_by_its_id_alone() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock, generation="G1") as (client, sandbox, batch):
            sandbox.finish(batch.batch_id, "PARTIAL")
            owner = sandbox.organization_ids[0]
            final = await client.batches.wait(Accepted(batch_id=batch.batch_id, organization_id=owner))
            assert final.batch_id == batch.batch_id
            assert final.legacy_status is not None
            assert final.state.terminal

    run(main)


def test_a_wait_sees_it_through() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, batch):
            waiting = asyncio.create_task(client.batches.wait(batch.batch_id, deadline=None))
            await clock.sleep(60)
            assert not waiting.done()
            sandbox.finish(batch.batch_id, "FAILED")
            assert (await waiting).state is BatchState.FAILED

    run(main)


def test_a_batch_that_is_nowhere_is_not_found() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, _):
            begun = clock.monotonic()
            with pytest.raises(NotFoundError) as caught:
                await client.batches.wait("no such batch", organization_id=sandbox.organization_ids[0])
            assert caught.value.operation == "batches.get"
            assert 30 <= clock.monotonic() - begun <= 30 + LONGEST_PAUSE

    run(main)


def test_a_wait_that_ended_too_early_goes_on_from_the_id() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, batch):
            owner = sandbox.organization_ids[0]
            sandbox.faults.add(Fault("batches.get", status=404, body="{}", count=3))
            with pytest.raises(DeadlineExceededError) as caught:
                await client.batches.wait(batch.batch_id, organization_id=owner, deadline=20)
            assert caught.value.batch == batch
            sandbox.finish(batch.batch_id, "SUCCESS")
            final = await client.batches.wait(batch.batch_id, organization_id=owner, deadline=20)
            assert final.state is BatchState.SUCCESS

    run(main)


def test_a_poll_takes_no_longer_than_what_is_left() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, batch):
            sandbox.faults.add(Fault("batches.get_by_id", "hang"))
            begun = clock.monotonic()
            with pytest.raises(DeadlineExceededError):
                await client.batches.wait(batch.batch_id, deadline=7)
            assert clock.monotonic() - begun == pytest.approx(7, abs=0.1)

    run(main)


def test_a_failing_token_endpoint_is_waited_out_and_refused_credentials_are_not() -> None:
    async def main(clock: VirtualClock) -> None:
        down = TokenError("no answer", status=503, retry_after=5.0)
        assert await changes([down, QUEUED, down, DONE], clock, 300.0) == [QUEUED, DONE]
        with pytest.raises(TokenError):
            await changes([TokenError("invalid_client", status=401)], clock, 300.0)

    run(main)


@pytest.mark.parametrize("status", [404, 405, 410, 501])
@pytest.mark.parametrize("legacy", [200, 404, 405, 410, 501])
def test_a_server_without_a_route_is_asked_for_the_other_one(status: int, legacy: int) -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, batch):
            owner = sandbox.organization_ids[0]
            sandbox.finish(batch.batch_id, "PARTIAL")
            sandbox.faults.add(Fault("batches.get", status=status, body="{}"))
            if legacy == 200:
                final = await client.batches.wait(batch, deadline=60)
                assert final.state is BatchState.PARTIAL
                return
            sandbox.faults.add(Fault("batches.get_by_id", status=legacy, body="{}"))
            begun = clock.monotonic()
            with pytest.raises(APIError) as caught:
                await client.batches.wait(batch.batch_id, organization_id=owner)
            # One 404 of the two means that it may still come; without any there is no route to it.
            there_yet = 404 in {status, legacy}
            assert caught.value.status == (404 if there_yet else status)
            assert (clock.monotonic() - begun > 29) is there_yet

    run(main)


def test_a_refusal_is_no_reason_to_ask_for_the_other_route() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, batch):
            sandbox.faults.add("batches.get:status=403,body={}")
            with pytest.raises(ForbiddenError):
                await client.batches.wait(batch)
            assert sandbox.requests.count("batches.get_by_id") == 0

    run(main)


def test_once_found_by_its_id_alone_a_batch_is_looked_for_there() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock, generation="G1") as (client, sandbox, batch):
            waiting = asyncio.create_task(client.batches.wait(batch, organization_id=sandbox.organization_ids[0]))
            await clock.sleep(60)
            sandbox.finish(batch.batch_id, "PARTIAL")
            assert (await waiting).state.terminal
            assert sandbox.requests.count("batches.get_by_id") > 3
            assert len(sandbox.requests) == sandbox.requests.count("batches.get_by_id") + 1

    run(main)


def test_an_outage_of_the_older_route_is_waited_out() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock, generation="G1") as (client, sandbox, batch):
            sandbox.finish(batch.batch_id, "PARTIAL")
            sandbox.faults.add(Fault("batches.get_by_id", status=500, body="{}", count=30))
            waited = await client.batches.wait(batch, organization_id=sandbox.organization_ids[0])
            assert waited.state.terminal

    run(main)


@pytest.mark.parametrize("batch", [None, "", 7, ["b"]])
async def test_what_is_no_batch_is_refused(client: AmiliClient, sandbox: Sandbox, batch: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^batch must be"):
        await client.batches.wait(batch)
    assert sandbox.requests.total == 0


# Many at once


def queued(sandbox: Sandbox, *, finish_after: float) -> str:
    """Add a batch that is final after so many seconds; return its id."""
    batch_id = sandbox.add_batch(state="QUEUED")
    asyncio.get_running_loop().call_later(finish_after, sandbox.finish, batch_id, "SUCCESS")
    return batch_id


def test_many_batches_come_as_they_end_under_one_deadline() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, _):
            owner = sandbox.organization_ids[0]
            ids = [queued(sandbox, finish_after=after) for after in (40.0, 5.0, 20.0)]
            accepted = [Accepted(batch_id=batch_id, organization_id=owner) for batch_id in ids]
            begun = clock.monotonic()
            came = [batch.batch_id async for batch in client.batches.wait_all(accepted, deadline=90)]
            assert came == [ids[1], ids[2], ids[0]]
            assert clock.monotonic() - begun < 40 + LONGEST_PAUSE + 1

    run(main)


def test_those_that_are_late_are_named_after_the_others_have_come() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, batch):
            owner = sandbox.organization_ids[0]
            soon = queued(sandbox, finish_after=5.0)
            begun = clock.monotonic()
            stream = client.batches.wait_all([batch, soon], organization_id=owner, deadline=30)
            assert (await anext(stream)).batch_id == soon
            with pytest.raises(DeadlineExceededError, match="1 of 2 batches were not final in time") as caught:
                await anext(stream)
            assert caught.value.pending == (batch.batch_id,)
            assert clock.monotonic() - begun <= 30
            assert batch.batch_id not in str(caught.value)

    run(main)


def test_one_that_fails_keeps_none_of_the_others() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, batch):
            owner = sandbox.organization_ids[0]
            late = queued(sandbox, finish_after=60.0)
            stream = client.batches.wait_all(["nowhere", late, batch], organization_id=owner, deadline=90)
            assert (await anext(stream)).batch_id == late
            with pytest.raises(NotFoundError):
                await anext(stream)

    run(main)


def test_leaving_early_ends_every_wait() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, batch):
            sandbox.finish(batch.batch_id, "PARTIAL")
            async with client.batches.wait_all([batch, "nowhere"]) as finished:
                assert (await anext(finished)).batch_id == batch.batch_id
            assert running() == []

    run(main)


@pytest.mark.parametrize(
    ("batches", "why"),
    [
        ("b", "batches must be several, such as"),
        (Accepted(batch_id="b", organization_id="o"), "batches must be several"),
        (["b", None], "batch must be text or a UUID, not NoneType"),
    ],
)
def test_what_is_not_several_batches_is_refused(client: AmiliClient, batches: Any, why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=why):
        client.batches.wait_all(batches)


@pytest.mark.parametrize("deadline", [0, -1, "soon", float("nan")])
async def test_a_deadline_that_cannot_be_right_is_refused(
    client: AmiliClient, sandbox: Sandbox, deadline: float
) -> None:
    with pytest.raises(ConfigurationError, match="deadline"):
        await client.batches.wait("b", deadline=deadline)
    assert len(sandbox.requests) == 0
