"""What the tests of lists share: an organization's eight batches on a real server, in pages of three."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.batch_list import BatchList
from tests.support.turns import running, turns
from tests.support.virtual_time import virtual_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from amili_async import AmiliClient
    from amili_async.sandbox import Sandbox


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": virtual_loop}


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
def auth(sandbox: Sandbox) -> str:
    return sandbox.issue_token()


@pytest.fixture
async def batch_list(sandbox: Sandbox, client: AmiliClient) -> BatchList:
    """The list of the first organization; the log is empty."""
    organization = sandbox.organization_ids[0]
    body = await client.request("GET", f"/orgs/{organization}/batches", query={"PageSize": "100"})
    sandbox.requests.clear()
    return BatchList(client, sandbox, organization, [row["batchId"] for row in json.loads(body)["data"]])
