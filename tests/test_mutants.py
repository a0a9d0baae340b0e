"""How `benchmarks/mutants.py` breaks a rule: by an edit of a copy, which it refuses where the rule has moved."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from benchmarks.mutants import Mutant, Noticed, broken, table

if TYPE_CHECKING:
    from pathlib import Path

MUTANT = Mutant("a module says nothing", "__init__", (("from __future__ import annotations", "pass"),))


def test_a_broken_copy_holds_the_edit_and_everything_else(tmp_path: Path) -> None:
    broken(MUTANT, tmp_path)

    text = (tmp_path / MUTANT.path).read_text("utf-8")
    assert text == MUTANT.applied()
    assert "annotations" not in {
        alias.name for node in ast.walk(ast.parse(text)) for alias in getattr(node, "names", [])
    }
    assert (tmp_path / "tests" / "simulation" / "history.py").exists()


def test_a_text_that_does_not_stand_there_once_is_no_edit() -> None:
    with pytest.raises(ValueError, match="'nowhere to be found' stands 0 times in __init__"):
        MUTANT._replace(edits=(("nowhere to be found", ""),)).applied()


def test_the_table_says_who_noticed() -> None:
    noticed = [Noticed(7, "AssertionError: x"), Noticed(150, None, "test_a"), Noticed(2000, None)]

    assert table((MUTANT, one) for one in noticed)[2:] == [
        "| a module says nothing | history 7 |",
        "| a module says nothing | `test_a` |",
        "| a module says nothing | **nobody** |",
    ]
