"""Rows as JSON lines (NDJSON), for a service that hands a list on while it is still being read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from amili_async.models import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from amili_async.models import Model

CONTENT_TYPE = "application/x-ndjson"
"""The media type of JSON lines."""

CHUNK = 64 * 1024
"""Bytes of lines that wait to be sent, about, before the walk is held back."""


async def stream_json_lines(rows: AsyncIterable[Model]) -> AsyncGenerator[bytes, None]:
    """Yield the rows of a pager, or of anything else that is iterated with ``async for``, as bytes of whole JSON lines.

    What is there is yielded whenever the walk has to wait, and in chunks of about 64 kB: the first row is not kept
    waiting for the second page, and a page of 100 rows is not sent in 100 pieces. Closing this generator (``aclose``)
    stops the walk before it returns. An error of the walk is raised after the rows before it: end the answer there,
    unfinished, so that nobody takes it for the whole list.
    """
    lines = bytearray()
    filled, drained = asyncio.Event(), asyncio.Event()

    async def walk() -> None:
        iterator = aiter(rows)
        try:
            async for row in iterator:
                lines.extend(encode(row) + b"\n")
                filled.set()
                if len(lines) >= CHUNK:
                    drained.clear()
                    await drained.wait()
        finally:
            if isinstance(iterator, AsyncGenerator):
                await iterator.aclose()

    # A task of its own runs as long as rows are at hand; this one gets its turn when the walk has to wait.
    walker = asyncio.create_task(walk(), name="amili json lines")
    walker.add_done_callback(lambda _: filled.set())
    try:
        while lines or not walker.done():
            if not lines:
                filled.clear()
                await filled.wait()
                continue
            chunk = bytes(lines)
            lines.clear()
            drained.set()
            yield chunk
        walker.result()
    finally:
        walker.cancel()
        await asyncio.wait({walker})
