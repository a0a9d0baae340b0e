"""Shards hold every organization once, cost about the same, and come dearest first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amili_async.sync._dask.shards import LARGEST, PER_WORKER, TARGET, shards

names = st.lists(st.text("abcdef", min_size=1, max_size=4), unique=True, max_size=60)
costs = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.floats(0, 500))


@given(ids=names, seconds=costs, worker_slots=st.integers(1, 8), count=st.none() | st.integers(1, 70))
def test_every_organization_is_in_one_shard(
    ids: list[str], seconds: dict[str, float], worker_slots: int, count: int | None
) -> None:
    found = shards(ids, seconds, worker_slots=worker_slots, count=count)
    assert sorted(name for group in found for name in group) == sorted(ids)
    assert all(found)
    if count is not None:
        assert len(found) == min(count, len(ids))


@given(ids=names, seconds=costs, worker_slots=st.integers(1, 8))
def test_no_shard_costs_more_than_another_and_its_dearest_organization(
    ids: list[str], seconds: dict[str, float], worker_slots: int
) -> None:
    known = {name: seconds.get(name, 0.0) for name in ids}
    work = [sum(known[name] for name in group) for group in shards(ids, known, worker_slots=worker_slots)]
    assert work == sorted(work, reverse=True)
    if work:
        assert work[0] - work[-1] <= max(known.values()) + 1e-6


def test_organizations_of_which_nothing_is_known_are_spread_evenly() -> None:
    found = shards([str(number) for number in range(1000)], {}, worker_slots=2)
    assert {len(group) for group in found} == {1000 // len(found)}
    assert len(found) == 1000 // LARGEST


def test_an_organization_that_is_new_counts_as_the_mean() -> None:
    assert shards(["dear", "cheap", "new"], {"dear": 30.0, "cheap": 2.0}, worker_slots=1, count=2) == [
        ("dear",),
        ("new", "cheap"),
    ]


def test_shards_are_as_many_as_keep_each_small() -> None:
    ids = [str(number) for number in range(40)]
    assert len(shards(ids, {}, worker_slots=3)) == 3 * PER_WORKER
    assert len(shards(ids, dict.fromkeys(ids, TARGET / 2), worker_slots=1)) == 21
    assert shards([], {}, worker_slots=3) == []
