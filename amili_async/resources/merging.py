"""Many walks at once, merged into one stream: bounded workers, a bounded queue, everything cancelled on leaving."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, TypeVar

from amili_async.errors import ConfigurationError
from amili_async.protocol import identifier
from amili_async.resources.resource import count

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable

    from amili_async.pagination import Pager
    from amili_async.protocol import Identifier

T = TypeVar("T")


def merged(
    organization_ids: Iterable[Identifier] | AsyncIterable[Identifier],
    walk: Callable[[str], Pager[T]],
    *,
    concurrency: int,
) -> AsyncGenerator[tuple[str, T], None]:
    """Return a generator over ``(organization_id, item)`` of every organization's walk.

    Raises:
        ConfigurationError: a concurrency below 1, or one id in place of several.
    """
    if isinstance(organization_ids, str):
        raise ConfigurationError("organization_ids must be several ids, such as a list, not one text")
    return _stream(organization_ids, walk, count(concurrency, "concurrency", least=1) or 1)


async def _stream(
    organization_ids: Iterable[Identifier] | AsyncIterable[Identifier],
    walk: Callable[[str], Pager[T]],
    concurrency: int,
) -> AsyncGenerator[tuple[str, T], None]:
    # One page waits in the queue at most; with it each worker holds one in hand and one on its way.
    pages: asyncio.Queue[tuple[str, tuple[T, ...]]] = asyncio.Queue(maxsize=1)
    ids = _each(organization_ids)
    taking = asyncio.Lock()

    async def work() -> None:
        while True:
            async with taking:
                organization_id = await anext(ids, None)
            if organization_id is None:
                return
            try:
                async with walk(organization_id) as pager:
                    async for page in pager.pages():
                        await pages.put((organization_id, page.items))
            except Exception as error:
                error.add_note(f"while walking organization {organization_id}")
                raise

    workers = {asyncio.create_task(work(), name=f"amili stream {number}") for number in range(concurrency)}
    getting: asyncio.Task[tuple[str, tuple[T, ...]]] | None = None
    try:
        while workers or not pages.empty():
            getting = getting or asyncio.create_task(pages.get())
            done, _ = await asyncio.wait({getting, *workers}, return_when=asyncio.FIRST_COMPLETED)
            for worker in workers & done:
                workers.discard(worker)
                worker.result()
            if getting.done():
                organization_id, items = getting.result()
                getting = None
                for item in items:
                    yield organization_id, item
    finally:
        unfinished: list[asyncio.Task[Any]] = [*workers] if getting is None else [getting, *workers]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)


async def _each(ids: Iterable[Identifier] | AsyncIterable[Identifier]) -> AsyncIterator[str]:
    if isinstance(ids, AsyncIterable):
        async for organization_id in ids:
            yield identifier(organization_id, "organization_ids")
    else:
        for organization_id in ids:
            yield identifier(organization_id, "organization_ids")
