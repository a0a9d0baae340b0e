"""A shard's work that kills the worker it runs on, wherever a certain organization is in it; imported by workers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from amili_async.sync._dask import worker as dask_shard

if TYPE_CHECKING:
    from amili_async.sync import SyncReport


def work(shard: dask_shard.Shard) -> SyncReport:
    """Work, unless the shard holds the organization that the environment names."""
    if os.environ["POISON"] in shard.organization_ids:
        os._exit(1)
    return dask_shard.work(shard)


def broken(shard: dask_shard.Shard) -> SyncReport:
    """Work, unless the shard holds the organization that the environment names: then fail as only a bug does."""
    if os.environ["POISON"] in shard.organization_ids:
        raise ZeroDivisionError("of no interest to anybody")
    return dask_shard.work(shard)
