"""From a request to its answer: routing, access, the handlers, and the pages kept ready."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl

from amili_async.sandbox._http_server import Response
from amili_async.sandbox._pages import Answer, Page, Refusal, Request, problem
from amili_async.sandbox._requests import TOKEN_PATH, ParsedRequest, authorization

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from amili_async.sandbox._access import AccessTokens
    from amili_async.sandbox._fault_injector import FaultInjector
    from amili_async.sandbox._log import LoggedRequest, RequestLog
    from amili_async.sandbox._requests import Router
    from amili_async.sandbox._state import State


class CachedPage(NamedTuple):
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
        state: State,
        access: AccessTokens,
        router: Router,
        handlers: Mapping[str, Callable[[Request], Page | Answer]],
        log: RequestLog,
        fault_injector: FaultInjector,
        clock: Callable[[], float],
        latency: float,
        keep: int,
        strict: bool,
    ) -> None:
        self._state = state
        self._access = access
        self._router = router
        self._handlers = handlers
        self._log = log
        self._fault_injector = fault_injector
        self._clock = clock
        self._latency = latency
        self._cached: dict[str, CachedPage] = {}
        self._cached_bytes = 0
        self._keep = keep
        self._strict = strict
        self._second, self._date_text = -1, ""

    def answer(self, request: LoggedRequest) -> Response:
        """Return the answer to a request, and write it into the log."""
        self._state.finish_due()
        cached = self._find_cached(request)
        if cached is not None and not self._fault_injector:
            request.operation, request.route = cached.operation, cached.path
            if self._authorized(request):
                # The common case of a walk, and the one that has to be fast.
                self._log.append(request)
                return Response(request, 200, cached.body, delay=self._latency, date=self._date())
        parsed = self._arrive(request)
        self._log.append(request)
        if not self._fault_injector:
            return self._response(request, self._outcome(parsed))
        injected = self._fault_injector.strike(parsed, lambda: self._outcome(parsed))
        response = self._response(request, injected.outcome)
        response.delay += injected.delay
        if injected.fault is not None:
            request.fault = str(injected.fault)
            self._fault_injector.apply(response, injected.fault)
        return response

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

    def _outcome(self, parsed: ParsedRequest) -> Page | Answer:
        """Return what a request leads to when nothing goes wrong."""
        request = parsed.logged
        if request.operation == "token":
            return self._exchange(request)
        if parsed.match is not None and not self._authorized(request):
            return problem(401, "no access token, or one that is not in force")
        if parsed.match is not None:
            organization_id = parsed.match.values.get("organization_id")
            if not self._access.reaches(parsed.access_token, organization_id):
                return problem(403, "this client id does not reach that organization")
        cached = self._find_cached(request)
        if cached is not None:
            return Answer(200, cached.body)
        try:
            return self._handle(parsed)
        except Refusal as refusal:
            return problem(refusal.status, refusal.detail)

    def _handle(self, parsed: ParsedRequest) -> Page | Answer:
        match = parsed.match
        if match is None:
            allowed = self._router.methods(parsed.path)
            if allowed:
                raise Refusal(405, f"this path takes {', '.join(allowed)}")
            raise Refusal(404, "no such path in this generation of the API")
        unknown = parsed.query.keys() - set(match.route.query)
        if unknown and self._strict:
            raise Refusal(400, f"unknown query names: {', '.join(sorted(unknown))}")
        with self._state.lock:
            version = self._state.version
            outcome = self._handled(Request(parsed.logged, match, parsed.query, self._clock()))
        if isinstance(outcome, Answer) or self._fault_injector.reshapes:
            return outcome
        body = outcome.render()
        self._remember(parsed.logged.target, CachedPage(match.route.operation, match.route.path, body, version))
        return Answer(200, body)

    def _handled(self, request: Request) -> Page | Answer:
        """Return what a handler says; a filter that cannot be is as if it were not there, where no 400 is printed."""
        route = request.match.route
        try:
            return self._handlers[route.operation](request)
        except Refusal as refusal:
            name = refusal.query_name
            if name is None or self._strict or refusal.status in route.statuses:
                raise
            others = {other: value for other, value in request.query.items() if other != name}
            return self._handled(request._replace(query=others))

    def _exchange(self, request: LoggedRequest) -> Answer:
        if request.method != "POST":
            return problem(405, "this path takes POST")
        said = self._access.exchange(request.headers.get("content-type", ""), request.body)
        return Answer(said.status, said.body, headers={"Cache-Control": "no-store"})

    def _authorized(self, request: LoggedRequest) -> bool:
        """Return whether a request carries a token that is in force."""
        scheme, _, value = authorization(request.head).partition(" ")
        scheme = scheme.lower()
        if scheme == "basic" and request.operation.startswith("autocollect."):
            return self._access.accepts_basic(value)
        return scheme == "bearer" and self._access.accepts(value)

    def _response(self, request: LoggedRequest, outcome: Page | Answer) -> Response:
        if isinstance(outcome, Page):
            return Response(request, 200, outcome.render(), delay=self._latency, date=self._date())
        return Response(
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

    def _find_cached(self, request: LoggedRequest) -> CachedPage | None:
        cached = self._cached.get(request.target)
        if (
            cached is None
            or cached.version != self._state.version
            or request.method != "GET"
            or self._fault_injector.reshapes
        ):
            return None
        return cached

    def _remember(self, target: str, cached: CachedPage) -> None:
        replaced = self._cached.pop(target, None)
        self._cached_bytes += len(cached.body) - (len(replaced.body) if replaced is not None else 0)
        self._cached[target] = cached
        while self._cached_bytes > self._keep:
            oldest = self._cached.pop(next(iter(self._cached)))
            self._cached_bytes -= len(oldest.body)
