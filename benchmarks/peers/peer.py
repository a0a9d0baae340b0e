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

OPENERS = {
    OURS: "benchmarks.peers.ours:opened",
    BARE: "benchmarks.peers.bare:opened",
    FLOOR: "benchmarks.peers.floor:opened",
    HTTPX2: "benchmarks.peers.httpx2_msgspec:opened",
    HTTPX_PYDANTIC: "benchmarks.peers.httpx_pydantic:opened",
    OPENAI: "benchmarks.peers.openai_base:opened",
    OPENAPI: "benchmarks.peers.openapi_client:opened",
}
"""Where each peer is: a function that takes a base URL and returns an asynchronous context manager of a `Walk`."""


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
