"""Shards: organizations in small groups of about the same cost, the dearest first."""

from __future__ import annotations

from heapq import heapify, heapreplace
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TARGET = 20.0
"""Seconds of work in a shard, by what earlier runs took: what the loss of a worker costs at most."""

LARGEST = 100
"""Organizations in a shard, at most."""

PER_WORKER = 4
"""Shards for each worker slot at least, so that the slots end at about the same time."""


def shards(
    organization_ids: Sequence[str], seconds: Mapping[str, float], *, worker_slots: int, count: int | None = None
) -> list[tuple[str, ...]]:
    """Return the organizations in groups, the one with the most work first.

    Args:
        organization_ids: each once.
        seconds: what earlier runs took for them; one that is not in it counts as the mean.
        worker_slots: how many shards are worked on at once.
        count: how many shards to make; without it as many as keep each small.
    """
    if not organization_ids:
        return []
    known = [seconds[name] for name in organization_ids if name in seconds]
    mean = fmean(known) if known else 0.0
    cost = {name: seconds.get(name, mean) for name in organization_ids}
    wanted = count or max(
        worker_slots * PER_WORKER, -(-len(organization_ids) // LARGEST), int(sum(cost.values()) / TARGET) + 1
    )
    # The dearest organization goes to the shard with the least work so far. Its size breaks ties, so that organizations
    # of which nothing is known are spread evenly.
    heap: list[tuple[float, int, int]] = [(0.0, 0, number) for number in range(min(wanted, len(organization_ids)))]
    heapify(heap)
    groups: list[list[str]] = [[] for _ in heap]
    for name in sorted(organization_ids, key=lambda name: -cost[name]):
        total, size, number = heap[0]
        groups[number].append(name)
        heapreplace(heap, (total + cost[name], size + 1, number))
    work = {number: total for total, _, number in heap}
    return [tuple(groups[number]) for number in sorted(work, key=lambda number: (-work[number], number))]
