"""The fixture behind `amili_client` that pytest-asyncio runs; imported where that plugin is loaded, nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from amili_async.integrations.pytest_plugin import client_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from amili_async import AmiliClient
    from amili_async.sandbox import Sandbox


# The decorator is pytest-asyncio's own, since its strict mode leaves every other async fixture alone.
@pytest_asyncio.fixture(name="_amili_client_in_asyncio")
async def client_in_asyncio(amili_sandbox: Sandbox) -> AsyncGenerator[AmiliClient]:
    """A client that pytest-asyncio closes in its loop."""
    async with client_of(amili_sandbox) as client:
        yield client
