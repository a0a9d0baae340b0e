"""The README's FastAPI service under uvicorn, against the sandbox."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import hmac
import json
import logging
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import pytest
from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware

from amili_async import AmiliClient, Batch, ClientClosedError, ClientCredentials, NotFoundError, encode
from amili_async.integrations.fastapi import (
    AmiliDep,
    AmiliResponse,
    JsonLinesResponse,
    amili_client,
    amili_lifespan,
    amili_ready,
    install_error_handlers,
)
from amili_async.sandbox import Fault, Sandbox
from amili_async.webhooks import BatchCompleted
from tests.support.services import Service, executed, lines_until_broken_off, point_environment, served, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import ModuleType

    from fastapi import Request, Response
    from starlette.middleware.base import RequestResponseEndpoint

    from amili_async.events import CallStarted

PAGES = 8


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    return {"organizations": 2, "batches": 400, "page_size": 50}


@pytest.fixture
def module(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    point_environment(monkeypatch, sandbox)
    return executed("readme_service", "service.py", "service.py, continued")


@pytest.fixture
async def service(module: ModuleType) -> AsyncIterator[Service]:
    async with served(module.app) as service:
        yield service


@pytest.fixture
async def browser(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as browser:
        yield browser


def batches_of(sandbox: Sandbox) -> str:
    return f"/orgs/{sandbox.organization_ids[0]}/batches"


async def settled(service: Service, sandbox: Sandbox) -> None:
    """Return when the service has no request left, and the sandbox none of the service's."""
    await until(lambda: not service.requests and not sandbox.requests.under_way())


async def test_a_route_returns_a_batch(sandbox: Sandbox, browser: httpx.AsyncClient) -> None:
    listed = await browser.get(batches_of(sandbox))
    first = json.loads(listed.text.partition("\n")[0])

    response = await browser.get(f"{batches_of(sandbox)}/{first['batchId']}")

    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == first


async def test_a_route_streams_every_batch_once_and_in_order(sandbox: Sandbox, browser: httpx.AsyncClient) -> None:
    async with AmiliClient(
        ClientCredentials(*sandbox.credentials), base_url=sandbox.base_url, token_url=sandbox.token_url
    ) as amili:
        expected = [batch.batch_id async for batch in amili.batches.list(sandbox.organization_ids[0])]

    response = await browser.get(batches_of(sandbox))

    assert response.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["batchId"] for line in response.text.splitlines()] == expected


async def test_what_amili_does_not_know_is_not_found(sandbox: Sandbox, browser: httpx.AsyncClient) -> None:
    response = await browser.get(f"{batches_of(sandbox)}/00000000-0000-4000-8000-000000000000")

    assert (response.status_code, response.json()["operation"]) == (404, "batches.get")


async def test_an_unknown_organization_is_not_found_before_anything_is_streamed(browser: httpx.AsyncClient) -> None:
    response = await browser.get("/orgs/00000000-0000-4000-8000-000000000000/batches")

    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


async def test_the_callers_request_id_reaches_amili(sandbox: Sandbox, browser: httpx.AsyncClient) -> None:
    await browser.get(batches_of(sandbox), headers={"X-Request-Id": "erp-77"})
    await browser.get(f"{batches_of(sandbox)}/nothing")

    assert {request.headers.get("x-request-id") for request in sandbox.requests.of("batches.list")} == {"erp-77"}
    assert "x-request-id" not in sandbox.requests.last("batches.get").headers


async def test_a_browser_that_goes_away_stops_the_walk(sandbox: Sandbox, service: Service) -> None:
    sandbox.faults.add(Fault("batches.list", latency=0.02))
    async with aiohttp.ClientSession() as session, session.get(service.url + batches_of(sandbox)) as response:
        assert (await response.content.readline()).startswith(b'{"batchId"')
        response.close()

    await settled(service, sandbox)

    assert 1 <= sandbox.requests.count("batches.list") < PAGES


@pytest.mark.parametrize("page", [1, 3])
async def test_a_browser_that_goes_away_ends_the_request_that_the_walk_waits_for(
    sandbox: Sandbox, service: Service, page: int
) -> None:
    sandbox.faults.add(Fault("batches.list", "hang", page=page))
    async with aiohttp.ClientSession() as session:
        asking = asyncio.create_task(session.get(service.url + batches_of(sandbox)))
        await until(lambda: sandbox.requests.count("batches.list") == page)
        asking.cancel()
        for response in await asyncio.gather(asking, return_exceptions=True):
            if isinstance(response, aiohttp.ClientResponse):
                response.close()

    await settled(service, sandbox)

    assert sandbox.requests.count("batches.list") == page


