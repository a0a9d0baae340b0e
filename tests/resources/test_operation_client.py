"""Callers: an operation's name and ids become one call, read by the reader that its type has in this client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from amili_async import (
    AmiliClient,
    Batch,
    BatchState,
    ConfigurationError,
    DecodeError,
    NotFoundError,
    OutcomeUnknownError,
    SucceededEntry,
    UnknownEntry,
)
from amili_async.resources._operation_client import OperationClient, Readers
from amili_async.sandbox import Fault

if TYPE_CHECKING:
    from amili_async.events import Drift, QuarantinedRow
    from amili_async.sandbox import Sandbox
    from tests.support.factories import ClientFactory


class PaymentSuccess(SucceededEntry, tag="paymentSuccess", frozen=True, kw_only=True):
    payment_id: str


class OtherPaymentSuccess(SucceededEntry, tag="paymentSuccess", frozen=True, kw_only=True):
    payment_id: str


PAID = Fault(
    "batches.get", body='{"data":{"batchId":"b-1","succeeded":[{"$type":"paymentSuccess","paymentId":"p-1"}]}}'
)


def caller_of(client: AmiliClient) -> OperationClient:
    return client._caller  # pyright: ignore[reportPrivateUsage]  # what resources call with has no other way in


# Readers


def test_a_type_has_one_reader() -> None:
    readers = Readers(())
    assert readers.of(Batch) is readers.of(Batch)
    assert readers.of(Batch) is not readers.of(object)
    assert readers.of(Batch) is not Readers(()).of(Batch)


def test_one_tag_taught_twice_is_refused_while_the_client_is_made() -> None:
    with pytest.raises(ConfigurationError, match="paymentSuccess"):
        AmiliClient("token", entry_types=(PaymentSuccess, OtherPaymentSuccess))


async def test_what_one_client_was_taught_another_does_not_know(make_client: ClientFactory, sandbox: Sandbox) -> None:
    sandbox.faults.add(PAID)
    taught, untaught = make_client(entry_types=(PaymentSuccess,)), make_client()
    assert (await taught.batches.get("o-1", "b-1")).succeeded == (PaymentSuccess(payment_id="p-1"),)
    (entry,) = (await untaught.batches.get("o-1", "b-1")).succeeded
    assert isinstance(entry, UnknownEntry)
    assert (await taught.with_options(deadline=5.0).batches.get("o-1", "b-1")).succeeded == (
        PaymentSuccess(payment_id="p-1"),
    )


# Calls


async def test_a_call_carries_what_it_was_given(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add('corrections.create:status=202,body="accepted"')
    answer = await caller_of(client).send(
        "corrections.create",
        "o/1",
        read=bytes,
        query=(("a", "b c"), ("left", None)),
        body=b"{}",
        content_type="application/json-patch+json",
        headers={"X-Trace": "t-1"},
        idempotency_key="key-1",
    )
    assert answer == b"accepted"
    sent = sandbox.requests.last()
    assert (sent.method, sent.target.partition("v1")[2]) == ("POST", "/orgs/o%2F1/corrections?a=b%20c")
    assert sent.body == b"{}"
    assert sent.headers["content-type"] == "application/json-patch+json"
    assert (sent.headers["x-trace"], sent.headers["idempotencykey"]) == ("t-1", "key-1")


async def test_a_read_is_repeated_and_a_write_is_not(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("*:close")
    caller = caller_of(client)
    with pytest.raises(OutcomeUnknownError) as caught:
        await caller.send("corrections.create", "o-1", read=bytes, body=b"{}", recovery_hint="ask Amili")
    assert caught.value.recovery_hint == "ask Amili"
    assert sandbox.requests.count("corrections.create") == 1
    sandbox.faults.clear()
    sandbox.faults.add("batches.get:close,count=1", PAID)
    await caller.get("batches.get", "o-1", "b-1", type=Batch)
    assert sandbox.requests.count("batches.get") == 2


async def test_an_authorization_of_its_own_stands_in_for_the_token(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add('*:status=200,body="pong"')
    await caller_of(client).send("autocollect.ping", read=bytes, basic="Basic c2VuZGVyOng=")
    assert sandbox.requests.last().headers["authorization"] == "Basic c2VuZGVyOng="


@pytest.mark.parametrize("ids", [(), ("o-1",), ("o-1", "b-1", "more")])
async def test_a_call_has_as_many_ids_as_its_path(client: AmiliClient, ids: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"zip\(\) argument 2"):
        await caller_of(client).get("batches.get", *ids, type=Batch)


@pytest.mark.parametrize(
    ("given", "name"),
    [({"headers": {"Authorization": "x"}}, "headers"), ({"idempotency_key": "a\nb"}, "idempotency_key")],
    ids=str,
)
async def test_what_cannot_be_sent_is_refused(client: AmiliClient, sandbox: Sandbox, given: Any, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^corrections.create: {name}|^{name}"):
        await caller_of(client).send("corrections.create", "o-1", read=bytes, **given)
    assert sandbox.requests.total == 0


async def test_a_copy_calls_with_its_own_options(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(PAID)
    copy = client.with_options(headers={"X-Trace": "t-1"})
    await copy.batches.get("o-1", "b-1")
    assert sandbox.requests.last().headers["x-trace"] == "t-1"
    await client.batches.get("o-1", "b-1")
    assert "x-trace" not in sandbox.requests.last().headers
    assert caller_of(copy).transport is caller_of(client).transport
    assert caller_of(copy).readers is caller_of(client).readers
    assert caller_of(copy).routes is caller_of(client).routes


# Drift


async def test_drift_says_which_operation_it_was_met_in_once_for_each_spot(
    make_client: ClientFactory, sandbox: Sandbox
) -> None:
    told: list[tuple[str, str, str]] = []

    class Hook:
        def on_drift(self, record: Drift, /) -> None:
            told.append((record.operation, record.kind, record.found))

    sandbox.faults.add(Fault("batches.*", body='{"data":{"batchId":"b-1","status":"NEW","member":1}}'))
    listening = make_client(hooks=[Hook()])
    for _ in range(2):
        batch = await listening.batches.get("o-1", "b-1")
        assert batch.state == BatchState("NEW")
    await listening.batches.get_by_id("b-1")
    assert sorted(told) == [
        ("batches.get", "member", "member"),
        ("batches.get", "value", "NEW"),
        ("batches.get_by_id", "member", "member"),
        ("batches.get_by_id", "value", "NEW"),
    ]
    assert caller_of(make_client()).drift("batches.get") is None


async def test_an_error_says_which_operation_it_is_of(client: AmiliClient) -> None:
    with pytest.raises(NotFoundError) as caught:
        await client.batches.get("5579c111-9c50-47e2-af92-f16d52e63189", "b-1")
    assert (caught.value.operation, caught.value.method) == ("batches.get", "GET")
    assert caught.value.route == "/orgs/{organization_id}/batches/{batch_id}"


@pytest.mark.parametrize("rule", ["raise", "skip", "call"])
async def test_a_list_may_have_its_own_rule_for_rows_that_cannot_be_read(
    make_client: ClientFactory, sandbox: Sandbox, rule: str
) -> None:
    sandbox.faults.add(Fault("batches.list", "bad-row", page=1, row=1))
    client = make_client(on_invalid="skip" if rule == "raise" else "raise")
    kept: list[QuarantinedRow] = []
    organization = sandbox.organization_ids[0]
    if rule == "raise":
        with pytest.raises(DecodeError):
            await client.batches.list(organization, on_invalid="raise").collect()
        return
    batches = await client.batches.list(organization, on_invalid="skip" if rule == "skip" else kept.append).collect()
    assert len(batches) == 7
    assert [row.index for row in kept] == ([1] if rule == "call" else [])


def test_a_rule_that_there_is_not_is_refused(client: AmiliClient) -> None:
    with pytest.raises(ConfigurationError, match="on_invalid must be"):
        client.batches.list("o", on_invalid="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # what it refuses
