"""A generated client: what openapi-python-client 0.29.1 makes of ``openapi.json``, used as its README says.

``generated/`` is its output (``openapi-python-client generate --path openapi.json --meta none``), less the route that
is not used, formatted like the rest.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx

from benchmarks.peers.generated import AuthenticatedClient
from benchmarks.peers.generated.api.batches import get_batches_by_organization
from benchmarks.peers.generated.types import UNSET, Unset
from benchmarks.peers.peer import in_tasks
from benchmarks.server import TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from benchmarks.peers.peer import Walk


@asynccontextmanager
async def opened(base_url: str) -> AsyncGenerator[Walk, None]:
    """Open a client; the walk asks for page after page."""
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    async with AuthenticatedClient(base_url=base_url, token=TOKEN, httpx_args={"limits": limits}) as client:

        async def walk(organization_id: str) -> int:
            token: str | Unset = UNSET
            entries = 0
            while True:
                page = await get_batches_by_organization.asyncio(organization_id, client=client, page_token=token)
                if page is None:
                    raise ConnectionError("no page")
                for batch in page.data:
                    entries += len(batch.succeeded)
                following = page.summary.next_page_token if page.summary else None
                if not following:
                    return entries
                token = following

        yield in_tasks(walk)
