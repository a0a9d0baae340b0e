"""A Collection API written from its specification alone, as disorderly as a server may be.

It shares nothing with the package's sandbox. Rows come, change and go by its own clock; it lists them in an order of
its own, by offset or by key, with tokens that live as long as it likes; and it fails, for whom and how it is told to.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

from tests.simulation.wire import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Callable

Resource = Literal["batches", "invoices", "cases", "settlements"]
Order = Literal["newest", "oldest", "shuffled", "value date"]
Paging = Literal["offset", "key"]
Death = Literal["400", "401", "403", "404", "410", "422", "500", "503", "empty", "first page"]
"""What becomes of a page token that is too old: a status, an empty last page, or the first page once more."""

ID_NAMES = {"batches": "batchId", "invoices": "id", "cases": "caseId", "settlements": "settlementId"}
MOMENT_NAMES = {
    "batches": "createdAt",
    "invoices": "createdAt",
    "cases": "registeredAt",
    "settlements": "settlementDate",
}
TOKEN = "simulated"


def text(seconds: float) -> str:
    """Return Unix seconds as the API writes a moment."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Row:
    """Something that an organization has, and when it came to be, as the row says and in truth."""

    id: str
    moment: float
    """What the row says of when it came to be; of a settlement, the day for which the money counts."""
    appeared: float
    """When the server began to list it."""
    number: int
    """How many rows there were before."""
    final: bool = True
    version: int = 0
    readable: bool = True
    has_id: bool = True

    @cached_property
    def chance(self) -> float:
        """A number that says nothing of it, to be shuffled by."""
        return float(int.from_bytes(blake2b(self.id.encode(), digest_size=4).digest(), "big"))

    def render(self, resource: Resource) -> dict[str, Any]:
        """Return the row as the API shows it."""
        members: dict[str, Any] = {ID_NAMES[resource]: self.id} if self.has_id else {}
        if resource == "batches":
            members |= {"type": "INVOICE", "status": ("SUCCESS" if self.final else "QUEUED"), "succeeded": []}
        elif resource == "invoices":
            members |= {"status": "OPEN", "invoiceNumber": f"{self.number}"}
        elif resource == "cases":
            members |= {"status": "OPEN", "closedAt": text(self.appeared) if self.final else None}
        else:
            members |= {"caseNumber": f"{self.number if self.has_id else 7}", "currency": "NOK"}
        moment = text(self.moment)
        members[MOMENT_NAMES[resource]] = moment[:10] if resource == "settlements" else moment
        if self.version:
            members["description"] = f"version {self.version}"
        if not self.readable:
            members[MOMENT_NAMES[resource]] = "2025-99-99T00:00:00Z"
        return members


