"""Streams: what many calls yield, in one iteration; and many walks at once, merged into one of them.

Walks are made by bounded workers, a page of each at a time, and all of them are cancelled on leaving.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

from amili_async._protocol.requests import identifier
from amili_async.errors import ConfigurationError, InvalidArgumentError, detach
from amili_async.resources._arguments import whole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from types import TracebackType
    from typing import Self

    from amili_async._lists.pager import Pager
    from amili_async._protocol.requests import Identifier

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Stream(Generic[T_co]):
    """What many calls yield, as it comes; iterated once, with ``async for``. Nothing is sent before that.

    Leave early with ``async with``, or ``await stream.aclose()``, which end everything that is under way at once; a
    bare ``break`` ends it within a few turns of the event loop.
    """

    def __init__(self, name: str, results: AsyncGenerator[T_co, None]) -> None:
        self._name = name
        self._results = results
        self._iterated = self._begun = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name})"

    def __aiter__(self) -> AsyncGenerator[T_co, None]:
        if self._iterated:
            raise ConfigurationError(f"{self._name} is iterated once, and this one was; call it again for another")
        self._iterated = self._begun = True
        return self._results

    async def __anext__(self) -> T_co:
        self._begun = True
        return await anext(self._results)

    if TYPE_CHECKING:
        __iter__: None
    else:

        def __iter__(self) -> NoReturn:
            raise ConfigurationError(f"{self._name} is iterated with `async for`, not with `for`")

    async def collect(self) -> list[T_co]:
        """Return everything as a list; mind the memory."""
        async with self:
            return [result async for result in self]

    async def aclose(self) -> None:
        """End what is under way, and the iteration.

        Raises:
            ConfigurationError: another task waits for the next result; end that task.
        """
        self._begun = True
        if getattr(self._results, "ag_running", False):
            raise ConfigurationError(f"{self._name} is waited for by another task: cancel that task, which closes it")
        await self._results.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __await__(self) -> Generator[None, None, NoReturn]:
        raise ConfigurationError(
            f"{self._name} yields results as they come and cannot be awaited: "
            "use `async for ... in` it, or `await ....collect()`"
        )


def merged(
    organization_ids: Iterable[Identifier] | AsyncIterable[Identifier],
    walk: Callable[[str], Pager[T]],
    *,
    name: str,
    concurrency: int,
) -> Stream[tuple[str, T]]:
    """Return a stream of ``(organization_id, item)`` of every organization's walk.

    Raises:
        InvalidArgumentError: a concurrency below 1, or one id in place of several.
    """
    if isinstance(organization_ids, str | bytes) or not isinstance(organization_ids, Iterable | AsyncIterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise InvalidArgumentError("organization_ids must be several ids, such as a list, not one")
    workers = whole(concurrency, "concurrency", least=1)
    return Stream(name, _stream(each(organization_ids), walk, workers))


async def each(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
    """Yield the items of an iterable of either kind."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


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
    ids: AsyncGenerator[Identifier, None], walk: Callable[[str], Pager[T]], concurrency: int
) -> AsyncGenerator[tuple[str, T], None]:
    delivery: _Delivery[T] = _Delivery()
    taking = asyncio.Lock()

    async def work(walk: Callable[[str], Pager[T]]) -> None:
        while True:
            async with taking:
                try:
                    organization_id = identifier(await anext(ids), "organization_ids")
                except StopAsyncIteration:
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

    workers = [asyncio.create_task(work(walk), name=f"amili stream {number}") for number in range(concurrency)]
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
                del items
            taken.consumed.set()
    except BaseException as error:
        detach(error)
        raise
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        await ids.aclose()
        # An error that is kept keeps this frame: neither filters nor pages shall be kept with it.
        delivery.arrivals.clear()
        del walk
