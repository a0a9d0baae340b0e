"""The rules that `benchmarks/mutants.py` breaks are there to be broken, each in a way that is Python all the same."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from benchmarks.mutants import MUTANTS, Mutant, broken

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule)
def test_a_rule_can_be_broken_where_it_stands(mutant: Mutant) -> None:
    ast.parse(mutant.applied())


def test_a_broken_copy_holds_the_edit_and_everything_else(tmp_path: Path) -> None:
    mutant = MUTANTS[0]

    broken(mutant, tmp_path)

    assert (tmp_path / mutant.path).read_text("utf-8") == mutant.applied()
    assert (tmp_path / "tests" / "simulation" / "history.py").exists()


def test_a_text_that_does_not_stand_there_once_is_no_edit() -> None:
    with pytest.raises(ValueError, match="'nowhere to be found' stands 0 times in _scan"):
        MUTANTS[0]._replace(edits=(("nowhere to be found", ""),)).applied()
