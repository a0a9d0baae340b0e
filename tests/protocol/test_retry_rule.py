"""What is repeated: the docstring of `decide` and the client's page show one table, and the code keeps it.

The table is read, not repeated here: each cell's words are turned into what `decide` must return. ``pytest -v`` on this
module prints it, a line for each row and column.
"""

from __future__ import annotations

import inspect
import re
from itertools import product
from typing import NamedTuple

import pytest

from amili_async._protocol.retry import Action, Decision, Failure, RetryPolicy, decide
from tests.support.documents import text

POLICY = RetryPolicy(attempts=3)


class Row(NamedTuple):
    what: str
    get: str
    write: str


class Case(NamedTuple):
    """One way for an attempt to fail."""

    failure: Failure
    status: int | None = None
    retry_after: float | None = None


def table_of(text: str) -> list[str]:
    """Return the lines of the table that begins with `what happened`."""
    lines = [line.strip() for line in text.splitlines()]
    start = next(number for number, line in enumerate(lines) if line.startswith("| what happened |"))
    return lines[start : next((n for n in range(start, len(lines)) if not lines[n].startswith("|")), len(lines))]


def rows_of(lines: list[str]) -> list[Row]:
    return [Row(*(cell.strip() for cell in line.strip("|").split(" | "))) for line in lines[2:]]


TABLE = table_of(inspect.getdoc(decide) or "")
ROWS = rows_of(TABLE)
NAMED = {int(number) for row in ROWS for number in re.findall(r"\b[1-5]\d\d\b", row.what)}
"""The statuses that the table names by number."""


def statuses_of(what: str) -> list[int]:
    """Return the statuses that a row is about."""
    named = [int(number) for number in re.findall(r"\b[1-5]\d\d\b", what)]
    if "3xx" in what:
        named += [300, 301, 302, 303, 304, 307, 308]
    if "all other 4xx" in what:
        named += [status for status in range(400, 500) if status not in NAMED]
    return named


def cases_of(what: str) -> list[Case]:
    """Return every failure that a row is about, with and without a ``Retry-After``."""
    if what.startswith("never opened, and"):
        return [Case(Failure.UNREACHABLE)]
    if what.startswith("never opened"):
        return [Case(Failure.NEVER_SENT)]
    if what.startswith("sent, then"):
        return [Case(Failure.INTERRUPTED)]
    if what.startswith("2xx, body cut"):
        return [Case(Failure.TRUNCATED, status) for status in (200, 202)]
    if what.startswith("2xx, malformed"):
        return [Case(Failure.MALFORMED, status) for status in (200, 202, 204)]
    if what.startswith("deadline"):
        return [Case(Failure.DEADLINE), Case(Failure.CLOSED)]
    statuses = statuses_of(what)
    assert statuses, f"a row about nothing: {what}"
    return [Case(Failure.STATUS, status, after) for status in statuses for after in (None, 0.0, 7.0)]


def expected(cell: str, case: Case, policy: RetryPolicy) -> tuple[Action, Action]:
    """Return what a cell's words promise: the action after the first attempt and after the last."""
    if "repeat with `Retry-After` only where `RetryPolicy(repeat_503_writes=True)`" in cell:
        told = case.retry_after is not None and policy.repeat_503_writes
        return (Action.REPEAT, Action.RAISE) if told else (Action.OUTCOME_UNKNOWN, Action.OUTCOME_UNKNOWN)
    if cell.startswith("repeat until the deadline"):
        return Action.REPEAT, Action.REPEAT
    if cell.startswith("repeat"):
        return Action.REPEAT, Action.RAISE
    if cell.startswith("new token, one replay"):
        return Action.REPLAY, Action.REPLAY
    if cell.startswith("`OutcomeUnknownError"):
        return Action.OUTCOME_UNKNOWN, Action.OUTCOME_UNKNOWN
    assert cell in {"its class, at once", "`ConnectError`, at once", "`DecodeError`", "`DeadlineExceededError`"}, (
        f"no rule reads {cell!r}"
    )
    return Action.RAISE, Action.RAISE


def decided(
    case: Case, *, repeatable: bool, attempt: int, replayed: bool = False, policy: RetryPolicy = POLICY
) -> Decision:
    return decide(
        case.failure,
        status=case.status,
        repeatable=repeatable,
        retry_after=case.retry_after,
        attempt=attempt,
        replayed=replayed,
        policy=policy,
        pause=0.5,
        remaining=60.0,
        budget=True,
    )


@pytest.mark.parametrize(
    ("row", "column"),
    [
        pytest.param(row, column, id=f"{row.what} | {column}: {getattr(row, column)}")
        for row in ROWS
        for column in ("get", "write")
    ],
)
def test_the_table_says(row: Row, column: str) -> None:
    cell = row.write if column == "write" and row.write != "same" else row.get
    for case, policy in product(cases_of(row.what), (POLICY, RetryPolicy(attempts=3, repeat_503_writes=True))):
        first, last = expected(cell, case, policy)
        for attempt, action in ((1, first), (2, first), (3, last)):
            found = decided(case, repeatable=column == "get", attempt=attempt, policy=policy)
            assert found.action is action, case


def test_every_failure_and_status_stands_in_one_row() -> None:
    cases = [case for row in ROWS for case in cases_of(row.what)]
    assert len(cases) == len(set(cases))
    assert {case.failure for case in cases} == set(Failure)
    covered = {case.status for case in cases if case.failure is Failure.STATUS}
    assert covered >= set(range(400, 505))


@pytest.mark.parametrize("status", [505, 507, 520, 522, 529, 599])
def test_a_5xx_that_no_row_names_counts_as_500(status: int) -> None:
    for repeatable, attempt in product((True, False), (1, 3)):
        known = decided(Case(Failure.STATUS, 500), repeatable=repeatable, attempt=attempt)
        assert decided(Case(Failure.STATUS, status), repeatable=repeatable, attempt=attempt) == known


def test_a_401_is_replayed_once_and_then_raised() -> None:
    for repeatable in (True, False):
        case = Case(Failure.STATUS, 401)
        assert decided(case, repeatable=repeatable, attempt=3).action is Action.REPLAY
        assert decided(case, repeatable=repeatable, attempt=1, replayed=True).action is Action.RAISE


def test_the_readme_carries_the_same_table() -> None:
    assert table_of(text("amili_async")) == TABLE
