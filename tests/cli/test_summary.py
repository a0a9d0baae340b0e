from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.cli._summary import tell
from amili_async.sync import Counts, Failure, Restart, SyncReport

if TYPE_CHECKING:
    import pytest


def test_numbers_go_to_standard_output_and_trouble_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    report = SyncReport(
        organizations=1,
        failures=tuple(
            Failure(organization_id=f"org{number}", resource="cases", error="LockedError", message="cases.list: 423")
            for number in range(21)
        ),
        held=("other",),
        restarts=(Restart(organization_id="org", resource="cases", reason="the page token was refused"),),
        stopped=True,
        resources={"cases": Counts(rows=5, new=3, changed=1, quarantined=1, gone=2), "batches": Counts(rows=1_200)},
        requests=1_234,
        seconds=2.0,
    )
    tell(report, "postgresql://me:secret@host/amili", {"cases": 5_003, "batches": 1_200})
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "Synced 1 organization into postgresql://me:***@host/amili in 2.0 s (602 rows/s, 1,234 requests).",
        (
            "  cases: 3 new, 1 changed, 1 that no reading makes sense of, kept in the table quarantine, "
            "2 that the server no longer has, 5,003 in the store"
        ),
        "  batches: nothing new, nothing changed, 1,200 in the store",
    ]
    said = captured.err.splitlines()
    assert said[0] == "21 failed and will be tried again by the next run:"
    assert said[1] == "  org0 cases.list: 423"
    assert said[21] == "  … and 1 more"
    assert said[22].startswith("Stopped there")
    assert said[23:25] == ["1 are being synced by another run and were left to it:", "  other"]
    assert said[26] == "  org cases: the page token was refused"


def test_a_run_that_took_no_time_has_no_speed(capsys: pytest.CaptureFixture[str]) -> None:
    tell(SyncReport(organizations=0, resources={"batches": Counts(new=1)}), "amili.db", {"batches": 1})
    assert capsys.readouterr().out.startswith("Synced 0 organizations into amili.db in 0.0 s (0 requests).\n")
