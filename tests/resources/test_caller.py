"""What resources call with: drift is told under its operation, and each list may have its own rule for bad rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amili_async import Batch, ConfigurationError, DecodeError, Drift, QuarantinedRow
from amili_async.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from amili_async import AmiliClient
    from tests.transport.calls import ClientMaker


class Listener:
    """A hook that keeps what it is told."""

    def __init__(self) -> None:
        self.drifts: list[Drift] = []
        self.rows: list[QuarantinedRow] = []

    def on_drift(self, record: Drift, /) -> None:
        self.drifts.append(record)

    def on_quarantine(self, record: QuarantinedRow, /) -> None:
        self.rows.append(record)


async def test_the_drift_of_a_read_is_told_once_under_its_operation(
    make_client: ClientMaker, sandbox: Sandbox, organization: str
) -> None:
    body = '{"data": {"batchId": 5, "type": "NEW", "new": 1, "succeeded": [{"$type": "new"}]}}'
    sandbox.faults.add(Fault("batches.get", status=200, body=body))
    listener = Listener()
    client = make_client(hooks=[listener])
    for _ in range(2):
        assert (await client.batches.get(organization, "b")).batch_id == "5"
    assert {(drift.operation, drift.kind, drift.path) for drift in listener.drifts} == {
        ("batches.get", "leniency", "$.data.batchId"),
        ("batches.get", "member", "$.data.new"),
        ("batches.get", "value", "$.data.type"),
        ("batches.get", "type", "$.data.succeeded[...].$type"),
    }
    assert len(listener.drifts) == 4


@pytest.mark.amili(generation="G1")
async def test_the_drift_of_a_write_s_answer_is_told(
    make_client: ClientMaker, sandbox: Sandbox, organization: str
) -> None:
    sandbox.faults.add(Fault("invoices.pause", status=202, body='{"data": {"batchId": "b", "state": "QUEUED"}}'))
    listener = Listener()
    await make_client(hooks=[listener]).invoices.pause(organization, "i")
    assert listener.drifts == [Drift(operation="invoices.pause", kind="member", path="$.data.state", found="state")]


@pytest.mark.parametrize("rule", ["raise", "skip", "call"])
async def test_a_list_may_have_its_own_rule_for_rows_that_cannot_be_read(
    make_client: ClientMaker, sandbox: Sandbox, organization: str, rule: str
) -> None:
    sandbox.faults.add(Fault("batches.list", "bad-row", page=1, row=1))
    kept: list[QuarantinedRow] = []
    listener = Listener()
    client: AmiliClient = make_client(hooks=[listener], on_invalid="skip" if rule == "raise" else "raise")
    if rule == "raise":
        with pytest.raises(DecodeError):
            await client.batches.list(organization, on_invalid="raise").collect()
        return
    batches = await client.batches.list(organization, on_invalid="skip" if rule == "skip" else kept.append).collect()
    assert len(batches) == 7
    assert all(isinstance(batch, Batch) for batch in batches)
    assert [row.index for row in (kept if rule == "call" else listener.rows)] == [1]


def test_a_rule_that_there_is_not_is_refused(client: AmiliClient, organization: str) -> None:
    with pytest.raises(ConfigurationError, match="on_invalid must be"):
        client.batches.list(organization, on_invalid="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # what it refuses
