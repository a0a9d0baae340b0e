from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.cli._client_context import DriftNotes, Waits
from amili_async.events import Drift, GateClosed, QuarantinedRow, RateLearned, RetryPlanned

if TYPE_CHECKING:
    import pytest


def test_nothing_met_is_nothing_told(capsys: pytest.CaptureFixture[str]) -> None:
    DriftNotes().tell()
    assert capsys.readouterr().err == ""


def test_differences_of_a_kind_are_one_line_that_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    notes = DriftNotes()
    for record in (
        Drift(operation="batches.list", kind="value", path="$.data[...].type", found="PAY\x1b[2J"),
        Drift(operation="batches.list", kind="member", path="$.data[...].succeeded[...].kid", found="kid"),
        Drift(operation="batches.list", kind="value", path="$.data[...].status", found="STUCK"),
        Drift(operation="batches.list", kind="type", path="$.data[...].succeeded[...].$type", found="feeSuccess"),
        Drift(operation="batches.get", kind="leniency", path="$.data.createdAt", found="a date for a moment"),
        Drift(operation="batches.get", kind="member", path="$.summary.took", found="took"),
    ):
        notes.on_drift(record)
    notes.tell()
    assert capsys.readouterr().err.splitlines() == [
        "Not quite as documented, and read all the same:",
        "  batches.list: unknown values PAY�[2J, STUCK",
        "  batches.list: unknown members succeeded[...].kid",
        "  batches.list: unknown entries feeSuccess",
        "  batches.get: read by bending the rules createdAt (a date for a moment)",
        "  batches.get: unknown members $.summary.took",
    ]


def test_a_row_that_could_not_be_read_is_told_by_its_place_and_never_by_its_content(
    capsys: pytest.CaptureFixture[str],
) -> None:
    notes = DriftNotes()
    notes.on_quarantine(
        QuarantinedRow(
            operation="cases.list", index=3, path="$.caseNumber", reason="expected text", raw=b'{"a": "Kari"}'
        )
    )
    notes.tell()
    assert capsys.readouterr().err.splitlines() == [
        "1 row could not be read and was left out:",
        "  cases.list $.caseNumber: expected text",
    ]


def test_many_differences_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    notes = DriftNotes()
    for number in range(1_010):
        notes.on_drift(Drift(operation="batches.list", kind="member", path=f"$.data[...].m{number}", found="m"))
    notes.tell()
    assert capsys.readouterr().err.splitlines()[1:] == [
        "  batches.list: unknown members m0, m1, m2, m3, m4, m5, m6, m7 and 1,002 more"
    ]


def test_what_a_command_waits_for_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    waits = Waits()

    def again(reason: str) -> RetryPlanned:
        return RetryPlanned(
            call=1, operation="batches.list", method="GET", route="/", attempt=1, wait=1.5, reason=reason
        )

    waits.on_retry(again("503"))
    waits.on_retry(again("429"))
    waits.on_gate(GateClosed(operation="batches.list", seconds=2.0))
    for rate in (20.0, 21.0, 40.0):
        waits.on_rate(RateLearned(operation="batches.list", rate=rate, burst=1))
    assert capsys.readouterr().err.splitlines() == [
        "batches.list: 503, trying again in 1.5 s",
        "batches.list: rate limited, waiting 2.0 s",
        "batches.list: rate limited, going at 20 requests a second",
        "batches.list: rate limited, going at 40 requests a second",
    ]
