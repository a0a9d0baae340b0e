"""What an error still holds: every object that can be reached from it, with the way there.

The walk stops where what is reached is not the error's: at the frames of callers, at modules and classes, at the event
loop, and at what a caller holds in any case: the client with all its parts, and outcomes with the objects they are of.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import traceback
from collections import deque
from types import CodeType, FrameType, FunctionType, MethodType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
from aiohttp.client_reqrep import RequestInfo
from yarl import URL

from amili_async import AmiliClient, AmiliError, ChunkOutcome, Pager
from amili_async._call.hooks import Hooks
from amili_async._call.transport import Transport
from amili_async._http.client import HTTPClient
from amili_async._http.session import Connection
from amili_async._lists.page_fetcher import PageFetcher
from amili_async.resources._base import Resource
from amili_async.resources._operation_client import OperationClient

if TYPE_CHECKING:
    from collections.abc import Iterator

LEFT_TO_THE_USER = ("body", "cursor", "idempotency_key")
"""What an error carries and never renders."""

_CLIENT = (AmiliClient, Resource, OperationClient, Transport, HTTPClient, Connection, Hooks, Pager, PageFetcher)
_STOPS = (ModuleType, type, CodeType, asyncio.AbstractEventLoop, ChunkOutcome, *_CLIENT)
_LIVE = (aiohttp.ClientResponse, aiohttp.ClientRequest, aiohttp.ClientSession, RequestInfo, aiohttp.StreamReader)
_PUBLIC_MODULES = ("amili_async.resources.", "amili_async._client")
_LIBRARIES = ("amili_async", "aiohttp", "asyncio", "aiohappyeyeballs", "contextlib")


def _of_the_package(frame: FrameType) -> bool:
    """Return whether a frame is the package's or of a library below it, and below the method that a caller called."""
    module = str(frame.f_globals.get("__name__"))
    public = module.startswith(_PUBLIC_MODULES) and not frame.f_code.co_name.startswith("_")
    return module.partition(".")[0] in _LIBRARIES and not public


def _frames(step: TracebackType | None) -> Iterator[tuple[str, Any]]:
    while step is not None:
        if _of_the_package(step.tb_frame):
            yield f".{step.tb_frame.f_code.co_qualname}()", step.tb_frame
        step = step.tb_next


def _inside(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a thing refers to, with how it is reached."""
    if isinstance(thing, BaseException):
        members = {name: getattr(thing, name, None) for name in ("args", "__cause__", "__context__", "__notes__")}
        members |= vars(thing)
        if isinstance(thing, AmiliError):
            for name in LEFT_TO_THE_USER:
                members.pop(name, None)
        yield from ((f".{name}", value) for name, value in members.items())
        yield from _frames(thing.__traceback__)
    elif isinstance(thing, FrameType):
        yield from ((f":{name}", value) for name, value in dict(thing.f_locals).items())
        # Those of asyncio are the running loop's own.
        if (
            thing.f_back is not None
            and _of_the_package(thing.f_back)
            and "asyncio" not in thing.f_back.f_code.co_filename
        ):
            yield ".f_back", thing.f_back
    elif isinstance(thing, FunctionType):
        yield from ((".closure", value) for cell in thing.__closure__ or () for value in gc.get_referents(cell))
        yield from ((".default", value) for value in thing.__defaults__ or ())
    elif isinstance(thing, MethodType):
        yield ".self", thing.__self__
    elif isinstance(thing, msgspec.Struct):
        yield from ((f".{name}", getattr(thing, name)) for name in thing.__struct_fields__)
    elif isinstance(thing, dict):
        yield from ((f"[{key!r:.30}]", value) for key, value in [*thing.items()])  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # of any kind
        yield from (("<key>", key) for key in [*thing])  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # the same
    elif isinstance(thing, URL):
        yield ".text", str(thing)
    elif not isinstance(thing, str | bytes | bytearray | int | float):
        yield from (("->", value) for value in gc.get_referents(thing))


def reachable(error: BaseException) -> Iterator[tuple[str, Any]]:
    """Yield everything that an error holds, with the way to it."""
    seen: dict[int, object] = {id(error): error}
    todo: deque[tuple[str, Any]] = deque([(type(error).__name__, error)])
    while todo:
        way, thing = todo.popleft()
        yield way, thing
        for step, value in _inside(thing):
            if id(value) not in seen and not isinstance(value, _STOPS):
                seen[id(value)] = value
                todo.append((way + step, value))


def leaks(error: BaseException, secrets: dict[str, str]) -> list[str]:
    """Return how secrets, responses and requests are reached from an error, or shown by it."""
    found = [f"{name} in what is printed" for name, secret in secrets.items() if secret in "".join(printed(error))]
    for way, thing in reachable(error):
        if isinstance(thing, _LIVE):
            found.append(f"{type(thing).__name__} at {way}")
        held = bytes(thing) if isinstance(thing, msgspec.Raw) else thing
        text = held.decode("latin-1") if isinstance(held, bytes | bytearray) else held
        if isinstance(text, str):
            found += [f"{name} at {way}" for name, secret in secrets.items() if secret in text]
    return found


def printed(error: BaseException) -> list[str]:
    """Return every way in which an error is shown."""
    told = [repr(error.to_dict())] if isinstance(error, AmiliError) else []
    return [str(error), repr(error), *traceback.format_exception(error), *told]


def size(error: BaseException) -> int:
    """Return the bytes that an error keeps, its body included."""
    body = (error.body or b"") if isinstance(error, AmiliError) else b""
    # Of JSON as it came Python does not know the size.
    held = (bytes(thing) if isinstance(thing, msgspec.Raw) else thing for _, thing in reachable(error))
    return len(body) + sum(map(sys.getsizeof, held))
