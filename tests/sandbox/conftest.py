"""What the sandbox's tests share: three organizations of 25 batches, and an HTTP client that is not ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from amili_async.sandbox import Sandbox


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    return {"organizations": 3, "batches": 25, "page_size": 10}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def raw(sandbox: Sandbox, session: aiohttp.ClientSession) -> RawClient:
    # aiohttp repeats a dropped GET by itself; the tests count requests.
    session._retry_connection = False  # pyright: ignore[reportPrivateUsage]  # there is no public switch
    return RawClient(sandbox, session)
