"""Calls on uvloop, in real time: what only its own timers and handles can show.

With ``pytest --event-loop uvloop`` all other tests run on it too.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from amili_async import AmiliClient, DeadlineExceededError
from amili_async.sandbox import Sandbox

uvloop = pytest.importorskip("uvloop")


def test_the_shortest_deadlines_on_uvloop_leave_those_of_the_other_calls_in_force() -> None:
    async def main() -> None:
        async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, trust_env=False) as client:
            sandbox.faults.add("batches.get:hang")
            organization = sandbox.organization_ids[0]
            shortest = client.with_options(deadline=0.0004)
            ended = await asyncio.gather(
                *(shortest.batches.get(organization, "x") for _ in range(2)), return_exceptions=True
            )
            assert {type(error) for error in ended} == {DeadlineExceededError}
            begun = time.monotonic()
            with pytest.raises(DeadlineExceededError):
                await client.with_options(deadline=0.05).batches.get(organization, "x")
            assert time.monotonic() - begun < 60  # a hang has no end of its own

    with (
        Sandbox(organizations=1, batches=1, entries=1) as sandbox,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(main())
