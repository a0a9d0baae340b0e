"""Wrong usage: one line that says what would be right, whatever is wrong with the words that were typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    Amili = Callable[..., Result]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--env", "prod", "token"], "--env: 'prod' is not one of 'production', 'staging' (see amili --help)"),
        (["--nope"], "No such option: --nope (see amili --help)"),
        (["batches", "lst"], "No such command 'lst'. Did you mean 'list'? (see amili batches --help)"),
        (["batches", "list"], "Missing argument 'ORGANIZATION' (see amili batches list --help)"),
        (["batches", "list", "o", "--limit", "0"], "--limit must be at least 1 (see amili batches list --help)"),
        (["batches", "list", "o", "--limit", "x"], "--limit must be a whole number (see amili batches list --help)"),
        (
            ["batches", "wait", "o", "b", "--deadline", "x"],
            "--deadline must be a number (see amili batches wait --help)",
        ),
        (["invoices", "create", "o"], "Missing option '--file' (see amili invoices create --help)"),
        (
            ["sync"],
            "name organizations with --org, --orgs-file or --creditors, or try --sandbox (see amili sync --help)",
        ),
        (["routes", "x"], "Got unexpected extra argument(s) (x) (see amili routes --help)"),
        (
            ["invoices", "list", "o", "--from", "2024-02-01", "--to", "2024-01-01"],
            "--to is before --from: nothing lies between them",
        ),
    ],
)
@pytest.mark.usefixtures("sandbox")
def test_a_slip_is_one_line_that_says_what_would_be_right(words: list[str], said: str, amili: Amili) -> None:
    result = amili(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: {said}\n"


@pytest.mark.parametrize("words", [[], ["batches"]])
def test_no_words_at_all_are_answered_with_the_help(words: list[str], amili: Amili) -> None:
    result = amili(*words)
    assert result.exit_code == 2
    assert "Usage: amili" in result.output
    assert "Error" not in result.output
