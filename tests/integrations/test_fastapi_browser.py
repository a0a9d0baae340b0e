"""A page in a real browser that shows a list while it is still being read, and stops it by being closed."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from fastapi.responses import HTMLResponse

from amili_async.sandbox import Fault, Sandbox
from tests.support.services import executed, point_environment, served, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
PAGE = """<!doctype html><meta charset="utf-8"><title>0</title><script>
addEventListener("load", async () => {
  const lines = (await fetch(location.hash.slice(1))).body.pipeThrough(new TextDecoderStream()).getReader();
  let rows = 0, rest = "";
  for (;;) {
    const {value, done} = await lines.read();
    if (done) { document.title = `all ${rows}`; return; }
    const parts = (rest + value).split("\\n");
    rest = parts.pop();
    for (const part of parts) { JSON.parse(part); rows += 1; }
    document.title = `${rows}`;
  }
});
</script>"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no chromium is installed"),
]


class Browser:
    """A headless Chromium, driven over its DevTools socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def send(self, method: str, **parameters: object) -> dict[str, Any]:
        """Return the answer to a command."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message: dict[str, Any] = await self._socket.receive_json()
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                result: dict[str, Any] = message["result"]
                return result

    async def open(self, url: str) -> str:
        """Open a tab and return its id."""
        target: str = (await self.send("Target.createTarget", url=url))["targetId"]
        return target

    async def until_title(self, tab: str, wanted: str) -> None:
        """Return when a tab has this title."""
        title = ""
        while title != wanted:
            title = (await self.send("Target.getTargetInfo", targetId=tab))["targetInfo"]["title"]
            await asyncio.sleep(0.01)


@asynccontextmanager
async def chromium(profile: Path) -> AsyncGenerator[Browser]:
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"),
        f"--user-data-dir={profile}",
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        address = ""
        while not address:
            line = (await process.stderr.readline()).decode()
            assert line, "chromium has not started"
            address = line.partition("DevTools listening on ")[2].strip()
        async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        await asyncio.wait_for(process.communicate(), 30)


async def test_a_page_shows_rows_as_they_come_and_stops_the_walk_when_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.timeout(60), Sandbox(organizations=1, batches=200, page_size=50) as sandbox:
        point_environment(monkeypatch, sandbox)
        app = executed("readme_service", "service.py").app
        app.get("/page", response_class=HTMLResponse)(lambda: PAGE)
        batches = f"/orgs/{sandbox.organization_ids[0]}/batches"
        async with served(app) as service, chromium(tmp_path) as browser:
            await browser.until_title(await browser.open(f"{service.url}/page#{batches}"), "all 200")
            sandbox.requests.clear()

            sandbox.faults.add(Fault("batches.list", "hang", page=3))
            tab = await browser.open(f"{service.url}/page#{batches}")
            await browser.until_title(tab, "100")
            await until(lambda: sandbox.requests.under_way("batches.list"))
            await browser.send("Target.closeTarget", targetId=tab)
            await until(lambda: not service.requests and not sandbox.requests.under_way())

            assert sandbox.requests.count("batches.list") == 3
