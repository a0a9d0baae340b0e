"""Transport: sends calls and repeats them as `retry` decides; the only module that awaits the API.

One call, under one deadline: gate -> concurrency slot -> gate once more -> token -> request -> body -> value, or a
decision: wait and repeat, or raise. A call that waits holds no slot, nothing sleeps inside an open response, and an
attempt's timeout is cut to what is left of the deadline.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, NoReturn, TypeVar
from urllib.parse import urlencode

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from amili_async import protocol
from amili_async.connection import handing_over
from amili_async.errors import (
    MAX_BODY,
    AmiliError,
    ClientClosedError,
    ConnectError,
    DeadlineExceededError,
    DecodeError,
    OutcomeUnknownError,
    RateLimitedError,
    TokenError,
    TransportError,
)
from amili_async.events import AttemptEnded, CallEnded, CallStarted, GateClosed, RetryPlanned, TokenRequested
from amili_async.retry import Action, Failure, decide, pauses, read_retry_after

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from aiohttp.abc import AbstractStreamWriter

    from amili_async.auth import TokenProvider
    from amili_async.clock import Clock
    from amili_async.connection import Connection, Handover
    from amili_async.hooks import Hooks
    from amili_async.options import Options, Timeout
    from amili_async.protocol import Body, Call
    from amili_async.retry import Budget
    from amili_async.servers import Servers
    from amili_async.throttle import Gate, Slots

T = TypeVar("T")

_OK = range(200, 300)
_WRITE_CHUNK = 64 * 1024
_CUT_SHORT = "a success whose body was cut short"
_TURNS_TO_END = 50
_NOTICEABLE = 0.001
"""Seconds of waiting for a token from which the attempt's timer starts anew."""

_NEVER_SENT = (
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ServerFingerprintMismatch,
)


class _WatchedBody(aiohttp.Payload):
    """The body of a write, which knows whether any of it was handed to a connection.

    aiohttp holds the headers back until the body is written, so an untouched body means that nothing was sent.
    """

    _autoclose = True

    def __init__(self, value: bytes, content_type: str) -> None:
        super().__init__(value, content_type=content_type)
        self._size = len(value)
        self._bytes = value
        self.begun = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._bytes.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        self.begun = True
        for start in range(0, max(1, len(self._bytes)), _WRITE_CHUNK):
            await writer.write(self._bytes[start : start + _WRITE_CHUNK])


class _Failed:
    """An attempt that gave no value: what kind of failure, and the error that it is if nothing helps."""

    __slots__ = ("error", "failure", "retry_after")

    def __init__(self, failure: Failure, error: AmiliError, retry_after: float | None = None) -> None:
        self.failure = failure
        self.error = error
        self.retry_after = retry_after


class _Run:
    """One call on its way: how often it was sent, what came back last, and where its time went."""

    __slots__ = (
        "answer_headers",
        "attempts",
        "bearer",
        "by_deadline",
        "call",
        "deadline",
        "hook_headers",
        "number",
        "options",
        "payload",
        "phase",
        "received",
        "replayed",
        "sent",
        "started",
        "status",
        "tries",
        "waits",
    )

    def __init__(self, call: Call, options: Options, number: int, started: float) -> None:
        self.call = call
        self.options = options
        self.number = number
        self.started = self.sent = started
        self.deadline = None if options.deadline is None else started + options.deadline
        self.by_deadline = False
        self.hook_headers: dict[str, str] | None = None
        self.payload: _WatchedBody | None = None
        self.bearer: str | None = None
        self.attempts = 0
        self.tries = 1
        self.replayed = False
        self.phase: Literal["gate", "slot", "token", "request", "pause"] = "gate"
        self.status: int | None = None
        self.answer_headers: Mapping[str, str] | None = None
        self.received = 0
        self.waits = {"gate": 0.0, "slot": 0.0, "token": 0.0, "pause": 0.0}

    def forget_answer(self) -> None:
        self.status = self.answer_headers = self.payload = self.bearer = None
        self.phase = "gate"
        self.received = 0

    def remaining(self, instant: float) -> float | None:
        return None if self.deadline is None else self.deadline - instant

    def spent(self, instant: float) -> dict[str, float]:
        request = max(0.0, instant - self.started - sum(self.waits.values()))
        return {phase: round(seconds, 3) for phase, seconds in {**self.waits, "request": request}.items()}

    def maybe_sent(self) -> bool:
        """Whether the attempt may have reached the server."""
        return self.phase == "request" and (self.payload is None or self.payload.begun)

    def request_id(self) -> str | None:
        return None if self.answer_headers is None else protocol.request_id(self.answer_headers)

    def locate(self, error: AmiliError) -> AmiliError:
        """Complete an error with what only its call knows."""
        route = self.call.route
        error.operation, error.method, error.route = route.operation, self.call.method, route.path
        error.attempts = self.attempts
        error.status = error.status or self.status
        error.request_id = error.request_id or self.request_id()
        return error


