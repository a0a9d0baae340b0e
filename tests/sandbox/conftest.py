"""What the sandbox's tests share: a server, and an HTTP client that is not ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import pytest

from amili_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Said(NamedTuple):
    """An answer that was read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.json["data"]
        return rows

    @property
    def token(self) -> str | None:
        """The next page's token; none for one that ends the list."""
        return self.json["summary"].get("nextPageToken") or None


class Caller:
    """Asks a sandbox, with a token that is in force."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.session = session
        self.headers = {"Authorization": f"Bearer {sandbox.issue_token()}"}
        self.organization = sandbox.organization_ids[0]

    async def ask(self, path: str, *, method: str = "GET", url: str | None = None, **options: Any) -> Said:
        headers = {**self.headers, **options.pop("headers", {})}
        target = url or self.sandbox.base_url + path
        async with self.session.request(method, target, headers=headers, allow_redirects=False, **options) as response:
            return Said(response.status, dict(response.headers), await response.read())

    async def batches(self, **query: str) -> Said:
        return await self.ask(f"/orgs/{self.organization}/batches", params=query)

    async def walk(
        self,
        path: str,
        *,
        token_name: str = "PageToken",  # noqa: S107  # a query name
        **query: str,
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        token: str | None = None
        while True:
            said = await self.ask(path, params=query if token is None else {**query, token_name: token})
            assert said.status == 200, said.body
            rows += said.rows
            token = said.token
            if token is None:
                return rows


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(organizations=3, batches=25, page_size=10) as sandbox:
        yield sandbox


@pytest.fixture
async def caller(sandbox: Sandbox, session: aiohttp.ClientSession) -> Caller:
    # aiohttp repeats a dropped GET by itself; the tests count requests.
    session._retry_connection = False  # pyright: ignore[reportPrivateUsage]  # there is no public switch
    return Caller(sandbox, session)
