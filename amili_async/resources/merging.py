"""Many walks at once, merged into one stream: bounded workers, a page at a time, everything cancelled on leaving."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, TypeVar

from amili_async.errors import ConfigurationError
from amili_async.protocol import identifier
from amili_async.resources.resource import whole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

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
    if isinstance(organization_ids, str) or not isinstance(organization_ids, Iterable | AsyncIterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError("organization_ids must be several ids, such as a list, not one")
    return _stream(organization_ids, walk, whole(concurrency, "concurrency", least=1))


async def _stream(
    organization_ids: Iterable[Identifier] | AsyncIterable[Identifier],
    walk: Callable[[str], Pager[T]],
    concurrency: int,
) -> AsyncGenerator[tuple[str, T], None]:
    # Pages and the ends of workers come through one queue, so that an error never overtakes the pages before it. One
    # page waits there at most; with it each worker holds one in hand and one on its way.
    arrivals: asyncio.Queue[tuple[str, tuple[T, ...]] | asyncio.Task[None]] = asyncio.Queue()
    room = asyncio.Semaphore(1)
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
                        await room.acquire()
                        arrivals.put_nowait((organization_id, page.items))
            except Exception as error:
                error.add_note(f"while walking organization {organization_id}")
                raise

    workers = [asyncio.create_task(work(), name=f"amili stream {number}") for number in range(concurrency)]
    for worker in workers:
        worker.add_done_callback(arrivals.put_nowait)
    working = concurrency
    try:
        while working:
            arrival = await arrivals.get()
            if isinstance(arrival, asyncio.Task):
                arrival.result()
                working -= 1
                continue
            room.release()
            organization_id, items = arrival
            for item in items:
                yield organization_id, item
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        await ids.aclose()


async def _each(ids: Iterable[Identifier] | AsyncIterable[Identifier]) -> AsyncGenerator[str, None]:
    if isinstance(ids, AsyncIterable):
        async for organization_id in ids:
            yield identifier(organization_id, "organization_ids")
    else:
        for organization_id in ids:
            yield identifier(organization_id, "organization_ids")