@dataclass
class List:
    """One list of one organization."""

    resource: Resource
    order: Order = "newest"
    heeds_sort: bool = True
    paging: Paging = "offset"
    page_size: int = 5
    reads_by_id: bool = True
    trailing_page: bool = False
    """Whether an empty page follows the last row."""
    hollow: bool = False
    """Whether an empty page stands before each page but the first."""
    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    gone: set[str] = field(default_factory=set[str])
    era: int = 0
    """Tokens of an earlier era are dead."""
    death: Death = "400"
    count: int = 0

    def add(self, now: float, *, moment: float | None = None, final: bool = True, has_id: bool = True) -> Row:
        """Let a row come to be; it says so itself, unless another moment is given."""
        self.count += 1
        row = Row(
            id=f"{self.resource}-{self.count:05}",
            moment=now if moment is None else moment,
            appeared=now,
            number=self.count,
            final=final,
            has_id=has_id,
        )
        self.rows[row.id] = row
        return row

    def listed(self, *, newest_first: bool) -> list[Row]:
        """Return the rows in the order of the list."""
        order = "newest" if newest_first else self.order

        def key(row: Row) -> tuple[float, float]:
            if order == "newest":
                return (-row.number, 0) if self.resource == "settlements" else (-row.moment, -row.number)
            if order == "oldest":
                return (row.moment, row.number)
            return (row.chance, row.number) if order == "shuffled" else (-(row.moment // 86400), row.chance)

        self.key = key
        return sorted(self.rows.values(), key=key)


class Fault:
    """Answers in place of the server, for some requests."""

    def __init__(
        self, answer: Answer, *, matches: Callable[[Request], bool] = lambda _: True, count: int = 1, skip: int = 0
    ) -> None:
        self.answer = answer
        self.matches = matches
        self.count = count
        self.skip = skip

    def strikes(self, request: Request) -> bool:
        """Return whether it answers this one."""
        if not self.count or not self.matches(request):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.count -= 1
        return True


class CollectionServer:
    """Answers requests about organizations, as of the moment when they arrive."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.date_ahead = 0.0
        """By how much the clock of the ``Date`` header is ahead of the true time."""
        self.behind = 0.0
        """By how much the true time is behind what the job takes for it."""
        self.shows_date = True
        self.lists: dict[tuple[str, str], List] = {}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.latency = 0.0
        self.refuses_sort: set[str] = set()
        self.unauthorized: set[str] = set()
        self.tokens = {"client": TOKEN}
        self.before: Callable[[Request], None] = lambda _: None
        """Called with each request before it is answered."""
        self.limit: Callable[[Request], Answer | None] = lambda _: None
        """Says no to a request where it comes too soon."""

    @property
    def now(self) -> float:
        """The true time."""
        return self._clock() - self.behind

    def list_of(self, organization_id: str, resource: Resource = "batches") -> List:
        """Return a list, an empty one where there was none."""
        return self.lists.setdefault((organization_id, resource), List(resource))

    def count(self, operation: str = "") -> int:
        """Return how many requests there were whose path ends so."""
        return sum(request.path.endswith(operation) for request in self.requests)

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request."""
        self.requests.append(request)
        self.before(request)
        found = self._answer(request)
        headers = {"Content-Type": "application/json", **found.headers}
        if self.shows_date:
            headers["Date"] = format_datetime(datetime.fromtimestamp(int(self.now + self.date_ahead), UTC), usegmt=True)
        return found._replace(headers=headers, latency=found.latency or self.latency)

    def _answer(self, request: Request) -> Answer:
        for fault in self.faults:
            if fault.strikes(request):
                return fault.answer
        if request.path == "/token":
            members = {"access_token": self._token(request), "token_type": "Bearer", "expires_in": 3600}
            return _json(members)
        if (refusal := self.limit(request)) is not None:
            return refusal
        parts = request.path.strip("/").split("/")
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens.values():
            return Answer(401)
        match parts:
            case ["orgs", organization_id, *_] if organization_id in self.unauthorized:
                return Answer(401)
            case ["orgs", organization_id, "batches" | "invoices" | "cases" | "settlements" as resource]:
                return self._page(organization_id, resource, request)
            case ["orgs", organization_id, "batches" | "invoices" | "settlements" as resource, row_id]:
                return self._by_id(self.list_of(organization_id, resource), row_id)
            case _:
                return Answer(404)

    def _token(self, request: Request) -> str:
        form = dict(part.split("=") for part in request.body.decode().split("&"))
        return self.tokens[form["client_id"]]

    def _by_id(self, rows: List, row_id: str) -> Answer:
        row = rows.rows.get(row_id)
        if row is None or not rows.reads_by_id or not row.has_id:
            return Answer(404)
        return _json({"summary": {"status": "SUCCESS"}, "data": row.render(rows.resource)})

    def _page(self, organization_id: str, resource: Resource, request: Request) -> Answer:
        rows = self.list_of(organization_id, resource)
        direction = request.query.get("SortDirection")
        if direction and organization_id in self.refuses_sort:
            return Answer(400)
        listed = rows.listed(newest_first=direction == "DESC" and rows.heeds_sort and resource == "batches")
        token = request.query.get("pageToken" if resource == "settlements" else "PageToken")
        start = 0
        if token is not None:
            era, position, *beyond = json.loads(base64.urlsafe_b64decode(token))
            if era != rows.era:
                if rows.death == "empty":
                    return _json({"summary": {"status": "SUCCESS"}, "data": []})
                if rows.death != "first page":
                    return Answer(int(rows.death))
            elif rows.hollow and not beyond:
                following = {"status": "SUCCESS", "nextPageToken": _token(era, position, "beyond")}
                return _json({"summary": following, "data": []})
            elif rows.paging == "offset":
                start = position
            else:
                start = sum(rows.key(row) <= tuple(position) for row in listed)
        page = listed[start : start + rows.page_size]
        summary: dict[str, Any] = {"status": "SUCCESS"}
        end = start + len(page)
        if page and (end < len(listed) or rows.trailing_page):
            position = end if rows.paging == "offset" else rows.key(page[-1])
            summary["nextPageToken"] = _token(rows.era, position)
        return _json({"summary": summary, "data": [row.render(resource) for row in page]})


def limited_to(rate: float, clock: Callable[[], float]) -> Callable[[Request], Answer | None]:
    """Return a limit of so many requests a second with a burst of as many, which answers 429 and no more."""
    level, since = rate, clock()

    def limit(_request: Request) -> Answer | None:
        nonlocal level, since
        now = clock()
        level, since = min(rate, level + (now - since) * rate), now
        if level < 1:
            return Answer(429)
        level -= 1
        return None

    return limit


def _token(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def _json(value: object) -> Answer:
    return Answer(200, json.dumps(value).encode())
