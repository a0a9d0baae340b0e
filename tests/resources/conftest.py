"""What the tests of resources share: a server with three organizations of eight batches, in pages of three."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amili_async import AmiliClient
from amili_async.sandbox import Sandbox
from tests.turns import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(organizations=3, batches=8, entries=1, page_size=3) as served:
        yield served


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[AmiliClient]:
    """A client with a token; no task of it may be alive when a test is done with it."""
    async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, trust_env=False) as opened:
        yield opened
        assert running() == []
