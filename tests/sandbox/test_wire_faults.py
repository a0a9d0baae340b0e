from __future__ import annotations

import asyncio
import errno
import gzip
import json
from typing import TYPE_CHECKING

import aiohttp
import pytest

from amili_async.sandbox import Fault, Sandbox
from tests.support.raw_client import RawClient
from tests.support.turns import until
from tests.support.virtual_time import virtual_loop

if TYPE_CHECKING:
    from amili_async.sandbox._faults import Kind


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("close", aiohttp.ServerDisconnectedError),
        ("reset", aiohttp.ClientOSError),
        ("close-after-headers", aiohttp.ClientPayloadError),
        ("close-in-body", aiohttp.ClientPayloadError),
        ("cut-chunks", aiohttp.ClientPayloadError),
    ],
)
async def test_a_fault_on_the_wire_is_an_error_once_and_then_the_server_is_well(
    raw: RawClient, kind: Kind, error: type[Exception]
) -> None:
    raw.sandbox.faults.add(Fault("batches.list", kind, count=1))
    with pytest.raises(error):
        await raw.batches()
    assert (await raw.batches()).status == 200
    assert raw.sandbox.requests.count("batches.list") == 2


async def test_a_reset_is_a_reset(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:reset")
    with pytest.raises(aiohttp.ClientOSError) as caught:
        await raw.batches()
    assert caught.value.errno == errno.ECONNRESET


async def test_a_body_that_is_reset_ends_early(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:reset-in-body")
    with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientOSError)):
        await raw.batches()


async def test_an_answer_that_never_comes_leaves_the_request_under_way(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:hang,count=1")
    hanging = asyncio.create_task(raw.batches())
    await until(lambda: bool(raw.sandbox.requests.under_way()))
    assert (await raw.batches()).status == 200
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    await until(lambda: not raw.sandbox.requests.under_way())
    assert [request.status for request in raw.sandbox.requests] == [None, 200]


async def test_a_body_without_length_is_cut_without_an_error(raw: RawClient) -> None:
    right = (await raw.batches()).body
    raw.sandbox.faults.add("batches.list:cut-unmarked")
    response = await raw.batches()
    assert response.body == right[: len(right) // 2]
    assert "Content-Length" not in response.headers


async def test_a_cut_gzip_stream_is_well_framed_and_short(raw: RawClient) -> None:
    right = (await raw.batches()).body
    raw.sandbox.faults.add("batches.list:cut-gzip")
    response = await raw.batches()
    assert response.headers["Content-Encoding"] == "gzip"
    assert 0 < len(response.body) < len(right)
    assert right.startswith(response.body)


async def test_a_dribbling_body_comes_whole_in_many_pieces(raw: RawClient) -> None:
    right = (await raw.batches()).body
    raw.sandbox.faults.add("batches.list:slow-body,seconds=20ms")
    url = f"{raw.sandbox.base_url}/orgs/{raw.organization}/batches"
    async with raw.session.get(url, headers=raw.headers) as response:
        pieces = [piece async for piece in response.content.iter_any()]
    assert b"".join(pieces) == right
    assert len(pieces) > 1


async def test_a_dribbling_body_ends_with_its_connection(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:slow-body,seconds=1000")
    url = f"{raw.sandbox.base_url}/orgs/{raw.organization}/batches"
    async with raw.session.get(url, headers=raw.headers) as response:
        assert await response.content.readany()
        response.close()
    await until(lambda: not raw.sandbox.requests.under_way())


async def test_an_idle_connection_is_closed_behind_the_answer_unannounced(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:close-idle")
    reader, writer = await asyncio.open_connection("127.0.0.1", raw.sandbox.port)
    path = f"/collection/v1/orgs/{raw.organization}/batches"
    writer.write(f"GET {path} HTTP/1.1\r\nAuthorization: {raw.headers['Authorization']}\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection:" not in head
    assert json.loads(body)["data"]
    writer.close()


async def test_only_a_connection_that_was_used_before_is_closed(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:close-reused")
    assert (await raw.batches()).status == 200
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await raw.batches()
    assert (await raw.batches()).status == 200
    assert [request.reused for request in raw.sandbox.requests] == [False, True, False]


async def test_an_oversized_body_has_the_size_asked_for_and_is_right_at_its_end(raw: RawClient) -> None:
    right = (await raw.batches()).body
    raw.sandbox.faults.add("batches.list:oversize,size=12MiB")
    response = await raw.batches()
    assert len(response.body) == 12 * 2**20 + len(right)
    assert json.loads(response.body) == json.loads(right)


async def test_a_client_that_stops_reading_ends_an_oversized_body(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:oversize")
    url = f"{raw.sandbox.base_url}/orgs/{raw.organization}/batches"
    async with raw.session.get(url, headers=raw.headers) as response:
        assert response.content_length is not None
        assert response.content_length > 65 * 2**20
        await response.content.readany()
        assert raw.sandbox.requests.under_way() == 1
        response.close()
    await until(lambda: not raw.sandbox.requests.under_way())


async def test_a_bomb_is_small_on_the_wire(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:bomb,size=2MiB")
    url = f"{raw.sandbox.base_url}/orgs/{raw.organization}/batches"
    async with raw.session.get(
        url, headers={**raw.headers, "Accept-Encoding": "identity"}, auto_decompress=False
    ) as response:
        packed = await response.read()
    assert len(packed) < 40_000
    assert len(gzip.decompress(packed)) > 2 * 2**20


async def test_refused_connections_are_refused_until_the_fault_is_removed(raw: RawClient) -> None:
    with raw.sandbox.faults.during("*:refuse"):
        for _ in range(3):
            with pytest.raises(aiohttp.ClientConnectorError):
                await raw.batches()
    assert (await raw.batches()).status == 200
    assert raw.sandbox.requests.count() == 1


async def test_refusing_ends_the_connections_that_are_open(raw: RawClient) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", raw.sandbox.port)
    await raw.batches()
    with raw.sandbox.faults.during("*:refuse"):
        assert await reader.read() == b""
    writer.close()


def test_refusing_ends_by_itself_after_its_seconds() -> None:
    async def main() -> None:
        async with Sandbox(organizations=1, batches=1) as sandbox, aiohttp.ClientSession() as session:
            raw = RawClient(sandbox, session)
            sandbox.faults.add("*:refuse,seconds=1000")
            for seconds in (0, 999):
                await asyncio.sleep(seconds)
                with pytest.raises(aiohttp.ClientConnectorError):
                    await raw.batches()
            await asyncio.sleep(2)
            assert not sandbox.faults
            assert (await raw.batches()).status == 200

    # Of a machine's own seconds a busy one loses as many as it likes.
    with asyncio.Runner(loop_factory=virtual_loop) as runner:
        runner.run(main())
