"""A sandbox in a process of its own, so that what a test measures is the client's alone.

``python -m tests.support.sandbox_process SETTINGS FAULT...`` prints where it serves, and then for every line that it is
sent how many requests have come. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from amili_async._routes import ROUTES
from amili_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable


class Served(NamedTuple):
    """Where a sandbox serves, and how to ask it."""

    process: asyncio.subprocess.Process
    base_url: str
    token_url: str
    credentials: tuple[str, str]
    organization_ids: list[str]

    async def requests(self) -> int:
        """Return how many requests of the API have come so far, those for tokens not among them."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        (count,) = await _answer(self.process)
        return int(count)


async def _answer(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    return json.loads(await asyncio.wait_for(process.stdout.readline(), 120))


@asynccontextmanager
async def served(*faults: str, **settings: object) -> AsyncGenerator[Served]:
    """Run a sandbox in another process while the block runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.sandbox_process", json.dumps(settings), *faults),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        base_url, token_url, credentials, organization_ids = await _answer(process)
        yield Served(process, base_url, token_url, tuple(credentials), organization_ids)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


async def main(settings: str, faults: Iterable[str]) -> None:
    """Serve until the standard input ends."""
    async with Sandbox(**json.loads(settings)) as sandbox:
        for fault in faults:
            sandbox.faults.add(fault)
        tell(sandbox.base_url, sandbox.token_url, sandbox.credentials, sandbox.organization_ids)
        while await asyncio.to_thread(sys.stdin.readline):
            # By the route table: what the log still holds has forgotten the operations that are seldom called.
            tell(sum(sandbox.requests.count(operation) for operation in ROUTES))


def tell(*values: object) -> None:
    """Print one line for the one who started this."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
