"""What the transport's tests share: a real server and a client, in one event loop on which waiting takes no time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol, Unpack

import pytest

from amili_async import AmiliClient, ClientCredentials
from amili_async import clock as clock_module
from amili_async.sandbox import Sandbox
from tests.virtual_time import VirtualClock, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from amili_async.client import ClientSettings


def pytest_asyncio_loop_factories() -> Mapping[str, type[asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualLoop}


class ClientMaker(Protocol):
    """Makes clients of the sandbox; they are closed when the test ends."""

    def __call__(self, **settings: Unpack[ClientSettings]) -> AmiliClient: ...


@pytest.fixture
async def clock() -> AsyncIterator[VirtualClock]:
    virtual = VirtualClock(asyncio.get_running_loop())
    with clock_module.installed(virtual):
        yield virtual


@pytest.fixture
async def sandbox(clock: VirtualClock) -> AsyncIterator[Sandbox]:
    async with Sandbox(organizations=2, batches=6, entries=1, clock=clock.time) as served:
        yield served


@pytest.fixture
def credentials(sandbox: Sandbox) -> ClientCredentials:
    return ClientCredentials(*sandbox.credentials)


@pytest.fixture
async def make_client(sandbox: Sandbox, credentials: ClientCredentials) -> AsyncIterator[ClientMaker]:
    async with AsyncExitStack() as open_clients:

        def make(**settings: Unpack[ClientSettings]) -> AmiliClient:
            given: ClientSettings = {
                "base_url": sandbox.base_url,
                "token_url": sandbox.token_url,
                "trust_env": False,
                **settings,
            }
            client = AmiliClient(credentials, **given)
            open_clients.push_async_callback(client.aclose)
            return client

        yield make


@pytest.fixture
def client(make_client: ClientMaker) -> AmiliClient:
    return make_client()


@pytest.fixture
def organization(sandbox: Sandbox) -> str:
    return sandbox.organization_ids[0]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the machine's own proxies out of the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    yield
