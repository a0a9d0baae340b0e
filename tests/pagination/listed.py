"""A list on a real server, and what the tests of walking over it share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from amili_async import AmiliClient, Batch, Pager
    from amili_async.sandbox import Sandbox

LIST = "batches.list"


class Listed:
    """One organization's batches, a client to walk over them, and the ids that a whole walk is to yield."""

    def __init__(self, client: AmiliClient, sandbox: Sandbox, organization: str, rows: list[str]) -> None:
        self.client = client
        self.sandbox = sandbox
        self.organization = organization
        self.rows = rows

    def pager(self, **options: Any) -> Pager[Batch]:
        """Return a pager over the list."""
        return self.client.batches.list(self.organization, **options)

    def fault(self, text: str) -> None:
        """Let the list go wrong."""
        self.sandbox.faults.add(f"{LIST}:{text}")

    @property
    def requests(self) -> int:
        """How many pages were asked for."""
        return self.sandbox.requests.count(LIST)


async def ids(batches: AsyncIterable[Batch]) -> list[str]:
    """Return the ids of all batches."""
    return [batch.batch_id async for batch in batches]


async def ids_until(error: type[Exception], batches: AsyncIterable[Batch]) -> list[str]:
    """Return the ids that came before the error that ends the walk."""
    came: list[str] = []
    with pytest.raises(error):  # noqa: PT012  # what came before it is the point
        async for batch in batches:
            came.append(batch.batch_id)  # noqa: PERF401  # the same
    return came
