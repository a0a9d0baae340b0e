"""The pieces of the FastAPI integration that need no server: problems, models and JSON lines as answers."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import httpx
import pytest
from fastapi import FastAPI, WebSocket

from amili_async.errors import (
    AmiliError,
    ConfigurationError,
    DeadlineExceededError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    TransportError,
    UnauthorizedError,
)
from amili_async.integrations.fastapi import AmiliResponse, JsonLinesResponse, install_error_handlers
from amili_async.models import Accepted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, MutableMapping

    from amili_async.models import Model

SECRET = b'{"message": "Kari Nordmann owes 4500.00"}'


def failing(error: BaseException, **options: str) -> FastAPI:
    app = FastAPI()
    install_error_handlers(app, **options)

    @app.get("/")
    async def fail() -> None:
        raise error

    return app


def browser(app: FastAPI, *, raise_app_exceptions: bool = True) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=raise_app_exceptions)
    return httpx.AsyncClient(transport=transport, base_url="http://service")


async def answer(app: FastAPI, path: str = "/") -> httpx.Response:
    async with browser(app) as client:
        return await client.get(path)


async def test_an_error_of_amilis_is_answered_with_its_problem() -> None:
    error = NotFoundError("no such batch", operation="batches.get", status=404, request_id="r-1", body=SECRET)

    response = await answer(failing(error))

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "urn:problem-type:amili-async:not-found",
        "title": "Not found",
        "status": 404,
        "detail": "Amili knows no such thing.",
        "operation": "batches.get",
        "upstream_status": 404,
        "request_id": "r-1",
    }


async def test_refused_credentials_do_not_ask_the_caller_to_log_in() -> None:
    response = await answer(failing(UnauthorizedError("refused", status=401)))

    assert response.status_code == 502
    assert "www-authenticate" not in response.headers


async def test_a_rate_limit_says_when_to_come_back() -> None:
    response = await answer(failing(RateLimitedError("slow down", status=429, retry_after=12.5)))

    assert (response.status_code, response.headers["retry-after"]) == (503, "13")


async def test_an_unknown_outcome_shows_its_key() -> None:
    response = await answer(failing(OutcomeUnknownError("who knows", idempotency_key="erp-4711")))

    assert (response.status_code, response.json()["idempotency_key"]) == (502, "erp-4711")


async def test_problem_types_may_be_addresses_of_the_services_own() -> None:
    response = await answer(failing(NotFoundError("gone"), type_prefix="https://erp.example/problems/"))

    assert response.json()["type"] == "https://erp.example/problems/not-found"


async def test_an_error_out_of_a_task_group_is_answered_as_if_it_were_alone() -> None:
    group = ExceptionGroup("tasks", [NotFoundError("gone"), ExceptionGroup("more", [TransportError("cut off")])])

    assert (await answer(failing(group))).status_code == 404


async def test_a_group_with_any_other_error_stays_what_it_is() -> None:
    group = ExceptionGroup("tasks", [NotFoundError("gone"), KeyError("a bug")])

    with pytest.raises(ExceptionGroup) as caught:
        await answer(failing(group))

    assert caught.value is group


async def test_an_error_in_a_websocket_stays_an_error() -> None:
    app = FastAPI()
    install_error_handlers(app)

    @app.websocket("/")
    async def fail(_: WebSocket) -> None:
        raise NotFoundError("gone")

    async def receive() -> MutableMapping[str, object]:
        return {"type": "websocket.connect"}

    async def send(_: MutableMapping[str, object]) -> None:
        return

    scope: dict[str, object] = {
        "type": "websocket",
        "path": "/",
        "headers": [],
        "query_string": b"",
        "subprotocols": [],
    }

    with pytest.raises(NotFoundError):
        await app(scope, receive, send)


@pytest.mark.parametrize(
    ("error", "level", "traced"),
    [
        (TransportError("cut off", operation="batches.get", attempts=3, body=SECRET), logging.WARNING, False),
        (ConfigurationError("organization_id is empty", operation="batches.get"), logging.ERROR, True),
    ],
)
async def test_what_is_no_fault_of_the_callers_is_logged_without_what_amili_wrote(
    caplog: pytest.LogCaptureFixture, error: AmiliError, level: int, *, traced: bool
) -> None:
    with caplog.at_level(logging.DEBUG, "amili_async"):
        await answer(failing(error))

    (record,) = caplog.records
    assert (record.levelno, record.exc_info is not None) == (level, traced)
    fields = {name: value for name, value in vars(record).items() if name.startswith("amili_")}
    assert fields["amili_event"] == "problem"
    assert fields["amili_error"] == type(error).__name__
    assert fields["amili_operation"] == "batches.get"
    assert set(fields) == {
        "amili_event", "amili_error", "amili_answered", "amili_operation", "amili_route", "amili_status",
        "amili_attempts", "amili_request_id",
    }  # fmt: skip
    assert "Kari" not in caplog.text


async def test_what_the_caller_did_wrong_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "amili_async"):
        await answer(failing(NotFoundError("gone")))

    assert caplog.records == []


async def test_a_model_is_answered_as_amili_would_write_it() -> None:
    app = FastAPI()

    @app.get("/one")
    async def one() -> AmiliResponse:
        return AmiliResponse(row("b-1"), 202, {"X-Test": "yes"})

    @app.get("/many")
    async def many() -> AmiliResponse:
        return AmiliResponse([row("b-1"), row("b-2")])

    response = await answer(app, "/one")
    assert (response.status_code, response.headers["content-type"]) == (202, "application/json")
    assert (response.json(), response.headers["x-test"]) == ({"batchId": "b-1", "organizationId": "o"}, "yes")
    assert [batch["batchId"] for batch in (await answer(app, "/many")).json()] == ["b-1", "b-2"]


def row(name: str) -> Model:
    return Accepted(batch_id=name, organization_id="o")


async def several(*names: str, error: Exception | None = None) -> AsyncIterator[Model]:
    for name in names:
        yield row(name)
    if error is not None:
        raise error


class Reader:
    """The other side of one ASGI request: what it was sent, and when it goes away."""

    def __init__(self) -> None:
        self.sent: list[MutableMapping[str, object]] = []
        self.gone = asyncio.Event()
        self.bodies = asyncio.Event()
        self.broken = False

    async def receive(self) -> MutableMapping[str, object]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, object]) -> None:
        if self.broken:
            raise BrokenPipeError
        self.sent.append(message)
        if message.get("body"):
            self.bodies.set()

    async def read(self, app: FastAPI) -> None:
        scope: dict[str, object] = {
            "type": "http",
            "method": "GET",
            "path": "/",
            "headers": [],
            "query_string": b"",
            "asgi": {"spec_version": "2.4"},
        }
        await app(scope, self.receive, self.send)

    @property
    def body(self) -> bytes:
        return b"".join(bytes(chunk) for message in self.sent if isinstance(chunk := message.get("body"), bytes))


def streaming(rows: AsyncIterator[Model]) -> FastAPI:
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/")
    async def stream() -> JsonLinesResponse:
        return JsonLinesResponse(rows, headers={"X-Test": "yes"})

    return app


class Walk:
    """Rows that go on for ever once the first was read, and know when they were stopped."""

    def __init__(self) -> None:
        self.stopped = False
        self.begun = asyncio.Event()

    async def rows(self, *first: Model) -> AsyncGenerator[Model]:
        try:
            for one in first:
                yield one
            self.begun.set()
            await asyncio.Event().wait()
        finally:
            # What a request does when it is cancelled takes turns of the loop.
            await asyncio.sleep(0)
            self.stopped = True


async def test_rows_are_streamed_as_lines() -> None:
    response = await answer(streaming(several("b-1", "b-2")))

    assert response.headers["content-type"] == "application/x-ndjson"
    assert (response.headers["x-accel-buffering"], response.headers["x-test"]) == ("no", "yes")
    assert response.text == '{"batchId":"b-1","organizationId":"o"}\n{"batchId":"b-2","organizationId":"o"}\n'


async def test_no_rows_are_an_empty_answer() -> None:
    response = await answer(streaming(several()))

    assert (response.status_code, response.content) == (200, b"")


async def test_an_error_before_the_first_row_is_a_problem_with_its_status() -> None:
    response = await answer(streaming(several(error=NotFoundError("no such organization"))))

    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


async def test_a_deadline_is_not_taken_for_a_reader_that_went_away() -> None:
    response = await answer(streaming(several(error=DeadlineExceededError("too slow"))))

    assert response.status_code == 504


async def test_an_error_behind_the_first_row_leaves_the_answer_unfinished() -> None:
    reader = Reader()

    with pytest.raises(RuntimeError, match="response already started") as caught:
        await reader.read(streaming(several("b-1", error=TransportError("cut off"))))

    assert isinstance(caught.value.__cause__, TransportError)
    assert b"b-1" in reader.body
    assert reader.sent[-1]["more_body"] is True


async def test_the_walk_has_stopped_when_a_reader_that_went_away_is_done_with() -> None:
    walk, reader = Walk(), Reader()
    request = asyncio.create_task(reader.read(streaming(walk.rows(row("b-1")))))
    await reader.bodies.wait()

    reader.gone.set()
    await request

    assert walk.stopped
    assert reader.sent[-1]["more_body"] is True


async def test_a_reader_may_go_before_the_first_row() -> None:
    walk, reader = Walk(), Reader()
    request = asyncio.create_task(reader.read(streaming(walk.rows())))
    await walk.begun.wait()

    reader.gone.set()
    await request

    assert walk.stopped
    assert reader.sent == []


async def test_a_server_that_cannot_send_any_more_ends_the_walk() -> None:
    walk, reader = Walk(), Reader()
    reader.broken = True

    with pytest.raises(BrokenPipeError):
        await reader.read(streaming(walk.rows(row("b-1"))))

    assert walk.stopped


async def test_cancelling_the_request_stops_the_walk() -> None:
    walk, reader = Walk(), Reader()
    request = asyncio.create_task(reader.read(streaming(walk.rows(row("b-1")))))
    await reader.bodies.wait()

    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request

    assert walk.stopped
