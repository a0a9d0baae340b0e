"""From a request to its answer: routing, access, the handlers, and the pages kept ready."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl

from amili_async.sandbox._http_server import Reply
from amili_async.sandbox._pages import Answer, Page, Refusal, Request, problem
from amili_async.sandbox._parsed_request import ParsedRequest, authorization
from amili_async.sandbox._routing import TOKEN_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from amili_async.sandbox._access import AccessTokens
    from amili_async.sandbox._fault_injector import FaultInjector
    from amili_async.sandbox._log import LoggedRequest, RequestLog
    from amili_async.sandbox._routing import Router
    from amili_async.sandbox._state import State


class Ready(NamedTuple):
    """A page kept as bytes, for as long as nothing changes."""

    operation: str
    path: str
    body: bytes
    version: int


class Application:
    """Answers the requests of one sandbox."""

    def __init__(
        self,
        *,
        world: State,
        access: AccessTokens,
        router: Router,
        handlers: Mapping[str, Callable[[Request], Page | Answer]],
        log: RequestLog,
        trouble: FaultInjector,
        clock: Callable[[], float],
        latency: float,
        keep: int,
    ) -> None:
        self._world = world
        self._access = access
        self._router = router
        self._handlers = handlers
        self._log = log
        self._trouble = trouble
        self._clock = clock
        self._latency = latency
        self._ready: dict[str, Ready] = {}
        self._ready_bytes = 0
        self._keep = keep
        self._second, self._date_text = -1, ""

    def answer(self, request: LoggedRequest) -> Reply:
        """Return the answer to a request, and write it into the log."""
        self._world.settle()
        ready = self._find_ready(request)
        if ready is not None and not self._trouble:
            request.operation, request.route = ready.operation, ready.path
            if self._let_in(request):
                # The common case of a walk, and the one that has to be fast.
                self._log.append(request)
                return Reply(request, 200, ready.body, delay=self._latency, date=self._date())
        arrival = self._arrive(request)
        self._log.append(request)
        if not self._trouble:
            return self._reply(request, self._outcome(arrival))
        struck = self._trouble.strike(arrival, lambda: self._outcome(arrival))
        reply = self._reply(request, struck.outcome)
        reply.delay += struck.delay
        if struck.fault is not None:
            request.fault = str(struck.fault)
            self._trouble.apply(reply, struck.fault)
        return reply

    def _arrive(self, request: LoggedRequest) -> ParsedRequest:
        """Take a request's first line apart."""
        target = request.target
        if not target.startswith("/"):
            # A client that takes this server for its proxy names the whole URL.
            target = "/" + target.partition("://")[2].partition("/")[2]
        path, _, query = target.partition("?")
        match = self._router.find(request.method, path)
        if match is not None:
            request.operation, request.route = match.route.operation, match.route.path
        elif path == TOKEN_PATH:
            request.operation, request.route = "token", TOKEN_PATH
        return ParsedRequest(request, match, path, dict(parse_qsl(query, keep_blank_values=True)))

    def _outcome(self, arrival: ParsedRequest) -> Page | Answer:
        """Return what a request leads to when nothing goes wrong."""
        request = arrival.request
        if request.operation == "token":
            return self._exchange(request)
        if arrival.match is not None and not self._let_in(request):
            return problem(401, "no access token, or one that is not in force")
        ready = self._find_ready(request)
        if ready is not None:
            return Answer(200, ready.body)
        try:
            return self._handle(arrival)
        except Refusal as refusal:
            return problem(refusal.status, refusal.detail)

    def _handle(self, arrival: ParsedRequest) -> Page | Answer:
        match = arrival.match
        if match is None:
            allowed = self._router.methods(arrival.path)
            if allowed:
                raise Refusal(405, f"this path takes {', '.join(allowed)}")
            raise Refusal(404, "no such path in this generation of the API")
        unknown = arrival.query.keys() - set(match.route.query)
        if unknown:
            # Real servers are likely to ignore them; here a misspelt name is to be seen.
            raise Refusal(400, f"unknown query names: {', '.join(sorted(unknown))}")
        question = Request(arrival.request, match, arrival.query, self._clock())
        with self._world.lock:
            version = self._world.version
            outcome = self._handlers[match.route.operation](question)
        if isinstance(outcome, Answer) or self._trouble.reshapes:
            return outcome
        body = outcome.render()
        self._remember(arrival.request.target, Ready(match.route.operation, match.route.path, body, version))
        return Answer(200, body)

    def _exchange(self, request: LoggedRequest) -> Answer:
        if request.method != "POST":
            return problem(405, "this path takes POST")
        said = self._access.exchange(request.headers.get("content-type", ""), request.body)
        return Answer(said.status, said.body, headers={"Cache-Control": "no-store"})

    def _let_in(self, request: LoggedRequest) -> bool:
        """Return whether a request carries a token that is in force."""
        scheme, _, value = authorization(request.head).partition(" ")
        scheme = scheme.lower()
        if scheme == "basic" and request.operation.startswith("autocollect."):
            return self._access.accepts_basic(value)
        return scheme == "bearer" and self._access.accepts(value)

    def _reply(self, request: LoggedRequest, outcome: Page | Answer) -> Reply:
        if isinstance(outcome, Page):
            return Reply(request, 200, outcome.render(), delay=self._latency, date=self._date())
        return Reply(
            request,
            outcome.status,
            outcome.body,
            content_type=outcome.content_type,
            headers=outcome.headers,
            delay=self._latency,
            date=self._date(),
        )

    def _date(self) -> str:
        """Return the time as HTTP writes it, which is made once a second."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._date_text = second, formatdate(second, usegmt=True)
        return self._date_text

    def _find_ready(self, request: LoggedRequest) -> Ready | None:
        ready = self._ready.get(request.target)
        if ready is None or ready.version != self._world.version or request.method != "GET" or self._trouble.reshapes:
            return None
        return ready

    def _remember(self, target: str, ready: Ready) -> None:
        replaced = self._ready.pop(target, None)
        self._ready_bytes += len(ready.body) - (len(replaced.body) if replaced is not None else 0)
        self._ready[target] = ready
        while self._ready_bytes > self._keep:
            oldest = self._ready.pop(next(iter(self._ready)))
            self._ready_bytes -= len(oldest.body)
