from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.cli.drift import DriftNotes
from amili_async.events import Drift, QuarantinedRow

if TYPE_CHECKING:
    import pytest


def test_nothing_met_is_nothing_told(capsys: pytest.CaptureFixture[str]) -> None:
    DriftNotes().tell()
    assert capsys.readouterr().err == ""


def test_each_difference_is_a_line_that_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    notes = DriftNotes()
    notes.on_drift(Drift(operation="batches.list", kind="value", path="$.data[...].type", found="PAY\x1b[2J"))
    notes.on_drift(Drift(operation="batches.list", kind="leniency", path="$.data[...].status", found="null for text"))
    notes.tell()
    assert capsys.readouterr().err.splitlines() == [
        "Not quite as documented, and read all the same:",
        "  batches.list $.data[...].type: a value that is not documented, PAY�[2J",
        "  batches.list $.data[...].status: null for text",
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


def test_differences_past_twenty_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    notes = DriftNotes()
    for number in range(1_022):
        notes.on_drift(Drift(operation="batches.list", kind="member", path="$.data[...]", found=f"member{number}"))
    notes.tell()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 22
    assert lines[-1] == "  … and 1,002 more"
