"""Batches of every generation are one type, with one idea of how far they are."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from amili_async import (
    Batch,
    BatchState,
    BatchType,
    FailedEntry,
    InvoiceSuccess,
    LegacyError,
    LegacyResponse,
    LegacyStatus,
    SucceededEntry,
    UnknownEntry,
    encode,
)
from amili_async.models._batches import MAX_LINE, batch_of

if TYPE_CHECKING:
    from typing import assert_type

MOMENT = datetime(2025, 3, 9, 14, 30, tzinfo=UTC)
ENTRY = InvoiceSuccess(invoice_id="i")
FAILED = FailedEntry(raw=b"null")
WRONG = LegacyStatus(status_code=1, errors=(LegacyError(message="no"),))


def answered(*codes: str) -> LegacyStatus:
    return LegacyStatus(responses=tuple(LegacyResponse(status_statuscode=code) for code in codes))


@pytest.mark.parametrize(
    ("batch", "state"),
    [
        (Batch(batch_id="b", status=BatchState.PARTIAL), "PARTIAL"),
        (Batch(batch_id="b", status=BatchState("REVIEWED")), "REVIEWED"),
        (Batch(batch_id="b"), "UNKNOWN"),
        (Batch(batch_id="b", succeeded=(ENTRY,), finished_at=MOMENT), "UNKNOWN"),
        (Batch(batch_id="b", status=LegacyStatus()), "QUEUED"),
        (Batch(batch_id="b", status=WRONG, succeeded=(ENTRY,)), "QUEUED"),
        (Batch(batch_id="b", status=BatchState("Success")), "SUCCESS"),
        (Batch(batch_id="b", status=BatchState("partial")), "PARTIAL"),
        (Batch(batch_id="b", status=LegacyStatus(status_code=0), finished_at=MOMENT), "SUCCESS"),
        (Batch(batch_id="b", status=LegacyStatus(status_code=7), finished_at=MOMENT), "FAILED"),
        (Batch(batch_id="b", status=LegacyStatus(status_code=7), finished_at=MOMENT, succeeded=(ENTRY,)), "PARTIAL"),
        (Batch(batch_id="b", status=answered("0"), finished_at=MOMENT), "SUCCESS"),
        (Batch(batch_id="b", status=answered("0", "3"), finished_at=MOMENT), "FAILED"),
        (Batch(batch_id="b", status=answered("00", "E12"), finished_at=MOMENT, succeeded=(ENTRY,)), "PARTIAL"),
        (Batch(batch_id="b", status=LegacyStatus(), finished_at=MOMENT), "SUCCESS"),
        (Batch(batch_id="b", status=LegacyStatus(), finished_at=MOMENT, succeeded=(ENTRY,)), "SUCCESS"),
        (Batch(batch_id="b", status=LegacyStatus(), finished_at=MOMENT, failed=(FAILED,)), "FAILED"),
        (Batch(batch_id="b", status=WRONG, finished_at=MOMENT), "FAILED"),
        (Batch(batch_id="b", status=WRONG, finished_at=MOMENT, succeeded=(ENTRY,)), "PARTIAL"),
        (
            Batch(batch_id="b", status=LegacyStatus(), finished_at=MOMENT, succeeded=(ENTRY,), failed=(FAILED,)),
            "PARTIAL",
        ),
    ],
)
def test_the_state_is_the_text_or_what_the_outcome_says(batch: Batch, state: str) -> None:
    assert batch.state == state
    assert type(batch.state) is BatchState


@pytest.mark.parametrize(
    ("state", "terminal"),
    [
        ("Success", True),
        ("failed", True),
        ("Queued", False),
        ("QUEUED", False),
        ("SUCCESS", True),
        ("PARTIAL", True),
        ("FAILED", True),
        ("UNKNOWN", False),
        ("NEW", False),
    ],
)
def test_only_known_ends_are_ends(state: str, *, terminal: bool) -> None:
    assert BatchState(state).terminal is terminal


def test_the_status_object_of_the_first_generation_is_kept() -> None:
    assert Batch(batch_id="b", status=WRONG).legacy_status is WRONG
    assert Batch(batch_id="b", status=BatchState.SUCCESS).legacy_status is None
    assert Batch(batch_id="b").legacy_status is None


def test_a_batch_holds_succeeded_entries_to_a_type_checker() -> None:
    batch = Batch(batch_id="b", succeeded=(ENTRY,), failed=(FAILED,))
    if TYPE_CHECKING:
        assert_type(batch.succeeded, tuple[SucceededEntry, ...])
        assert_type(batch.failed, tuple[FailedEntry, ...])
        assert_type(batch.state, BatchState)
    for entry in batch.succeeded:
        match entry:
            case InvoiceSuccess(invoice_id=number):
                assert number == "i"
            case UnknownEntry(type=tag, raw=raw):
                pytest.fail(f"{tag} {raw!r}")
            case _:
                pytest.fail("of no known type")


def test_what_is_decoded_is_a_plain_batch() -> None:
    decoded = msgspec.json.decode(
        b'{"batchId":"b","succeeded":[{"$type":"invoiceSuccess","invoiceId":"i"}]}',
        type=batch_of(InvoiceSuccess, msgspec.Raw),
    )
    assert type(decoded) is Batch
    assert decoded == Batch(batch_id="b", succeeded=(ENTRY,))


def test_the_reasons_of_failures_are_lines_that_are_asked_for_and_shown_by_no_repr() -> None:
    batch = Batch(
        batch_id="b",
        status=LegacyStatus(
            errors=(LegacyError(object_name="case", object_index=3, message="no\tsuch \x1b[31mcase"), LegacyError())
        ),
        failed=tuple(
            FailedEntry(raw)
            for raw in (
                b'{"message":"Unknown customer","invoiceNumber":"7"}',
                b'"Kari Nordmann is unknown"',
                b'{"code":12}',
                b"null",
                b"{}",
                b'{"message":"' + b"x" * 1000 + b'"}',
            )
        ),
    )
    lines = batch.failures()
    assert lines[:5] == [
        *("7: Unknown customer", "Kari Nordmann is unknown", '{"code":12}', "no reason given", "no reason given"),
    ]
    assert len(lines[5]) == MAX_LINE
    assert lines[6:] == ["case 3: no such [31mcase", "no reason given"]
    assert "Kari" not in repr(batch)
    assert repr(batch.failed[0]) == "FailedEntry(see message, reference, raw)"
    assert repr(batch.failed[3]) == "FailedEntry(null)"
    assert Batch(batch_id="b").failures() == []


FULL = Batch(
    batch_id="b",
    type=BatchType("CASE_ACTION"),
    status=WRONG,
    created_at=MOMENT,
    finished_at=MOMENT,
    organization_id="o",
    created_by="c",
    succeeded=(ENTRY, UnknownEntry(type="t", raw=b'{ "$type": "t" }')),
    failed=(FAILED, FailedEntry(raw=b"{}")),
)


def test_a_batch_hashes_pickles_and_copies() -> None:
    assert pickle.loads(pickle.dumps(FULL)) == FULL  # noqa: S301  # our own bytes
    assert copy.deepcopy(FULL) == FULL
    assert hash(FULL) == hash(copy.deepcopy(FULL))


def test_raw_parts_are_written_as_they_came() -> None:
    written = encode(FULL)
    assert b'[{"$type":"invoiceSuccess","invoiceId":"i"},{ "$type": "t" }]' in written
    assert b'"failed":[null,{}]' in written


def test_a_batch_without_entries_is_written_without_them() -> None:
    assert encode(Batch(batch_id="b")) == b'{"batchId":"b"}'
    assert encode(Batch(batch_id="b", failed=(FAILED,))) == b'{"batchId":"b","failed":[null]}'


def test_the_one_member_with_an_underscore_keeps_it() -> None:
    body = b'{"statuscode":2,"responses":[{"ledgerref":"L","status_statuscode":"7"}]}'
    status = msgspec.json.decode(body, type=LegacyStatus)
    assert status.responses[0].status_statuscode == "7"
    assert encode(status) == body
