"""What the tests of resources share: three organizations of eight batches, pages of three, writes done at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.turns import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from amili_async.sandbox import Sandbox
    from tests.support.factories import ClientFactory


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    return {"organizations": 3, "batches": 8, "entries": 1, "page_size": 3, "finish_after": 0.0}


@pytest.fixture
def auth(sandbox: Sandbox) -> str:
    return sandbox.issue_token()


@pytest.fixture(autouse=True)
async def no_task_is_left(make_client: ClientFactory) -> AsyncIterator[None]:  # noqa: ARG001  # it ends before the clients are closed
    """No task of a client's may be alive when a test is done with it."""
    yield
    assert running() == []
