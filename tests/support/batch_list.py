"""A list on a real server, and what the tests of walking over it share."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.support.turns import turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

    from amili_async import AmiliClient, Batch, Pager
    from amili_async.sandbox import Sandbox

LIST = "batches.list"

Way = Literal["cancelled", "closed"]
By = Literal["item", "page"]


class BatchList:
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


async def stopped_at_every_turn(
    batch_list: BatchList, way: Way, by: By, **options: Any
) -> AsyncIterator[tuple[Pager[Batch], list[str]]]:
    """Walk over the list again and again, stopped one turn of the event loop later each time; yield what came."""
    came: list[str] = []
    turn = 0
    while came != batch_list.rows:
        turn += 1
        pager, came = batch_list.pager(**options), []
        walking = asyncio.create_task(_walk(pager, by, came))
        await turns(turn)
        before = list(came)
        if way == "closed":
            await pager.aclose()
        else:
            walking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await walking
        assert came == before
        yield pager, came


async def _walk(pager: Pager[Batch], by: By, came: list[str]) -> None:
    if by == "item":
        async for batch in pager:
            came.append(batch.batch_id)  # noqa: PERF401  # it may be stopped at any item
    else:
        async for page in pager.pages():
            came += [batch.batch_id for batch in page.items]
