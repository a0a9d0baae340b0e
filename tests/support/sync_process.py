"""A sync in a process of its own, to be killed; its arguments are those of `run`."""

from __future__ import annotations

import asyncio
import sys

from amili_async import AmiliClient, ClientCredentials
from amili_async.sync import SqlStore, sync


async def run(base_url: str, token_url: str, client_id: str, secret: str, store_url: str, *organizations: str) -> int:
    """Sync these organizations; return the exit status."""
    credentials = ClientCredentials(client_id, secret)
    async with (
        AmiliClient(credentials, base_url=base_url, token_url=token_url) as client,
        SqlStore(store_url) as store,
    ):
        report = await sync(client, organizations, store, concurrency=4)
    return 0 if report.ok and not report.held else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(run(*sys.argv[1:])))
