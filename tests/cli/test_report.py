from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec
import pytest

from amili_async.report import attention
from tests.sync.report.test_page import FIGURES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from amili_async.sandbox import Sandbox

    Amili = Callable[..., Result]


@pytest.fixture
def store(sandbox: Sandbox, amili: Amili, tmp_path: Path) -> str:
    """A store that one organization was synced into."""
    name = str(tmp_path / "store.db")
    assert amili("sync", "--org", sandbox.organization_ids[0], "--store", name).exit_code == 0
    return name


def test_a_report_is_one_file_for_its_owner(store: str, amili: Amili, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = amili("report", "--store", store, "--html", str(page), "--since", "2020-01-01")
    assert (result.exit_code, result.stderr) == (0, f"The report is in {page}.\n")
    assert page.stat().st_mode & 0o777 == 0o600
    assert "No personal data is on this page" in page.read_text("utf-8")
    moment = amili("report", "--store", store, "--html", str(page), "--since", "2020-01-01T00:00:00Z")
    assert moment.exit_code == 0


def test_status_tells_the_last_syncs_and_what_needs_attention(store: str, amili: Amili) -> None:
    with closing(sqlite3.connect(store)) as file, file:
        file.execute("DELETE FROM runs")
    assert "No sync has run yet" in amili("status", "--store", store).stdout
    names = (
        "id, began_at, outcome, organizations, failed, rows, requests, seconds, held, new, changed, quarantined, gone"
    )
    rest = "pages, retries, waited, first_revision, resources"
    with closing(sqlite3.connect(store)) as file, file:
        for number, (outcome, failed) in enumerate((("ok", 0), ("failed", 2))):
            values = (
                f"run {number}",
                f"2026-03-0{number + 1}T08:00:00",
                outcome,
                3,
                failed,
                30,
                4,
                1.5,
                *[0] * 9,
                "batches",
            )
            file.execute(f"INSERT INTO runs ({names}, {rest}) VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608  # our own text
    result = amili("status", "--store", store)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "30 batches of 1 organization"
    assert lines[2] == "  2026-03-02 08:00  failed: 3 organizations, 2 failed, 30 rows, 4 requests in 1.5 s"
    assert "Look at: 2 organizations failed in the last sync; the next one tries again" in lines
    assert len(json.loads(amili("status", "--store", store, "--json").stdout)["runs"]) == 2


def test_status_needs_no_extra_of_its_own(store: str) -> None:
    code = "import sys; sys.modules['jinja2'] = None; from amili_async.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code]
    status = subprocess.run([*command, "status", "--store", store], capture_output=True, text=True, check=False)  # noqa: S603  # ours
    assert (status.returncode, status.stderr) == (0, "")
    report = [*command, "report", "--store", store, "--html", "page.html"]
    told = subprocess.run(report, capture_output=True, text=True, check=False)  # noqa: S603  # ours
    assert (told.returncode, told.stderr) == (2, "Error: this needs an extra: pip install 'amili-async[cli,report]'\n")


@pytest.mark.parametrize("command", [("status",), ("report", "--html", "page.html")])
def test_a_store_that_is_not_there_is_one_line_and_is_not_made(
    command: tuple[str, ...], amili: Amili, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = amili(*command, "--store", "nowhere.db")
    assert result.exit_code == 1
    assert result.stderr == "Error: there is no store nowhere.db; amili sync makes one\n"
    assert [*tmp_path.iterdir()] == []


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(store: str, amili: Amili, tmp_path: Path) -> None:
    result = amili("report", "--store", store, "--html", str(tmp_path / "nowhere" / "page.html"))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: there is no such folder; make it first: ")
    (tmp_path / "folder").mkdir()
    result = amili("report", "--store", store, "--html", str(tmp_path / "folder"))
    assert result.exit_code == 1
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_what_needs_attention_is_told_from_the_figures(sandbox: Sandbox, amili: Amili, tmp_path: Path) -> None:
    name = str(tmp_path / "store.db")
    sandbox.faults.add("batches.list:bad-row,count=1", "batches.list:unknown-member")
    amili("sync", "--org", sandbox.organization_ids[0], "--store", name)
    result = amili("status", "--store", name)
    assert "1 row that could not be read" in result.stdout
    assert result.exit_code == 0


def test_where_all_is_well_there_is_nothing_to_look_at() -> None:
    assert attention(msgspec.structs.replace(FIGURES, runs=(), quarantine=(), ages=(), drift=())) == []


def test_a_last_sync_that_failed_as_a_whole_is_told_with_its_day() -> None:
    run = msgspec.structs.replace(FIGURES.runs[0], began="2026-03-02 08:00", outcome="StoreError", failed=0)
    told = attention(msgspec.structs.replace(FIGURES, runs=(run,), quarantine=(), ages=(), drift=()))
    assert told == ["the last sync, of 2026-03-02 08:00, ended as StoreError"]


def test_what_is_old_and_open_or_not_documented_is_told_from_the_figures() -> None:
    told = attention(FIGURES)
    assert told == [
        "2 rows that could not be read, in the view quarantine",
        "12 batches not final after a month",
        "1 difference from the documentation, in the table drift",
    ]
