"""An `AmiliClient` at home in a FastAPI app: lifespan, dependency, errors, responses, webhooks (extra ``fastapi``).

``amili_lifespan`` opens one client for each worker process, ``AmiliDep`` hands it to routes, ``install_error_handlers``
answers `AmiliError`s, ``AmiliResponse`` and ``JsonLinesResponse`` send models, ``webhook_router`` takes events.
"""

from __future__ import annotations

import asyncio
import logging
import typing
from contextlib import aclosing, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeAlias, Unpack
from weakref import WeakSet

from fastapi import APIRouter, Body, Depends, FastAPI, Request, Response
from fastapi.requests import HTTPConnection  # noqa: TC002  # FastAPI reads the annotations of a dependency
from fastapi.responses import StreamingResponse
from msgspec import structs
from starlette.requests import ClientDisconnect

from amili_async._client import AmiliClient, ClientSettings
from amili_async._lists.pager import Page
from amili_async.errors import AmiliError, ConfigurationError
from amili_async.integrations._bodies import ModelBody, answer_core
from amili_async.integrations.json_lines import CONTENT_TYPE as JSON_LINES
from amili_async.integrations.json_lines import stream_json_lines
from amili_async.integrations.problems import TYPE_PREFIX, problem_of
from amili_async.integrations.webhooks import (
    DeduplicationStore,
    Handlers,
    MemoryDeduplicationStore,
    Verifier,
    WebhookReceiver,
    WebhookSettings,
)
from amili_async.models import encode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from pydantic_core import CoreSchema
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from typing_extensions import TypeVar

    from amili_async._call.auth import TokenProvider
    from amili_async.models import Model


__all__ = [
    "AmiliBody",
    "AmiliDep",
    "AmiliResponse",
    "DeduplicationStore",
    "JsonLinesResponse",
    "Lifespan",
    "MemoryDeduplicationStore",
    "amili_client",
    "amili_lifespan",
    "amili_ready",
    "install_error_handlers",
    "stream_json_lines",
    "webhook_router",
]

if TYPE_CHECKING:
    T = TypeVar("T")
    M_co = TypeVar("M_co", bound=Model | Sequence[Model] | Page[Any], covariant=True, default=Any)
else:
    # Defaults are for type checkers; typing has them from Python 3.13 on.
    T = typing.TypeVar("T")
    M_co = typing.TypeVar("M_co", covariant=True)

Lifespan: TypeAlias = "Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, object]]]"
"""What ``FastAPI(lifespan=...)`` takes."""

AmiliBody: TypeAlias = Annotated[T, Body(), ModelBody()]
"""A body that is read as a model, or as several: ``async def create(invoices: AmiliBody[list[NewInvoice]])``.

A request takes members that no field names into its ``extra``. What cannot be right is 422, with every problem. FastAPI
reads numbers as floats, so that an amount of more than 15 digits is refused.
"""

logger: logging.Logger = logging.getLogger("amili_async")

_SERVER_FAULT = 500


def amili_lifespan(
    auth: TokenProvider | str | Callable[[], Awaitable[str]] | None = None,
    *,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, object] | None]] | None = None,
    **settings: Unpack[ClientSettings],
) -> Lifespan:
    """Return a lifespan that opens one client for the app and closes it at shutdown: ``FastAPI(lifespan=...)``.

    Without ``auth`` the client is `AmiliClient.from_env`. The app's own ``lifespan`` runs inside, with the client open
    as ``app.state.amili_client``; or enter this one in yours: ``async with amili_lifespan()(app): ...``.

    Raises:
        ConfigurationError: at startup, for settings that cannot be right.
    """

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncGenerator[dict[str, object]]:
        async with AmiliClient.from_env(**settings) if auth is None else AmiliClient(auth, **settings) as client:
            app.state.amili_client = client
            if app.middleware_stack is not None and not isinstance(app.middleware_stack, _BrokenAnswers):
                app.middleware_stack = _BrokenAnswers(app.middleware_stack)
            async with nullcontext() if lifespan is None else lifespan(app) as state:
                yield {**(state or {}), "amili_client": client}

    return opened


