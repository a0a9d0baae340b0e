from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest

from amili_async.cli import _sync_output as sync_output
from amili_async.sync import Counts, Failure, HeldOrganization, Progress, Restart, SyncReport


def state(
    *,
    done: int = 0,
    total: int | None = 20,
    rows: int = 0,
    failed: int = 0,
    retries: int = 0,
    waiting: float = 0.0,
    left: float | None = None,
    limited: bool = False,
) -> Progress:
    return Progress(
        organizations_done=done,
        organizations_total=total,
        failed=failed,
        rows=rows,
        new=rows,
        changed=0,
        rows_per_second=1234.5,
        requests=rows,
        retries=retries,
        waiting=waiting,
        requests_per_second=19.5,
        limited=limited,
        seconds=1.0,
        seconds_left=left,
    )


def test_numbers_that_say_nothing_are_left_out() -> None:
    assert sync_output.figures(state(rows=10_000)) == "10,000 rows, 1,234 rows/s"


def test_where_the_server_holds_the_run_back_its_rate_is_told() -> None:
    assert sync_output.figures(state(rows=5, limited=True)) == "5 rows, 1,234 rows/s, 19.5 requests/s"


def test_trouble_is_told_as_it_happens() -> None:
    told = sync_output.figures(state(rows=5, failed=2, retries=3, waiting=12.4, left=61.0))
    assert told == "5 rows, 1,234 rows/s, 2 failed, 3 retries, told to wait 12 s, 1 min 1 s left"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0.0 s"),
        (4.24, "4.2 s"),
        (9.99, "10.0 s"),
        (10.4, "10 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7_500, "2 h 5 min"),
    ],
)
def test_durations_are_told_as_a_person_says_them(seconds: float, said: str) -> None:
    assert sync_output.duration(seconds) == said


def test_without_a_terminal_a_line_comes_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    now = 100.0
    lines = sync_output.Lines(lambda: now)
    for moment in (100.0, 104.9, 105.0, 109.9, 111.0):
        now = moment
        lines.update(state(done=round(moment) - 100, total=20 if moment < 111 else None))
    assert capsys.readouterr().err.splitlines() == [
        "5 of 20 organizations, 0 rows, 1,234 rows/s",
        "11 organizations, 0 rows, 1,234 rows/s",
    ]


def test_nothing_is_printed_for_a_sync_that_takes_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    with sync_output.shown_progress() as update:
        update(state(done=20, rows=10_000))
    assert capsys.readouterr().err == ""


def test_on_a_terminal_a_bar_moves_and_is_gone_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with sync_output.shown_progress() as update:
        update(state(done=12, rows=6_000, retries=1))
    drawn = capsys.readouterr().err
    assert "12 of 20 organizations, 6,000 rows" in drawn
    assert "1 retries" in drawn


def test_the_bar_moves_with_rows_and_never_back() -> None:
    walked = sync_output.Walked()
    steps = [(0, 0), (0, 500), (1, 1_000), (1, 1_500), (1, 9_000), (2, 9_500), (3, 9_500)]
    seen = [walked.organizations(state(done=done, rows=rows)) for done, rows in steps]
    assert seen == sorted(seen)
    assert seen == [0, 0, 1, 1.5, 1.9, 2, 3]


def test_numbers_go_to_standard_output_and_trouble_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    report = SyncReport(
        organizations=1,
        failures=tuple(
            Failure(organization_id=f"org{number}", resource="cases", error="LockedError", message="cases.list: 423")
            for number in range(21)
        ),
        held=(
            HeldOrganization(organization_id="other"),
            HeldOrganization(organization_id="mine", owner="machine 17", since=datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ),
        restarts=(Restart(organization_id="org", resource="cases", reason="the page token was refused"),),
        stopped=True,
        resources={"cases": Counts(rows=5, new=3, changed=1, quarantined=1, gone=2), "batches": Counts(rows=1_200)},
        requests=1_234,
        seconds=2.0,
    )
    sync_output.tell_report(report, "postgresql://me:secret@host/amili", {"cases": 5_003, "batches": 1_200})
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
    assert said[23:26] == [
        "2 are being synced by another run and were left to it:",
        "  other",
        "  mine (by machine 17, since 2026-05-01 12:00:00 UTC)",
    ]
    assert said[27] == "  org cases: the page token was refused"


def test_a_run_that_took_no_time_has_no_speed(capsys: pytest.CaptureFixture[str]) -> None:
    sync_output.tell_report(
        SyncReport(organizations=0, resources={"batches": Counts(new=1)}), "amili.db", {"batches": 1}
    )
    assert capsys.readouterr().out.startswith("Synced 0 organizations into amili.db in 0.0 s (0 requests).\n")


def test_what_earlier_runs_had_not_seen_and_what_the_server_has_again_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts = Counts(new=3, changed=2, missed=3, stale=2, gone=1, returned=4)
    sync_output.tell_report(SyncReport(organizations=1, resources={"batches": counts}), "amili.db", {"batches": 9})
    assert capsys.readouterr().out.splitlines()[1] == (
        "  batches: 3 new, 2 changed, of them 3 and 2 that earlier runs had not seen, "
        "1 that the server no longer has, 4 that it has again, 9 in the store"
    )
