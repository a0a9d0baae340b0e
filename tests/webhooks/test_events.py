"""Events are read as documented, tolerantly, and never lost."""

from __future__ import annotations

import contextlib
import json
import pickle
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from amili_async.errors import ConfigurationError, DecodeError
from amili_async.models import BatchState, encode
from amili_async.webhooks import (
    AnyEvent,
    BatchCompleted,
    CaseCreated,
    CaseUpdated,
    Event,
    SettlementCreated,
    UnknownEvent,
    parse_event,
)
from amili_async.webhooks._events import read_event
from tests.support.examples import example
from tests.support.recorded_drift import RecordedDrift

STAMP = "2025-08-15T11:42:00Z"
MOMENT = datetime(2025, 8, 15, 11, 42, tzinfo=UTC)
BATCH = {"batchId": "b", "organizationId": "o", "status": "SUCCESS"}
CASE = {"orgId": "o", "caseId": "c", "caseNumber": "5000001", "type": "COLLECTION_NOTICE", "status": "OPEN"}


def event(data: object, **members: object) -> bytes:
    return json.dumps({"id": "1", "source": "COLLECTION", "timeStamp": STAMP, "data": data} | members).encode()


def test_a_completed_batch() -> None:
    headers = {"idempotencykey": "k", "X-Amili-Request-Id": "r"}
    body = event(BATCH, type="BATCH_COMPLETED")
    assert parse_event(body, headers) == BatchCompleted(
        id="1",
        name="BATCH_COMPLETED",
        source="COLLECTION",
        time_stamp=MOMENT,
        idempotency_key="k",
        request_id="r",
        batch_id="b",
        organization_id="o",
        status=BatchState.SUCCESS,
        raw=body,
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
    ("name", "data", "problem"),
    [
        ("BATCH_COMPLETED", {"organizationId": "o"}, "Object missing required field `batchId` at $.data"),
        ("BATCH_COMPLETED", {"batchId": ""}, "Expected `str` of length >= 1 at $.data.batchId"),
        ("BATCH_COMPLETED", {"batchId": "b"}, "Object missing required field `organizationId` at $.data"),
        ("SETTLEMENT_CREATED", {"settlementId": "s"}, "Object missing required field `organizationId` at $.data"),
        (
            "SETTLEMENT_CREATED",
            {"settlementId": "s", "organizationId": "o", "settlementDate": "at Michaelmas"},
            "Invalid RFC3339 encoded date at $.data.settlementDate",
        ),
        ("CASE", {"caseId": "c"}, "Object missing required field `organizationId` at $.data"),
        ("CASE", [], "Expected `object`, got `array` at $.data"),
        ("CASE_UPDATED", None, "Expected `object`, got `null` at $.data"),
        ("SOMETHING_ELSE", BATCH, None),
        ("SOMETHING_ELSE", "in words", None),
    ],
)
def test_what_is_not_as_documented_is_kept_whole_and_says_why(name: str, data: object, problem: str | None) -> None:
    body = event(data, type=name)
    found = parse_event(body)
    assert isinstance(found, UnknownEvent)
    assert (found.name, found.id, found.raw, found.problem) == (name, "1", body, problem)
    assert found.extra == (data if isinstance(data, dict) else {})


LENIENT: list[tuple[str, dict[str, object], dict[str, object]]] = [
    ("BATCH_COMPLETED", {"batchId": 7, "organizationId": "o", "status": None}, {"batch_id": "7", "status": None}),
    ("BATCH_COMPLETED", {"batchId": "b", "orgId": "o", "organizationId": None}, {"organization_id": "o"}),
    (
        "SETTLEMENT_CREATED",
        {"settlementId": "s", "organizationId": "o", "settlementDate": "2025-08-15T00:00:00Z", "invoiceNumber": 1.50},
        {"settlement_date": date(2025, 8, 15), "invoice_number": "1.5"},
    ),
    ("CASE", {"caseId": "c", "orgId": "o", "invoices": None, "status": {}}, {"invoices": (), "status": None}),
    ("CASE", {"caseId": "c", "orgId": "o", "invoices": [1, "i"]}, {"invoices": ("1", "i")}),
    ("CASE_UPDATED", {"caseId": "c", "orgId": "o", "fields": None}, {"fields": ()}),
]


