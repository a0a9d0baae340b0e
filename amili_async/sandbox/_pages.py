"""What handlers answer: pages of rows, single objects, refusals; and the cutting of a list into pages."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from amili_async.sandbox import _shapes as shapes
from amili_async.sandbox._json_text import array
from amili_async.sandbox._log import LoggedRequest
from amili_async.sandbox._paging import PagePoint, PageTokenError, PageTokens, Position
from amili_async.sandbox._routing import Match
from amili_async.sandbox._shapes import Generation, LastPage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_STATUSES = frozenset(HTTPStatus)

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000


class Refusal(Exception):  # noqa: N818  # an answer, raised to leave the handler
    """An answer with a status that is no success."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Request(NamedTuple):
    """A request that was let in, as its handler sees it."""

    request: LoggedRequest
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
    generation: Generation
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
        return shapes.envelope(head, array(self.rows), self.generation)


def problem(status: int, detail: str) -> Answer:
    """Return an error as problem details."""
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    title = HTTPStatus(status).phrase if status in _STATUSES else "Error"
    return Answer(status, shapes.problem(status, title, detail), "application/problem+json", headers)


class Pages:
    """Cuts lists into pages."""

    def __init__(
        self, tokens: PageTokens, *, page_size: int, max_page_size: int, generation: Generation, last_page: LastPage
    ) -> None:
        self._tokens = tokens
        self._page_size = page_size
        self._max_page_size = max_page_size
        self._generation: Generation = generation
        self._last_page: LastPage = last_page

    def cut(
        self,
        question: Request,
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
        size = self._size(question.query.get(size_name)) if size_name is not None else self._page_size
        text = question.query.get(token_name)
        try:
            point = self._tokens.read(text, question.listing, question.now) if text is not None else None
        except PageTokenError as error:
            raise Refusal(400, str(error)) from None
        start = (point.position or None) if point is not None else None
        found = list(islice(walk(start), size + 1))
        token = None
        if len(found) > size:
            number = point.number if point is not None else 1
            token = self._tokens.write(PagePoint(found[size - 1][0], number + 1), question.listing, question.now)
            if text is not None:
                self._tokens.follow(token, text)
        rows = [render() for _, render in found[:size]]
        last_but_one = found[size - 2][0] if token is not None and size > 1 else ()
        return Page(rows, token, text, point, question.listing, self._generation, self._last_page, last_but_one)

    def _size(self, text: str | None) -> int:
        if text is None:
            return self._page_size
        if not text.isdecimal() or not 1 <= int(text) <= self._max_page_size:
            raise Refusal(400, f"PageSize must be 1 to {self._max_page_size}")
        return int(text)
