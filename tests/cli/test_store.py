"""`amili store purge`: how much went, or would go, in a line each."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from amili_async.cli import _store
from amili_async.cli._application import app

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from amili_async.sandbox import Sandbox


def amili(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def store(tmp_path: Path, sandbox: Sandbox) -> Path:
    """A store that the sandbox was synced into."""
    file = tmp_path / "amili.db"
    owners = [word for name in sandbox.organization_ids for word in ("--org", name)]
    assert amili("sync", *owners, "--store", file, "--json").exit_code == 0
    return file


def test_an_organization_is_counted_then_erased(store: Path) -> None:
    file = sqlite3.connect(store)
    [organization] = file.execute("SELECT min(organization_id) FROM lists").fetchone()
    file.close()
    purge = ("store", "purge", "--store", store, "--organization", organization)

    result = amili(*purge, "--dry-run", "--json")
    assert (result.exit_code, json.loads(result.stdout)["dry_run"]) == (0, True)
    counted = json.loads(result.stdout)["rows"]
    assert counted["batch_rows"] == 30
    assert amili(*purge, "--dry-run").stderr.startswith("Would erase ")
    result = amili(*purge)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("Nobody can be asked: say --yes. Nothing was erased.\n")
    result = amili(*purge, "--yes")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("Erased ")
    assert f"  batch_rows: {counted['batch_rows']:,}\n" in result.stderr
    result = amili(*purge)
    assert (result.exit_code, result.stderr) == (0, "Nothing in this store is of that; nothing was erased.\n")


@pytest.mark.parametrize(("typed", "status", "words"), [("y", 0, "Erased "), ("n", 1, "Nothing was erased.")])
def test_on_a_terminal_it_asks_before_it_erases(
    typed: str, status: int, words: str, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_store, "_on_terminal", lambda: True)
    line = ["store", "purge", "--store", str(store), "--older-than", "2999-01-01"]
    result = CliRunner().invoke(app, line, input=f"{typed}\n")
    assert result.exit_code == status
    assert "Would erase " in result.stderr
    assert f"Erase them from {store} for good? [y/N]:" in result.stderr
    assert words in result.stderr.partition("[y/N]")[2]
    assert "90" in result.stderr


def test_a_password_that_was_typed_is_warned_of() -> None:
    result = amili("store", "purge", "--store", "postgresql://me:secret@127.0.0.1:9/none", "--debtor", "d")
    assert "A password on a command line is seen by everyone" in result.stderr
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "name --organization, --debtor or --older-than"),
        (("--older-than", "soon"), 2, "--older-than soon is no day and no moment"),
        (("--debtor", "d", "--older-than", "2025-01-01"), 2, "leave --older-than out"),
        (("--debtor", "d", "--store", "none.db"), 1, "there is no store"),
    ],
)
def test_what_is_wrong_is_one_line(store: Path, arguments: tuple[str, ...], status: int, words: str) -> None:
    result = amili("store", "purge", "--store", store, *arguments)

    assert result.exit_code == status
    assert words in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.output
