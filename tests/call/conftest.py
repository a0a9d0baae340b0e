"""What the transport's tests share: a real server and a client, in one event loop on which waiting takes no time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Unpack

import pytest

from amili_async import AmiliClient, ClientCredentials
from amili_async import _clock as clock_module
from amili_async.sandbox import Sandbox
from tests.call.calls import Calls, ClientMaker
from tests.virtual_time import VirtualClock, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from amili_async._client import ClientSettings


def pytest_asyncio_loop_factories() -> Mapping[str, type[asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualLoop}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own proxies out of the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def clock() -> AsyncIterator[VirtualClock]:
    virtual = VirtualClock(asyncio.get_running_loop())
    with clock_module.installed(virtual):
        yield virtual


@pytest.fixture
async def sandbox(clock: VirtualClock) -> AsyncIterator[Sandbox]:
    async with Sandbox(organizations=2, batches=6, entries=1, token_lifetime=600, clock=clock.time) as served:
        yield served


@pytest.fixture
def credentials(sandbox: Sandbox) -> ClientCredentials:
    return ClientCredentials(*sandbox.credentials)


@pytest.fixture
async def make_client(sandbox: Sandbox, credentials: ClientCredentials) -> AsyncIterator[ClientMaker]:
    async with AsyncExitStack() as open_clients:

        def make(auth: str | None = None, /, **settings: Unpack[ClientSettings]) -> AmiliClient:
            given: ClientSettings = {"base_url": sandbox.base_url, "token_url": sandbox.token_url, **settings}
            client = AmiliClient(credentials if auth is None else auth, **given)
            open_clients.push_async_callback(client.aclose)
            return client

        yield make


@pytest.fixture
def client(make_client: ClientMaker) -> AmiliClient:
    return make_client()


@pytest.fixture
async def calls(sandbox: Sandbox) -> Calls:
    """A read of a batch that there is, and a write; the log is empty."""
    organization = sandbox.organization_ids[0]
    async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url) as finder:
        batch = await finder.batches.list(organization, prefetch=False).first()
    assert batch is not None
    sandbox.requests.clear()
    return Calls(organization, batch.batch_id)
