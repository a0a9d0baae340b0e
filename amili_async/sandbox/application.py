"""From a request to its answer: routing, access, the handlers, and the pages kept ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl

from amili_async.routes import Route
from amili_async.sandbox import damage, shapes
from amili_async.sandbox.faults import INSTEAD, LISTS, ROWS
from amili_async.sandbox.log import LoggedRequest
from amili_async.sandbox.misbehaviour import ON_THE_WIRE
from amili_async.sandbox.pages import Answer, Page, Question, Refusal
from amili_async.sandbox.routing import TOKEN_PATH, Match
from amili_async.sandbox.wire import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from amili_async.sandbox.access import AccessTokens
    from amili_async.sandbox.armed import Faults
    from amili_async.sandbox.faults import Fault
    from amili_async.sandbox.log import RequestLog
    from amili_async.sandbox.paging import PageTokens
    from amili_async.sandbox.routing import Router
    from amili_async.sandbox.world import World

_PROBLEM = "application/problem+json"
_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    422: "Unprocessable Content",
}


class Ready(NamedTuple):
    """A page kept as bytes, for as long as nothing changes."""

    route: Route
    body: bytes
    version: int


class Arrival(NamedTuple):
    """A request with what its first line says."""

    request: LoggedRequest
    match: Match | None
    path: str
    query: dict[str, str]


class Application:
    """Answers the requests of one sandbox."""

    def __init__(
        self,
        *,
        world: World,
        access: AccessTokens,
        router: Router,
        handlers: Mapping[str, Callable[[Question], Page | Answer]],
        log: RequestLog,
        faults: Faults,
        page_tokens: PageTokens,
        clock: Callable[[], float],
        latency: float,
        keep: int,
    ) -> None:
        self._world = world
        self._access = access
        self._router = router
        self._handlers = handlers
        self._log = log
        self._faults = faults
        self._page_tokens = page_tokens
        self._clock = clock
        self._latency = latency
        self._ready: dict[str, Ready] = {}
        self._ready_bytes = 0
        self._keep = keep

    def answer(self, request: LoggedRequest) -> Reply:
        """Return the answer to a request, and write it into the log."""
        self._world.settle()
        if not self._faults and request.method == "GET":
            ready = self._ready.get(request.target)
            if ready is not None and ready.version == self._world.version:
                request.operation, request.route = ready.route.operation, ready.route.path
                self._log.append(request)
                refusal = self._refuse_entry(request)
                return (
                    self._reply(request, refusal) if refusal else Reply(request, 200, ready.body, delay=self._latency)
                )
        path, query = self._split(request.target)
        match = self._router.find(request.method, path)
        if match is not None:
            request.operation, request.route = match.route.operation, match.route.path
        elif path == TOKEN_PATH:
            request.operation, request.route = "token", TOKEN_PATH
        self._log.append(request)
        arrival = Arrival(request, match, path, query)
        return self._faulty(arrival) if self._faults else self._reply(request, self._outcome(arrival))

    # Without faults

    def _outcome(self, arrival: Arrival) -> Page | Answer:
        """Return what a request leads to when nothing goes wrong."""
        if arrival.request.operation == "token":
            return self._exchange(arrival.request)
        try:
            return self._handle(arrival)
        except Refusal as refusal:
            return problem(refusal.status, refusal.detail)

    def _handle(self, arrival: Arrival) -> Page | Answer:
        request, match = arrival.request, arrival.match
        if match is None:
            allowed = self._router.methods(arrival.path)
            if allowed:
                raise Refusal(405, f"this path takes {', '.join(allowed)}")
            raise Refusal(404, "no such path in this generation of the API")
        refusal = self._refuse_entry(request)
        if refusal is not None:
            return refusal
        unknown = arrival.query.keys() - set(match.route.query)
        if unknown:
            # Real servers are likely to ignore them; here a misspelt name is to be seen.
            raise Refusal(400, f"unknown query names: {', '.join(sorted(unknown))}")
        with self._world.lock:
            version = self._world.version
            outcome = self._handlers[match.route.operation](Question(request, match, arrival.query, self._clock()))
        if isinstance(outcome, Page) and not self._faults:
            self._remember(request.target, Ready(match.route, outcome.render(), version))
        return outcome

    def _exchange(self, request: LoggedRequest) -> Answer:
        if request.method != "POST":
            return problem(405, "this path takes POST")
        said = self._access.exchange(request.headers.get("content-type", ""), request.body)
        return Answer(said.status, said.body, headers={"Cache-Control": "no-store"})

    def _refuse_entry(self, request: LoggedRequest) -> Answer | None:
        """Return a refusal, unless the request carries a token that is in force."""
        scheme, _, value = authorization(request.head).partition(" ")
        scheme = scheme.lower()
        if scheme == "bearer" and self._access.accepts(value):
            return None
        if scheme == "basic" and request.operation.startswith("autocollect.") and self._access.accepts_basic(value):
            return None
        return problem(401, "no access token, or one that is not in force")

    def _reply(self, request: LoggedRequest, outcome: Page | Answer) -> Reply:
        if isinstance(outcome, Page):
            return Reply(request, 200, outcome.render(), delay=self._latency)
        return Reply(
            request,
            outcome.status,
            outcome.body,
            content_type=outcome.content_type,
            headers=outcome.headers,
            delay=self._latency,
        )

    # With faults

    def _faulty(self, arrival: Arrival) -> Reply:
        """Return the answer to a request while faults are in force."""
        request, operation = arrival.request, arrival.request.operation
        latency = self._faults.latency(lambda fault: mere_latency(fault) and self._concerns(fault, arrival), operation)
        fault = self._faults.strike(lambda fault: self._decides(fault, arrival), operation)
        if fault is None:
            outcome = self._outcome(arrival)
            fault = self._faults.strike(lambda fault: self._alters(fault, arrival, outcome), operation)
            if fault is not None and fault.kind in LISTS | ROWS:
                if isinstance(outcome, Page):
                    outcome = damage.damage_page(fault, outcome, self._page_tokens, self._clock())
                else:
                    outcome = damage.damage_answer(fault, outcome)
        else:
            outcome = self._instead(fault, arrival)
        reply = self._reply(request, outcome)
        reply.delay += latency
        if fault is not None:
            reply.delay += self._faults.duration(fault)
            request.fault = str(fault)
            _spoil(reply, fault)
        return reply

    def _instead(self, fault: Fault, arrival: Arrival) -> Page | Answer:
        """Return what a fault answers in place of the right answer."""
        if fault.kind == "revoke":
            self._access.revoke(authorization(arrival.request.head).partition(" ")[2])
            return self._outcome(arrival)
        if fault.acts:
            self._outcome(arrival)
        if fault.kind == "expire-token":
            return problem(400, "the page token has expired")
        status = 200 if fault.status is None else fault.status
        if fault.body is not None:
            body = fault.body if isinstance(fault.body, bytes) else fault.body.encode()
            return Answer(status, body)
        return problem(status, "a fault of the sandbox") if status >= 400 else Answer(status)  # noqa: PLR2004  # errors

    def _decides(self, fault: Fault, arrival: Arrival) -> bool:
        """Return whether a fault takes the place of a request's right answer."""
        if not self._concerns(fault, arrival):
            return False
        match fault.kind:
            case "close-reused":
                return arrival.request.reused
            case "expire-token":
                return self._page_token(arrival) is not None
            case "revoke":
                return bool(authorization(arrival.request.head))
            case "close" | "reset" | "hang":
                return True
            case _:
                return fault.answers

    def _alters(self, fault: Fault, arrival: Arrival, outcome: Page | Answer) -> bool:
        """Return whether a fault changes a right answer, or how it is sent."""
        if fault.kind == "refuse" or mere_latency(fault) or fault.kind in INSTEAD or not self._concerns(fault, arrival):
            return False
        return fault.kind not in LISTS | ROWS or damage.fits(fault, outcome)

    def _concerns(self, fault: Fault, arrival: Arrival) -> bool:
        if fault.organization is not None and fault.organization not in arrival.path:
            return False
        if fault.page is None:
            return True
        token = self._page_token(arrival)
        return fault.page == (self._page_tokens.number(token) if token else 1)

    @staticmethod
    def _page_token(arrival: Arrival) -> str | None:
        return arrival.query.get("PageToken") or arrival.query.get("pageToken")

    def _remember(self, target: str, ready: Ready) -> None:
        replaced = self._ready.pop(target, None)
        self._ready_bytes += len(ready.body) - (len(replaced.body) if replaced is not None else 0)
        self._ready[target] = ready
        while self._ready_bytes > self._keep:
            oldest = self._ready.pop(next(iter(self._ready)))
            self._ready_bytes -= len(oldest.body)

    @staticmethod
    def _split(target: str) -> tuple[str, dict[str, str]]:
        if not target.startswith("/"):
            # A client that takes this server for its proxy names the whole URL.
            target = "/" + target.partition("://")[2].partition("/")[2]
        path, _, query = target.partition("?")
        return path, dict(parse_qsl(query, keep_blank_values=True))


