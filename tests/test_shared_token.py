"""Several real processes of one machine, and one token between them."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from amili_async.sandbox import Sandbox
from tests.support.processes import child

if TYPE_CHECKING:
    from pathlib import Path


async def test_processes_of_one_machine_ask_once(tmp_path: Path) -> None:
    async with Sandbox(organizations=1, batches=1) as sandbox, AsyncExitStack() as running:
        client_id, client_secret = sandbox.credentials
        settings = {
            "BASE_URL": sandbox.base_url,
            "TOKEN_URL": sandbox.token_url,
            "CLIENT_ID": client_id,
            "CLIENT_SECRET": client_secret,
            "TOKEN_CACHE": str(tmp_path / "token"),
        }
        environment = {**os.environ, **{f"AMILI_{name}": value for name, value in settings.items()}}
        code = (
            "import asyncio\nfrom amili_async import AmiliClient\n"
            "async def main():\n"
            "    async with AmiliClient.from_env() as amili:\n"
            f"        await amili.batches.list({sandbox.organization_ids[0]!r}).first()\n"
            "asyncio.run(main())"
        )
        processes = [
            await running.enter_async_context(child(sys.executable, "-c", code, env=environment)) for _ in range(4)
        ]
        async with asyncio.timeout(100):
            assert [await process.wait() for process in processes] == [0] * 4
        assert sandbox.requests.count("token") == 1
        assert sandbox.requests.count("batches.list") == 4
