"""A server that takes invoices and counts them: the least that stands for Amili in a kill test, none of the sandbox."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class CountingServer:
    """How often each invoice number arrived, and under which keys."""

    def __init__(self, latency: float = 0.0) -> None:
        self.url = ""
        self.latency = latency
        self.numbers: Counter[str] = Counter()
        self.keys: Counter[str] = Counter()
        self.status = 202
        self.writes = 0

    async def take(self, request: web.Request) -> web.Response:
        """Count the invoices as soon as they have arrived, and answer a little later."""
        body = json.loads(await request.read())
        self.writes += 1
        if self.status == 202:
            self.numbers.update(invoice["invoiceNumber"] for invoice in body["invoices"])
            self.keys[request.headers["IdempotencyKey"]] += 1
        await asyncio.sleep(self.latency)
        batch = {"batchId": f"batch-{self.writes}"}
        return web.json_response({"summary": {"status": "SUCCESS"}, "data": batch}, status=self.status)


@asynccontextmanager
async def counting_server(latency: float = 0.0) -> AsyncGenerator[CountingServer, None]:
    """Yield a server that counts, at a port of its own."""
    server = CountingServer(latency)
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/orgs/{organization_id}/invoices", server.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()
