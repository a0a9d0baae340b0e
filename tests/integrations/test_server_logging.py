"""What goes wrong in a service is heard under the servers as they come, with nothing set up for logging."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import aiohttp
import pytest

from amili_async import encode
from amili_async.webhooks import BatchCompleted, WebhookVerifier
from tests.support.processes import child

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "a secret of sixteen"
SERVICE = f"""
from fastapi import FastAPI
from amili_async import ConfigurationError
from amili_async.integrations.fastapi import install_error_handlers, webhook_router
from amili_async.integrations.webhooks import MemoryDeduplicationStore
from amili_async.webhooks import BatchCompleted, WebhookVerifier

async def fail(event: BatchCompleted) -> None:
    raise RuntimeError("the handler failed")

app = FastAPI()
install_error_handlers(app)
seen = MemoryDeduplicationStore()
app.include_router(webhook_router(WebhookVerifier({SECRET!r}), {{BatchCompleted: fail}}, seen=seen))

@app.get("/misconfigured")
async def misconfigured() -> None:
    raise ConfigurationError("a setting is missing")
"""

SERVERS = {
    "uvicorn": ("-m", "uvicorn", "service:app", "--port"),
    "gunicorn with uvicorn's worker": ("-m", "gunicorn", "service:app", "-k", "uvicorn.workers.UvicornWorker", "-b"),
    "gunicorn": ("-m", "gunicorn", "service:app", "-k", "asgi", "--no-control-socket", "-b"),
}


@pytest.mark.parametrize(
    "server", [name if name == "uvicorn" else pytest.param(name, marks=pytest.mark.outside) for name in SERVERS]
)
async def test_an_error_in_a_service_is_printed_with_its_traceback(
    server: str, tmp_path: Path, unused_tcp_port: int
) -> None:
    (tmp_path / "service.py").write_text(SERVICE, encoding="utf-8")
    address = str(unused_tcp_port) if server == "uvicorn" else f"127.0.0.1:{unused_tcp_port}"
    body = encode(BatchCompleted(batch_id="b", organization_id="o"))
    url = f"http://127.0.0.1:{unused_tcp_port}"
    serving = child(
        sys.executable,
        *SERVERS[server],
        address,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with serving as process, asyncio.timeout(100), aiohttp.ClientSession() as session:
        statuses: list[int] = []
        while not statuses:
            try:
                headers = WebhookVerifier(SECRET).sign(body)
                async with session.post(f"{url}/amili/webhooks", data=body, headers=headers) as answer:
                    statuses.append(answer.status)
            except aiohttp.ClientConnectionError:
                assert process.returncode is None, "the server has not started"
                await asyncio.sleep(0.05)
        async with session.get(f"{url}/misconfigured") as answer:
            statuses.append(answer.status)
        process.send_signal(signal.SIGTERM)
        printed, _ = await process.communicate()
    assert statuses == [500, 500]
    assert b"webhook handler of BatchCompleted failed" in printed
    assert b"RuntimeError: the handler failed" in printed
    assert b"answered 500: a setting is missing" in printed
