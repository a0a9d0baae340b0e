"""The shim that lets aioresponses answer on this aiohttp: one scripted answer, small and large, through the client."""

from __future__ import annotations

import pytest
from aioresponses import aioresponses

from amili_async import AmiliClient, ServerError

URL = "http://127.0.0.1/collection/v1/batches/b"
PADDING = b" " * 300_000


def script(scripted: aioresponses, *, status: int = 200, body: bytes) -> None:
    """Answer the next request in this way."""
    scripted.get(URL, status=status, body=body)  # pyright: ignore[reportUnknownMemberType]  # its pattern is half typed


@pytest.mark.parametrize("padding", [b"", PADDING])
async def test_a_scripted_answer_of_any_size_reaches_the_caller(padding: bytes) -> None:
    with aioresponses() as scripted:
        script(scripted, body=b'{"data": {"batchId": "b", "status": "SUCCESS"}}' + padding)
        async with AmiliClient("token", base_url="http://127.0.0.1/collection/v1") as client:
            assert (await client.batches.get_by_id("b")).state == "SUCCESS"


async def test_a_scripted_failure_is_the_error_of_its_status() -> None:
    with aioresponses() as scripted:
        script(scripted, status=501, body=b"<html><title>Nei</title></html>")
        async with AmiliClient("token", base_url="http://127.0.0.1/collection/v1") as client:
            with pytest.raises(ServerError) as failed:
                await client.batches.get_by_id("b")
    assert (failed.value.status, failed.value.detail) == (501, "Nei")
