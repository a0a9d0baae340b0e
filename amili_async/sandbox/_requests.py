"""Requests on their way in: what the first line asks for, against the route table, and what handlers see of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from amili_async._routes import ROUTES, Route
from amili_async.sandbox._log import LoggedRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amili_async.sandbox._shapes import Generation

API_ROOT = "/collection/v1"
AUTOCOLLECT_ROOT = "/autocollect"
TOKEN_PATH = "/token"  # noqa: S105  # a path

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Match(NamedTuple):
    """A route and the values that the path gave its placeholders."""

    route: Route
    values: dict[str, str]


class Router:
    """The routes that a server of one generation has; ``paths`` gives others than the table's, by operation."""

    def __init__(self, generation: Generation, paths: Mapping[str, str] | None = None) -> None:
        given = dict(paths or {})
        unknown = given.keys() - ROUTES.keys()
        if unknown:
            raise ValueError(f"routes names operations that do not exist: {', '.join(sorted(unknown))}")
        self._routes: list[tuple[str, re.Pattern[str], Route]] = []
        for operation, route in ROUTES.items():
            if generation not in route.generations:
                continue
            root = API_ROOT if route.server == "api" else AUTOCOLLECT_ROOT
            self._routes.append((route.method, _pattern(root + given.get(operation, route.path)), route))

    def find(self, method: str, path: str) -> Match | None:
        """Return what a method and a path, still percent-encoded, ask for."""
        for known, pattern, route in self._routes:
            found = pattern.fullmatch(path) if known == method else None
            if found is not None:
                return Match(route, {name: unquote(value) for name, value in found.groupdict().items()})
        return None

    def methods(self, path: str) -> list[str]:
        """Return the methods that a path takes."""
        return sorted({method for method, pattern, _ in self._routes if pattern.fullmatch(path)})


def _pattern(template: str) -> re.Pattern[str]:
    parts = _PLACEHOLDER.split(template)
    return re.compile(
        "".join(f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
    )


class ParsedRequest(NamedTuple):
    """A request before it is known whether it is let in."""

    logged: LoggedRequest
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
        return authorization(self.logged.head).partition(" ")[2]


def authorization(head: bytes) -> str:
    """Return the Authorization header, found without taking all headers apart."""
    start = head.lower().find(b"\r\nauthorization:")
    if start < 0:
        return ""
    end = head.find(b"\r\n", start + 2)
    return head[start + 16 : end if end >= 0 else len(head)].strip().decode("latin-1")
