"""What the tests of services share: the README's code blocks, and apps served by a real uvicorn."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from importlib.util import module_from_spec, spec_from_loader
from typing import TYPE_CHECKING

import aiohttp
import uvicorn

from tests.support.documents import titled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from types import ModuleType

    import pytest
    from fastapi import FastAPI

    from amili_async.sandbox import Sandbox


def executed(name: str, *titles: str) -> ModuleType:
    """Return the module that these code blocks make."""
    module = module_from_spec(spec_from_loader(name, loader=None, origin="README.md"))  # type: ignore[arg-type]  # a module without a loader
    # FastAPI and typing look a function's annotations up in its module.
    sys.modules[name] = module
    exec(compile(titled(*titles), "README.md", "exec"), module.__dict__)  # noqa: S102  # the README is ours
    return module


def point_environment(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    """Make the environment's client one of the sandbox's."""
    for name, value in environment_of(sandbox).items():
        monkeypatch.setenv(name, value)


def environment_of(sandbox: Sandbox) -> dict[str, str]:
    """Return the variables that lead a client to the sandbox."""
    client_id, client_secret = sandbox.credentials
    return {
        "AMILI_CLIENT_ID": client_id,
        "AMILI_CLIENT_SECRET": client_secret,
        "AMILI_BASE_URL": sandbox.base_url,
        "AMILI_TOKEN_URL": sandbox.token_url,
        "AMILI_WEBHOOK_SECRET": "a webhook secret",
    }


async def until(condition: Callable[[], object]) -> None:
    """Return when something has come about in a server of this event loop, which takes no more than a minute."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event to wait for
            await asyncio.sleep(0.001)


async def lines_until_broken_off(response: aiohttp.ClientResponse) -> int:
    """Return how many lines an answer has that is broken off."""
    lines = 0
    try:
        async for _ in response.content:
            lines += 1
    except aiohttp.ClientPayloadError:
        return lines
    raise AssertionError("the answer is whole")


class Service:
    """An app that a uvicorn serves in this event loop."""

    def __init__(self, app: FastAPI, **settings: object) -> None:
        config = uvicorn.Config(app, port=0, log_config=None, **settings)  # type: ignore[arg-type]  # uvicorn's own keywords
        self.server = uvicorn.Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.server.servers[0].sockets[0].getsockname()
        return f"http://{host}:{port}"

    @property
    def requests(self) -> int:
        """How many requests are under way."""
        return len(self.server.server_state.tasks)

    async def start(self) -> None:
        """Return when it listens."""
        self._task = asyncio.create_task(self.server.serve())
        task = self._task
        await until(lambda: self.server.started or task.done())
        assert self.server.started, "the service has not started"

    async def stop(self) -> None:
        """Shut down as a SIGTERM does, and return when that is done."""
        self.server.should_exit = True
        assert self._task is not None
        await self._task


@asynccontextmanager
async def served(app: FastAPI, **settings: object) -> AsyncGenerator[Service]:
    """Serve an app for the length of the block."""
    service = Service(app, **settings)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()
