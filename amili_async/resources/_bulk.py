"""Bulk: many objects written in chunks, several at once, with an outcome for every chunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from amili_async.errors import AmiliError
from amili_async.models import Accepted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

T = TypeVar("T")


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


async def in_chunks(
    items: Iterable[T] | AsyncIterable[T],
    write: Callable[[tuple[T, ...], str | None], Awaitable[Accepted]],
    *,
    chunk_size: int,
    concurrency: int,
    idempotency_prefix: str | None,
) -> AsyncGenerator[ChunkOutcome[T], None]:
    """Yield an outcome for every chunk as its call ends; ``concurrency`` calls are under way at most.

    Items are taken as calls end, so there may be any number of them. Where taking them raises, what was sent still has
    its outcome yielded before the error goes on. Leaving early cancels the calls that are under way.
    """

    async def outcome(index: int, chunk: tuple[T, ...]) -> ChunkOutcome[T]:
        key = None if idempotency_prefix is None else f"{idempotency_prefix}-{index}"
        try:
            accepted = await write(chunk, key)
        except AmiliError as error:
            return ChunkOutcome(index=index, items=chunk, idempotency_key=key, error=error)
        return ChunkOutcome(index=index, items=chunk, idempotency_key=key, accepted=accepted)

    chunks = _chunks(items, chunk_size)
    under_way: set[asyncio.Task[ChunkOutcome[T]]] = set()
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
            if taking is not None and taking.done():
                problem = taking.exception()
                chunk = None if problem else taking.result()
                taking, more = None, chunk is not None
                if chunk is not None:
                    under_way.add(asyncio.create_task(outcome(index, chunk), name=f"amili chunk {index}"))
                    index += 1
            for task in under_way & done:
                under_way.discard(task)
                yield task.result()
        if problem is not None:
            raise problem
    finally:
        unfinished: list[asyncio.Task[Any]] = [*under_way] if taking is None else [taking, *under_way]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        await chunks.aclose()


async def _next(chunks: AsyncGenerator[tuple[T, ...], None]) -> tuple[T, ...] | None:
    return await anext(chunks, None)


async def _chunks(items: Iterable[T] | AsyncIterable[T], size: int) -> AsyncGenerator[tuple[T, ...], None]:
    chunk: list[T] = []
    async with aclosing(_each(items)) as each:
        async for item in each:
            chunk.append(item)
            if len(chunk) == size:
                yield tuple(chunk)
                chunk = []
    if chunk:
        yield tuple(chunk)


async def _each(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
