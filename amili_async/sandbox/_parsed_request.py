"""A request with what its first line says."""

from __future__ import annotations

from typing import NamedTuple

from amili_async.sandbox._log import LoggedRequest
from amili_async.sandbox._routing import Match


class ParsedRequest(NamedTuple):
    """A request before it is known whether it is let in."""

    request: LoggedRequest
    match: Match | None
    """The route asked for; ``None`` where there is none."""
    path: str
    query: dict[str, str]

    @property
    def page_token(self) -> str | None:
        """The page token that it carries, however the operation spells its name."""
        return self.query.get("PageToken") or self.query.get("pageToken")

    @property
    def access_token(self) -> str:
        """The bearer token that it carries; empty for none."""
        return authorization(self.request.head).partition(" ")[2]


def authorization(head: bytes) -> str:
    """Return the Authorization header, found without taking all headers apart."""
    start = head.lower().find(b"\r\nauthorization:")
    if start < 0:
        return ""
    end = head.find(b"\r\n", start + 2)
    return head[start + 16 : end if end >= 0 else len(head)].strip().decode("latin-1")
