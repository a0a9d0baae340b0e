"""Many walks at once, merged into one stream: bounded workers, a page of each at a time, all cancelled on leaving."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

from amili_async._protocol.requests import identifier
from amili_async.errors import ConfigurationError
from amili_async.resources._arguments import whole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from amili_async._lists.pager import Pager
    from amili_async._protocol.requests import Identifier

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


class _Delivery(Generic[T]):
    """What has come while the consumer worked on the delivery before: pages, and workers that have ended.

    Both in one line, so that an error never overtakes the pages before it. Each worker waits until its page is
    consumed, with the next one on its way; then all of them go on at once, as requests that leave together wake the
    server once.
    """

    def __init__(self) -> None:
        self.arrivals: deque[tuple[str, tuple[T, ...]] | asyncio.Task[None]] = deque()
        self.begun = asyncio.Event()
        self.consumed = asyncio.Event()

    def add(self, arrival: tuple[str, tuple[T, ...]] | asyncio.Task[None]) -> None:
        self.arrivals.append(arrival)
        self.begun.set()


async def _stream(
    organization_ids: Iterable[Identifier] | AsyncIterable[Identifier],
    walk: Callable[[str], Pager[T]],
    concurrency: int,
) -> AsyncGenerator[tuple[str, T], None]:
    delivery: _Delivery[T] = _Delivery()
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
                        mine = delivery
                        mine.add((organization_id, page.items))
                        del page
                        await mine.consumed.wait()
            except Exception as error:
                error.add_note(f"while walking organization {organization_id}")
                raise

    def end(worker: asyncio.Task[None]) -> None:
        delivery.add(worker)

    workers = [asyncio.create_task(work(), name=f"amili stream {number}") for number in range(concurrency)]
    for worker in workers:
        worker.add_done_callback(end)
    working = concurrency
    try:
        while working:
            await delivery.begun.wait()
            taken = delivery
            delivery = _Delivery()
            while taken.arrivals:
                arrival = taken.arrivals.popleft()
                if isinstance(arrival, asyncio.Task):
                    arrival.result()
                    working -= 1
                    continue
                organization_id, items = arrival
                for item in items:
                    yield organization_id, item
            taken.consumed.set()
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
