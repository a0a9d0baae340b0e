"""Streams: what many calls yield, in one iteration; and many walks at once, merged into one of them.

Walks are made by bounded workers, a page of each at a time, and all of them are cancelled on leaving.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

from amili_async._lists.page_fetcher import DecodeWindow
from amili_async._protocol.requests import identifier
from amili_async.errors import ConfigurationError, InvalidArgumentError, detach
from amili_async.resources._arguments import whole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence
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
        """Return everything as a list; mind the memory.

        Raises:
            AmiliError: as while iterating; what came before it is lost with it.
        """
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


class _Arrival(Generic[T]):
    """A page in line for the caller, or in his hands."""

    __slots__ = ("_consumed", "_waiting", "items", "organization_id", "size")

    def __init__(self, organization_id: str, items: Sequence[T], size: int) -> None:
        self.organization_id = organization_id
        self.items = items
        self.size = size
        self._consumed = False
        self._waiting: asyncio.Future[None] | None = None

    def done(self) -> None:
        """Let go of the page, which the caller is done with."""
        self.items, self._consumed = (), True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def consumed(self) -> None:
        """Return once the caller is done with it: at once, where he is faster than the server."""
        if not self._consumed:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting


class _Walks(Generic[T]):
    """The walks of a stream, and what has come of them: pages, and workers that have ended.

    Both in one line, so that an error never overtakes the pages before it. A worker asks for a page in the step in
    which it put the one before it in line, and puts it there once that one is consumed. So a caller who is slower than
    the server has a page of each walk at hand, or two; but few of them are decoded before he comes to them, and each is
    worked on while it is in the processor's cache.
    """

    def __init__(self, ids: AsyncGenerator[Identifier, None], walk: Callable[[str], Pager[T]]) -> None:
        self.line: deque[_Arrival[T] | asyncio.Task[None]] = deque()
        self.window = DecodeWindow()
        self._some = asyncio.Event()
        self._ids = ids
        self._taking = asyncio.Lock()
        self._walk = walk

    async def arrival(self) -> _Arrival[T] | asyncio.Task[None]:
        """Return what came first of all that was not taken yet."""
        if not self.line:
            self._some.clear()
            await self._some.wait()
        return self.line.popleft()

    def add(self, arrival: _Arrival[T] | asyncio.Task[None]) -> None:
        """Put what has come at the end of the line."""
        self.line.append(arrival)
        self._some.set()

    async def work(self) -> None:
        """Walk one organization after the other, as long as there are some."""
        while True:
            async with self._taking:
                try:
                    organization_id = identifier(await anext(self._ids), "organization_ids")
                except StopAsyncIteration:
                    return
            try:
                await self._walk_through(organization_id)
            except Exception as error:
                error.add_note(f"while walking organization {organization_id}")
                raise

    async def _walk_through(self, organization_id: str) -> None:
        before: _Arrival[T] = _Arrival(organization_id, (), 0)
        before.done()
        async with self._walk(organization_id) as pager:
            while (page := await pager.next_items(self.window)) is not None:
                await before.consumed()
                before = _Arrival(organization_id, *page)
                del page
                self.add(before)
            await before.consumed()

    async def close(self, workers: Iterable[asyncio.Task[None]]) -> None:
        """End all walks, and let go of what they hold: an error that is kept keeps frames, and these hold this."""
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        await self._ids.aclose()
        self.line.clear()
        del self._walk


async def _stream(
    ids: AsyncGenerator[Identifier, None], walk: Callable[[str], Pager[T]], concurrency: int
) -> AsyncGenerator[tuple[str, T], None]:
    walks = _Walks(ids, walk)
    del walk
    workers = [asyncio.create_task(walks.work(), name=f"amili stream {number}") for number in range(concurrency)]
    for worker in workers:
        worker.add_done_callback(walks.add)
    working = concurrency
    try:
        while working:
            arrival = await walks.arrival()
            if isinstance(arrival, asyncio.Task):
                arrival.result()
                working -= 1
                continue
            organization_id = arrival.organization_id
            for item in arrival.items:
                yield organization_id, item
            arrival.done()
            walks.window.leave(arrival.size)
    except BaseException as error:
        detach(error)
        raise
    finally:
        await walks.close(workers)