@pytest.mark.parametrize(("name", "data", "members"), LENIENT)
def test_events_are_read_as_leniently_as_lists(name: str, data: dict[str, object], members: dict[str, object]) -> None:
    found = parse_event(event(data, type=name))
    assert not isinstance(found, UnknownEvent)
    assert {member: getattr(found, member) for member in members} == members


def test_what_no_field_names_is_kept_in_data_and_around_it_with_exact_numbers() -> None:
    body = event({**BATCH, "extra": [], "amount": "N"}, type="BATCH_COMPLETED", version=2, tags={"a": None})
    found = parse_event(body.replace(b'"N"', b"4500.00"))
    assert isinstance(found, BatchCompleted)
    assert found.extra == {"extra": [], "amount": Decimal("4500.00")}
    assert str(found.extra["amount"]) == "4500.00"
    assert found.envelope_extra == {"version": 2, "tags": {"a": None}}
    assert "4500" not in repr(found)


@pytest.mark.parametrize("raw", [b"1" + b"0" * 5000, b'"\xff"'])
def test_what_cannot_be_a_value_is_kept_as_its_text(raw: bytes) -> None:
    body = event({**BATCH, "odd": 0}, type="BATCH_COMPLETED", id=0, odd=0).replace(b" 0", raw)
    found = parse_event(body)
    assert isinstance(found, BatchCompleted)
    text = raw.decode("utf-8", "replace")
    assert (found.extra, found.envelope_extra) == ({"odd": text}, {"id": text, "odd": text})


@pytest.mark.parametrize("before", ["", "\ufeff"])
def test_half_a_character_does_not_keep_an_event_from_being_read(before: str) -> None:
    written = '{"type": "CASE", "data": {"caseId": "c", "orgId": "o", "debtor": "Kari \\ud83d", "invoices": ["i"]}}'
    body = f"{before}{written}".encode()
    event = parse_event(body)
    assert isinstance(event, CaseCreated)
    assert (event.case_id, event.invoices, event.extra["debtor"]) == ("c", ("i",), "Kari \ufffd")
    assert event.raw == body


def test_a_name_of_any_length_is_cut_where_it_is_shown() -> None:
    found = parse_event(event({}, type="N" * 900_000, id="i" * 900_000))
    assert len(found.name) == 900_000
    assert len(repr(found)) < 200


@pytest.mark.parametrize("name", ["BATCH_COMPLETED", "SOMETHING_ELSE"])
def test_bad_utf_8_in_data_is_an_unknown_event_with_its_bytes(name: str) -> None:
    body = event({"batchId": "?", "organizationId": "o"}, type=name).replace(b"?", b"\xff\xfe")
    found = parse_event(body)
    assert isinstance(found, UnknownEvent)
    assert found.raw == body
    assert (found.problem is None) == (name == "SOMETHING_ELSE")


@pytest.mark.parametrize(
    ("body", "headers"), [("{}", {}), (None, {}), (b"{}", [("X-Amili-Event", "CASE")]), ({"id": "1"}, {})]
)
def test_what_is_no_body_and_no_headers_is_the_callers_mistake(body: Any, headers: Any) -> None:
    with pytest.raises(ConfigurationError):
        parse_event(body, headers)


@given(st.binary() | st.binary().map(lambda data: b'{"type":"CASE","data":' + data + b"}"))
def test_any_bytes_are_an_event_or_a_decode_error(body: bytes) -> None:
    with contextlib.suppress(DecodeError):
        assert parse_event(body).raw == body


