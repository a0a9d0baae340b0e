"""Tokens: one request however many wait, renewed early, never hammered, and no secret anywhere. On a virtual clock."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import logging
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async import _clock as clock_module
from amili_async._call.auth import (
    CallableToken,
    ClientCredentials,
    StaticToken,
    TokenProvider,
    as_provider,
)
from amili_async._protocol.grants import grant_lifetime, grant_members, no_grant, read_grant, refused_grant
from amili_async._protocol.outcomes import WireError
from amili_async.errors import (
    AmiliError,
    ClientClosedError,
    ConfigurationError,
    ConnectError,
    TokenError,
    WrongLoopError,
)
from tests.support.virtual_time import START, UNIX_START, VirtualLoop, clock_of, run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from amili_async.sandbox import VirtualClock

SECRET = "hush-hush-4711"
HOUR = 3600.0


def body(token: str, /, **members: object) -> bytes:
    return json.dumps({"access_token": token, **members}).encode()


class Endpoint:
    """A token endpoint: hands out t1, t2 … after ``seconds``, or what ``answer`` says."""

    def __init__(self, clock: VirtualClock, *, seconds: float = 0.1, lifetime: object = HOUR, first: int = 1) -> None:
        self.first = first
        self.clock = clock
        self.seconds = seconds
        self.lifetime = lifetime
        self.failure: BaseException | None = None
        self.asked: list[float] = []
        self.forms: list[dict[str, str]] = []

    async def __call__(self, form: Mapping[str, str], /) -> bytes:
        self.asked.append(self.clock.monotonic() - START)
        self.forms.append(dict(form))
        number = len(self.asked) + self.first - 1
        await self.clock.sleep(self.seconds)
        if self.failure is not None:
            raise self.failure
        return body(f"t{number}", expires_in=self.lifetime)


def refused(status: int, content: bytes = b"", retry_after: float | None = None) -> TokenError:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return refused_grant(status, headers, content, UNIX_START)


def unreachable() -> TokenError:
    return no_grant(WireError("refused", OSError(), sent=False), 30.0)


async def error_of(coroutine: Coroutine[Any, Any, str]) -> TokenError:
    with pytest.raises(TokenError) as caught:
        await coroutine
    return caught.value


def with_credentials(main: Callable[[ClientCredentials, Endpoint, VirtualClock], Coroutine[None, None, None]]) -> None:
    """Run with credentials that take the virtual clock."""

    async def inner(clock: VirtualClock) -> None:
        with clock_module.installed(clock):
            credentials = ClientCredentials("id", SECRET)
            endpoint = Endpoint(clock)
            await main(credentials, endpoint, clock)

    run(inner)


# -- asking


def test_the_form_is_oauths_client_credentials() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, _clock: VirtualClock) -> None:
        assert await credentials.token(endpoint) == "t1"
        assert endpoint.forms == [{"grant_type": "client_credentials", "client_id": "id", "client_secret": SECRET}]

    with_credentials(main)


def test_two_hundred_callers_make_one_request() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, _clock: VirtualClock) -> None:
        tokens = await asyncio.gather(*(credentials.token(endpoint) for _ in range(200)))
        assert set(tokens) == {"t1"}
        assert len(endpoint.asked) == 1

    with_credentials(main)


@pytest.mark.parametrize("survivor", [0, 100, 199])
def test_cancelling_all_callers_but_one_leaves_that_one_served(survivor: int) -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, _clock: VirtualClock) -> None:
        callers = [asyncio.create_task(credentials.token(endpoint)) for _ in range(200)]
        await asyncio.sleep(0.05)
        for number, caller in enumerate(callers):
            if number != survivor:
                caller.cancel()
        assert await callers[survivor] == "t1"
        assert len(endpoint.asked) == 1

    with_credentials(main)


def test_a_token_that_nobody_waits_for_any_more_is_kept_for_the_next_caller() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, clock: VirtualClock) -> None:
        caller = asyncio.create_task(credentials.token(endpoint))
        await asyncio.sleep(0.05)
        caller.cancel()
        await clock.sleep(1.0)
        assert await credentials.token(endpoint) == "t1"
        assert len(endpoint.asked) == 1

    with_credentials(main)


@pytest.mark.filterwarnings("error")
def test_a_failure_that_nobody_waits_for_any_more_is_not_reported_as_never_retrieved() -> None:
    complaints: list[dict[str, Any]] = []

    async def main(credentials: ClientCredentials, endpoint: Endpoint, clock: VirtualClock) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        endpoint.failure = unreachable()
        caller = asyncio.create_task(credentials.token(endpoint))
        await asyncio.sleep(0.05)
        caller.cancel()
        await clock.sleep(1.0)
        del credentials, caller
        gc.collect()

    with_credentials(main)
    gc.collect()
    assert complaints == []


def test_a_token_request_that_is_itself_cancelled_is_made_again() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, _clock: VirtualClock) -> None:
        caller = asyncio.create_task(credentials.token(endpoint))
        await asyncio.sleep(0.05)
        (request,) = (task for task in asyncio.all_tasks() if task.get_name() == "amili token")
        request.cancel()
        assert await caller == "t2"

    with_credentials(main)


def test_a_token_is_used_for_its_life() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, clock: VirtualClock) -> None:
        for _ in range(100):
            assert await credentials.token(endpoint) == "t1"
            await clock.sleep(30.0)
        assert len(endpoint.asked) == 1

    with_credentials(main)


# -- renewal


def test_early_renewal_holds_no_caller_up_and_is_one_request() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, clock: VirtualClock) -> None:
        await credentials.token(endpoint)
        await clock.sleep(HOUR - 200.0)
        before = clock.monotonic()
        tokens = await asyncio.gather(*(credentials.token(endpoint) for _ in range(50)))
        assert clock.monotonic() == before
        assert set(tokens) == {"t1"}
        await clock.sleep(1.0)
        assert await credentials.token(endpoint) == "t2"
        assert len(endpoint.asked) == 2

    with_credentials(main)


def test_shortly_before_expiry_callers_wait_for_the_new_token() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, clock: VirtualClock) -> None:
        await credentials.token(endpoint)
        await clock.sleep(HOUR - 20.0)
        tokens = await asyncio.gather(*(credentials.token(endpoint) for _ in range(50)))
        assert set(tokens) == {"t2"}
        assert len(endpoint.asked) == 2

    with_credentials(main)


@given(lifetime=st.floats(min_value=0.5, max_value=100_000), steps=st.lists(st.floats(0, 5_000), max_size=30))
def test_no_caller_gets_an_expired_token_while_the_endpoint_answers(lifetime: float, steps: list[float]) -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, clock: VirtualClock) -> None:
        endpoint.lifetime = lifetime
        endpoint.seconds = 0.0
        for step in steps:
            token = await credentials.token(endpoint)
            issued = endpoint.asked[int(token[1:]) - 1]
            assert clock.monotonic() - START < issued + lifetime
            await clock.sleep(step)

    with_credentials(main)


def test_a_life_shorter_than_the_request_is_served_once_and_asked_for_anew() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, _clock: VirtualClock) -> None:
        endpoint.lifetime = 0.01
        assert set(await asyncio.gather(*(credentials.token(endpoint) for _ in range(9)))) == {"t1"}
        assert await credentials.token(endpoint) == "t2"

    with_credentials(main)


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
def test_a_step_of_the_wall_clock_changes_nothing(step: float) -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, clock: VirtualClock) -> None:
        await credentials.token(endpoint)
        clock.step(step)
        assert await credentials.token(endpoint) == "t1"
        await clock.sleep(HOUR + 1.0)
        assert await credentials.token(endpoint) == "t2"
        assert await credentials.token(endpoint) == "t2"
        assert len(endpoint.asked) == 2

    with_credentials(main)


# -- rejection


def test_a_revoked_token_is_replaced_once_however_many_calls_it_failed() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, _clock: VirtualClock) -> None:
        async def call() -> str:
            used = await credentials.token(endpoint)
            await asyncio.sleep(0.5)
            if used == "t1":
                credentials.reject(used)
                return await credentials.token(endpoint)
            return used

        assert set(await asyncio.gather(*(call() for _ in range(200)))) == {"t2"}
        assert len(endpoint.asked) == 2

    with_credentials(main)


def test_a_late_401_for_the_old_token_does_not_drop_the_new_one() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, _clock: VirtualClock) -> None:
        credentials.reject("never seen")
        assert await credentials.token(endpoint) == "t1"
        credentials.reject("t1")
        assert await credentials.token(endpoint) == "t2"
        credentials.reject("t1")
        assert await credentials.token(endpoint) == "t2"

    with_credentials(main)


# -- a failing endpoint


def test_a_failing_endpoint_keeps_the_valid_token_in_use_and_is_asked_again_after_growing_pauses() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, clock: VirtualClock) -> None:
        await credentials.token(endpoint)
        endpoint.failure = refused(503)
        await clock.sleep(HOUR - 299.0)
        while clock.monotonic() - START < HOUR - 1.0:
            assert await credentials.token(endpoint) == "t1"
            await clock.sleep(0.25)
        between = [later - earlier for earlier, later in zip(endpoint.asked[1:], endpoint.asked[2:], strict=False)]
        assert 5 <= len(between) <= 14
        assert between[0] >= 0.5
        assert max(between) >= 30.0
        await clock.sleep(120.0)
        error = await error_of(credentials.token(endpoint))
        assert error.status == 503
        endpoint.failure = None
        await clock.sleep(error.retry_after or 0.0)
        assert (await credentials.token(endpoint)).startswith("t")

    with_credentials(main)


def test_an_endpoint_that_failed_and_now_hangs_holds_no_caller_up_while_the_token_is_valid() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, clock: VirtualClock) -> None:
        await credentials.token(endpoint)
        endpoint.failure = refused(503)
        await clock.sleep(HOUR - 60.0)
        await credentials.token(endpoint)
        await clock.sleep(40.0)
        endpoint.seconds = 300.0
        before = clock.monotonic()
        assert await credentials.token(endpoint) == "t1"
        await asyncio.sleep(0)
        assert clock.monotonic() == before
        assert len(endpoint.asked) == 3

    with_credentials(main)


def test_a_failing_endpoint_is_not_hammered_by_callers_without_a_token() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, _clock: VirtualClock) -> None:
        endpoint.failure = unreachable()
        errors = await asyncio.gather(*(error_of(credentials.token(endpoint)) for _ in range(200)))
        errors += [await error_of(credentials.token(endpoint)) for _ in range(200)]
        assert len(endpoint.asked) == 1
        assert all(error.retry_after is not None and 0 < error.retry_after <= 1.0 for error in errors)
        assert all(isinstance(error.__cause__, ConnectError) for error in errors)
        assert len({id(error) for error in errors}) == 400

    with_credentials(main)


def test_after_its_pause_a_healed_endpoint_serves_again_and_the_pauses_begin_anew() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, clock: VirtualClock) -> None:
        for _ in range(6):
            endpoint.failure = unreachable()
            await clock.sleep((await error_of(credentials.token(endpoint))).retry_after or 0.0)
        endpoint.failure = None
        assert await credentials.token(endpoint) == "t7"
        endpoint.failure = unreachable()
        credentials.reject("t7")
        again = await error_of(credentials.token(endpoint))
        assert again.retry_after is not None
        assert again.retry_after <= 1.0

    with_credentials(main)


def test_a_rejected_token_does_not_come_back_while_the_endpoint_fails() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, _clock: VirtualClock) -> None:
        await credentials.token(endpoint)
        endpoint.failure = refused(500)
        credentials.reject("t1")
        assert (await error_of(credentials.token(endpoint))).status == 500

    with_credentials(main)


@pytest.mark.parametrize(("status", "asked"), [(503, 2), (400, 1)])
def test_an_endpoint_is_asked_again_in_a_while_only_where_that_can_help(status: int, asked: int) -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, clock: VirtualClock) -> None:
        endpoint.failure = refused(status)
        error = await error_of(credentials.token(endpoint))
        assert (error.retry_after is not None) == (asked == 2)
        assert (await error_of(credentials.token(endpoint))).message == error.message
        assert len(endpoint.asked) == 1
        await clock.sleep(error.retry_after or 0.0)
        await error_of(credentials.token(endpoint))
        assert len(endpoint.asked) == asked

    with_credentials(main)


def test_a_retry_after_of_the_endpoint_is_kept() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, clock: VirtualClock) -> None:
        endpoint.failure = refused(429, retry_after=90.0)
        error = await error_of(credentials.token(endpoint))
        assert error.retry_after == pytest.approx(90.0)
        await clock.sleep(60.0)
        assert (await error_of(credentials.token(endpoint))).retry_after == pytest.approx(30.0)
        assert len(endpoint.asked) == 1

    with_credentials(main)


def test_whatever_an_exchange_raises_callers_get_a_token_error() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, _clock: VirtualClock) -> None:
        endpoint.failure = RuntimeError("a bug that quotes " + SECRET)
        error = await error_of(credentials.token(endpoint))
        assert error.retry_after is None
        assert isinstance(error.__cause__, RuntimeError)
        assert str(error) == "asking for a token failed with RuntimeError"

    with_credentials(main)


def test_a_token_error_without_a_status_passes_as_it_is() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, _clock: VirtualClock) -> None:
        endpoint.failure = TokenError("said elsewhere")
        assert (await error_of(credentials.token(endpoint))).message == "said elsewhere"

    with_credentials(main)


# -- several clients, several loops


@pytest.mark.parametrize("kind", [ClientClosedError, WrongLoopError, ConfigurationError])
def test_a_client_that_ends_while_it_asks_does_not_fail_the_callers_of_another(kind: type[AmiliError]) -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, clock: VirtualClock) -> None:
        ending = Endpoint(clock)
        ending.failure = kind("mine alone")
        of_the_ending = asyncio.create_task(credentials.token(ending))
        await asyncio.sleep(0.05)
        assert await credentials.token(endpoint) == "t1"
        with pytest.raises(kind):
            await of_the_ending

    with_credentials(main)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_request_left_behind_in_a_loop_that_ended_does_not_keep_the_next_loop_waiting() -> None:
    credentials = ClientCredentials("id", SECRET)
    left = VirtualLoop()
    with clock_module.installed(clock_of(left)):
        asking = left.create_task(credentials.token(Endpoint(clock_of(left))))
        left.run_until_complete(asyncio.sleep(0.05))

    async def main(clock: VirtualClock) -> str:
        return await credentials.token(Endpoint(clock))

    assert run(main) == "t1"
    for task in asyncio.all_tasks(left):
        task.cancel()
    left.run_until_complete(asyncio.gather(asking, return_exceptions=True))
    left.close()


# -- the answer


@pytest.mark.parametrize("lifetime", [0, -1, None, "x"])
def test_an_endpoint_that_names_no_time_is_not_asked_for_every_call(lifetime: object) -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, _clock: VirtualClock) -> None:
        endpoint.lifetime = lifetime
        for _ in range(50):
            assert await credentials.token(endpoint) == "t1"
        assert len(endpoint.asked) == 1

    with_credentials(main)


# -- secrecy


def test_the_secret_is_in_no_repr_log_error_or_pickle(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    async def main(credentials: ClientCredentials, endpoint: Endpoint, _clock: VirtualClock) -> None:
        class Nosy:
            async def __call__(self, form: Mapping[str, str], /) -> bytes:
                seen.extend((repr(form), str(form), f"{form}"))
                assert len(form) == 3
                return await endpoint(form)

        await credentials.token(Nosy())
        seen.extend((repr(credentials), str(credentials), repr(vars(credentials)["_held"])))
        seen.append(repr(read_grant(body(SECRET), 0.0)))
        for status in (400, 503):
            credentials.reject((await credentials.token(endpoint)) if status == 400 else "t2")
            endpoint.failure = refused(status, b"{}")
            error = await error_of(credentials.token(endpoint))
            seen.extend((str(error), repr(error), repr(error.to_dict()), repr(pickle.dumps(error))))
            seen.append("".join(traceback.format_exception(error)))
            await asyncio.sleep(120.0)
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="do not pickle or copy"):
                attempt(credentials)

    with caplog.at_level(logging.DEBUG):
        with_credentials(main)
    assert len(seen) > 10
    assert SECRET not in "".join(seen) + caplog.text
    assert repr(ClientCredentials("id", SECRET)) == "ClientCredentials('id')"


@pytest.mark.parametrize(("identity", "secret", "named"), [("", "x", "client_id"), ("x", "", "client_secret")])
def test_empty_credentials_are_refused_by_name(identity: str, secret: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{named} must be text that is not empty"):
        ClientCredentials(identity, secret)


# -- other providers


async def no_exchange(form: Mapping[str, str], /) -> bytes:
    raise AssertionError(f"asked for {form}")


async def test_a_static_token_is_what_was_given_and_stays_it() -> None:
    provider = as_provider("abc.def")
    assert isinstance(provider, StaticToken)
    provider.reject("abc.def")
    assert await provider.token(no_exchange) == "abc.def"
    assert "abc" not in repr(provider)
    with pytest.raises(TypeError, match="does not pickle"):
        pickle.dumps(provider)


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX-Evil: 1", "a\x00", "tøken", "abc\n"])
def test_a_token_that_no_header_can_carry_is_refused_without_quoting_it(token: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        as_provider(token)
    assert not token or token not in str(caught.value)


async def test_a_callable_is_asked_for_each_call() -> None:
    asked: list[int] = []

    async def source() -> str:
        asked.append(1)
        return f"token-{len(asked)}"

    provider = as_provider(source)
    assert isinstance(provider, CallableToken)
    assert await provider.token(no_exchange) == "token-1"
    provider.reject("token-1")
    assert await provider.token(no_exchange) == "token-2"


async def test_a_callable_that_raises_gives_a_token_error_with_its_cause() -> None:
    async def source() -> str:
        raise LookupError(SECRET)

    error = await error_of(CallableToken(source).token(no_exchange))
    assert isinstance(error.__cause__, LookupError)
    assert str(error) == "the token callable failed with LookupError"


async def test_a_callables_own_token_error_passes_as_it_is() -> None:
    own = TokenError("vault is sealed", retry_after=3.0)

    async def source() -> str:
        raise own

    assert await error_of(CallableToken(source).token(no_exchange)) is own


@pytest.mark.parametrize("returned", ["", "a\nb", None, b"abc", 7])
async def test_a_callable_that_returns_no_token_gives_a_token_error(returned: Any) -> None:
    async def source() -> Any:
        return returned

    assert "no text that a header can carry" in str(await error_of(CallableToken(source).token(no_exchange)))


def test_a_provider_of_the_callers_own_is_taken_as_it_is() -> None:
    class Own:
        async def token(self, _exchange: object, /) -> str:
            return "abc"

        def reject(self, token: str, /) -> None: ...

    own = Own()
    assert isinstance(own, TokenProvider)
    assert as_provider(own) is own
    credentials = ClientCredentials("id", SECRET)
    assert as_provider(credentials) is credentials


def test_a_pair_is_an_id_and_its_secret() -> None:
    assert isinstance(as_provider(("id", "secret")), ClientCredentials)
    with pytest.raises(ConfigurationError, match="client_secret"):
        as_provider(("id", ""))


@pytest.mark.parametrize("auth", [None, 7, b"abc", ClientCredentials, str, ("id",), ("id", "secret", "x"), object()])
def test_anything_else_is_refused_and_the_message_says_what_to_pass(auth: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^auth is .*ClientCredentials\(client_id, client_secret\)"):
        as_provider(auth)


def test_a_lifetime_is_told_of_an_answer_that_holds_a_token_and_of_no_other() -> None:
    assert grant_lifetime(body("t", expires_in=90), UNIX_START) == 90
    assert grant_lifetime(b"{}", UNIX_START) is None


def test_of_an_answer_the_names_are_told_and_no_name_that_may_be_a_value() -> None:
    answer = body("t", expires_in=90, error_description="x", **{"canary-4711": "x", "a" * 41: "x"})
    assert grant_members(answer) == ("access_token", "expires_in", "error_description")
    for nothing in (b"", b"[]", b"<html>", b"[" * 100_000, b'{"access_token":"t","\xff":1}'):
        assert grant_members(nothing) == ()


def test_however_long_an_endpoint_asks_to_wait_it_is_asked_again_after_two_minutes() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, clock: VirtualClock) -> None:
        endpoint.failure = refused(429, retry_after=1e9)
        await error_of(credentials.token(endpoint))
        endpoint.failure = None
        error = await error_of(credentials.token(endpoint))
        assert len(endpoint.asked) == 1
        assert error.retry_after is not None
        assert 0 < error.retry_after <= 120
        await clock.sleep(120.0)
        assert await credentials.token(endpoint) == "t2"

    with_credentials(main)


def test_reopened_it_is_asked_at_once() -> None:
    async def main(credentials: ClientCredentials, endpoint: Endpoint, _clock: VirtualClock) -> None:
        endpoint.failure = refused(503, retry_after=100)
        await error_of(credentials.token(endpoint))
        endpoint.failure = None
        credentials.reopen()
        assert await credentials.token(endpoint) == "t2"

    with_credentials(main)