def problem(status: int, detail: str) -> Answer:
    """Return an error as problem details."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None  # noqa: PLR2004  # Unauthorized
    return Answer(status, shapes.problem(status, _TITLES.get(status, "Error"), detail), _PROBLEM, headers)


def mere_latency(fault: Fault) -> bool:
    """Return whether a fault does nothing but take time."""
    return fault.kind is None and not fault.answers and not fault.alters


def _spoil(reply: Reply, fault: Fault) -> None:
    """Do to an answer what a fault of bodies, headers or the wire does."""
    headers = {**(reply.headers or {}), **fault.extra_headers}
    if fault.kind == "html":
        reply.content_type = "text/html; charset=utf-8"
    elif fault.kind == "wrong-type":
        reply.content_type = "text/plain; charset=utf-8"
    elif fault.kind in {"cut-gzip", "bomb"}:
        headers["Content-Encoding"] = "gzip"
    if fault.content_type is not None:
        reply.content_type = fault.content_type
    reply.headers = headers
    if fault.kind == "bomb":
        reply.body = damage.bomb(damage.OVERSIZE if fault.size is None else fault.size, reply.body)
    else:
        reply.body = damage.damage_body(fault, reply.body)
    if fault.kind in ON_THE_WIRE:
        reply.fault = fault


def authorization(head: bytes) -> str:
    """Return the Authorization header, found without taking all headers apart."""
    start = head.lower().find(b"\r\nauthorization:")
    if start < 0:
        return ""
    end = head.find(b"\r\n", start + 2)
    return head[start + 16 : end if end >= 0 else len(head)].strip().decode("latin-1")
