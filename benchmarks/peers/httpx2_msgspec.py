"""httpx2 (the continuation of httpx under Pydantic's care) and msgspec."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx2

from benchmarks.peers.peer import in_tasks
from benchmarks.peers.rows import DECODER
from benchmarks.server import TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from benchmarks.peers.peer import Walk


@asynccontextmanager
async def opened(base_url: str) -> AsyncGenerator[Walk, None]:
    """Open a client; the walk asks for page after page."""
    # By default only 20 connections are kept alive: too few for 32 walks at once.
    limits = httpx2.Limits(max_connections=100, max_keepalive_connections=100)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(base_url=base_url, headers=headers, limits=limits) as client:

        async def walk(organization_id: str) -> int:
            path = f"/orgs/{organization_id}/batches"
            params: dict[str, str] = {}
            entries = 0
            while True:
                response = await client.get(path, params=params)
                response.raise_for_status()
                page = DECODER.decode(response.content)
                for batch in page.data:
                    entries += len(batch.succeeded)
                if not page.summary.next_page_token:
                    return entries
                params["PageToken"] = page.summary.next_page_token

        yield in_tasks(walk)
