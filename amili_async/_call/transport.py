"""Transport: sends calls and repeats them as `retry` decides, under one deadline each.

Its turn (gate, pace, slot) -> token -> request -> body -> value, or a decision: wait and repeat, or raise. A call that
waits holds no slot, nothing sleeps inside an open response, and an attempt's timeout is cut to what is left of the
deadline.
"""

from __future__ import annotations

import asyncio
import itertools
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from amili_async._call.auth import ClientCredentials, StaticToken
from amili_async._call.timeouts import TimeoutScheduler
from amili_async._http.failures import own_cause, place
from amili_async._protocol.call_state import AttemptFailure, CallState
from amili_async._protocol.grants import grant_lifetime, grant_members, no_grant, refused_grant
from amili_async._protocol.outcomes import (
    SUCCESS,
    WireError,
    broken,
    closed_error,
    expired,
    final_error,
    refused,
    told_to_wait,
    unreadable,
)
from amili_async._protocol.refusals import Refusals
from amili_async._protocol.retry import Action, Failure, decide
from amili_async._upstream.aiohttp import request_sent_signal
from amili_async.errors import (
    AmiliError,
    DeadlineExceededError,
    DecodeError,
    RateLimitedError,
    TokenError,
    detach,
)
from amili_async.events import (
    AttemptEnded,
    CallEnded,
    CallStarted,
    GateClosed,
    RateLearned,
    RetryPlanned,
    TokenRequested,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from amili_async._call.auth import TokenProvider
    from amili_async._call.hooks import Hooks
    from amili_async._call.limits import Limits
    from amili_async._call.timeouts import TimeoutScope
    from amili_async._clock import Clock
    from amili_async._http.client import HTTPClient
    from amili_async._http.endpoints import Endpoints
    from amili_async._http.session import Connection
    from amili_async._protocol.options import Options, Timeout
    from amili_async._protocol.requests import Body, Call
    from amili_async._protocol.retry import Budget
    from amili_async._upstream.aiohttp import RequestSentSignal

T = TypeVar("T")

_NUMBERS = itertools.count(1)
"""Calls are numbered through the whole process: one hook may listen to several clients."""

# Looked up once, not for each answer: CPython 3.11 calls a function to find a member of an enum.
_TOO_MANY_REQUESTS = HTTPStatus.TOO_MANY_REQUESTS.value
_SERVER_ERRORS = HTTPStatus.INTERNAL_SERVER_ERROR.value

_TURNS_TO_END = 50
"""Turns of the event loop that calls under way get to end in when the client closes."""

_MOST_STALLS = 10
"""Attempts of one call, at most, that are asked for again for free because the event loop was blocked."""

_NOTICEABLE = 0.001
"""Seconds of waiting for a token from which the attempt's timer starts anew."""


class Transport:
    """Sends the calls of one client and of all its copies."""

    def __init__(
        self,
        *,
        connection: Connection,
        endpoints: Endpoints,
        http: HTTPClient,
        provider: TokenProvider,
        limits: Limits,
        budget: Budget,
        hooks: Hooks,
        clock: Clock,
        token_timeout: Timeout,
    ) -> None:
        self.hooks = hooks
        self.clock = clock
        self.endpoints = endpoints
        self._connection = connection
        self._http = http
        self._provider = provider
        self._renewable = not isinstance(provider, StaticToken)
        """Whether there can be a new token, without which a replay after a 401 makes no sense."""
        self.limits = limits
        """What holds all calls of the client back."""
        self._budget = budget
        self._token_timeout = token_timeout
        self._refusals = Refusals()
        self._timeouts = TimeoutScheduler(clock)

    def send(
        self, call: Call, read: Callable[[Body], T], options: Options, sent_signal: RequestSentSignal | None = None
    ) -> Coroutine[Any, Any, T]:
        """Return what ``read`` makes of the body of a success.

        ``read`` is called for every 2xx, after the response is closed, and raises `DecodeError` where it cannot read.
        Any `AmiliError` may come of it; `retry.decide` says what is repeated before.
        """
        self._connection.open()
        if sent_signal is not None:
            request_sent_signal.set(sent_signal)
        state = CallState(call, options, next(_NUMBERS), self.clock.monotonic())
        return _letting_go(self._observed(state, read) if self.hooks.calls else self._repeated(state, read))

    def authenticate(self, options: Options) -> Coroutine[Any, Any, None]:
        """Return once a token is at hand. One that is good already costs no request; nothing is repeated."""
        self._connection.open()
        return _letting_go(self._authenticate(options))

    async def _authenticate(self, options: Options) -> None:
        seconds = options.timeout.total if options.deadline is None else options.deadline
        try:
            with self._timeouts.scope(seconds):
                await self._provider.token(self._request_token)
        except TimeoutError as error:
            if self._connection.closed:
                raise closed_error() from None
            raise DeadlineExceededError(f"no token came within {seconds:g} s") from error

    def sent_signal(self) -> RequestSentSignal:
        """Return what tells when a request is on the wire, to be passed to `send` in a task of its own."""
        return self._connection.sent_signal()

    def reopen(self) -> None:
        """Forget what the API and the token endpoint have asked to wait for."""
        if isinstance(self._provider, ClientCredentials):
            self._provider.reopen()
        self._refusals.forget()
        self.limits.reopen()

    async def close(self) -> None:
        """End every call that is under way with `ClientClosedError`, then close the session."""
        self._connection.closed = True
        self._timeouts.cancel_all()
        # Ended calls give their connections back before the session goes; each takes a few turns of the loop.
        for _ in range(_TURNS_TO_END):
            if not self._timeouts:
                break
            await asyncio.sleep(0)
        await self._connection.close()

    async def _observed(self, state: CallState, read: Callable[[Body], T]) -> T:
        """Make the call with hooks told of its beginning and end."""
        call = state.call
        operation, method, route = call.route.operation, call.method, call.route.path
        server = self.endpoints.url(call)
        started = CallStarted(
            call=state.number,
            operation=operation,
            method=method,
            route=route,
            server_address=server.host or "",
            server_port=server.port or 0,
        )
        state.hook_headers = self.hooks.start(started)
        error: str | None = None
        try:
            return await self._repeated(state, read)
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            ended = CallEnded(
                call=state.number,
                operation=operation,
                method=method,
                route=route,
                attempts=state.attempts,
                status=state.status,
                error=error,
                seconds=self.clock.monotonic() - state.started,
                gate_seconds=state.waits["gate"],
                slot_seconds=state.waits["slot"],
                token_seconds=state.waits["token"],
                pause_seconds=state.waits["pause"],
                received_bytes=state.received,
                request_id=state.request_id(),
            )
            self.hooks.tell("on_call", ended)

    async def _repeated(self, state: CallState, read: Callable[[Body], T]) -> T:
        """Make attempts until one has a value or none is to follow."""
        policy = state.options.retry
        trusted = policy.trust_idempotency_key and state.call.idempotency_key is not None
        self._budget.deposit()
        while True:
            outcome = await self._attempt(state, read)
            if not isinstance(outcome, AttemptFailure):
                return outcome
            unauthorized = outcome.failure is Failure.STATUS and outcome.error.status == HTTPStatus.UNAUTHORIZED
            decision = decide(
                outcome.failure,
                status=outcome.error.status,
                repeatable=state.call.repeatable or trusted,
                retry_after=outcome.retry_after,
                attempt=state.tries,
                replayed=not unauthorized or not self._replaces_token(state, outcome.error),
                policy=policy,
                pause=state.own_delay(),
                remaining=state.remaining(self.clock.monotonic()),
                budget=self._budget.available,
                paced=self.limits.learned is not None,
                stalled=outcome.stalled and state.stalls <= _MOST_STALLS,
            )
            state.limited = outcome.error if outcome.error.status == HTTPStatus.TOO_MANY_REQUESTS else None
            if decision.action is Action.REPLAY:
                state.forget_answer()
                continue
            if decision.action is not Action.REPEAT:
                raise final_error(state, outcome, unknown=decision.action is Action.OUTCOME_UNKNOWN)
            if decision.charged:
                self._budget.withdraw()
            state.failures += 1
            state.tries += decision.counted
            self._tell_repeat(state, decision.wait, outcome)
            queued = state.limited is not None and self.limits.learned is not None
            queued = queued and decision.wait <= state.closed_gate
            state.forget_answer()
            if not queued:  # at the gate, or for its pace: there it keeps its place
                await self._pause(state, decision.wait, outcome)

    def _tell_repeat(self, state: CallState, wait: float, outcome: AttemptFailure) -> None:
        call = state.call
        planned = RetryPlanned(
            call=state.number,
            operation=call.route.operation,
            method=call.method,
            route=call.route.path,
            attempt=state.failures,
            wait=wait,
            reason=str(outcome.error.status or ("timeout" if outcome.timed_out else outcome.failure.value)),
        )
        self.hooks.retry(planned)

    async def _pause(self, state: CallState, wait: float, outcome: AttemptFailure) -> None:
        try:
            with self._timeouts.scope(None), state.waiting("pause", self.clock):
                await self.clock.sleep(wait)
        except TimeoutError:
            # The scope has no limit of its own: only closing the client ends it.
            raise state.locate(closed_error()) from outcome.error

    def _replaces_token(self, state: CallState, error: AmiliError) -> bool:
        """Act on a 401; return whether the call is to be repeated with another token."""
        if state.bearer is None:
            return False
        self.hooks.token(TokenRequested(outcome="rejected", status=error.status))
        organization, now = state.call.organization(), self.clock.monotonic()
        if state.refused_token is not None:
            self._refusals.refused_again(organization, state.bearer, now)
            return False
        state.refused_token = (state.bearer, error)
        if not self._renewable or not self._refusals.replaceable(organization, state.bearer, now):
            return False
        self._provider.reject(state.bearer)
        return True

    def _learn(self, state: CallState, headers: Mapping[str, str]) -> None:
        """Learn from an answer whether requests come too fast, and the token is good; a failure leaves both open."""
        if state.status == _TOO_MANY_REQUESTS:
            self._slow_down(state, headers)
        elif state.status is not None and state.status < _SERVER_ERRORS:
            self.limits.accepted(state.sent, headers)
            if self._refusals and state.status != HTTPStatus.UNAUTHORIZED:
                self._refusals.accepted(state.call.organization())

    def _slow_down(self, state: CallState, headers: Mapping[str, str]) -> None:
        """Act on a 429: close the gate for what it says, and learn of the pace that was too fast."""
        operation, learned = state.call.route.operation, self.limits.learned
        # Where no pace is learnt, all calls wait as long as this one does by itself.
        seconds = told_to_wait(headers, self.clock.time()) or (state.own_delay() if learned is None else 0.0)
        if seconds > 0:
            seconds = self.limits.gate.close(min(seconds, state.options.retry.max_retry_after))
            self.hooks.gate(GateClosed(operation=operation, seconds=seconds))
            state.closed_gate = seconds
        if learned is not None and learned.refused(state.sent, self.clock.monotonic(), seconds):
            self.hooks.rate(RateLearned(operation=operation, rate=learned.rate or 0.0, burst=learned.burst))

    # One attempt

    async def _attempt(self, state: CallState, read: Callable[[Body], T]) -> T | AttemptFailure:
        """Send once. Return the value, or what went wrong; raise only what no decision can change."""
        body: Body = b""
        problem: Exception | None = None
        scope = self._timeouts.scope(self._attempt_seconds(state))
        try:
            with scope:
                if not self.limits.take():
                    await self._admit(state, scope)
                try:
                    authorization = await self._authorize(state, scope)
                    state.phase = "request"
                    state.attempts += 1
                    state.sent = self.clock.monotonic()
                    try:
                        body = await self._http.exchange(state, authorization)
                    finally:
                        if state.answer_headers is not None:
                            # Before the slot goes to another call, which must not be sent into a 429.
                            self._learn(state, state.answer_headers)
                finally:
                    self.limits.release()
        except (WireError, TimeoutError, TokenError, DecodeError) as error:
            problem = error
        outcome = self._outcome(state, body, problem, read, expired_scope=scope.expired)
        if scope.stalled and isinstance(outcome, AttemptFailure):
            outcome.stalled = True
            state.stalls += 1
        if state.phase == "request" and self.hooks.attempts_watched():
            self._report(state, outcome.error if isinstance(outcome, AttemptFailure) else None)
        return outcome

    async def _admit(self, state: CallState, scope: TimeoutScope) -> None:
        """Return with a slot, and with leave to send, where either has to be waited for."""
        limits = self.limits
        closed, remaining = limits.gate.remaining(), state.remaining(self.clock.monotonic())
        if closed and remaining is not None and closed >= remaining:
            message = f"rate limited: the gate opens in {closed:.1f} s, after this call's deadline"
            raise state.locate(RateLimitedError(message, retry_after=closed, status=HTTPStatus.TOO_MANY_REQUESTS.value))
        state.by_deadline = True
        scope.reschedule(remaining)
        state.phase = "slot"
        begun, held = self.clock.monotonic(), limits.held_seconds()
        try:
            await limits.acquire(again=state.failures > 0)
        finally:
            waited = self.clock.monotonic() - begun
            for_the_gate = min(waited, limits.held_seconds() - held)
            state.waits["gate"] += for_the_gate
            state.waits["slot"] += waited - for_the_gate
        scope.reschedule(self._attempt_seconds(state))

    async def _authorize(self, state: CallState, scope: TimeoutScope) -> str | None:
        """Return the Authorization value for where the call goes; ``None`` for any origin but the client's own."""
        if state.call.basic is not None:
            return state.call.basic
        if not self.endpoints.trusted(state.call):
            return None
        state.phase = "token"
        begun = self.clock.monotonic()
        try:
            state.bearer = await self._provider.token(self._request_token)
        except AmiliError:
            raise
        except Exception as error:  # noqa: BLE001  # a caller's own code may raise anything
            raise TokenError(f"the token provider failed with {type(error).__name__}") from own_cause(error)
        finally:
            waited = self.clock.monotonic() - begun
            state.waits["token"] += waited
        if state.refused_token is not None and state.refused_token[0] == state.bearer:
            # There is no other for the moment, and what was refused a moment ago would be refused again.
            raise state.locate(state.refused_token[1])
        if waited > _NOTICEABLE:
            scope.reschedule(self._attempt_seconds(state))
        return f"Bearer {state.bearer}"

    def _outcome(
        self,
        state: CallState,
        body: Body,
        problem: Exception | None,
        read: Callable[[Body], T],
        *,
        expired_scope: bool,
    ) -> T | AttemptFailure:
        """Return the value of an attempt, or what its failure means."""
        if problem is not None:
            closed, now = self._connection.closed, self.clock.time()
            if expired_scope:
                server = self.endpoints.url(state.call)
                where = place(server.raw_host, server.port)
                return expired(state, problem, closed=closed, where=where, instant=self.clock.monotonic(), now=now)
            return broken(state, problem, closed=closed, now=now)
        if state.status in SUCCESS:
            try:
                return read(body)
            except DecodeError as error:
                return unreadable(body, error)
        return refused(state, body, self.clock.time())

    def _report(self, state: CallState, error: AmiliError | None) -> None:
        ended = AttemptEnded(
            call=state.number,
            operation=state.call.route.operation,
            method=state.call.method,
            route=state.call.route.path,
            attempt=state.attempts,
            status=state.status,
            error=None if error is None else type(error).__name__,
            seconds=self.clock.monotonic() - state.sent,
            sent_bytes=len(state.call.body or b""),
            received_bytes=state.received,
            request_id=state.request_id(),
            date=None if state.answer_headers is None else state.answer_headers.get("Date"),
        )
        self.hooks.attempt(ended)

    async def _request_token(self, form: Mapping[str, str], /) -> bytes:
        """Post a form to the token endpoint, within one attempt's timeout; it needs no slot and waits at no gate."""
        begun = self.clock.monotonic()
        try:
            with self._timeouts.scope(self._token_timeout.total):
                answer = await self._http.post_form(form, self._token_timeout)
        except (WireError, TimeoutError) as error:
            problem: WireError | TimeoutError = error
        else:
            if answer.status in SUCCESS:
                self._token_told("renewed", begun, answer.status, answer.body)
                return answer.body
            self._token_told("failed", begun, answer.status, answer.body)
            raise refused_grant(answer.status, answer.headers, answer.body, self.clock.time())
        if self._connection.closed:
            raise closed_error()
        self._token_told("failed", begun)
        raise no_grant(problem, self._token_timeout.total)

    def _token_told(
        self, outcome: Literal["renewed", "failed"], begun: float, status: int | None = None, body: bytes = b""
    ) -> None:
        told = TokenRequested(
            outcome=outcome,
            seconds=self.clock.monotonic() - begun,
            status=status,
            lifetime=grant_lifetime(body, self.clock.time()) if outcome == "renewed" else None,
            members=grant_members(body),
        )
        self.hooks.token(told)

    def _attempt_seconds(self, state: CallState) -> float:
        """Return how long an attempt may take: its timeout, cut to what is left of the deadline."""
        seconds = state.options.timeout.total
        remaining = state.remaining(self.clock.monotonic())
        state.by_deadline = remaining is not None and remaining <= seconds
        return remaining if remaining is not None and state.by_deadline else seconds


async def _letting_go(call: Coroutine[Any, Any, T]) -> T:
    """Return what a call returns; an error leaves without what it was raised among."""
    try:
        return await call
    except BaseException as error:
        detach(error)
        raise
