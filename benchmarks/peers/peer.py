"""What every peer offers: a client that is opened once and walks organizations' batches to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

Walk = Callable[[Sequence[str], int], Awaitable[int]]
"""Walk organizations, so many at a time, page by page and batch by batch; return how many entries have succeeded."""

OURS = "amili_async"
BARE = "bare aiohttp + msgspec"
FLOOR = "asyncio by hand + msgspec"
HTTPX2 = "httpx2 + msgspec"
HTTPX_PYDANTIC = "httpx + pydantic"
OPENAI = "openai-python's base client"
OPENAPI = "openapi-python-client"

MODULES = {
    OURS: "benchmarks.peers.ours",
    BARE: "benchmarks.peers.bare",
    FLOOR: "benchmarks.peers.floor",
    HTTPX2: "benchmarks.peers.httpx2_msgspec",
    HTTPX_PYDANTIC: "benchmarks.peers.httpx_pydantic",
    OPENAI: "benchmarks.peers.openai_base",
    OPENAPI: "benchmarks.peers.openapi_client",
}
"""Each has ``opened(base_url)``, an asynchronous context manager that yields a `Walk`."""


def in_tasks(walk: Callable[[str], Awaitable[int]]) -> Walk:
    """Walk many organizations with what walks one: a few tasks take one organization after the other."""

    async def walk_all(organization_ids: Sequence[str], concurrency: int) -> int:
        waiting = iter(organization_ids)

        async def work() -> int:
            entries = 0
            for organization_id in waiting:
                entries += await walk(organization_id)
            return entries

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work()) for _ in range(concurrency)]
        return sum(task.result() for task in tasks)

    return walk_all
