"""Events are read as documented, tolerantly, and never lost."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async.errors import DecodeError
from amili_async.models import BatchState
from amili_async.webhooks import (
    AnyEvent,
    BatchCompleted,
    CaseCreated,
    CaseUpdated,
    SettlementCreated,
    UnknownEvent,
    parse_event,
)

STAMP = "2025-08-15T11:42:00Z"
MOMENT = datetime(2025, 8, 15, 11, 42, tzinfo=UTC)
BATCH = {"batchId": "b", "organizationId": "o", "status": "SUCCESS"}
CASE = {"orgId": "o", "caseId": "c", "caseNumber": "5000001", "type": "COLLECTION_NOTICE", "status": "OPEN"}


def event(data: object, **members: object) -> bytes:
    return json.dumps({"id": "1", "source": "COLLECTION", "timeStamp": STAMP, "data": data} | members).encode()


def test_a_completed_batch() -> None:
    headers = {"idempotencykey": "k", "X-Amili-Request-Id": "r"}
    assert parse_event(event(BATCH, type="BATCH_COMPLETED"), headers) == BatchCompleted(
        id="1",
        name="BATCH_COMPLETED",
        source="COLLECTION",
        time_stamp=MOMENT,
        idempotency_key="k",
        request_id="r",
        batch_id="b",
        organization_id="o",
        status=BatchState.SUCCESS,
    )


def test_a_created_settlement() -> None:
    data = {
        "settlementId": "s",
        "organizationId": "o",
        "settlementDate": "2025-08-15",
        "invoiceNumber": 12,
        "caseNumber": 7,
    }
    found = parse_event(event(data, type="SETTLEMENT_CREATED"))
    assert isinstance(found, SettlementCreated)
    assert (found.settlement_date, found.invoice_number, found.case_number) == (date(2025, 8, 15), "12", "7")


def test_cases_are_told_apart_by_their_event_type() -> None:
    created = parse_event(event(CASE | {"invoices": ["i", "j"]}, eventType="CASE"))
    assert type(created) is CaseCreated
    assert (created.organization_id, created.case_number, created.invoices) == ("o", "5000001", ("i", "j"))
    updated = parse_event(event(CASE | {"fields": ["status"]}, eventType="CASE_UPDATED"))
    assert isinstance(updated, CaseUpdated)
    assert updated.fields == ("status",)


def test_the_name_is_the_type_else_the_event_type_else_the_header() -> None:
    header = {"x-amili-event": "FROM_HEADER"}
    assert parse_event(event({}, type="A", eventType="B"), header).name == "A"
    assert parse_event(event({}, type="", eventType="B"), header).name == "B"
    assert parse_event(event({}), header).name == "FROM_HEADER"
    assert parse_event(event({})).name == ""


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("BATCH_COMPLETED", {"organizationId": "o"}),
        ("BATCH_COMPLETED", {"batchId": "b"}),
        ("SETTLEMENT_CREATED", {"settlementId": "s"}),
        ("SETTLEMENT_CREATED", {"settlementId": 1, "organizationId": "o"}),
        ("CASE", {"caseId": "c"}),
        ("CASE_UPDATED", None),
        ("SOMETHING_ELSE", BATCH),
    ],
)
def test_what_is_not_as_documented_is_kept_whole(name: str, data: object) -> None:
    body = event(data, type=name)
    found = parse_event(body)
    assert isinstance(found, UnknownEvent)
    assert (found.name, found.id, found.raw) == (name, "1", body)
    assert "raw" not in repr(found)


@pytest.mark.parametrize(
    ("members", "moment"),
    [
        ({"timeStamp": "2025-08-15T11:42:00"}, MOMENT),
        ({"timeStamp": "2025-08-15T13:42:00+02:00"}, MOMENT),
        ({"timeStamp": "yesterday"}, None),
        ({"timeStamp": 1755258120, "id": 7, "source": None}, None),
    ],
)
def test_an_envelope_may_be_odd(members: dict[str, Any], moment: datetime | None) -> None:
    found = parse_event(event(BATCH, type="BATCH_COMPLETED", **members))
    assert isinstance(found, BatchCompleted)
    assert found.time_stamp == moment


def test_an_unknown_batch_state_is_kept() -> None:
    found = parse_event(event(BATCH | {"status": "FROZEN"}, type="BATCH_COMPLETED"))
    assert isinstance(found, BatchCompleted)
    assert found.status == "FROZEN"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_a_decode_error_with_its_bytes(body: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        parse_event(body)
    assert caught.value.body == body[: 64 * 1024]


members = st.sampled_from(["batchId", "orgId", "organizationId", "caseId", "settlementId", "invoices", "status"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["BATCH_COMPLETED", "SETTLEMENT_CREATED", "CASE", "CASE_UPDATED", "OTHER"])


@given(name=names, data=json_values | st.dictionaries(members, json_values))
def test_any_json_object_is_an_event_that_pickles(name: str, data: object) -> None:
    found: AnyEvent = parse_event(event(data, type=name))
    assert found.name == name
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301  # our own bytes
