"""A page in a real browser that shows a list while it is still being read, and stops it by being closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from fastapi.responses import HTMLResponse

from amili_async.sandbox import Fault, Sandbox
from tests.support.browser import CHROMIUM, chromium
from tests.support.services import executed, point_environment, served, until

if TYPE_CHECKING:
    from pathlib import Path

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


async def test_a_page_shows_rows_as_they_come_and_stops_the_walk_when_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.timeout(300), Sandbox(organizations=1, batches=200, page_size=50) as sandbox:
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
