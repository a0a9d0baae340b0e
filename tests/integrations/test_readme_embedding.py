"""The README's recipes for services, executed: aiohttp.web, OpenTelemetry, structlog, several workers."""

from __future__ import annotations

import asyncio
import contextvars
import io
import json
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

import aiohttp
import pytest
import structlog
from aiohttp import web

from amili_async import AmiliClient
from amili_async.sandbox import Fault, Sandbox
from tests.support.documents import titled
from tests.support.processes import child
from tests.support.services import environment_of, executed, lines_until_broken_off, point_environment, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    return {"organizations": 1, "batches": 100, "page_size": 20}


@pytest.fixture
def environment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    point_environment(monkeypatch, sandbox)


@pytest.fixture
async def aiohttp_service(environment: None) -> AsyncIterator[str]:  # noqa: ARG001  # what is in it, its client finds
    runner = web.AppRunner(executed("readme_aiohttp", "aiohttp_service.py").application(), handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    yield f"http://{host}:{port}"
    await runner.cleanup()


async def test_an_aiohttp_app_streams_lists_and_returns_batches(sandbox: Sandbox, aiohttp_service: str) -> None:
    url = f"{aiohttp_service}/orgs/{sandbox.organization_ids[0]}/batches"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as listed:
            rows = [json.loads(line) async for line in listed.content]
        async with session.get(f"{url}/{rows[0]['batchId']}") as single:
            assert await single.json() == rows[0]

    assert listed.content_type == "application/x-ndjson"
    assert len(rows) == 100


async def test_an_aiohttp_app_answers_problems(sandbox: Sandbox, aiohttp_service: str) -> None:
    sandbox.faults.add(Fault("batches.list", status=429, retry_after=600))
    url = f"{aiohttp_service}/orgs/{sandbox.organization_ids[0]}/batches"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/nothing") as missing:
            assert (missing.status, missing.content_type) == (404, "application/problem+json")
        async with session.get(url) as limited:
            assert (limited.status, limited.headers["Retry-After"]) == (503, "600")


async def test_a_browser_that_leaves_an_aiohttp_app_stops_the_walk(sandbox: Sandbox, aiohttp_service: str) -> None:
    sandbox.faults.add(Fault("batches.list", "hang", page=3))
    url = f"{aiohttp_service}/orgs/{sandbox.organization_ids[0]}/batches"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        await response.content.readline()
        await until(lambda: sandbox.requests.count("batches.list") == 3)

    await until(lambda: not sandbox.requests.under_way())

    assert sandbox.requests.count("batches.list") == 3


async def test_an_aiohttp_app_breaks_off_an_answer_that_fails_in_the_middle(
    sandbox: Sandbox, aiohttp_service: str
) -> None:
    sandbox.faults.add(Fault("batches.list", status=400, page=3))
    url = f"{aiohttp_service}/orgs/{sandbox.organization_ids[0]}/batches"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert await lines_until_broken_off(response) == 40


@pytest.mark.usefixtures("environment")
async def test_the_telemetry_recipe_makes_a_client(sandbox: Sandbox) -> None:
    module = executed("readme_telemetry", "telemetry.py")

    async with module.client as client:
        assert isinstance(client, AmiliClient)
        await client.batches.list(sandbox.organization_ids[0]).first()


@pytest.fixture
def quiet() -> Iterator[None]:
    """Put the loggers back as they were."""
    loggers = [logging.getLogger("amili_async"), logging.getLogger()]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.mark.usefixtures("quiet", "environment")
async def test_the_structlog_recipe_writes_every_field_and_the_requests_context(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    executed("readme_structlog", "structured_logs.py")

    async def request(name: str) -> None:
        structlog.contextvars.bind_contextvars(request=name)
        async with AmiliClient.from_env() as amili:
            await amili.batches.list(sandbox.organization_ids[0], limit=60).collect()

    await asyncio.gather(
        *(asyncio.create_task(request(name), context=contextvars.copy_context()) for name in ("first", "second"))
    )

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    pages = [line for line in lines if line.get("amili_event") == "attempt"]
    assert sorted(line["request"] for line in pages) == ["first"] * 3 + ["second"] * 3
    assert {(line["level"], line["amili_operation"], line["amili_status"]) for line in pages} == {
        ("debug", "batches.list", 200)
    }
    assert all("timestamp" in line for line in pages)


@pytest.mark.usefixtures("quiet")
def test_the_logging_recipe_shows_retries_and_no_attempts() -> None:
    executed("readme_logs", "client_logs.py")

    assert logging.getLogger("amili_async").getEffectiveLevel() == logging.INFO


async def test_two_workers_have_a_client_each_and_end_in_order(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(titled("service.py", "service.py, continued"), encoding="utf-8")
    (tmp_path / "worker.py").write_text("import os\nfrom service import app\napp.get('/worker')(lambda: os.getpid())\n")
    command = ("-m", "uvicorn", "worker:app", "--workers", "2", "--port", "0", "--timeout-graceful-shutdown", "5")
    environment = {**os.environ, **environment_of(sandbox), "PYTHONUNBUFFERED": "1"}
    # A worker that has not begun after five seconds would be taken for dead, and be started again.
    patient = ("--timeout-worker-healthcheck", "60")
    started, url = 0, ""
    said: list[str] = []
    async with (
        child(
            sys.executable, *command, *patient, cwd=tmp_path, env=environment, stderr=asyncio.subprocess.PIPE
        ) as uvicorn,
        asyncio.timeout(100),
    ):
        assert uvicorn.stderr is not None
        while started < 2:
            line = (await uvicorn.stderr.readline()).decode()
            assert line, "".join(said)
            said.append(line)
            started += "Application startup complete" in line
            if "running on" in line:
                url = line.split("running on ")[1].split()[0]
        workers: set[str] = set()
        while len(workers) < 2:
            async with aiohttp.ClientSession() as session:
                async with session.get(f"{url}/worker") as response:
                    workers.add(await response.text())
                async with session.get(f"{url}/orgs/{sandbox.organization_ids[0]}/batches") as response:
                    assert (await response.read()).count(b"\n") == 100
        uvicorn.send_signal(signal.SIGTERM)
        _, rest = await uvicorn.communicate()

    said.append(rest.decode())
    assert "".join(said).count("Application shutdown complete") == 2
    assert not any(word in "".join(said) for word in ("Traceback", "Unclosed", "never retrieved"))
    # Each worker asks for a token of its own, and keeps it.
    assert sandbox.requests.count("token") == 2
