"""The log lines of a client: one an attempt, with its values as extra fields, and nothing that is nobody's business."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from amili_async import AmiliClient, BatchState, ClientCredentials, OutcomeUnknownError, RetryPolicy
from amili_async.events import AttemptEnded, GateClosed, RetryPlanned, TokenRequested
from amili_async.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    import msgspec

    from tests.support.factories import ClientFactory


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    return {"organizations": 1, "batches": 30, "page_size": 10}


@pytest.fixture
def amili(make_client: ClientFactory) -> AmiliClient:
    return make_client(retry=RetryPolicy(max_wait=0.001))


def fields(record: logging.LogRecord) -> dict[str, object]:
    return {name.removeprefix("amili_"): value for name, value in vars(record).items() if name.startswith("amili_")}


def events(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if fields(record).get("event") == event]


async def test_each_attempt_is_a_line_with_its_values_as_fields(
    caplog: pytest.LogCaptureFixture, sandbox: Sandbox, amili: AmiliClient
) -> None:
    with caplog.at_level(logging.DEBUG, "amili_async"):
        await amili.batches.list(sandbox.organization_ids[0]).collect()

    first, *_ = lines = events(caplog, "attempt")
    assert [record.levelno for record in lines] == [logging.DEBUG] * 3
    assert first.name == "amili_async"
    assert first.getMessage().startswith("batches.list attempt 1: 200 in ")
    assert {**fields(first), "seconds": 0, "received_bytes": 0, "call": 0, "request_id": "", "date": ""} == {
        "event": "attempt",
        "call": 0,
        "operation": "batches.list",
        "method": "GET",
        "route": "/orgs/{organization_id}/batches",
        "attempt": 1,
        "status": 200,
        "error": None,
        "seconds": 0,
        "sent_bytes": 0,
        "received_bytes": 0,
        "request_id": "",
        "date": "",
    }


async def test_a_retry_is_information_and_a_rate_limit_a_warning(
    caplog: pytest.LogCaptureFixture, sandbox: Sandbox, amili: AmiliClient
) -> None:
    sandbox.faults.add(Fault("batches.list", status=503, count=1))
    sandbox.faults.add(Fault("batches.list", status=429, retry_after=0.001, count=1))

    with caplog.at_level(logging.INFO, "amili_async"):
        await amili.batches.list(sandbox.organization_ids[0]).first()

    retries, gates = events(caplog, "retry"), events(caplog, "gate")
    assert [(record.levelno, fields(record)["reason"]) for record in retries] == [(20, "503"), (20, "429")]
    assert [(record.levelno, fields(record)["operation"]) for record in gates] == [(30, "batches.list")]
    assert events(caplog, "attempt") == []


async def test_a_token_is_a_line_and_a_refused_one_a_warning(
    caplog: pytest.LogCaptureFixture, sandbox: Sandbox, amili: AmiliClient
) -> None:
    with caplog.at_level(logging.DEBUG, "amili_async"):
        await amili.batches.list(sandbox.organization_ids[0]).first()
        sandbox.revoke_tokens()
        await amili.batches.list(sandbox.organization_ids[0]).first()

    lines = [(record.levelno, fields(record)["outcome"]) for record in events(caplog, "token")]
    assert lines == [(logging.DEBUG, "renewed"), (logging.WARNING, "rejected"), (logging.DEBUG, "renewed")]


@pytest.mark.parametrize(
    ("event", "record"),
    [("attempt", AttemptEnded), ("retry", RetryPlanned), ("gate", GateClosed), ("token", TokenRequested)],
)
async def test_a_line_has_the_same_fields_every_time(
    caplog: pytest.LogCaptureFixture,
    sandbox: Sandbox,
    amili: AmiliClient,
    event: str,
    record: type[msgspec.Struct],
) -> None:
    sandbox.faults.add(Fault("batches.list", "reset", count=1))
    sandbox.faults.add(Fault("batches.list", status=429, retry_after=0.001, count=1))

    with caplog.at_level(logging.DEBUG, "amili_async"):
        await amili.batches.list(sandbox.organization_ids[0]).first()

    found = [set(fields(line)) for line in events(caplog, event)]
    assert found
    assert all(names == {"event", *record.__struct_fields__} for names in found)


async def test_a_hook_that_fails_is_logged_once(caplog: pytest.LogCaptureFixture, sandbox: Sandbox) -> None:
    class Broken:
        def on_attempt(self, _: AttemptEnded, /) -> None:
            raise RuntimeError("the hook is broken")

    async with AmiliClient(
        ClientCredentials(*sandbox.credentials),
        base_url=sandbox.base_url,
        token_url=sandbox.token_url,
        hooks=[Broken()],
    ) as amili:
        await amili.batches.list(sandbox.organization_ids[0]).collect()

    (line,) = caplog.records
    assert (line.levelno, fields(line)) == (logging.ERROR, {"event": "hook"})
    assert line.getMessage() == "hook Broken.on_attempt failed; its further failures are not logged"


async def test_no_line_shows_a_secret_an_id_a_query_value_or_a_body(
    caplog: pytest.LogCaptureFixture, sandbox: Sandbox, amili: AmiliClient
) -> None:
    organization = sandbox.organization_ids[0]
    secret = sandbox.credentials.client_secret
    sandbox.faults.add(Fault("batches.list", status=503, body="Kari Nordmann", count=1))
    sandbox.faults.add(Fault("batches.list", status=429, body="Kari Nordmann", count=1, retry_after=0.001))
    sandbox.faults.add(Fault("payments.create", status=500, body="Kari Nordmann"))

    with caplog.at_level(logging.DEBUG, "amili_async"):
        await amili.batches.list(organization, state=BatchState("SECRETSTATE")).collect()
        await amili.batches.list(organization).collect()
        sandbox.revoke_tokens()
        with pytest.raises(OutcomeUnknownError):
            await amili.request(
                "POST", f"/orgs/{organization}/payments", json={"debtor": "Kari"}, idempotency_key="key-4711"
            )

    text = "\n".join(f"{record.getMessage()} {fields(record)}" for record in caplog.records)
    bearers = [request.headers["authorization"].split()[1] for request in sandbox.requests.of("batches.list")]
    page_tokens = [request.query["PageToken"] for request in sandbox.requests if "PageToken" in request.query]
    assert len(caplog.records) > 5
    assert page_tokens
    for private in (
        secret,
        organization,
        "SECRETSTATE",
        "Kari",
        "key-4711",
        "Bearer",
        *bearers[1:],
        *page_tokens,
    ):
        assert private not in text


def test_where_nobody_configured_logging_warnings_and_errors_are_printed_and_nothing_else() -> None:
    script = """
from amili_async._call.hooks import Hooks
from amili_async.events import GateClosed, RetryPlanned
hooks = Hooks([])
hooks.gate(GateClosed(operation="batches.list", seconds=2.0))
hooks.retry(RetryPlanned(call=1, operation="batches.list", method="GET", route="/", attempt=1, wait=1.0, reason="503"))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=100)  # noqa: S603  # our own
    assert (run.stdout, run.stderr) == ("", "batches.list: rate limited, all calls wait 2.0 s\n")
