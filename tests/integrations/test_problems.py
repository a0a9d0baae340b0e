"""Which problem an error becomes, and what must never be in one."""

from __future__ import annotations

import inspect
import json
import re

import pytest

from amili_async import errors
from amili_async.errors import AmiliError
from amili_async.integrations.problems import TYPE_PREFIX, problem_of

CLASSES = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, AmiliError)
]  # fmt: skip
SECRETS = b'{"detail": "Kari Nordmann, 01017012345, client_secret=hunter2"}'


def table() -> dict[str, tuple[int, str]]:
    rows = re.findall(r"^ *(\w+Error) +(\d{3}) +([a-z-]+)", problem_of.__doc__ or "", re.MULTILINE)
    return {name: (int(status), kind) for name, status, kind in rows}


@pytest.mark.parametrize("kind", CLASSES)
def test_the_table_in_the_docstring_is_what_happens(kind: type[AmiliError]) -> None:
    problem = problem_of(kind("it failed"))

    assert (problem.status, problem.type) == (table()[kind.__name__][0], TYPE_PREFIX + table()[kind.__name__][1])


def test_every_row_of_the_table_is_an_error() -> None:
    assert set(table()) == {kind.__name__ for kind in CLASSES}


def test_an_error_of_a_users_own_becomes_what_its_base_is() -> None:
    class OutOfStock(errors.ConflictError):
        pass

    assert problem_of(OutOfStock("no more")).status == 409


@pytest.mark.parametrize(
    ("status", "answered", "name"), [(500, 502, "upstream-failed"), (503, 503, "unavailable"), (504, 504, "timeout")]
)
def test_a_failing_server_is_a_bad_gateway_unless_it_says_more(status: int, answered: int, name: str) -> None:
    problem = problem_of(errors.ServerError("it failed", status=status))

    assert (problem.status, problem.type, problem.upstream_status) == (answered, TYPE_PREFIX + name, status)


def test_a_token_endpoint_that_may_recover_is_unavailable_and_says_when() -> None:
    problem = problem_of(errors.TokenError("no token", retry_after=2.1))

    assert (problem.status, problem.retry_after, problem.headers["Retry-After"]) == (503, 3, "3")


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (errors.RateLimitedError("429", retry_after=30), 30),
        (errors.RateLimitedError("429", retry_after=0.2), 1),
        (errors.RateLimitedError("429", retry_after=0.0), 1),
        (errors.RateLimitedError("429"), 5),
        (errors.ServerError("503", status=503, retry_after=7), 7),
        (errors.ServerError("503", status=503), None),
        (errors.NotFoundError("404", retry_after=7), None),
    ],
)
def test_retry_after_is_whole_seconds_and_never_earlier_than_told(error: AmiliError, seconds: int | None) -> None:
    problem = problem_of(error)

    assert problem.retry_after == seconds
    assert problem.headers.get("Retry-After") == (None if seconds is None else str(seconds))


def test_an_unknown_outcome_has_the_callers_key() -> None:
    problem = problem_of(errors.OutcomeUnknownError("who knows", idempotency_key="erp-4711", status=504))

    assert json.loads(problem.encode()) == {
        "type": f"{TYPE_PREFIX}outcome-unknown",
        "title": "The outcome is unknown",
        "status": 502,
        "detail": "The request may or may not have taken effect. Find out before sending it again.",
        "upstream_status": 504,
        "idempotency_key": "erp-4711",
    }


def test_a_request_that_cannot_be_right_names_its_arguments_and_no_values() -> None:
    error = errors.InvalidArgumentError.listing(
        "2 invoices", ["invoices[0].currency is empty", "state 'Kari' is unknown", "state again", "- Kari"]
    )

    assert json.loads(problem_of(error).encode())["arguments"] == ["invoices[0].currency", "state"]
    assert b"Kari" not in problem_of(error).encode()


def test_a_problem_names_the_operation_and_the_request() -> None:
    problem = problem_of(errors.NotFoundError("404", operation="batches.get", status=404, request_id="r-1"))

    assert (problem.operation, problem.request_id) == ("batches.get", "r-1")


def test_the_type_may_begin_with_an_address_of_the_services_own() -> None:
    problem = problem_of(errors.NotFoundError("404"), type_prefix="https://erp.example/problems/")

    assert problem.type == "https://erp.example/problems/not-found"


@pytest.mark.parametrize("kind", CLASSES)
def test_no_problem_shows_what_amili_wrote(kind: type[AmiliError]) -> None:
    error = kind("it failed for Kari Nordmann", body=SECRETS, route="/orgs/{organization_id}/cases", status=418)

    text = problem_of(error).encode().decode()

    assert not re.search("Kari|hunter2|orgs", text)


def test_absent_members_are_left_out() -> None:
    body = problem_of(errors.NotFoundError("404")).encode()

    assert set(json.loads(body)) == {"type", "title", "status", "detail"}
