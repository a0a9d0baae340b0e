"""`amili store purge`: how much went, or would go, in a line each."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from amili_async.cli._application import app

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result


def amili(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store that the sandbox was synced into."""
    file = tmp_path / "amili.db"
    assert amili("sync", "--sandbox", "--store", file, "--json").exit_code == 0
    return file


def test_an_organization_is_counted_then_erased(store: Path) -> None:
    file = sqlite3.connect(store)
    [organization] = file.execute("SELECT min(organization_id) FROM lists").fetchone()
    file.close()
    purge = ("store", "purge", "--store", store, "--organization", organization)

    result = amili(*purge, "--dry-run", "--json")
    assert (result.exit_code, json.loads(result.stdout)["dry_run"]) == (0, True)
    counted = json.loads(result.stdout)["rows"]
    assert counted["batch_rows"] == 500
    assert amili(*purge, "--dry-run").stderr.startswith("Would erase ")
    result = amili(*purge)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"  batch_rows: {counted['batch_rows']:,}\n" in result.stderr
    assert amili(*purge).stderr == "Erased 0 rows.\n"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "say what to erase"),
        (("--older-than", "soon"), 2, "soon is no day and no moment"),
        (("--debtor", "d", "--older-than", "2025-01-01"), 2, "leave older_than out"),
        (("--debtor", "d", "--store", "none.db"), 1, "there is no store"),
    ],
)
def test_what_is_wrong_is_one_line(store: Path, arguments: tuple[str, ...], status: int, words: str) -> None:
    result = amili("store", "purge", "--store", store, *arguments)

    assert result.exit_code == status
    assert words in result.stderr
    assert "Traceback" not in result.output
