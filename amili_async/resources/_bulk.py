"""Bulk: many objects written in chunks, several at once, with an outcome for every chunk."""

from __future__ import annotations

import asyncio
import warnings
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from amili_async._upstream.msgspec import public_in
from amili_async.errors import AmiliError, AmiliWarning
from amili_async.models import Accepted
from amili_async.resources._streaming import Stream, each

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable

T = TypeVar("T")


@public_in("amili_async.resources")
class ChunkOutcome(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What became of one chunk: ``accepted``, or the ``error`` that ended its call, beside the objects it held."""

    index: int
    """The chunk's place among all, from 0."""
    items: tuple[T, ...]
    idempotency_key: str | None = None
    accepted: Accepted | None = None
    error: AmiliError | None = None

    def __repr__(self) -> str:
        outcome = self.accepted if self.error is None else self.error
        return f"ChunkOutcome(index={self.index}, {len(self.items)} items, {outcome!r})"


class BulkWrite(Stream[ChunkOutcome[T]]):
    """The outcomes of a bulk write, each as its call ends; iterated once, with ``async for``.

    A write that is under way is never cancelled by leaving: ``async with``, ``await writes.aclose()`` and cancelling
    send no further one, and wait for those under way. What became of them is in `unread`.
    """

    def __init__(
        self,
        name: str,
        items: Iterable[T] | AsyncIterable[T],
        write: Callable[[tuple[T, ...], str | None], Awaitable[Accepted]],
        *,
        chunk_size: int,
        concurrency: int,
        idempotency_prefix: str | None,
    ) -> None:
        self.unread: list[ChunkOutcome[T]] = []
        """The outcomes of writes that were under way when the iteration was left."""
        super().__init__(
            name, _write_all(items, write, chunk_size, concurrency, idempotency_prefix, unread=self.unread)
        )

    def __del__(self) -> None:
        # As of a coroutine that was never awaited; `getattr`, for one whose arguments were refused.
        if not getattr(self, "_begun", True):
            warnings.warn(f"{self._name} was never iterated, so nothing was sent", AmiliWarning, stacklevel=1)


async def _write_all(
    items: Iterable[T] | AsyncIterable[T],
    write: Callable[[tuple[T, ...], str | None], Awaitable[Accepted]],
    chunk_size: int,
    concurrency: int,
    idempotency_prefix: str | None,
    *,
    unread: list[ChunkOutcome[T]],
) -> AsyncGenerator[ChunkOutcome[T], None]:
    """Yield an outcome for every chunk as its call ends; ``concurrency`` calls are under way at most.

    Items are taken as calls end, so there may be any number of them. Where taking them raises, what was sent still has
    its outcome yielded before the error goes on.
    """

    async def outcome(index: int, chunk: tuple[T, ...]) -> ChunkOutcome[T]:
        key = None if idempotency_prefix is None else f"{idempotency_prefix}-{index}"
        try:
            accepted = await write(chunk, key)
        except AmiliError as error:
            return ChunkOutcome(index=index, items=chunk, idempotency_key=key, error=error)
        return ChunkOutcome(index=index, items=chunk, idempotency_key=key, accepted=accepted)

    chunks = _chunks(items, chunk_size)
    del items  # an error that is kept keeps this frame
    under_way: dict[asyncio.Task[ChunkOutcome[T]], None] = {}  # a set in the order of its chunks
    # Taken in a task of its own: a slow source holds up no outcome.
    taking: asyncio.Task[tuple[T, ...] | None] | None = None
    index, more = 0, True
    problem: BaseException | None = None
    try:
        while more or under_way:
            if more and taking is None and len(under_way) < concurrency:
                taking = asyncio.create_task(_next(chunks), name="amili next chunk")
            awaited: set[asyncio.Task[Any]] = {*under_way} if taking is None else {taking, *under_way}
            done, _ = await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            ended = [task for task in under_way if task in done]
            if taking is not None and taking.done():
                chunk: tuple[T, ...] | None = None
                try:
                    chunk = taking.result()
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # raised below
                    problem = problem or error
                taking, more = None, more and chunk is not None
                broken = problem is not None or any(task.cancelled() or task.exception() for task in ended)
                if chunk is not None and not broken:
                    under_way[asyncio.create_task(outcome(index, chunk), name=f"amili chunk {index}")] = None
                    index += 1
            for task in ended:
                del under_way[task]
                try:
                    result = task.result()
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # raised below
                    problem, more = problem or error, False
                else:
                    yield result
        if problem is not None:
            raise problem
    finally:
        try:
            # First the task that runs it: a generator cannot be closed while it is running.
            if taking is not None:
                taking.cancel()
                await asyncio.gather(taking, return_exceptions=True)
            await chunks.aclose()
        finally:
            if under_way:
                unread += await _ended([*under_way])


async def _ended(under_way: list[asyncio.Task[ChunkOutcome[T]]]) -> list[ChunkOutcome[T]]:
    """Return the outcomes of writes once they have ended; who cancels this once more, cancels them."""
    try:
        await asyncio.wait(under_way)
    finally:
        for task in under_way:
            task.cancel()
        ended = await asyncio.gather(*under_way, return_exceptions=True)
    return [outcome for outcome in ended if isinstance(outcome, ChunkOutcome)]


async def _next(chunks: AsyncGenerator[tuple[T, ...], None]) -> tuple[T, ...] | None:
    return await anext(chunks, None)


async def _chunks(items: Iterable[T] | AsyncIterable[T], size: int) -> AsyncGenerator[tuple[T, ...], None]:
    chunk: list[T] = []
    async with aclosing(each(items)) as taken:
        async for item in taken:
            chunk.append(item)
            if len(chunk) == size:
                yield tuple(chunk)
                chunk = []
    if chunk:
        yield tuple(chunk)
