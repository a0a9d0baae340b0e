"""From a request to its answer: routing, access, the handlers, and the pages kept ready."""

from __future__ import annotations


from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl

from amili_async.sandbox import shapes
from amili_async.sandbox.pages import Answer, Page, Question, Refusal
from amili_async.sandbox.routing import API_ROOT, AUTOCOLLECT_ROOT, TOKEN_PATH, Match, Router
from amili_async.sandbox.wire import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from amili_async.routes import Route
    from amili_async.sandbox.access import AccessTokens
    from amili_async.sandbox.log import LoggedRequest, RequestLog
    from amili_async.sandbox.world import World

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
        clock: Callable[[], float],
        latency: float,
        keep: int,
    ) -> None:
        self._world = world
        self._access = access
        self._router = router
        self._handlers = handlers
        self._log = log
        self._clock = clock
        self._latency = latency
        self._ready: dict[str, Ready] = {}
        self._ready_bytes = 0
        self._keep = keep

    def answer(self, request: LoggedRequest) -> Reply:
        """Return the answer to a request, and write it into the log."""
        self._world.settle()
        ready = self._ready.get(request.target)
        if ready is not None and ready.version == self._world.version and request.method == "GET":
            request.operation, request.route = ready.route.operation, ready.route.path
            self._log.append(request)
            refusal = self._refuse_entry(request)
            if refusal is None:
                return Reply(request, 200, ready.body, delay=self._latency)
            return refusal
        path, _, query = self._split(request.target)
        if path == TOKEN_PATH:
            return self._token(request)
        match = self._router.find(request.method, path)
        if match is not None:
            request.operation, request.route = match.route.operation, match.route.path
        self._log.append(request)
        try:
            return self._api(request, path, query, match)
        except Refusal as refusal:
            return self._problem(request, refusal.status, refusal.detail)

    def _api(self, request: LoggedRequest, path: str, query: str, match: Match | None) -> Reply:
        if match is None:
            allowed = self._router.methods(path)
            if allowed:
                raise Refusal(405, f"this path takes {', '.join(allowed)}")
            raise Refusal(404, "no such path in this generation of the API")
        refusal = self._refuse_entry(request)
        if refusal is not None:
            return refusal
        pairs = dict(parse_qsl(query, keep_blank_values=True))
        unknown = pairs.keys() - set(match.route.query)
        if unknown:
            # Real servers are likely to ignore them; here a misspelt name is to be seen.
            raise Refusal(400, f"unknown query names: {', '.join(sorted(unknown))}")
        with self._world.lock:
            version = self._world.version
            outcome = self._handlers[match.route.operation](Question(request, match, pairs, self._clock()))
        if isinstance(outcome, Answer):
            return Reply(request, outcome.status, outcome.body, content_type=outcome.content_type, delay=self._latency)
        body = outcome.render()
        self._remember(request.target, Ready(match.route, body, version))
        return Reply(request, 200, body, delay=self._latency)

    def _token(self, request: LoggedRequest) -> Reply:
        request.operation, request.route = "token", TOKEN_PATH
        self._log.append(request)
        if request.method != "POST":
            return self._problem(request, 405, "this path takes POST")
        said = self._access.exchange(request.headers.get("content-type", ""), request.body)
        return Reply(request, said.status, said.body, headers={"Cache-Control": "no-store"}, delay=self._latency)

    def _refuse_entry(self, request: LoggedRequest) -> Reply | None:
        """Return a refusal, unless the request carries a token that is in force."""
        scheme, _, value = authorization(request.head).partition(" ")
        if scheme.lower() == "bearer" and self._access.accepts(value):
            return None
        if (
            scheme.lower() == "basic"
            and request.operation.startswith("autocollect.")
            and self._access.accepts_basic(value)
        ):
            return None
        return self._problem(request, 401, "no access token, or one that is not in force")

    def _problem(self, request: LoggedRequest, status: int, detail: str) -> Reply:
        title = _TITLES.get(status, "Error")
        body = shapes.problem(status, title, detail)
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None  # noqa: PLR2004
        return Reply(
            request, status, body, content_type="application/problem+json", headers=headers, delay=self._latency
        )

    def _remember(self, target: str, ready: Ready) -> None:
        replaced = self._ready.pop(target, None)
        self._ready_bytes += len(ready.body) - (len(replaced.body) if replaced is not None else 0)
        self._ready[target] = ready
        while self._ready_bytes > self._keep:
            oldest = self._ready.pop(next(iter(self._ready)))
            self._ready_bytes -= len(oldest.body)

    @staticmethod
    def _split(target: str) -> tuple[str, str, str]:
        if not target.startswith("/"):
            # A client that takes this server for its proxy names the whole URL.
            target = "/" + target.partition("://")[2].partition("/")[2]
        return target.partition("?")


def authorization(head: bytes) -> str:
    """Return the Authorization header, found without taking all headers apart."""
    start = head.lower().find(b"\r\nauthorization:")
    if start < 0:
        return ""
    end = head.find(b"\r\n", start + 2)
    return head[start + 16 : end if end >= 0 else len(head)].strip().decode("latin-1")