class Transport:
    """Sends the calls of one client and of all its copies."""

    def __init__(
        self,
        *,
        connection: Connection,
        servers: Servers,
        provider: TokenProvider,
        gate: Gate,
        slots: Slots,
        budget: Budget,
        hooks: Hooks,
        clock: Clock,
        user_agent: str,
        max_response_bytes: int,
        token_timeout: Timeout,
    ) -> None:
        self.hooks = hooks
        self.clock = clock
        self.servers = servers
        self._connection = connection
        self._provider = provider
        self._gate = gate
        self._slots = slots
        self._budget = budget
        self._user_agent = user_agent
        self._max_response_bytes = max_response_bytes
        self._token_timeout = token_timeout
        self._numbers = itertools.count(1)
        self._scopes: set[asyncio.Timeout] = set()
        self._plain_headers: tuple[str | None, Mapping[str, str], CIMultiDict[str]] | None = None
        self._client_timeout: tuple[Timeout, aiohttp.ClientTimeout] | None = None

    async def send(
        self, call: Call, read: Callable[[Body], T], options: Options, handover: Handover | None = None
    ) -> T:
        """Return what ``read`` makes of the body of a success.

        ``read`` is called for every 2xx, after the response is closed, and raises `DecodeError` for what it cannot read.
        Any `AmiliError` may come of it; `retry.decide` says what is repeated before.
        """
        self._connection.open()
        if handover is not None:
            handing_over.set(handover)
        run = _Run(call, options, next(self._numbers), self.clock.monotonic())
        if self.hooks.calls:
            return await self._observed(run, read)
        return await self._repeated(run, read)

    def handover(self) -> Handover:
        """Return what tells when a request is on the wire, to be passed to `send` in a task of its own."""
        return self._connection.handover()

    async def close(self) -> None:
        """End every call that is under way with `ClientClosedError`, then close the session."""
        self._connection.closed = True
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            if not scope.expired():
                scope.reschedule(now)
        # Ended calls give their connections back before the session goes; each takes a few turns of the loop.
        for _ in range(_TURNS_TO_END):
            if not self._scopes:
                break
            await asyncio.sleep(0)
        await self._connection.close()

    async def _observed(self, run: _Run, read: Callable[[Body], T]) -> T:
        """Make the call with hooks told of its beginning and end."""
        call = run.call
        operation, method, route = call.route.operation, call.method, call.route.path
        server = URL(self.servers.url(call))
        started = CallStarted(
            call=run.number,
            operation=operation,
            method=method,
            route=route,
            server_address=server.host or "",
            server_port=server.port or 0,
        )
        run.hook_headers = self.hooks.start(started)
        error: str | None = None
        try:
            return await self._repeated(run, read)
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            ended = CallEnded(
                call=run.number,
                operation=operation,
                method=method,
                route=route,
                attempts=run.attempts,
                status=run.status,
                error=error,
                seconds=self.clock.monotonic() - run.started,
                gate_seconds=run.waits["gate"],
                slot_seconds=run.waits["slot"],
                token_seconds=run.waits["token"],
                pause_seconds=run.waits["pause"],
                received_bytes=run.received,
                request_id=run.request_id(),
            )
            self.hooks.tell("on_call", ended)

    async def _repeated(self, run: _Run, read: Callable[[Body], T]) -> T:
        """Make attempts until one has a value or none is to follow."""
        policy = run.options.retry
        trusted = policy.trust_idempotency_key and run.call.idempotency_key is not None
        waits: Iterator[float] | None = None
        self._budget.deposit()
        while True:
            outcome = await self._attempt(run, read)
            if not isinstance(outcome, _Failed):
                return outcome
            waits = waits or pauses(policy)
            pause = next(waits)
            decision = decide(
                outcome.failure,
                status=outcome.error.status,
                repeatable=run.call.repeatable or trusted,
                retry_after=outcome.retry_after,
                attempt=run.tries,
                replayed=run.replayed or run.bearer is None,
                policy=policy,
                pause=pause,
                remaining=run.remaining(self.clock.monotonic()),
                budget=self._budget.available,
            )
            if outcome.failure is Failure.STATUS and outcome.error.status == HTTPStatus.TOO_MANY_REQUESTS:
                asked = pause if outcome.retry_after is None else outcome.retry_after
                self._close_gate(run, min(asked, policy.max_retry_after))
            if decision.action is Action.REPLAY:
                run.replayed = True
                continue
            if decision.action is not Action.REPEAT:
                _fail(run, outcome, unknown=decision.action is Action.OUTCOME_UNKNOWN)
            if decision.charged:
                self._budget.withdraw()
            await self._pause(run, decision.wait, outcome)
            run.tries += 1

    async def _pause(self, run: _Run, wait: float, outcome: _Failed) -> None:
        call = run.call
        planned = RetryPlanned(
            call=run.number,
            operation=call.route.operation,
            method=call.method,
            route=call.route.path,
            attempt=run.tries,
            wait=wait,
            reason=str(outcome.error.status or outcome.failure.value),
        )
        self.hooks.retry(planned)
        run.forget_answer()
        try:
            async with self._scope(None):
                with self._timed(run, "pause"):
                    await self.clock.sleep(wait)
        except TimeoutError:
            # The scope has no limit of its own: only closing the client ends it.
            raise run.locate(_closed()) from outcome.error

    # One attempt

    async def _attempt(self, run: _Run, read: Callable[[Body], T]) -> T | _Failed:
        """Send once. Return the value, or what went wrong; raise only what no decision can change."""
        run.forget_answer()
        body: Body = b""
        problem: Exception | None = None
        # Not `self._scope`: a generator-based context manager would be felt in every call.
        scope = asyncio.timeout_at(self._attempt_ends(run))
        self._scopes.add(scope)
        try:
            async with scope:
                await self._admit(run, scope)
                try:
                    authorization = await self._authorize(run, scope)
                    body = await self._exchange(run, authorization)
                finally:
                    self._slots.release()
        except (aiohttp.ClientError, OSError, TokenError, DecodeError) as error:
            problem = error
        finally:
            self._scopes.discard(scope)
        if problem is None:
            outcome = self._answered(run, body, read)
        elif scope.expired():
            outcome = self._expired(run, problem)
        else:
            outcome = self._broken(run, problem)
        if run.phase == "request" and self.hooks.attempts_watched():
            self._report(run, outcome.error if isinstance(outcome, _Failed) else None)
        return outcome

    async def _admit(self, run: _Run, scope: asyncio.Timeout) -> None:
        """Return with a slot held and the gate open."""
        if not self._gate.remaining() and self._slots.free:
            await self._slots.acquire()
            return
        scope.reschedule(self._deadline_ends(run))
        while True:
            run.phase = "gate"
            while wait := self._gate.remaining():
                self._refuse_beyond_deadline(run, wait)
                with self._timed(run, "gate"):
                    await self._gate.wait()
            run.phase = "slot"
            with self._timed(run, "slot"):
                await self._slots.acquire()
            if not self._gate.remaining():
                break
            self._slots.release()
        scope.reschedule(self._attempt_ends(run))

    def _refuse_beyond_deadline(self, run: _Run, wait: float) -> None:
        remaining = run.remaining(self.clock.monotonic())
        if remaining is not None and wait >= remaining:
            message = f"rate limited: the gate opens in {wait:.1f} s, after this call's deadline"
            raise run.locate(RateLimitedError(message, retry_after=wait, status=HTTPStatus.TOO_MANY_REQUESTS.value))

    async def _authorize(self, run: _Run, scope: asyncio.Timeout) -> str | None:
        """Return the Authorization value for where the call goes; ``None`` for any other origin than the client's own."""
        if run.call.basic is not None:
            return run.call.basic
        if not self.servers.trusted(run.call):
            return None
        run.phase = "token"
        begun = self.clock.monotonic()
        try:
            token = await self._provider.token(self._request_token)
        finally:
            waited = self.clock.monotonic() - begun
            run.waits["token"] += waited
        if waited > _NOTICEABLE:
            scope.reschedule(self._attempt_ends(run))
        run.bearer = token
        return f"Bearer {token}"

    async def _exchange(self, run: _Run, authorization: str | None) -> Body:
        """Send the request and return the body of its answer; status and headers are noted in the run."""
        session = self._connection.open()
        call = run.call
        url = self.servers.url(call)
        proxy = self.servers.proxy(url)
        if call.method != "GET" or call.body is not None:
            run.payload = _WatchedBody(call.body or b"", call.content_type)
        run.phase = "request"
        run.attempts += 1
        run.sent = self.clock.monotonic()
        async with session.request(
            call.method,
            URL(url, encoded=True),
            headers=self._headers(run, authorization),
            data=run.payload,
            allow_redirects=False,
            raise_for_status=False,
            timeout=self._timeout(run.options.timeout),
            proxy=None if proxy is None else proxy.url,
            proxy_headers=None if proxy is None else proxy.headers,
        ) as response:
            run.status = response.status
            run.answer_headers = response.headers
            return await self._receive(run, response)

    async def _receive(self, run: _Run, response: aiohttp.ClientResponse) -> Body:
        """Read the body in the chunks that arrive, counted unpacked."""
        success = response.status in _OK
        limit = self._max_response_bytes if success else MAX_BODY
        content = response.content
        body: Body = await content.readany()
        if len(body) <= limit and (chunk := await content.readany()):
            # One buffer that grows in place: joining a list of chunks would hold a large page twice.
            body = bytearray(body)
            while chunk and len(body) <= limit:
                body += chunk
                chunk = await content.readany()
        run.received = len(body)
        if len(body) > limit:
            if success:
                raise DecodeError(f"the answer is larger than max_response_bytes ({limit} bytes, unpacked)")
            return body[:limit]
        return body

    # What became of it

    def _answered(self, run: _Run, body: Body, read: Callable[[Body], T]) -> T | _Failed:
        if run.status not in _OK:
            return self._refused(run, body)
        try:
            return read(body)
        except DecodeError as error:
            error.body = error.body or bytes(body[:MAX_BODY])
            if error.truncated:
                return _Failed(Failure.TRUNCATED, _caused(TransportError(_CUT_SHORT, body=error.body), error))
            return _Failed(Failure.MALFORMED, error)

    def _refused(self, run: _Run, body: Body) -> _Failed:
        """Return the failure that an answer without success is."""
        status, headers = run.status or 0, run.answer_headers or {}
        if status == HTTPStatus.UNAUTHORIZED and run.bearer is not None:
            self._provider.reject(run.bearer)
            self.hooks.token(TokenRequested(outcome="rejected", status=status))
        retry_after = read_retry_after(headers.get("Retry-After"), self.clock.time())
        error = protocol.error_for(status, headers, body, retry_after=retry_after)
        return _Failed(Failure.STATUS, error, retry_after)

    def _expired(self, run: _Run, problem: Exception) -> _Failed:
        """Say what it means that the attempt's timer went off: the client closed, the deadline passed, or a timeout."""
        if self._connection.closed:
            return _unsent_or(Failure.CLOSED, run, _closed())
        if run.status is not None and run.status not in _OK:
            # The status arrived, but not the whole body: the status is what counts.
            return self._refused(run, b"")
        if run.by_deadline:
            return _unsent_or(Failure.DEADLINE, run, self._deadline_exceeded(run))
        within = f"within {run.options.timeout.total:g} s"
        if run.maybe_sent():
            return _Failed(Failure.INTERRUPTED, _caused(TransportError(f"sent, but not answered {within}"), problem))
        if run.phase == "token":
            return _Failed(Failure.NEVER_SENT, _caused(TokenError(f"no token {within}"), problem), 0.0)
        return _Failed(Failure.NEVER_SENT, _caused(ConnectError(f"no connection {within}"), problem))

    def _broken(self, run: _Run, problem: Exception) -> _Failed:
        """Say what a failure below HTTP means: never sent, cut short, or sent and not answered."""
        if isinstance(problem, TokenError):
            if problem.retry_after is None:
                raise run.locate(problem)
            return _Failed(Failure.NEVER_SENT, problem, problem.retry_after)
        if isinstance(problem, DecodeError):
            return _Failed(Failure.MALFORMED, problem)
        if self._connection.closed:
            return _unsent_or(Failure.CLOSED, run, _closed())
        kind = type(problem).__name__
        if isinstance(problem, _NEVER_SENT):
            return _Failed(Failure.NEVER_SENT, _caused(ConnectError(f"no connection ({kind})"), problem))
        if run.status is None:
            return _Failed(Failure.INTERRUPTED, _caused(TransportError(f"sent, but not answered ({kind})"), problem))
        if run.status in _OK:
            return _Failed(Failure.TRUNCATED, _caused(TransportError(_CUT_SHORT), problem))
        return self._refused(run, b"")

    def _deadline_exceeded(self, run: _Run) -> DeadlineExceededError:
        spent = run.spent(self.clock.monotonic())
        where = ", ".join(f"{phase} {seconds:g} s" for phase, seconds in spent.items() if seconds)
        return DeadlineExceededError(f"the deadline of {run.options.deadline:g} s passed ({where})", spent=spent)

    def _close_gate(self, run: _Run, seconds: float) -> None:
        self._gate.close(seconds)
        self.hooks.gate(GateClosed(operation=run.call.route.operation, seconds=seconds))

    def _report(self, run: _Run, error: AmiliError | None) -> None:
        ended = AttemptEnded(
            call=run.number,
            operation=run.call.route.operation,
            method=run.call.method,
            route=run.call.route.path,
            attempt=run.attempts,
            status=run.status,
            error=None if error is None else type(error).__name__,
            seconds=self.clock.monotonic() - run.sent,
            sent_bytes=len(run.call.body or b""),
            received_bytes=run.received,
            request_id=run.request_id(),
        )
        self.hooks.attempt(ended)

    # Tokens

    async def _request_token(self, form: Mapping[str, str], /) -> bytes:
        """Post a form to the token endpoint: no slot, no gate, one attempt's timeout of the defaults."""
        session = self._connection.open()
        timeout = self._token_timeout
        url = self.servers.token_url
        proxy = self.servers.proxy(url)
        begun = self.clock.monotonic()
        status: int | None = None
        body: Body = b""
        try:
            async with (
                self._scope(asyncio.get_running_loop().time() + timeout.total),
                session.request(
                    "POST",
                    URL(url, encoded=True),
                    headers={
                        "Accept": "application/json",
                        "Content-Type": "application/x-www-form-urlencoded",
                        "User-Agent": self._user_agent,
                    },
                    data=urlencode(form).encode(),
                    allow_redirects=False,
                    raise_for_status=False,
                    timeout=self._timeout(timeout),
                    proxy=None if proxy is None else proxy.url,
                    proxy_headers=None if proxy is None else proxy.headers,
                ) as response,
            ):
                status = response.status
                retry_after = read_retry_after(response.headers.get("Retry-After"), self.clock.time())
                body = await response.content.read(MAX_BODY)
        except (aiohttp.ClientError, OSError) as error:
            self._token_told("failed", begun, status)
            if self._connection.closed:
                raise _closed() from None
            kind = ConnectError if isinstance(error, _NEVER_SENT) else TransportError
            raise kind(f"the token endpoint gave no answer ({type(error).__name__})", status=status) from error
        if status not in _OK:
            self._token_told("failed", begun, status)
            raise TokenError(f"the token endpoint answered {status}", status=status, body=body, retry_after=retry_after)
        self._token_told("renewed", begun, status)
        return bytes(body)

    def _token_told(self, outcome: Literal["renewed", "failed"], begun: float, status: int | None) -> None:
        self.hooks.token(TokenRequested(outcome=outcome, seconds=self.clock.monotonic() - begun, status=status))

    # Timers and headers

    def _deadline_ends(self, run: _Run) -> float | None:
        """Return the moment of the deadline by the event loop's clock."""
        remaining = run.remaining(self.clock.monotonic())
        run.by_deadline = True
        return None if remaining is None else asyncio.get_running_loop().time() + remaining

    def _attempt_ends(self, run: _Run) -> float:
        """Return the moment that ends an attempt, by the event loop's clock: its timeout, cut to what is left."""
        total = run.options.timeout.total
        remaining = run.remaining(self.clock.monotonic())
        run.by_deadline = remaining is not None and remaining <= total
        if remaining is not None and run.by_deadline:
            total = remaining
        return asyncio.get_running_loop().time() + total

    @asynccontextmanager
    async def _scope(self, when: float | None) -> AsyncIterator[None]:
        """Bound a wait in a way that closing the client can cut short."""
        async with asyncio.timeout_at(when) as scope:
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.discard(scope)

    @contextmanager
    def _timed(self, run: _Run, phase: str) -> Iterator[None]:
        """Note the time of a wait, however it ends."""
        begun = self.clock.monotonic()
        try:
            yield
        finally:
            run.waits[phase] += self.clock.monotonic() - begun

    def _timeout(self, timeout: Timeout) -> aiohttp.ClientTimeout:
        """Return what aiohttp needs of it: the way to a connection. The total is the attempt's own timer."""
        if self._client_timeout is None or self._client_timeout[0] is not timeout:
            self._client_timeout = (timeout, aiohttp.ClientTimeout(total=None, connect=timeout.connect))
        return self._client_timeout[1]

    def _headers(self, run: _Run, authorization: str | None) -> CIMultiDict[str]:
        """Return the request's headers, the client's own last so that nothing overrides them."""
        call, given = run.call, run.options.headers
        plain = not (call.headers or run.hook_headers or call.idempotency_key or run.payload)
        kept = self._plain_headers
        if plain and kept is not None and kept[0] == authorization and kept[1] is given:
            return kept[2]
        headers = CIMultiDict({"Accept": "application/json", "User-Agent": self._user_agent})
        headers.update(given)
        headers.update(run.hook_headers or {})
        headers.update(call.headers or {})
        if run.payload is not None:
            headers["Content-Type"] = call.content_type
        if call.idempotency_key is not None:
            headers["IdempotencyKey"] = call.idempotency_key
        if authorization is not None:
            headers["Authorization"] = authorization
        if plain:
            self._plain_headers = (authorization, given, headers)
        return headers


def _fail(run: _Run, outcome: _Failed, *, unknown: bool) -> NoReturn:
    """Raise what a call ends with."""
    error = run.locate(outcome.error)
    if not unknown:
        raise error
    call = run.call
    happened = f"was answered {error.status}" if error.status is not None else "was sent and not answered"
    problem = OutcomeUnknownError(
        f"the request {happened}: it may have taken effect, so it was not repeated",
        idempotency_key=call.idempotency_key,
        recipe=call.recipe,
        status=error.status,
        body=error.body,
    )
    raise run.locate(problem) from error


def _unsent_or(failure: Failure, run: _Run, error: AmiliError) -> _Failed:
    """Return the failure of a request in flight; raise at once for one that never went out."""
    if not run.maybe_sent():
        raise run.locate(error)
    return _Failed(failure, error)


def _caused(error: AmiliError, cause: Exception) -> AmiliError:
    error.__cause__ = cause
    return error


def _closed() -> ClientClosedError:
    return ClientClosedError("the client was closed while this call ran")
