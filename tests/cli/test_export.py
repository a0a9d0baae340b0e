"""`amili export`: one line for what went well and one for what did not, and never half a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from amili_async.cli._application import app

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result


def amili(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that the sandbox was synced into."""
    file = tmp_path_factory.mktemp("store") / "amili.db"
    result = amili("sync", "--sandbox", "--store", file, "--json")
    assert result.exit_code == 0, result.output
    return file


def test_a_table_is_written_and_its_rows_are_told(store: Path, tmp_path: Path) -> None:
    result = amili("export", "--store", store, "--table", "batches", "--to", tmp_path / "b.jsonl", "--with-raw")

    assert result.exit_code == 0
    assert result.stderr == f"10,000 rows of batches are in {tmp_path}/b.jsonl.\n"
    lines = (tmp_path / "b.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 10_000
    assert json.loads(lines[0])["raw"]["batchId"] == json.loads(lines[0])["id"]


def test_filters_narrow_it(store: Path, tmp_path: Path) -> None:
    amili("export", "--store", store, "--table", "batches", "--to", tmp_path / "b.jsonl")
    first, *_ = (tmp_path / "b.jsonl").read_text("utf-8").splitlines()
    one = ("--organization", json.loads(first)["organization_id"])
    result = amili("export", "--store", store, "--table", "batches", "--to", tmp_path / "o.csv", *one)
    assert result.stderr.startswith("500 rows")
    result = amili("export", "--store", store, "--table", "failed", "--to", tmp_path / "f.csv", "--since", "2999-01-01")
    assert result.stderr.startswith("0 rows")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--table", "batches", "--to", "{folder}/b.xlsx"), 2, "b.xlsx must end in .parquet, .csv, .jsonl"),
        (("--table", "people", "--to", "{folder}/b.csv"), 2, "people"),
        (("--table", "cases", "--to", "{folder}/b.csv"), 1, "no cases were synced into this store"),
        (("--table", "batches", "--to", "{folder}/nowhere/b.csv"), 1, "there is no such folder; make it first: "),
        (("--table", "batches", "--to", "{folder}/b.csv", "--store", "{folder}/none.db"), 1, "there is no store"),
    ],
)
def test_what_is_wrong_is_one_line(
    store: Path, tmp_path: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    result = amili("export", "--store", store, *(argument.format(folder=tmp_path) for argument in arguments))

    assert result.exit_code == status
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert not list(tmp_path.glob("*b.csv*"))
