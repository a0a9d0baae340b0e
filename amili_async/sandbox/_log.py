"""The request log: what reached the sandbox, in order, with what was answered and when."""

from __future__ import annotations

from collections import Counter, deque
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class LoggedRequest:
    """One request as it arrived, and what became of it.

    It is written in two steps, since tests look at requests under way: ``status`` and ``ended`` follow with the answer.
    """

    __slots__ = (
        "body",
        "connection",
        "ended",
        "fault",
        "head",
        "method",
        "number",
        "operation",
        "reused",
        "route",
        "started",
        "status",
        "target",
    )

    def __init__(
        self,
        *,
        number: int,
        connection: int,
        method: str,
        target: str,
        head: bytes,
        body: bytes,
        started: float,
        reused: bool = False,
    ) -> None:
        self.number: int = number
        """Its place in the order of arrival, from 1."""
        self.connection: int = connection
        """The number of the connection that it came on, from 1: two requests with the same one shared it."""
        self.reused: bool = reused
        """Whether the connection had served a request before."""
        self.method: str = method
        self.target: str = target
        """Path and query exactly as sent."""
        self.head: bytes = head
        """Request line and headers exactly as sent."""
        self.body: bytes = body
        self.started: float = started
        """When it had arrived, by the clock of the loop that serves: the monotonic one, as a rule."""
        self.operation: str = "unknown"
        """Its name in the route table, ``token``, or ``unknown``."""
        self.route: str | None = None
        """The path template; ``None`` for a path that is none of the API's."""
        self.status: int | None = None
        """The status answered; ``None`` while none is, and where a fault kept it back."""
        self.ended: float | None = None
        """When the answer had been handed over or the connection ended; ``None`` until then."""
        self.fault: str | None = None
        """The fault that acted on it, as text."""

    def __repr__(self) -> str:
        return f"<{self.number}: {self.method} {self.operation} {self.status or '-'}>"

    @property
    def path(self) -> str:
        """The path, still percent-encoded."""
        return urlsplit(self.target).path

    @property
    def segments(self) -> list[str]:
        """The path's segments, decoded one by one."""
        return [unquote(segment) for segment in self.path.strip("/").split("/")]

    @property
    def query(self) -> dict[str, str]:
        """The query's names and values; of a name given twice the last."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, their names in lower case."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines)
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    @property
    def authorization(self) -> str | None:
        """The scheme of the Authorization header, ``Bearer`` or ``Basic``; ``None`` where there was none."""
        value = self.headers.get("authorization")
        return value.split(" ", 1)[0] if value else None


class RequestLog:
    """The requests in order of arrival. Iterate over it, index it, or ask it.

    An ``operation`` is a name of the route table, ``token``, or a pattern such as ``batches.*``; none means all.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=limit)
        self._counts: Counter[str] = Counter()
        self.total: int = 0
        """How many requests came, those forgotten because of the limit included."""

    def append(self, request: LoggedRequest) -> None:
        """Write a request down."""
        self.total += 1
        self._counts[request.operation] += 1
        self._requests.append(request)

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[LoggedRequest]:
        # A copy: the server may write while a test in another thread reads.
        return iter(list(self._requests))

    def __getitem__(self, index: int) -> LoggedRequest:
        return self._requests[index]

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}: {count}" for name, count in sorted(self._counts.items()))
        return f"<RequestLog {counts or 'empty'}>"

    def count(self, operation: str = "*") -> int:
        """Return how many requests came, those forgotten because of the limit included."""
        return sum(count for name, count in list(self._counts.items()) if fnmatchcase(name, operation))

    def of(self, operation: str) -> list[LoggedRequest]:
        """Return the requests of an operation, in order."""
        return [request for request in self if fnmatchcase(request.operation, operation)]

    def last(self, operation: str = "*") -> LoggedRequest:
        """Return the newest request of an operation.

        Raises:
            LookupError: none came.
        """
        found = self.of(operation)
        if not found:
            raise LookupError(f"no request of {operation} has come; the log holds {self!r}")
        return found[-1]

    def overlapping(self, operation: str = "*") -> int:
        """Return how many requests were under way at once, at most: 1 means that they came one after the other."""
        moments: list[tuple[float, int]] = []
        for request in self.of(operation):
            moments.append((request.started, 1))
            if request.ended is not None:
                moments.append((request.ended, -1))
        under_way = most = 0
        for _, change in sorted(moments):
            under_way += change
            most = max(most, under_way)
        return most

    def under_way(self, operation: str = "*") -> int:
        """Return how many requests are not answered yet."""
        return sum(request.ended is None for request in self.of(operation))

    def attempts(self, operation: str = "*") -> list[list[LoggedRequest]]:
        """Return the requests grouped by what they asked for: more than one in a group are attempts, or repeats."""
        groups: dict[tuple[str, str, bytes], list[LoggedRequest]] = {}
        for request in self.of(operation):
            groups.setdefault((request.method, request.target, request.body), []).append(request)
        return list(groups.values())

    def clear(self) -> None:
        """Forget all requests and counts."""
        self._requests.clear()
        self._counts.clear()
        self.total = 0
