"""What the tests of lists share: an organization's eight batches on a real server, in pages of three."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import TYPE_CHECKING, Any

import pytest

from amili_async import AmiliClient
from amili_async import _clock as clock_module
from amili_async.sandbox import Sandbox
from tests.lists.listed import Listed
from tests.turns import running, turns
from tests.virtual_time import VirtualClock, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


def pytest_asyncio_loop_factories() -> Mapping[str, type[asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualLoop}


@pytest.fixture(autouse=True)
async def nothing_is_left_behind() -> AsyncIterator[None]:
    """No task that outlives its pager, and nothing that asyncio reports because nobody looked at it."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    yield
    gc.collect(1)
    await turns(2)
    assert running() == []
    assert reported == []


@pytest.fixture
async def clock() -> AsyncIterator[VirtualClock]:
    virtual = VirtualClock(asyncio.get_running_loop())
    with clock_module.installed(virtual):
        yield virtual


@pytest.fixture
async def sandbox(clock: VirtualClock) -> AsyncIterator[Sandbox]:
    async with Sandbox(organizations=2, batches=8, entries=1, page_size=3, clock=clock.time) as served:
        yield served


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[AmiliClient]:
    async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, trust_env=False) as opened:
        yield opened


@pytest.fixture
async def listed(sandbox: Sandbox, client: AmiliClient) -> Listed:
    """The list of the first organization; the log is empty."""
    organization = sandbox.organization_ids[0]
    body = await client.request("GET", f"/orgs/{organization}/batches", query={"PageSize": "100"})
    sandbox.requests.clear()
    return Listed(client, sandbox, organization, [row["batchId"] for row in json.loads(body)["data"]])
