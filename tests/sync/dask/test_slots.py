"""What was learnt of a limit in one shard is known in the next one of the run on that worker, and nowhere else."""

from __future__ import annotations

import pytest

from amili_async import _clock
from amili_async._call.limits import Limits
from amili_async._protocol.rate import FixedPace, LearnedPace
from amili_async.sync._dask.signals import taken_over
from amili_async.sync._dask.slots import KEPT, WorkerSlot, WorkerSlots
from tests.simulation.job import Job, on_virtual_time
from tests.simulation.server import limited_to
from tests.support.virtual_time import run

RATE = 20.0


def test_a_shard_goes_on_where_the_one_before_it_has_ended_if_it_is_of_the_same_run() -> None:
    slots = WorkerSlots()
    with slots.taken("run") as first:
        first.pace = LearnedPace()
    with slots.taken("another") as strange, slots.taken("run") as second:
        assert second is first
        assert strange.pace is None
        assert strange.name != first.name


def test_shards_that_are_worked_on_at_once_have_a_slot_each_and_so_have_those_after_them() -> None:
    slots = WorkerSlots()
    with slots.taken("run") as one, slots.taken("run") as other:
        assert one is not other
    with slots.taken("run") as next_one, slots.taken("run") as next_other:
        assert {next_one.name, next_other.name} == {one.name, other.name}


def test_what_was_learnt_long_ago_binds_nobody() -> None:
    async def main(clock: _clock.Clock) -> None:
        slots = WorkerSlots()
        with _clock.installed(clock):
            with slots.taken("run") as first:
                await clock.sleep(2 * KEPT)  # at work, it is as old as its end
            await clock.sleep(KEPT - 1)
            with slots.taken("run") as soon:
                assert soon is first
            await clock.sleep(KEPT)
            with slots.taken("run") as late:
                assert late is not first

    run(main)


async def worked(job: Job, shards: list[str], slot: WorkerSlot | None = None) -> list[int]:
    """Work on one shard after the other; return how many requests were refused in each."""
    reports = [await job.run(shard, concurrency=4, slot=slot) for shard in shards]
    assert all(report.ok for report in reports)
    return [report.requests - report.total.pages for report in reports]


def under_a_limit(job: Job, shards: int) -> list[str]:
    """Return the organizations of a server that takes `RATE` requests a second, each of 60 pages."""
    names = [f"organization-{number}" for number in range(shards)]
    for name in names:
        job.list_of(name, rows=600).page_size = 10
    job.server.latency = 0.02
    job.server.limit = limited_to(RATE, job.clock.monotonic)
    return names


def test_a_limit_is_learnt_once_and_not_by_refusals_in_each_shard() -> None:
    found: list[tuple[list[int], float]] = []

    def work(slot: WorkerSlot | None) -> None:
        async def main(job: Job) -> None:
            names = under_a_limit(job, 8)
            begun = job.clock.monotonic()
            refused = await worked(job, names, slot)
            found.append((refused, 8 * 60 / (RATE * (job.clock.monotonic() - begun) + RATE)))

        on_virtual_time(main)

    slot = WorkerSlot("run")
    work(None)
    work(slot)
    (anew, _), (once, used) = found
    assert sum(once[1:]) < sum(anew[1:]) / 3
    assert used >= 0.95
    assert slot.pace is not None
    assert slot.pace.sustained == pytest.approx(RATE, rel=0.1)


def test_a_limit_that_has_gone_is_noticed_though_each_shard_is_short() -> None:
    async def main(job: Job) -> None:
        names = under_a_limit(job, 8)
        slot = WorkerSlot("run")
        await worked(job, names[:5], slot)
        job.server.limit = lambda _request: None
        await worked(job, names[5:7], slot)
        begun = job.clock.monotonic()
        await worked(job, names[7:], slot)
        assert 60 / (job.clock.monotonic() - begun) > 2 * RATE  # one page after the other, in 20 ms each

    on_virtual_time(main)


def test_a_client_that_is_to_learn_nothing_goes_on_with_nothing() -> None:
    async def main(clock: _clock.Clock) -> None:
        learnt, none = LearnedPace(), Limits(clock, concurrency=1)
        assert none.go_on(learnt) is None
        assert none.pace is None
        fixed = Limits(clock, concurrency=1, pace=FixedPace(5.0))
        assert fixed.go_on(learnt) is None
        assert fixed.rate == 5.0
        learning = Limits(clock, concurrency=1, pace=LearnedPace())
        own = learning.learned
        assert learning.go_on(None) is own
        assert learning.go_on(learnt) is learning.learned is learning.pace is learnt

    run(main)


def test_where_nobody_is_known_to_be_left_nothing_is_taken_over() -> None:
    async def main(clock: _clock.Clock) -> None:
        pace = LearnedPace()
        pace.refused(0.0, 0.0)
        limits = Limits(clock, concurrency=1, pace=pace)
        rate = limits.rate
        assert rate is not None
        limits.share(*taken_over({"other": 5.0}, {"new"}), alone=False)
        assert limits.rate == rate
        limits.share(10.0, 5.0, alone=True)
        assert limits.rate == 2 * rate

    run(main)


def test_who_is_left_takes_what_another_had_learnt_to_send() -> None:
    assert taken_over({"one": 15.0, "other": 5.0}, {"other"}) == (20.0, 5.0)
    assert taken_over({"one": 15.0, "other": 5.0}, {"one", "other", "new"}) == (20.0, 20.0)
    assert taken_over({}, {"one"}) == (0.0, 0.0)


def test_of_whom_no_rate_is_known_counts_as_one_of_the_others() -> None:
    assert taken_over({"one": 6.0, "other": None, "third": 2.0}, {"one", "third"}) == (12.0, 8.0)
    assert taken_over({"one": None, "other": None}, {"one"}) == (2.0, 1.0)
