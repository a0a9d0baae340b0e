"""What the tests of single calls share: six batches on a real server, in a loop where waiting takes no time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amili_async import AmiliClient
from tests.support.calls import Calls
from tests.support.virtual_time import virtual_loop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from amili_async.sandbox import Sandbox


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": virtual_loop}


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    return {"organizations": 2, "batches": 6, "entries": 1, "token_lifetime": 600}


@pytest.fixture
async def calls(sandbox: Sandbox) -> Calls:
    """A read of a batch that there is, and a write; the log is empty."""
    organization = sandbox.organization_ids[0]
    async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url) as finder:
        batch = await finder.batches.list(organization, prefetch=False).first()
    assert batch is not None
    sandbox.requests.clear()
    return Calls(organization, batch.batch_id)
