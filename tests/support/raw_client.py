"""An HTTP client that is not ours: the sandbox's answers as they are on the wire, and what a walk over them gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import aiohttp

    from amili_async.sandbox import Sandbox


class RawResponse(NamedTuple):
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


class RawClient:
    """Asks a sandbox, with a token that is in force."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.session = session
        self.headers = {"Authorization": f"Bearer {sandbox.issue_token()}"}
        self.organization = sandbox.organization_ids[0]

    async def ask(self, path: str, *, method: str = "GET", url: str | None = None, **options: Any) -> RawResponse:
        headers = {**self.headers, **options.pop("headers", {})}
        target = url or self.sandbox.base_url + path
        async with self.session.request(method, target, headers=headers, allow_redirects=False, **options) as response:
            return RawResponse(response.status, dict(response.headers), await response.read())

    async def batches(self, **query: str) -> RawResponse:
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
            response = await self.ask(path, params=query if token is None else {**query, token_name: token})
            assert response.status == 200, response.body
            rows += response.rows
            token = response.token
            if token is None:
                return rows
