"""A headless Chromium, driven over its DevTools socket."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.support.processes import child

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""


class Browser:
    """A headless Chromium, driven over its DevTools socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        """What the browser told of itself: console lines and errors among them."""

    async def send(self, method: str, *, session: str | None = None, **parameters: object) -> dict[str, Any]:
        """Return the answer to a command, to a tab where its session is named."""
        number = next(self._numbers)
        where = {} if session is None else {"sessionId": session}
        await self._socket.send_json({"id": number, "method": method, "params": parameters, **where})
        while True:
            message: dict[str, Any] = await self._socket.receive_json()
            if "method" in message:
                self.events.append(message)
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                result: dict[str, Any] = message["result"]
                return result

    async def open(self, url: str) -> str:
        """Open a tab and return its id."""
        target: str = (await self.send("Target.createTarget", url=url))["targetId"]
        return target

    async def attach(self, url: str) -> Tab:
        """Open a tab at a URL, with its console listened to, and return it once it is loaded."""
        target = await self.open("about:blank")
        session: str = (await self.send("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        tab = Tab(self, session)
        for domain in ("Page", "Runtime", "Log"):
            await tab.send(f"{domain}.enable")
        await tab.send("Page.navigate", url=url)
        # The answer comes once the navigation is committed: what is run from here on runs in the new page.
        await tab.run(
            "new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))"
        )
        return tab

    async def until_title(self, tab: str, wanted: str) -> None:
        """Return when a tab has this title."""
        title = ""
        while title != wanted:
            title = (await self.send("Target.getTargetInfo", targetId=tab))["targetInfo"]["title"]
            await asyncio.sleep(0.01)


class Tab:
    """One page: what is run in it, where it is clicked, and what its console said."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    async def send(self, method: str, **parameters: object) -> dict[str, Any]:
        """Return the answer to a command."""
        return await self._browser.send(method, session=self._session, **parameters)

    async def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        answer = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def click(self, selector: str) -> None:
        """Click into the middle of an element, as a mouse does."""
        place = await self.run(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.send("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    async def type(self, text: str) -> None:
        """Type into what was clicked last."""
        await self.send("Input.insertText", text=text)

    async def resize(self, width: int, height: int) -> None:
        """Give the page another size."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def scheme(self, name: str) -> None:
        """Have the page shown by day (``light``) or by night (``dark``)."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        await self.send("Emulation.setEmulatedMedia", features=features)

    async def screenshot(self, file: Path) -> None:
        """Keep a picture of what is seen."""
        shot = await self.send("Page.captureScreenshot")
        file.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[dict[str, Any]]:
        """Return the errors and warnings of the page's console."""
        said = [event for event in self._browser.events if event.get("sessionId") == self._session]
        return [
            event
            for event in said
            if event["method"] == "Runtime.exceptionThrown"
            or (event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] in {"error", "warning"})
            or (event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] in {"error", "warning"})
        ]


@asynccontextmanager
async def chromium(profile: Path) -> AsyncGenerator[Browser]:
    words = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0")
    async with AsyncExitStack() as stack:
        # What it leaves behind there goes with it; a test's own folder has too long a path for its socket.
        folder = stack.enter_context(TemporaryDirectory(prefix="amili-chromium-", ignore_cleanup_errors=True))
        options = {"stderr": asyncio.subprocess.PIPE, "env": {**os.environ, "TMPDIR": folder}}
        process = await stack.enter_async_context(child(CHROMIUM, *words, f"--user-data-dir={profile}", **options))
        assert process.stderr is not None
        address = ""
        while not address:
            line = (await process.stderr.readline()).decode()
            assert line, "chromium has not started"
            address = line.partition("DevTools listening on ")[2].strip()
        async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
            yield Browser(socket)
        process.terminate()
        with suppress(TimeoutError):  # and it is killed
            await asyncio.wait_for(process.communicate(), 30)