def test_drift_is_told_with_the_place_in_the_body() -> None:
    drift = RecordedDrift()
    data = {"batchId": 7, "organizationId": "o", "status": "FROZEN", "color": "red"}
    read_event(event(data, type="BATCH_COMPLETED", version=2), {}, drift)
    assert drift == [
        ("member", "$.version", "version"),
        ("leniency", "$.data.batchId", "a number taken as text"),
        ("member", "$.data.color", "color"),
        ("value", "$.data.status", "FROZEN"),
    ]


def test_nothing_is_told_of_the_documented_events(subtests: pytest.Subtests) -> None:
    for name in ("webhook_batch_completed", "webhook_settlement_created", "webhook_case", "webhook_case_updated"):
        with subtests.test(name):
            drift, body = RecordedDrift(), example(name)
            found = read_event(body, {}, drift)
            assert not isinstance(found, UnknownEvent)
            assert drift == []
            assert (found.extra, found.envelope_extra) == ({}, {})
            assert encode(found) == body


EVENTS: list[Event] = [
    BatchCompleted(id="1", time_stamp=MOMENT, batch_id="b", organization_id="o", status=BatchState.PARTIAL),
    SettlementCreated(settlement_id="s", organization_id="o", settlement_date=date(2025, 8, 15), case_number="7"),
    CaseCreated(case_id="c", organization_id="o", invoices=("i", "j"), extra={"rate": Decimal("1.10")}),
    CaseUpdated(case_id="c", organization_id="o", fields=("status",), envelope_extra={"version": 2}),
    UnknownEvent(name="MOON_LANDED", extra={"moon": "Luna"}),
]


@pytest.mark.parametrize("made", EVENTS, ids=lambda made: type(made).__name__)
def test_an_event_that_is_made_is_encoded_as_the_body_that_says_so(made: Event) -> None:
    body = encode(made)
    assert parse_event(body) == structs.replace(made, raw=body)
    assert ("eventType" in json.loads(body), "orgId" in json.loads(body)["data"]) == (
        isinstance(made, CaseCreated),
        isinstance(made, CaseCreated),
    )


def test_an_event_that_was_changed_is_encoded_as_what_it_says_by_now() -> None:
    body = event({**BATCH, "more": 1}, type="BATCH_COMPLETED")
    found = parse_event(body, {"IdempotencyKey": "k"})
    assert encode(found) == body
    changed = structs.replace(found, batch_id="another")
    assert parse_event(encode(changed), {"IdempotencyKey": "k"}) == structs.replace(changed, raw=encode(changed))


def test_events_compare_and_hash_by_what_they_say() -> None:
    body = event({**BATCH, "more": {"deep": [1]}}, type="BATCH_COMPLETED")
    assert len({parse_event(body), parse_event(body), parse_event(body + b" ")}) == 2


@pytest.mark.parametrize(
    ("members", "moment"),
    [
        ({"timeStamp": "2025-08-15T11:42:00"}, MOMENT),
        ({"timeStamp": "2025-08-15T13:42:00+02:00"}, MOMENT),
        ({"timeStamp": "2025-08-15"}, datetime(2025, 8, 15, tzinfo=UTC)),
        ({"timeStamp": "yesterday"}, None),
        ({"timeStamp": 1755258120, "id": True, "source": {"a": 1}}, None),
    ],
)
def test_an_envelope_may_be_odd_and_what_cannot_be_read_in_it_is_kept(
    members: dict[str, Any], moment: datetime | None
) -> None:
    found = parse_event(event(BATCH, type="BATCH_COMPLETED", **members))
    assert isinstance(found, BatchCompleted)
    assert found.time_stamp == moment
    assert found.envelope_extra == ({} if moment else members)


def test_numbers_are_taken_as_the_texts_of_an_envelope_and_nulls_as_absent() -> None:
    found = parse_event(event(BATCH, type="BATCH_COMPLETED", id=7, source=None, timeStamp=None))
    assert (found.id, found.source, found.time_stamp, found.envelope_extra) == ("7", None, None, {})


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
