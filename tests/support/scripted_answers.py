"""A client of no server: each request is given the answer that a test has scripted for it, by aioresponses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yarl import URL

if TYPE_CHECKING:
    from aioresponses import aioresponses

    from amili_async import AmiliClient

BASE = "http://127.0.0.1/collection/v1"


class ScriptedAnswers:
    """Answers for the requests of one client, and what was asked."""

    def __init__(self, client: AmiliClient, scripted: aioresponses) -> None:
        self.client = client
        self._scripted = scripted

    def answer(self, request: str, body: str | bytes, *, status: int = 200) -> None:
        """Answer the next request of a method and path (``"POST /orgs/o/invoices"``) with these bytes."""
        method, _, path = request.partition(" ")
        self._scripted.add(f"{BASE}{path}", method, status=status, body=body)  # pyright: ignore[reportUnknownMemberType]  # its pattern is half typed

    @property
    def requests(self) -> list[tuple[str, str]]:
        """Method and path of every request, in order."""
        asked = [(method, url) for (method, url), calls in self._scripted.requests.items() for _ in calls]
        return [(method, URL(url).path.removeprefix(URL(BASE).path)) for method, url in asked]
