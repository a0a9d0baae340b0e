"""What the tests of resources share: a server with three organizations of eight batches, in pages of three.

``@pytest.mark.amili(generation="G1")`` makes it another one, as it does for the plugin's own fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import pytest

from amili_async import AmiliClient
from amili_async.sandbox import Sandbox
from tests.turns import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from amili_async._client import ClientSettings
    from tests.call.calls import ClientMaker


@pytest.fixture
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    options: dict[str, Any] = {"organizations": 3, "batches": 8, "entries": 1, "page_size": 3, "finish_after": 0.0}
    for marker in request.node.iter_markers("amili"):
        options |= marker.kwargs
    async with Sandbox(**options) as served:
        yield served


@pytest.fixture
async def make_client(sandbox: Sandbox) -> AsyncIterator[ClientMaker]:
    """Make clients with a token; no task of theirs may be alive when a test is done with them."""
    clients: list[AmiliClient] = []
    token = sandbox.issue_token()

    def make(auth: str | None = None, /, **settings: Unpack[ClientSettings]) -> AmiliClient:
        given: ClientSettings = {
            "base_url": sandbox.base_url,
            "autocollect_url": sandbox.autocollect_url,
            "trust_env": False,
            **settings,
        }
        clients.append(AmiliClient(auth or token, **given))
        return clients[-1]

    yield make
    assert running() == []
    for client in clients:
        await client.aclose()


@pytest.fixture
def client(make_client: ClientMaker) -> AmiliClient:
    return make_client()


@pytest.fixture
def organization(sandbox: Sandbox) -> str:
    return sandbox.organization_ids[0]
