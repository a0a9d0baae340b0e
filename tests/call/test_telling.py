"""What hooks and the log are told of a call, and that neither can break it or learn a secret."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from amili_async import RetryPolicy
from amili_async._protocol.rate import FIRST
from amili_async.errors import AmiliError, ConfigurationError, ServerError
from amili_async.sandbox import Fault
from tests.support.calls import ACCEPTED, READ, WRITE

if TYPE_CHECKING:
    from collections.abc import Callable

    from amili_async.events import (
        AttemptEnded,
        CallEnded,
        CallStarted,
        GateClosed,
        RateLearned,
        RetryPlanned,
        TokenRequested,
    )
    from amili_async.sandbox import Sandbox
    from tests.support.calls import Calls
    from tests.support.factories import ClientFactory


class Everything:
    """A hook that keeps whatever it is told."""

    def __init__(self) -> None:
        self.told: list[msgspec.Struct] = []

    def on_call_start(self, record: CallStarted) -> None:
        self.told.append(record)

    def on_attempt(self, record: AttemptEnded) -> None:
        self.told.append(record)

    def on_retry(self, record: RetryPlanned) -> None:
        self.told.append(record)

    def on_gate(self, record: GateClosed) -> None:
        self.told.append(record)

    def on_rate(self, record: RateLearned) -> None:
        self.told.append(record)

    def on_token(self, record: TokenRequested) -> None:
        self.told.append(record)

    def on_call(self, record: CallEnded) -> None:
        self.told.append(record)

    @property
    def names(self) -> list[str]:
        return [type(record).__name__ for record in self.told]

    def fields(self, name: str) -> list[dict[str, Any]]:
        return [msgspec.structs.asdict(record) for record in self.told if type(record).__name__ == name]


@pytest.fixture
def hook() -> Everything:
    return Everything()


async def test_a_request_that_ran_out_of_time_is_repeated_for_that_reason(
    hook: Everything, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"{READ}:hang,count=1")
    await calls.read(make_client(hooks=[hook], timeout=3))
    assert [record["reason"] for record in hook.fields("RetryPlanned")] == ["timeout"]
    (asked,) = hook.fields("TokenRequested")
    assert asked["lifetime"] == 600


async def test_a_call_is_told_from_its_start_to_its_end(
    hook: Everything, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(
        f"{READ}:status=429,retry_after=7,count=1,latency=2", f"{READ}:reset,count=1", f"{READ}:latency=3,skip=2"
    )
    await calls.read(make_client(hooks=[hook]))
    assert hook.names == [
        "CallStarted",
        "TokenRequested",
        "GateClosed",
        "RateLearned",
        "AttemptEnded",
        "RetryPlanned",
        "AttemptEnded",
        "RetryPlanned",
        "AttemptEnded",
        "CallEnded",
    ]
    (started,) = hook.fields("CallStarted")
    where = {"operation": READ, "method": "GET", "route": "/orgs/{organization_id}/batches/{batch_id}"}
    number = started["call"]
    assert started == {"call": number, **where, "server_address": "127.0.0.1", "server_port": sandbox.port}
    refused, dropped, answered = hook.fields("AttemptEnded")
    assert refused | {"received_bytes": 0} == {
        "call": number,
        **where,
        "attempt": 1,
        "status": 429,
        "error": "RateLimitedError",
        "seconds": pytest.approx(2.0),
        "sent_bytes": 0,
        "received_bytes": 0,
        "request_id": f"sandbox-{sandbox.requests.of(READ)[0].number}",
        "date": refused["date"],
    }
    assert str(refused["date"]).endswith(" GMT")
    assert (dropped["attempt"], dropped["status"], dropped["error"], dropped["date"]) == (
        2,
        None,
        "TransportError",
        None,
    )
    assert (answered["attempt"], answered["status"], answered["error"]) == (3, 200, None)
    assert answered["seconds"] == pytest.approx(3.0)
    first, second = hook.fields("RetryPlanned")
    assert (first["attempt"], first["reason"], second["attempt"], second["reason"]) == (1, "429", 2, "interrupted")
    assert first["wait"] >= 7.0
    assert hook.fields("GateClosed") == [{"operation": READ, "seconds": 7.0}]
    (ended,) = hook.fields("CallEnded")
    assert (ended["call"], ended["attempts"], ended["status"], ended["error"]) == (number, 3, 200, None)
    # The second one was dropped, and the pace that the 429 taught lets the third go an interval after it.
    for_the_pace = max(0.0, 1 / FIRST - second["wait"])
    assert ended["gate_seconds"] == pytest.approx(first["wait"] + for_the_pace)
    assert ended["pause_seconds"] == pytest.approx(second["wait"])
    assert ended["seconds"] == pytest.approx(5.0 + first["wait"] + for_the_pace + second["wait"])
    assert ended["received_bytes"] == answered["received_bytes"] > 100


async def test_a_call_that_fails_is_told_with_its_errors_class(
    hook: Everything, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"{WRITE}:status=500")
    with pytest.raises(AmiliError):
        await calls.write(make_client(hooks=[hook]))
    (ended,) = hook.fields("CallEnded")
    assert (ended["error"], ended["status"], ended["attempts"]) == ("OutcomeUnknownError", 500, 1)
    (attempt,) = hook.fields("AttemptEnded")
    assert attempt["sent_bytes"] == len(sandbox.requests.last(WRITE).body)


async def test_where_the_time_went_is_told(
    hook: Everything, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add("token:latency=4", f"{READ}:latency=1")
    await calls.read(make_client(hooks=[hook]))
    (ended,) = hook.fields("CallEnded")
    assert ended["token_seconds"] == pytest.approx(4.0)
    assert ended["gate_seconds"] == ended["slot_seconds"] == ended["pause_seconds"] == 0.0
    assert ended["seconds"] == pytest.approx(5.0)


async def test_records_cannot_be_changed(
    hook: Everything, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"{READ}:status=429,retry_after=1,count=1")
    await calls.read(make_client(hooks=[hook]))
    assert len({type(record) for record in hook.told}) == 7
    for record in hook.told:
        with pytest.raises(AttributeError):
            setattr(record, record.__struct_fields__[0], None)


async def test_a_hook_of_one_method_is_told_that_and_costs_no_other(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    waits: list[float] = []

    class OnRetry:
        def on_retry(self, record: RetryPlanned) -> None:
            waits.append(record.wait)

    sandbox.faults.add(f"{READ}:status=500,count=2")
    await calls.read(make_client(hooks=[OnRetry()]))
    assert len(waits) == 2


def test_a_hook_without_a_method_of_a_hook_is_refused(make_client: ClientFactory) -> None:
    with pytest.raises(ConfigurationError, match=r"^hooks: object has no method of a hook"):
        make_client(hooks=[object()])


class Raising:
    """A hook all of whose methods raise."""

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("on_"):
            raise AttributeError(name)

        def fail(_record: object) -> None:
            raise RuntimeError(f"{name} is broken")

        return fail


async def test_a_hook_that_raises_is_logged_once_for_each_method_and_ignored(
    hook: Everything,
    make_client: ClientFactory,
    sandbox: Sandbox,
    calls: Calls,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = make_client(hooks=[Raising(), hook])
    with sandbox.faults.during(f"{READ}:status=429,retry_after=1,count=1"):
        await calls.read(client)
    for _ in range(5):
        await calls.read(client)
    failures = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    methods = ("on_call_start", "on_token", "on_gate", "on_rate", "on_attempt", "on_retry", "on_call")
    assert failures == [f"hook Raising.{name} failed; its further failures are not logged" for name in methods]
    assert hook.names.count("CallEnded") == 6


async def test_a_hook_that_lets_through_what_is_no_exception_ends_the_call_and_leaks_nothing(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    class Interrupting:
        armed = True

        def on_attempt(self, _record: AttemptEnded) -> None:
            if self.armed:
                self.armed = False
                raise KeyboardInterrupt

    client = make_client(hooks=[Interrupting()], concurrency=1)
    with pytest.raises(KeyboardInterrupt):
        await calls.read(client)
    await calls.read(client)
    assert sandbox.requests.count(READ) == 2


@pytest.mark.parametrize(
    "returned",
    [
        {"Authorization": "Bearer mine"},
        {"authorization": "Bearer mine"},
        {"X-A": "1\r\nX-Evil: 1"},
        {"Host": "evil.example"},
        {"X-A": 7},
        "wrong-schema",
        7,
    ],
)
async def test_headers_that_a_hook_may_not_add_are_ignored_and_the_call_goes_on(
    returned: Any, make_client: ClientFactory, sandbox: Sandbox, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    class Adding:
        def on_call_start(self, _record: CallStarted) -> Any:
            return returned

    await calls.read(make_client(hooks=[Adding()]))
    headers = sandbox.requests.last(READ).headers
    assert headers["authorization"].startswith("Bearer sandbox-")
    assert "x-evil" not in headers
    assert "x-a" not in headers
    assert "hook Adding.on_call_start failed" in caplog.text


async def test_headers_of_hooks_are_sent_with_every_attempt(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    class Tracing:
        def on_call_start(self, record: CallStarted) -> dict[str, str]:
            return {"traceparent": f"00-{record.call}"}

    sandbox.faults.add(f"{READ}:status=500,count=2")
    client = make_client(hooks=[Tracing()])
    await calls.read(client)
    await calls.read(client)
    sent = [request.headers["traceparent"] for request in sandbox.requests.of(READ)]
    assert sent[0] == sent[1] == sent[2] != sent[3]


# -- the log


async def test_the_log_has_a_line_for_each_attempt_and_for_each_repeat(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.faults.add(f"{READ}:status=503,retry_after=4,count=1")
    client = make_client(sandbox.issue_token())
    with caplog.at_level(logging.DEBUG, "amili_async"):
        await calls.read(client)
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in lines] == ["DEBUG", "INFO", "DEBUG"]
    assert lines[0][1].startswith(f"{READ} attempt 1: 503 in ")
    assert lines[1][1].startswith(f"{READ} attempt 1 failed (503), repeating in ")
    assert lines[2][1].startswith(f"{READ} attempt 2: 200 in ")
    assert {record.name for record in caplog.records} == {"amili_async"}


async def test_at_info_a_call_without_trouble_logs_nothing(
    make_client: ClientFactory, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "amili_async"):
        await calls.read(make_client())
    assert caplog.records == []


async def test_neither_log_nor_records_hold_a_query_value_a_body_or_a_debtor(
    hook: Everything, make_client: ClientFactory, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    hidden = "Kari-Nordmann"
    client = make_client(hooks=[hook], retry=RetryPolicy(max_wait=0.0))
    sandbox.faults.add(
        f"{WRITE}:status=429,count=1",
        Fault(WRITE, status=422, body=f'{{"message": "{hidden} is unknown"}}'),
        "batches.list:status=500",
    )
    with caplog.at_level(logging.DEBUG):
        with pytest.raises(AmiliError):
            await client.request(
                "POST",
                f"/orgs/{hidden}/invoices",
                query={"CustomerNumber": hidden},
                json={"name": hidden},
                idempotency_key=hidden,
                headers={"X-Debtor": hidden},
            )
        with pytest.raises(ServerError):
            await client.batches.list(hidden, subject_id=hidden, page_token=hidden).collect()
    assert hidden in sandbox.requests.last("batches.list").target
    logged = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    assert len(caplog.records) > 6
    assert hidden not in logged
    assert hidden not in repr(hook.told)


async def test_nobody_listening_costs_no_record(
    make_client: ClientFactory, calls: Calls, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[str] = []

    def instead_of(name: str) -> Callable[..., None]:
        def make(**_fields: object) -> None:
            made.append(name)

        return make

    for name in ("AttemptEnded", "CallEnded", "CallStarted"):
        monkeypatch.setattr(f"amili_async._call.transport.{name}", instead_of(name))
    with caplog.at_level(logging.WARNING, "amili_async"):
        await calls.read(make_client())
    assert made == []


async def test_the_write_that_is_accepted_is_told_with_its_status(
    hook: Everything, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(ACCEPTED)
    await calls.write(make_client(hooks=[hook]))
    (ended,) = hook.fields("CallEnded")
    assert (ended["status"], ended["error"], ended["method"]) == (202, None, "POST")