async def amili_client(connection: HTTPConnection) -> AmiliClient:
    """Return the app's client; override it in tests: ``app.dependency_overrides[amili_client] = ...``."""
    # An app that is mounted in another sees the other's lifespan in the connection's state only.
    client: object = getattr(connection.state, "amili_client", getattr(connection.app.state, "amili_client", None))
    if not isinstance(client, AmiliClient):
        raise ConfigurationError("the app has no client: make it with FastAPI(lifespan=amili_lifespan(...))")
    return client


AmiliDep = Annotated[AmiliClient, Depends(amili_client)]
"""The app's client as a parameter of a route: ``async def batches(amili: AmiliDep) -> AmiliResponse``."""


async def amili_ready(amili: AmiliDep) -> Response:
    """Answer 200 if the client has a token or gets one, else a problem with 503.

    Put it where your probes look: ``app.add_api_route("/ready", amili_ready)``. A token in hand costs no request, and
    a token endpoint that fails is not asked again at once, so probes may be frequent. The API itself is not called: its
    being down is no reason to take this service down too.
    """
    try:
        await amili.authenticate()
    except AmiliError as error:
        problem = structs.replace(problem_of(error), status=503)
        return Response(problem.encode(), problem.status, problem.headers)
    return Response(status_code=200)


def install_error_handlers(app: FastAPI, *, type_prefix: str = TYPE_PREFIX) -> None:
    """Make the app answer every `AmiliError` with the problem that `problem_of` has for it.

    So does one inside the ``ExceptionGroup`` of a task group, if nothing else failed there. Each answer of 500 and
    above is one line in the log ``amili_async``.
    """

    async def answer(request: Request, raised: Exception) -> Response:
        error = _amili_error(raised)
        if error is None or request.scope["type"] != "http":
            raise raised
        problem = problem_of(error, type_prefix=type_prefix)
        if problem.status >= _SERVER_FAULT:
            _log(error, problem.status)
        return Response(problem.encode(), problem.status, problem.headers)

    app.add_exception_handler(AmiliError, answer)
    app.add_exception_handler(ExceptionGroup, answer)


def _amili_error(raised: BaseException) -> AmiliError | None:
    if isinstance(raised, AmiliError):
        return raised
    # An ExceptionGroup's members; pyright knows no type of them.
    inner: Sequence[BaseException] = getattr(raised, "exceptions", ())
    found = [_amili_error(one) for one in inner]
    return found[0] if found and None not in found else None


def _log(error: AmiliError, status: int) -> None:
    logger.log(
        logging.ERROR if status == _SERVER_FAULT else logging.WARNING,
        "answered %d: %s",
        status,
        error,
        # Only what a programmer has to cure needs to show where it was raised.
        exc_info=error if status == _SERVER_FAULT else None,
        extra={
            "amili_event": "problem",
            "amili_error": type(error).__name__,
            "amili_answered": status,
            "amili_operation": error.operation,
            "amili_route": error.route,
            "amili_status": error.status,
            "amili_attempts": error.attempts,
            "amili_request_id": error.request_id,
        },
    )


