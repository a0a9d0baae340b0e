"""A Dask cluster as a run sees it: one that is there, one that grows with its work, or processes of this machine."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from math import isfinite
from typing import TYPE_CHECKING, Any

from amili_async._upstream.distributed import adaptive_maximum
from amili_async.errors import ClusterError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

LOCAL = "local:"
"""What an address begins with that stands for so many processes of this machine: ``local:4``."""

SCHEDULER = 30.0
"""Seconds that a scheduler gets to answer."""

LOST = "the Dask cluster was lost; run again, and it goes on from where it stood"

GROWING = 64
"""Slots that a cluster is given work for which grows, and does not say how far."""

# Typed in parts only; what is used of it is a cluster and a client.
_distributed: Any = import_module("distributed")


class Cluster:
    """A client of a scheduler, and how many shards can be worked on at once."""

    def __init__(self, client: Any, most: int | None) -> None:
        self.client = client
        self._most = most
        """How many workers a cluster may come to have that starts them as there is work; else ``None``."""

    async def workers(self) -> int:
        """Return how many threads all workers have together.

        Raises:
            ClusterError: the scheduler is not there any more.
        """
        try:
            async with asyncio.timeout(SCHEDULER):
                threads: dict[str, int] = await self.client.nthreads()
        except OSError as error:  # that it does not answer in time among them
            raise ClusterError(LOST) from error
        return sum(threads.values())

    async def worker_slots(self) -> int:
        """Return how many shards to hand out at once."""
        here = await self.workers()
        if self._most is not None:
            return max(here, self._most)
        # Without any worker it must be one that waits for work before it starts some.
        return here or GROWING


@asynccontextmanager
async def connected(cluster_or_address: object) -> AsyncGenerator[Cluster, None]:
    """Connect to a cluster; one made for this run is closed with it.

    Raises:
        ConfigurationError: what was given names no cluster.
        ClusterError: its scheduler cannot be reached.
    """
    async with AsyncExitStack() as stack:
        target = cluster_or_address
        if isinstance(target, str) and target.startswith(LOCAL):
            target = await stack.enter_async_context(_local(_count(target)))
        address = target if isinstance(target, str) else getattr(target, "scheduler_address", None)
        if not isinstance(address, str) or "://" not in address:
            raise ConfigurationError(
                "the cluster must be a Dask cluster, a scheduler's address such as tcp://scheduler:8786, or local:4"
            )
        try:
            client = await stack.enter_async_context(
                _distributed.Client(
                    address,
                    asynchronous=True,
                    set_as_default=False,
                    security=getattr(target, "security", None),
                    timeout=SCHEDULER,
                )
            )
        except OSError as error:
            raise ClusterError(f"the Dask scheduler at {address} cannot be reached") from error
        yield Cluster(client, _most(target))


def _local(processes: int) -> Any:
    """Return a cluster of processes of this machine.

    Whoever reaches a scheduler runs code of theirs on its workers, and these hold the secret; so what listens here
    wants a certificate that was made for this run and is nowhere but in these processes. There is no dashboard.
    """
    return _distributed.LocalCluster(
        n_workers=processes,
        threads_per_worker=1,
        processes=True,
        asynchronous=True,
        dashboard_address=None,
        # Without one, Dask answers for its health all the same: at a free port, or a second run would be told of it.
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        host="127.0.0.1",
        protocol="tls://",
        security=_distributed.Security.temporary(),
    )


def _most(cluster: object) -> int | None:
    """Return how many workers a cluster may come to have; ``None`` where it does not start them by itself."""
    maximum = adaptive_maximum(cluster)
    if maximum is None:
        return None
    return int(maximum) if isfinite(maximum) else GROWING


def _count(address: str) -> int:
    text = address.removeprefix(LOCAL)
    if not text.isdecimal() or int(text) < 1:
        raise ConfigurationError(f"{address!r} must name how many processes, such as local:4")
    return int(text)
