"""What handlers answer: pages of rows, single objects, refusals; the cutting of a list into pages, and its tokens.

Page tokens are opaque, stable while rows are added, and refused when altered or expired.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from hashlib import blake2b
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from amili_async.sandbox import _shapes as shapes
from amili_async.sandbox._log import LoggedRequest
from amili_async.sandbox._requests import Match
from amili_async.sandbox._shapes import Dialect, LastPage, array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Position = tuple[int, ...]
"""What the last row handed out sorts by; the next page begins behind it."""

_MAC_BYTES = 8
_KEPT = 10_000


class PageTokenError(Exception):
    """A page token that this server did not write, that belongs to another list, or that has expired."""


class PagePoint(NamedTuple):
    """What a page token says."""

    position: Position
    number: int
    """The number of the page that it leads to; the first page of a list is 1."""
    empty: int = 0
    """How many pages without rows came before it: makes the tokens of empty pages differ."""


class PageTokens:
    """Writes and reads page tokens. They hold all that is needed; which followed which is kept for faults alone."""

    def __init__(self, *, seed: int, lifetime: float | None) -> None:
        self._key = f"page tokens of seed {seed}".encode()
        self._lifetime = lifetime
        self._era = 0
        self._before: dict[str, str] = {}

    @property
    def mortal(self) -> bool:
        """Whether tokens expire, so that a page that holds one cannot be kept."""
        return self._lifetime is not None

    def expire(self) -> None:
        """Refuse every token written so far."""
        self._era += 1

    def write(self, point: PagePoint, listing: str, now: float) -> str:
        """Return the token that leads to a point of a listing (its operation, organization and filters, as text)."""
        issued = int(now * 1000) if self._lifetime is not None else 0
        values = [self._era, issued, list(point.position), point.number, point.empty]
        payload = json.dumps(values, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(payload, listing) + payload).decode().rstrip("=")

    def read(self, token: str, listing: str, now: float) -> PagePoint:
        """Return the point that a token leads to.

        Raises:
            PageTokenError: it was written by another server, for another list, or too long ago.
        """
        try:
            raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (UnicodeError, binascii.Error):
            raise PageTokenError("the page token is not one of this server's") from None
        mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if mac != self._mac(payload, listing):
            raise PageTokenError("the page token is not one of this list's")
        era, issued, position, number, empty = json.loads(payload)
        late = self._lifetime is not None and now * 1000 - issued > self._lifetime * 1000
        if era != self._era or late:
            raise PageTokenError("the page token has expired")
        return PagePoint(tuple(position), number, empty)

    def follow(self, token: str, asked_with: str) -> None:
        """Remember that a token was handed out by the page that was asked for with another."""
        self._before[token] = asked_with
        if len(self._before) > _KEPT:
            del self._before[next(iter(self._before))]

    def before(self, token: str | None) -> str | None:
        """Return the token of the page before the one that a token leads to; ``None`` where that is the first."""
        return None if token is None else self._before.get(token)

    def number(self, token: str) -> int:
        """Return the number of the page that a token leads to; 1 for text that is none of this server's."""
        try:
            payload = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_")[_MAC_BYTES:]
            return int(json.loads(payload)[3])
        except (ValueError, LookupError, TypeError):
            return 1

    def _mac(self, payload: bytes, listing: str) -> bytes:
        return blake2b(payload + listing.encode(), digest_size=_MAC_BYTES, key=self._key).digest()


_STATUSES = frozenset(HTTPStatus)

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000


class Refusal(Exception):  # noqa: N818  # an answer, raised to leave the handler
    """An answer with a status that is no success."""

    def __init__(self, status: int, detail: str, *, query_name: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.query_name = query_name
        """The query name whose value cannot be, where that is the reason."""


class Request(NamedTuple):
    """A request that was let in, as its handler sees it."""

    logged: LoggedRequest
    match: Match
    query: Mapping[str, str]
    now: float

    def value(self, name: str) -> str:
        """Return what the path says for a placeholder."""
        return self.match.values[name]

    @property
    def listing(self) -> str:
        """Which list is asked for: operation, path values and filters, without what tells pages apart."""
        paging = {"pagetoken", "pagesize"}
        filters = sorted((name, value) for name, value in self.query.items() if name.lower() not in paging)
        return repr((self.match.route.operation, sorted(self.match.values.items()), filters))


class Answer(NamedTuple):
    """A single object, or whatever else is no page."""

    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] | None = None


class Page(NamedTuple):
    """A page before it is rendered: faults still change it."""

    rows: list[str]
    token: str | None
    """The token of the page that follows."""
    asked_with: str | None
    """The token that it was asked for with; ``None`` for the first page."""
    point: PagePoint | None
    """Where the page begins; ``None`` for the first page."""
    listing: str
    dialect: Dialect
    last_page: LastPage
    last_but_one: Position = ()
    """The position of the row before the last."""
    members: str = ""
    """More members of the summary, each after a comma."""

    def render(self) -> bytes:
        """Return the page as it is sent."""
        head = shapes.summary(token=self.token, last_page=self.last_page)
        if self.members:
            head = f"{head[:-1]}{self.members}}}"
        return shapes.envelope(head, array(self.rows), self.dialect)


def problem(status: int, detail: str) -> Answer:
    """Return an error as problem details."""
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    title = HTTPStatus(status).phrase if status in _STATUSES else "Error"
    return Answer(status, shapes.problem(status, title, detail), "application/problem+json", headers)


class Pages:
    """Cuts lists into pages."""

    def __init__(
        self, tokens: PageTokens, *, page_size: int, max_page_size: int, dialect: Dialect, last_page: LastPage
    ) -> None:
        self._tokens = tokens
        self._page_size = page_size
        self._max_page_size = max_page_size
        self._dialect = dialect
        self._last_page: LastPage = last_page

    def cut(
        self,
        request: Request,
        walk: Callable[[Position | None], Iterator[tuple[Position, Callable[[], str]]]],
        *,
        token_name: str = "PageToken",  # noqa: S107  # a query name
        size_name: str | None = "PageSize",
    ) -> Page:
        """Return the page that is asked for.

        ``walk`` gives, from behind a position on, each row's position and how to render it: rows past the page's end
        are looked for but never rendered.

        Raises:
            Refusal: the page token or the page size cannot be.
        """
        size = self._page_size if size_name is None else self._size(request.query.get(size_name), size_name)
        text = request.query.get(token_name)
        try:
            point = self._tokens.read(text, request.listing, request.now) if text is not None else None
        except PageTokenError as error:
            raise Refusal(400, str(error)) from None
        start = (point.position or None) if point is not None else None
        found = list(islice(walk(start), size + 1))
        token = None
        if len(found) > size:
            number = point.number if point is not None else 1
            token = self._tokens.write(PagePoint(found[size - 1][0], number + 1), request.listing, request.now)
            if text is not None:
                self._tokens.follow(token, text)
        rows = [render() for _, render in found[:size]]
        last_but_one = found[size - 2][0] if token is not None and size > 1 else ()
        return Page(rows, token, text, point, request.listing, self._dialect, self._last_page, last_but_one)

    def _size(self, text: str | None, name: str) -> int:
        if text is None:
            return self._page_size
        if not text.isdecimal() or not 1 <= int(text) <= self._max_page_size:
            raise Refusal(400, f"{name} must be 1 to {self._max_page_size}", query_name=name)
        return int(text)
