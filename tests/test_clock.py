"""The clock in force, and that another can stand in for it."""

from __future__ import annotations

import asyncio
import time

import pytest

from amili_async import _clock as clock
from amili_async.sandbox import VirtualClock


async def test_the_machines_clock_tells_the_time_and_waits() -> None:
    system = clock.SystemClock()
    before = time.monotonic()
    await system.sleep(0.001)
    assert before + 0.001 <= system.monotonic() <= time.monotonic()
    assert abs(system.time() - time.time()) < 3600


async def test_a_sleep_of_nothing_lets_other_tasks_have_a_turn() -> None:
    other = asyncio.create_task(asyncio.sleep(0))
    await clock.SystemClock().sleep(0)
    await clock.SystemClock().sleep(0)
    assert other.done()


async def test_the_machines_clock_is_in_force_unless_another_is_installed() -> None:
    assert isinstance(clock.current(), clock.SystemClock)
    outer, inner = (VirtualClock() for _ in range(2))
    with clock.installed(outer):
        assert clock.current() is outer
        with clock.installed(inner):
            assert clock.current() is inner
        assert clock.current() is outer
    assert isinstance(clock.current(), clock.SystemClock)


async def test_a_clock_is_taken_out_when_its_block_fails() -> None:
    with pytest.raises(LookupError), clock.installed(VirtualClock()):
        raise LookupError
    assert isinstance(clock.current(), clock.SystemClock)
