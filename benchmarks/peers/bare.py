"""The bare loop: aiohttp and msgspec, the least code that does the same work."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp

from benchmarks.peers.peer import in_tasks
from benchmarks.peers.rows import DECODER
from benchmarks.server import TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from benchmarks.peers.peer import Walk


@asynccontextmanager
async def opened(base_url: str) -> AsyncGenerator[Walk, None]:
    """Open a session; the walk asks for page after page."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:

        async def walk(organization_id: str) -> int:
            url = f"{base_url}/orgs/{organization_id}/batches"
            params: dict[str, str] = {}
            entries = 0
            while True:
                async with session.get(url, params=params) as response:
                    response.raise_for_status()
                    page = DECODER.decode(await response.read())
                for batch in page.data:
                    entries += len(batch.succeeded)
                if not page.summary.next_page_token:
                    return entries
                params["PageToken"] = page.summary.next_page_token

        yield in_tasks(walk)
