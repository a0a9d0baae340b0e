"""A body that will never be complete is not waited for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from amili_async import AmiliClient, RetryPolicy, TransportError
from amili_async._upstream.direct import DirectAnswer, DirectReads
from tests.support.turns import until

if TYPE_CHECKING:
    import aiohttp

    from amili_async._upstream.direct import ReadHead


async def test_a_body_that_broke_off_before_anybody_looked_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"data":')
        writer.close()

    at_once = DirectReads.read

    async def read(self: DirectReads, target: str, head: ReadHead, timeout: aiohttp.ClientTimeout) -> DirectAnswer:  # noqa: ASYNC109  # as it is
        came = await at_once(self, target, head, timeout)
        await until(lambda: came.content.exception() is not None)
        return came

    monkeypatch.setattr(DirectReads, "read", read)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    once = RetryPolicy(attempts=1)
    async with server, AmiliClient("token", base_url=url, retry=once, timeout=60.0) as client:
        with pytest.raises(TransportError, match="a success whose body was cut short"):
            await client.batches.get("o", "b")