async def test_a_middleware_in_between_does_not_keep_the_walk_going(module: ModuleType, sandbox: Sandbox) -> None:
    async def unchanged(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    app: FastAPI = module.app
    app.middleware("http")(unchanged)
    app.add_middleware(GZipMiddleware, minimum_size=1)
    sandbox.faults.add(Fault("batches.list", "hang", page=3))
    async with served(app) as service, aiohttp.ClientSession() as session:
        async with session.get(service.url + batches_of(sandbox)) as response:
            await response.content.readline()
            await until(lambda: sandbox.requests.count("batches.list") == 3)
            assert response.headers["content-encoding"] == "gzip"
            response.close()
        await settled(service, sandbox)

    assert sandbox.requests.count("batches.list") == 3


async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Do nothing, as a middleware; Starlette ends an answer for it that broke off."""
    return await call_next(request)


@pytest.mark.parametrize("middleware", [False, True])
async def test_a_walk_that_fails_in_the_middle_breaks_the_answer_off_and_is_one_line_in_the_log(
    sandbox: Sandbox, module: ModuleType, caplog: pytest.LogCaptureFixture, *, middleware: bool
) -> None:
    if middleware:
        module.app.middleware("http")(pass_on)
    sandbox.faults.add(Fault("batches.list", status=400, page=3))
    async with (
        served(module.app) as service,
        aiohttp.ClientSession() as session,
        session.get(service.url + batches_of(sandbox)) as response,
    ):
        lines = await lines_until_broken_off(response)

    assert (response.status, lines) == (200, 100)
    (logged,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert logged.getMessage().startswith("answer broken off: batches.list: 400 Bad Request")
    assert logged.exc_info is None


async def test_other_errors_keep_their_traceback_in_the_log(
    sandbox: Sandbox, module: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    async def rows() -> AsyncIterator[Batch]:
        yield Batch(batch_id="b")
        raise ZeroDivisionError

    async def broken() -> JsonLinesResponse:
        return JsonLinesResponse(rows())

    module.app.add_api_route("/broken", broken)
    module.app.middleware("http")(pass_on)
    sandbox.faults.add(Fault("batches.list", status=400, page=3))
    async with served(module.app) as service, aiohttp.ClientSession() as session:
        for path in (batches_of(sandbox), "/broken"):  # the first makes the log's lines short
            async with session.get(service.url + path) as response:
                await lines_until_broken_off(response)

    assert [record.exc_info is not None for record in caplog.records if record.levelno >= logging.WARNING] == [
        False,
        True,
    ]


async def test_rows_before_one_that_cannot_be_read_are_sent(sandbox: Sandbox, service: Service) -> None:
    sandbox.faults.add(Fault("batches.list", "bad-row", page=2, row=10))
    async with aiohttp.ClientSession() as session, session.get(service.url + batches_of(sandbox)) as response:
        lines = await lines_until_broken_off(response)

    assert lines == 60


async def test_500_requests_at_once_share_one_client(
    sandbox: Sandbox, service: Service, browser: httpx.AsyncClient
) -> None:
    first = json.loads((await browser.get(batches_of(sandbox))).text.partition("\n")[0])
    url = f"{service.url}{batches_of(sandbox)}/{first['batchId']}"
    sandbox.faults.add(Fault("batches.get", latency=0.005))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=500)) as session:

        async def ask(number: int) -> tuple[int, str]:
            async with session.get(url, headers={"X-Request-Id": f"r-{number}"}) as response:
                return response.status, (await response.json())["batchId"]

        answers = await asyncio.gather(*(ask(number) for number in range(500)))

    asked = sandbox.requests.of("batches.get")
    assert set(answers) == {(200, first["batchId"])}
    assert {request.headers["x-request-id"] for request in asked} == {f"r-{number}" for number in range(500)}
    assert len(asked) == 500
    assert 1 < sandbox.requests.overlapping("batches.get") <= 16
    assert sandbox.requests.count("token") == 1


async def test_readiness_needs_a_token_and_asks_for_it_once(sandbox: Sandbox, browser: httpx.AsyncClient) -> None:
    answers = [(await browser.get("/ready")).status_code for _ in range(3)]

    assert answers == [200, 200, 200]
    assert sandbox.requests.count() == sandbox.requests.count("token") == 1


async def test_a_service_whose_credentials_are_refused_is_not_ready(sandbox: Sandbox) -> None:
    app = FastAPI(
        lifespan=amili_lifespan(
            ClientCredentials("nobody", "wrong"), base_url=sandbox.base_url, token_url=sandbox.token_url
        )
    )
    app.add_api_route("/ready", amili_ready)

    async with served(app) as service, httpx.AsyncClient(base_url=service.url, timeout=60) as browser:
        response = await browser.get("/ready")

    assert response.status_code == 503
    assert response.json()["type"] == "urn:problem-type:amili-async:credentials-refused"
    assert "wrong" not in response.text


async def test_a_shutdown_ends_streams_and_closes_the_client(module: ModuleType, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("batches.list", "hang", page=3))
    async with aiohttp.ClientSession() as session:
        async with served(module.app, timeout_graceful_shutdown=1) as service:
            response = await session.get(service.url + batches_of(sandbox))
            await response.content.readline()

        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    await until(lambda: not sandbox.requests.under_way())
    with pytest.raises(ClientClosedError):
        await module.app.state.amili_client.batches.get(sandbox.organization_ids[0], "any")


async def test_context_variables_of_a_request_are_seen_by_pages_read_ahead(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_environment(monkeypatch, sandbox)
    request_id = contextvars.ContextVar("request_id", default="none")
    seen: list[str] = []

    class Hook:
        def on_call_start(self, _: CallStarted, /) -> None:
            seen.append(request_id.get())

    app = FastAPI(lifespan=amili_lifespan(hooks=[Hook()]))

    @app.get("/{name}")
    async def stream(name: str, amili: AmiliDep) -> JsonLinesResponse:
        request_id.set(name)
        return JsonLinesResponse(amili.batches.list(sandbox.organization_ids[0], limit=200))

    async with served(app) as service, httpx.AsyncClient(base_url=service.url, timeout=60) as browser:
        await asyncio.gather(browser.get("/a"), browser.get("/b"))

    assert sorted(seen) == ["a"] * 4 + ["b"] * 4


async def test_webhooks_are_handled_once(module: ModuleType, browser: httpx.AsyncClient) -> None:
    body = json.dumps({
        "id": "e-1", "type": "BATCH_COMPLETED", "source": "COLLECTION", "timeStamp": datetime.now(UTC).isoformat(),
        "data": {"batchId": "b-1", "organizationId": "o-1", "status": "SUCCESS"},
    }).encode()  # fmt: skip
    signature = hmac.new(b"a webhook secret", body, hashlib.sha256).hexdigest()
    headers = {"X-Webhook-Signature": signature, "IdempotencyKey": "delivery-1"}

    genuine = [await browser.post("/amili/webhooks", content=body, headers=headers) for _ in range(2)]
    forged = await browser.post("/amili/webhooks", content=body + b" ", headers=headers)

    assert [response.status_code for response in genuine] == [204, 204]
    assert module.completed == ["b-1"]
    assert (forged.status_code, forged.content) == (401, b"")


def test_an_app_may_live_more_than_once(amili_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        # Starlette wants httpx2, which nobody has yet.
        warnings.simplefilter("ignore")
        from fastapi.testclient import TestClient  # noqa: PLC0415  # for that

    point_environment(monkeypatch, amili_sandbox)
    module = executed("readme_service", "service.py", "service.py, continued")
    for life in range(3):
        event = BatchCompleted(id=str(life), batch_id=f"b-{life}", organization_id="o", time_stamp=datetime.now(UTC))
        body = encode(event)
        client: Any = TestClient(module.app)
        with client as browser:
            assert browser.get("/ready").status_code == 200
            assert browser.get(batches_of(amili_sandbox)).status_code == 200
            headers = module.verifier.sign(body)
            assert browser.post("/amili/webhooks", content=body, headers=headers).status_code == 204
    assert module.completed == ["b-0", "b-1", "b-2"]


@pytest.mark.parametrize(
    ("path", "headers", "arguments"),
    [
        ("/orgs/%20/batches", {}, ["organization_id"]),
        ("/orgs/%20/batches/b", {}, ["organization_id"]),
        ("/orgs/o/batches/%2e%2e", {}, ["batch_id"]),
        ("/orgs/%0a/batches/%0a", {}, ["organization_id"]),
        ("/orgs/o/batches?state=PARTIALLY", {}, ["state"]),
        ("/orgs/o/batches?state=", {}, ["state"]),
        ("/orgs/o/batches/b", {"X-Request-Id": b"a\x7f"}, ["headers"]),
    ],
)
async def test_what_a_caller_sends_that_cannot_be_is_its_own_fault(
    browser: httpx.AsyncClient,
    caplog: pytest.LogCaptureFixture,
    path: str,
    headers: dict[str, Any],
    arguments: list[str],
) -> None:
    response = await browser.get(path, headers=headers)

    assert (response.status_code, response.json()["arguments"]) == (422, arguments)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_the_apps_own_lifespan_runs_inside_with_the_client_open(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_environment(monkeypatch, sandbox)
    order: list[str] = []

    class Own:
        def __init__(self, app: FastAPI) -> None:
            self.client: AmiliClient = app.state.amili_client

        async def __aenter__(self) -> dict[str, object]:
            await self.client.batches.list(sandbox.organization_ids[0]).first()
            order.append("begun")
            return {"greeting": "hello"}

        async def __aexit__(self, *_: object) -> None:
            await self.client.batches.list(sandbox.organization_ids[0]).first()
            order.append("ended")

    app = FastAPI(lifespan=amili_lifespan(lifespan=Own))

    async with served(app):
        assert order == ["begun"]

    assert order == ["begun", "ended"]


async def test_a_mounted_app_uses_the_client_of_the_app_around_it(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_environment(monkeypatch, sandbox)
    inner = FastAPI()

    @inner.get("/first")
    async def first(amili: AmiliDep) -> AmiliResponse:
        found = await amili.batches.list(sandbox.organization_ids[0]).first()
        assert found is not None
        return AmiliResponse(found)

    app = FastAPI(lifespan=amili_lifespan())
    app.mount("/inner", inner)

    async with served(app) as service, httpx.AsyncClient(base_url=service.url, timeout=60) as browser:
        assert (await browser.get("/inner/first")).status_code == 200


async def test_an_app_without_a_client_says_how_to_make_one() -> None:
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/")
    async def route(_: AmiliDep) -> None: ...

    async with served(app) as service, httpx.AsyncClient(base_url=service.url, timeout=60) as browser:
        assert (await browser.get("/")).json()["type"] == "urn:problem-type:amili-async:misconfigured"


async def test_a_test_may_put_another_client_in_the_place_of_the_apps() -> None:
    class Missing:
        async def get(self, *_: str) -> None:
            raise NotFoundError("gone")

    class Double:
        batches = Missing()

    app = FastAPI()
    install_error_handlers(app)
    app.dependency_overrides[amili_client] = Double

    @app.get("/")
    async def route(amili: AmiliDep) -> AmiliResponse:
        return AmiliResponse(await amili.batches.get("o", "b"))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as browser:
        assert (await browser.get("/")).status_code == 404


async def test_what_is_always_there_on_the_wire_is_always_there_in_an_answer(
    sandbox: Sandbox, browser: httpx.AsyncClient
) -> None:
    async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url) as client:
        batches = await client.batches.list(sandbox.organization_ids[0]).collect()
    shapes: set[frozenset[str]] = set()
    for batch in (batches[0], batches[-1], next(one for one in batches if one.failed and not one.succeeded)):
        answer = (await browser.get(f"{batches_of(sandbox)}/{batch.batch_id}")).json()
        assert isinstance(answer["succeeded"], list)
        assert isinstance(answer["failed"], list)
        shapes.add(frozenset(answer))
    assert len(shapes) == 1


async def test_a_page_is_answered_with_all_that_came_around_its_rows(sandbox: Sandbox) -> None:
    app = FastAPI()
    sandbox.faults.add("batches.list:unknown-member")

    @app.get("/page")
    async def page() -> AmiliResponse:
        async with (
            AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url) as client,
            client.batches.list(sandbox.organization_ids[0], page_size=2) as pager,
        ):
            return AmiliResponse(await anext(pager.pages()))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as browser:
        answered = (await browser.get("/page")).json()
    assert len(answered["data"]) == 2
    assert {*answered["summary"]} > {"status", "nextPageToken"}