class AmiliResponse(Response, Generic[M_co]):
    """A model, several, or a `Page`, as the JSON that Amili itself would send: ``return AmiliResponse(batch)``.

    Annotate the route with what it holds, and OpenAPI says so: ``-> AmiliResponse[Batch]``, of a ``list[Batch]``, of a
    ``Page[Batch]``. FastAPI takes no struct as a return annotation, nor one inside another value.
    """

    media_type = "application/json"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, _: object) -> CoreSchema:
        return answer_core(source)

    def __init__(
        self,
        model: M_co,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(model.encode() if isinstance(model, Page) else encode(model), status_code, headers)


class _BrokenAnswers:
    """Stands outermost in an app, so that nothing within ends an answer in good order that broke off in the middle.

    Starlette's BaseHTTPMiddleware would, which is what ``@app.middleware("http")`` makes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        broken: list[Exception] = []
        scope[_BROKEN] = broken

        async def guarded(message: Message) -> None:
            if broken and not message.get("more_body", False):
                raise broken[0]
            await send(message)

        await self._app(scope, receive, guarded)


_BROKEN = "amili_async.broken"
"""What a connection's scope calls the error that broke its answer off."""

_broken_off: WeakSet[AmiliError] = WeakSet()
"""Errors that broke an answer off."""


class _OneLine(logging.Filter):
    """Makes one line of what a server logs of an answer that was broken off, in place of a traceback through it."""

    def filter(self, record: logging.LogRecord) -> bool:
        error: BaseException | None = record.exc_info[1] if record.exc_info else None
        if isinstance(error, RuntimeError):
            # Starlette's own, around one for which there is a handler.
            error = error.__cause__
        if isinstance(error, AmiliError) and error in _broken_off:
            record.msg, record.args = "answer broken off: %s", (error,)
            record.exc_info = record.exc_text = None
        return True


_one_line = _OneLine()


class JsonLinesResponse(StreamingResponse):
    """Rows as JSON lines while the list is still being read: ``return JsonLinesResponse(amili.batches.list(org))``.

    The answer begins with the first row, so an error before it is still a problem with its own status; one after it
    breaks the answer off, which a reader notices, and is one line in the server's log. When the reader goes away the
    walk stops, its request included. In an app without `amili_lifespan` a middleware of ``@app.middleware("http")``
    would hide the break.
    """

    media_type = JSON_LINES

    def __init__(
        self, rows: AsyncIterable[Model], status_code: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        self._lines = stream_json_lines(rows)
        # A proxy that collects the answer before it passes it on would undo the streaming.
        super().__init__(self._lines, status_code, {"X-Accel-Buffering": "no", **(headers or {})})

    async def _stream(self, send: Send, broken: list[Exception]) -> None:
        """Send the first chunk of rows with the head, then each as it comes."""
        async with aclosing(self._lines) as lines:
            chunk = await anext(lines, b"")
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                try:
                    chunk = await anext(lines, b"")
                except Exception as error:
                    broken.append(error)
                    if isinstance(error, AmiliError):
                        _broken_off.add(error)
                        for name in ("uvicorn.error", "gunicorn.error", "hypercorn.error"):
                            logging.getLogger(name).addFilter(_one_line)
                    raise
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the rows end or the reader goes away, even while the walk waits for Amili."""
        # Starlette's own leaves the rows to the garbage collector; under ASGI 2.4 it sees a reader go only when it
        # sends, and takes every OSError for that, a DeadlineExceededError too.
        answer = asyncio.create_task(self._stream(send, scope.get(_BROKEN, [])), name="amili json lines response")
        gone = asyncio.create_task(self.listen_for_disconnect(receive), name="amili json lines reader")
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answer.cancel()
            gone.cancel()
            await asyncio.wait({answer, gone})
        if not answer.cancelled():
            answer.result()


def webhook_router(
    verifier: Verifier,
    handlers: Handlers,
    *,
    seen: DeduplicationStore,
    path: str = "/amili/webhooks",
    **settings: Unpack[WebhookSettings],
) -> APIRouter:
    """Return a router whose one route takes Amili's webhooks: ``app.include_router(webhook_router(...))``.

    ``handlers`` has a function for each class of event: ``{BatchCompleted: on_batch_completed}``; ``seen`` remembers
    what was handled. `WebhookReceiver` says what is answered when, and has the other settings. At shutdown the handlers
    that still run are given ``patience`` seconds to finish.
    """
    receiver = WebhookReceiver(verifier, handlers, seen=seen, **settings)

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncGenerator[None]:
        async with receiver:
            yield

    router = APIRouter(lifespan=lifespan)

    @router.post(path, include_in_schema=False)
    async def receive(request: Request) -> Response:
        try:
            answer = await receiver.receive_stream(request.stream(), request.headers)
        except ClientDisconnect:
            # Nobody is there to read an answer any more, and nothing was taken on.
            return Response(status_code=408)
        return Response(status_code=answer.status, headers=answer.headers)

    return router
