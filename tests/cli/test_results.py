"""The lists and single reads of invoices, cases and settlements; what all lists share is tested with the batches'."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from amili_async._http import endpoints
from amili_async._http.endpoints import Environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    from amili_async.sandbox import Sandbox

    Amili = Callable[..., Result]


@pytest.mark.parametrize(
    ("resource", "words", "query"),
    [
        (
            "invoices",
            "--status OPEN --type NOTICE --number n --source-id s --customer c --from 2025-01-01 --to 2025-12-31",
            {
                "Status": "OPEN",
                "Type": "NOTICE",
                "InvoiceNumber": "n",
                "UniqueSourceInvoiceId": "s",
                "CustomerNumber": "c",
                "From": "2025-01-01",
                "To": "2025-12-31",
            },
        ),
        (
            "cases",
            (
                "--status OPEN --type NOTICE --number n --source-id s --customer c --search t --page-size 7 "
                "--from 2025-01-01 --to 2025-12-31"
            ),
            {
                "Status": "OPEN",
                "Type": "NOTICE",
                "CaseNumber": "n",
                "UniqueSourceInvoiceId": "s",
                "CustomerNumber": "c",
                "SearchTerm": "t",
                "FromCreatedAt": "2025-01-01",
                "ToCreatedAt": "2025-12-31",
                "PageSize": "7",
            },
        ),
        (
            "settlements",
            "--from 2025-01-01 --to 2025-12-31 --page-size 7",
            {"fromDate": "2025-01-01", "toDate": "2025-12-31", "pageSize": "7"},
        ),
    ],
)
def test_filters_reach_the_server_by_their_names(
    resource: str, words: str, query: dict[str, str], sandbox: Sandbox, amili: Amili
) -> None:
    result = amili(resource, "list", sandbox.organization_ids[0], *words.split())
    assert result.exit_code == 0
    assert dict(sandbox.requests.of(f"{resource}.list")[0].query) == query


@pytest.mark.parametrize("resource", ["invoices", "cases", "settlements"])
def test_a_list_shows_the_same_rows_as_lines_and_as_json(resource: str, sandbox: Sandbox, amili: Amili) -> None:
    lines = amili(resource, "list", sandbox.organization_ids[0], "--limit", "5").stdout.splitlines()
    rows = amili(resource, "list", sandbox.organization_ids[0], "--limit", "5", "--json").stdout.splitlines()
    assert len(lines) == 5
    ids = [next(iter(json.loads(row).values())) for row in rows]
    assert [line.split("\t")[0] for line in lines] == ids


def test_debtors_are_in_the_json_of_cases_alone(sandbox: Sandbox, amili: Amili) -> None:
    organization = sandbox.organization_ids[0]
    case = json.loads(amili("cases", "list", organization, "--limit", "1", "--json").stdout)
    name = case["debtors"][0]["lastName"]
    assert name
    assert name not in amili("cases", "list", organization, "--limit", "1").stdout


@pytest.mark.parametrize("resource", ["invoices", "settlements"])
def test_get_shows_one_object_by_its_members_or_as_it_came(resource: str, sandbox: Sandbox, amili: Amili) -> None:
    organization = sandbox.organization_ids[0]
    row = json.loads(amili(resource, "list", organization, "--limit", "1", "--json").stdout)
    key = next(iter(row.values()))
    assert json.loads(amili(resource, "get", organization, key, "--json").stdout) == row
    result = amili(resource, "get", organization, key)
    assert result.exit_code == 0
    shown = dict(line.split("\t") for line in result.stdout.splitlines())
    assert shown["invoiceNumber"] == row["invoiceNumber"]
    assert {name for name, value in shown.items() if value} == row.keys()
    if resource == "invoices":
        assert json.loads(shown["organization"]) == row["organization"]


@pytest.mark.amili(undocumented=True)
def test_get_shows_members_that_no_field_names(sandbox: Sandbox, amili: Amili) -> None:
    organization = sandbox.organization_ids[0]
    row = json.loads(amili("invoices", "list", organization, "--limit", "1", "--json").stdout, parse_float=Decimal)
    result = amili("invoices", "get", organization, row["id"])
    shown = dict(line.split("\t") for line in result.stdout.splitlines())
    assert shown.keys() >= row.keys()
    assert Decimal(shown["remainingAmount"]) == row["remainingAmount"]


def test_a_date_without_a_zone_is_refused_by_its_name(sandbox: Sandbox, amili: Amili) -> None:
    result = amili("cases", "list", sandbox.organization_ids[0], "--from", "2026-01-01T00:00")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: --from has no time zone")


def test_an_unknown_object_is_one_line(sandbox: Sandbox, amili: Amili) -> None:
    result = amili("invoices", "get", sandbox.organization_ids[0], "no-such-invoice")
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: invoices.get: 404 Not Found")


def test_a_narrow_terminal_loses_columns_and_no_id_is_ever_cut(
    sandbox: Sandbox, amili: Amili, terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert terminal is None
    for width in (140, 80, 60, 20):
        monkeypatch.setenv("COLUMNS", str(width))
        result = amili("batches", "list", sandbox.organization_ids[0], "--limit", "5")
        lines = result.stdout.splitlines()
        assert max(map(len, lines)) <= width
        assert ("Not shown" in result.stderr) == (width < 100)
        shown = "".join(line[:20].strip() for line in lines[1:]) if width == 20 else result.stdout
        listed = amili("batches", "list", sandbox.organization_ids[0], "--limit", "5", "--json").stdout
        for row in listed.splitlines():
            assert json.loads(row)["batchId"] in shown


def test_nothing_found_is_told_to_a_person_and_to_nobody_else(
    sandbox: Sandbox, amili: Amili, terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert terminal is None
    words = ("invoices", "list", sandbox.organization_ids[0], "--number", "there-is-none")
    assert amili(*words).stderr == "Nothing found.\n"
    assert amili(*words, "--json").stderr == ""
    monkeypatch.setattr("amili_async.cli._results.on_terminal", lambda: False)
    assert (amili(*words).stdout, amili(*words).stderr) == ("", "")


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["cases", "list", "ORG", "--from", "2026-02-30"], "--from"),
        (["invoices", "list", "ORG", "--to", "soon"], "--to"),
        (["settlements", "list", "ORG", "--cursor", "x"], "--cursor"),
        (["batches", "get", "..", "x"], "ORGANIZATION"),
        (["batches", "get", "x", ""], "BATCH"),
        (["invoices", "get", "x", "."], "INVOICE"),
    ],
)
def test_a_mistake_is_named_as_it_was_typed(words: list[str], option: str, sandbox: Sandbox, amili: Amili) -> None:
    result = amili(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {option} ")
    assert len(sandbox.requests) == 0


def test_debug_tells_each_request_by_its_template_and_no_id_and_no_secret(sandbox: Sandbox, amili: Amili) -> None:
    organization = sandbox.organization_ids[0]
    result = amili("--debug", "invoices", "list", organization, "--number", "secret-number", "--limit", "1")
    token, request = result.stderr.splitlines()[:2]
    assert token == "token renewed (200)"
    assert request.startswith("GET /orgs/{organization_id}/invoices: 200, ")
    for secret in (organization, "secret-number", *sandbox.credentials):
        assert secret not in result.stderr


def test_env_names_the_servers_and_nothing_else_may(
    sandbox: Sandbox, amili: Amili, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = amili("--env", "staging", "batches", "list", "ORG")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: --env staging and AMILI_BASE_URL name two servers")
    there = Environment(sandbox.base_url, sandbox.token_url)
    monkeypatch.setitem(endpoints.ENVIRONMENTS, "staging", there)
    for name in ("AMILI_BASE_URL", "AMILI_TOKEN_URL"):
        monkeypatch.delenv(name)
    assert amili("--env", "staging", "batches", "list", sandbox.organization_ids[0]).exit_code == 0
    assert amili("--env", "moon", "batches", "list", "ORG").exit_code == 2
