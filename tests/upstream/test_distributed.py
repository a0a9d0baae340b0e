"""What leans on Dask's insides, tried on the Dask that is installed: it fails when upstream changes it."""

from __future__ import annotations

from importlib import import_module
from math import inf
from typing import Any

import pytest

from amili_async._upstream.distributed import adaptive_maximum

distributed: Any = import_module("distributed")


@pytest.mark.parametrize(("options", "maximum"), [({"maximum": 3}, 3), ({}, inf)])
async def test_a_cluster_that_starts_its_workers_by_itself_says_how_many_at_most(
    options: dict[str, int], maximum: float
) -> None:
    async with distributed.LocalCluster(
        n_workers=0, processes=False, asynchronous=True, dashboard_address="127.0.0.1:0"
    ) as cluster:
        assert adaptive_maximum(cluster) is None
        cluster.adapt(minimum=0, **options)
        assert adaptive_maximum(cluster) == maximum


def test_what_does_not_say_its_maximum_is_taken_to_have_none() -> None:
    assert adaptive_maximum(type("Cluster", (), {"_adaptive": object()})()) == inf
