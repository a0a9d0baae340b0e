"""Who is told what, and that no hook can break what it is told of. Calls with hooks are in tests/transport."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from amili_async._call.hooks import METHODS, Hooks, logger
from amili_async.errors import ConfigurationError
from amili_async.events import (
    CallStarted,
    Drift,
    GateClosed,
    Hook,
    QuarantinedRow,
    RateLearned,
    RetryPlanned,
    TokenRequested,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

STARTED = CallStarted(
    call=1, operation="batches.list", method="GET", route="/batches", server_address="127.0.0.1", server_port=80
)


class Listener:
    """A hook of the methods that it is given."""

    def __init__(self, *methods: str, returns: object = None) -> None:
        self.told: list[tuple[str, object]] = []
        for name in methods:
            setattr(self, name, self._listener(name, returns))

    def _listener(self, name: str, returns: object) -> Any:
        def listen(record: object) -> object:
            self.told.append((name, record))
            return returns

        return listen


def drift(path: str = "$.data[...].x", found: str = "x") -> Drift:
    return Drift(operation="batches.list", kind="member", path=path, found=found)


def test_the_methods_are_those_that_are_documented() -> None:
    assert set(METHODS) == {name for name in dir(Hook) if name.startswith("on_")}


@pytest.mark.parametrize("name", METHODS)
def test_a_hook_of_one_method_is_told_that(name: str) -> None:
    listener = Listener(name)
    hooks = Hooks([listener])
    assert hooks.calls == (name in {"on_call_start", "on_call"})
    hooks.start(STARTED)
    hooks.gate(GateClosed(operation="x", seconds=1.0))
    hooks.rate(RateLearned(operation="x", rate=2.0, burst=1.0))
    hooks.token(TokenRequested(outcome="renewed"))
    hooks.drift(drift())
    row = QuarantinedRow(index=0, path="$", reason="x", raw=b"")
    for method in ("on_call", "on_attempt", "on_retry", "on_quarantine"):
        hooks.tell(method, row)  # pyright: ignore[reportArgumentType]  # one of its names
    assert [told for told, _ in listener.told] == [name]


@pytest.mark.parametrize("hook", [object(), None, "on_call", Listener(), Listener])
def test_what_has_no_method_of_a_hook_is_refused_by_name(hook: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^hooks: .* has no method of a hook; give it one of on_call_start"):
        Hooks([hook])


def test_listening_says_whether_anybody_does() -> None:
    hooks = Hooks([Listener("on_drift")])
    assert hooks.listening("on_drift")
    assert not hooks.listening("on_quarantine")


def test_headers_of_several_hooks_are_put_together_the_last_one_counting() -> None:
    first = Listener("on_call_start", returns={"X-A": "1", "X-B": "1"})
    second = Listener("on_call_start", returns={"X-B": "2"})
    assert Hooks([first, Listener("on_call_start"), second]).start(STARTED) == {"X-A": "1", "X-B": "2"}


@pytest.mark.parametrize("returned", [{"Authorization": "x"}, {"X-A": "a\nb"}, {"X-A": 7}, 7, "x", [1]])
def test_headers_that_may_not_be_added_are_left_out_and_logged(
    returned: object, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = Hooks([Listener("on_call_start", returns=returned), Listener("on_call_start", returns={"X-B": "2"})])
    assert hooks.start(STARTED) == {"X-B": "2"}
    assert "hook Listener.on_call_start failed" in caplog.text


def test_a_failure_is_logged_once_for_each_hook_and_method(caplog: pytest.LogCaptureFixture) -> None:
    class Failing:
        def on_gate(self, _record: object) -> None:
            raise RuntimeError("gate")

        def on_token(self, _record: object) -> None:
            raise RuntimeError("token")

    hooks = Hooks([Failing(), Failing()])
    for _ in range(3):
        hooks.tell("on_gate", GateClosed(operation="x", seconds=1.0))
        hooks.tell("on_token", TokenRequested(outcome="failed"))
    assert [record.getMessage() for record in caplog.records] == [
        "hook Failing.on_gate failed; its further failures are not logged",
        "hook Failing.on_gate failed; its further failures are not logged",
        "hook Failing.on_token failed; its further failures are not logged",
        "hook Failing.on_token failed; its further failures are not logged",
    ]
    assert all(record.exc_info is not None for record in caplog.records)


def test_each_drift_is_told_once_and_only_so_many_are() -> None:
    listener = Listener("on_drift")
    hooks = Hooks([listener])
    for number in range(10_050):
        hooks.drift(drift(found=str(number)))
        hooks.drift(drift(found=str(number)))
    assert len(listener.told) == 10_000


def test_a_logger_without_a_level_for_it_gets_no_line(caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener("on_gate", "on_token", "on_retry")
    hooks = Hooks([listener])
    planned = RetryPlanned(call=1, operation="x", method="GET", route="/", attempt=1, wait=1.0, reason="503")
    with caplog.at_level(logging.CRITICAL, "amili_async"):
        hooks.gate(GateClosed(operation="x", seconds=1.0))
        hooks.token(TokenRequested(outcome="failed"))
        hooks.retry(planned)
    assert caplog.records == []
    assert len(listener.told) == 3


def test_the_package_logs_through_one_logger_and_leaves_its_level_to_the_program() -> None:
    assert logger.name == "amili_async"
    assert logger.level == logging.NOTSET


def test_a_hook_may_return_any_mapping() -> None:
    class Headers(dict[str, str]):
        pass

    returned: Mapping[str, str] = Headers({"X-A": "1"})
    assert Hooks([Listener("on_call_start", returns=returned)]).start(STARTED) == {"X-A": "1"}


def test_one_more_hook_is_told_while_its_block_runs_and_no_longer() -> None:
    kept, added = Listener("on_gate"), Listener("on_gate", "on_call")
    hooks = Hooks([kept])

    def work() -> None:
        with hooks.with_one_more(added):
            assert hooks.calls
            hooks.gate(GateClosed(operation="x", seconds=1.0))
            raise LookupError

    with pytest.raises(LookupError):
        work()
    assert not hooks.calls
    hooks.gate(GateClosed(operation="x", seconds=1.0))
    assert (len(kept.told), len(added.told)) == (2, 1)


# -- async ones


class Async:
    async def on_gate(self, record: GateClosed) -> None: ...


class AsyncStream:
    async def on_gate(self, record: GateClosed) -> Any:
        yield record


class AsyncCalled:
    async def __call__(self, record: GateClosed) -> None: ...


class Holder:
    def __init__(self, on_gate: object) -> None:
        self.on_gate = on_gate


@pytest.mark.parametrize(
    "hook",
    [Async(), AsyncStream(), Holder(AsyncCalled()), Holder(partial(Async().on_gate)), Holder(partial(AsyncCalled()))],
    ids=lambda hook: type(hook).__name__,
)
def test_an_async_method_is_refused_since_nobody_would_await_it(hook: object) -> None:
    with pytest.raises(ConfigurationError, match=r"on_gate must be a plain function: nobody would await an async one"):
        Hooks([hook])


def test_a_plain_function_in_whatever_wrapping_is_taken() -> None:
    told: list[object] = []
    hooks = Hooks([Holder(partial(told.append)), Holder(told.append)])
    hooks.gate(GateClosed(operation="x", seconds=1.0))
    assert len(told) == 2


def test_a_learnt_rate_is_logged_where_it_has_changed_by_a_tenth(caplog: pytest.LogCaptureFixture) -> None:
    hooks = Hooks([])
    with caplog.at_level(logging.INFO, "amili_async"):
        for rate in (20.0, 20.5, 19.0, 10.0, 10.5):
            hooks.rate(RateLearned(operation="x", rate=rate, burst=1.0))
    assert [record.getMessage() for record in caplog.records] == [
        "x: rate limited, calls go at 20 a second",
        "x: rate limited, calls go at 10 a second",
    ]
