"""aioresponses made to work with this aiohttp; import it for that.

Version 0.7.9 breaks on aiohttp 3.14 in two places. Each half of the shim looks first whether its fault is still
there, so a release that mends it turns that half off; then delete it.
"""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientResponse, StreamReader
from aiohttp.client_proto import ResponseHandler
from aioresponses import core
from yarl import URL


class _NothingSent:
    """The request writer that a scripted answer never had."""

    output_size = 0


class ScriptedResponse(ClientResponse):
    """A response that does not need its request's writer, which aiohttp asks for and aioresponses does not pass."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **{"stream_writer": _NothingSent(), **options})  # type: ignore[arg-type]  # passed on as they come


def unlimited_reader(loop: asyncio.AbstractEventLoop) -> StreamReader:
    """Return a reader that is never full: a full one pauses its connection, and a scripted answer has none."""
    return StreamReader(ResponseHandler(loop=loop), limit=2**62, loop=loop)


def _builds_a_response_of(size: int) -> bool:
    url = URL("http://127.0.0.1/")
    try:
        asyncio.run(core.RequestMatch(url, body=bytes(size)).build_response(url))
    except (TypeError, AssertionError):
        return False
    return True


_patch = pytest.MonkeyPatch()
if not _builds_a_response_of(0):
    _patch.setattr(core, "ClientResponse", ScriptedResponse)
if not _builds_a_response_of(2**18):
    _patch.setattr(core, "stream_reader_factory", unlimited_reader)
