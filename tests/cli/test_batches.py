from __future__ import annotations

import asyncio
import json
import shlex
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from amili_async import AmiliClient, Batch, NewInvoice, decode
from amili_async.sandbox import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    from amili_async.sandbox import Sandbox

    Amili = Callable[..., Result]


def test_a_list_in_a_pipe_is_one_whole_tab_separated_line_for_each_batch(sandbox: Sandbox, amili: Amili) -> None:
    result = amili("batches", "list", sandbox.organization_ids[0], "--all")
    assert result.exit_code == 0
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert len(rows) == 30
    assert {len(row) for row in rows} == {7}
    assert {row[2] for row in rows} <= {"QUEUED", "SUCCESS", "PARTIAL", "FAILED"}
    assert rows[0][3].endswith("Z")


def test_a_list_as_json_is_what_the_server_sent(sandbox: Sandbox, amili: Amili) -> None:
    sandbox.faults.add(Fault("batches.list", "unknown-member", count=1))
    result = amili("batches", "list", sandbox.organization_ids[0], "--all", "--json")
    assert result.exit_code == 0
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len({row["batchId"] for row in rows}) == 30
    documented = {
        "batchId",
        "type",
        "status",
        "createdAt",
        "finishedAt",
        "organizationId",
        "createdBy",
        "succeeded",
        "failed",
    }
    assert any(row.keys() - documented for row in rows)


def test_a_list_on_a_terminal_is_a_table(sandbox: Sandbox, amili: Amili, terminal: None) -> None:
    assert terminal is None
    result = amili("batches", "list", sandbox.organization_ids[0], "--all")
    heading, *rows = result.stdout.splitlines()
    assert heading.split() == ["batch", "type", "state", "created", "finished", "ok", "failed"]
    assert len(rows) == 30


def test_a_long_table_is_shown_in_parts_while_it_streams(
    sandbox: Sandbox, amili: Amili, terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert terminal is None
    monkeypatch.setattr("amili_async.cli._results.TABLE_ROWS", 20)
    result = amili("batches", "list", sandbox.organization_ids[0], "--all")
    lines = result.stdout.splitlines()
    assert len(lines) == 32
    assert sum(line.startswith("batch ") for line in lines) == 2


def test_filters_and_sizes_reach_the_server(sandbox: Sandbox, amili: Amili) -> None:
    result = amili(
        "batches", "list", sandbox.organization_ids[0], "--state", "SUCCESS", "--type", "INVOICE", "--sort", "ASC",
        "--subject-id", "s", "--idempotency-key", "k", "--page-size", "5",
    )  # fmt: skip
    assert result.exit_code == 0
    assert dict(sandbox.requests.last("batches.list").query) == {
        "State": "SUCCESS",
        "Type": "INVOICE",
        "SortDirection": "ASC",
        "SubjectId": "s",
        "IdempotencyKey": "k",
        "PageSize": "5",
    }


def test_a_list_cut_by_its_limit_prints_the_line_that_goes_on_row_for_row(sandbox: Sandbox, amili: Amili) -> None:
    whole = amili("batches", "list", sandbox.organization_ids[0], "--all").stdout
    first = amili("batches", "list", sandbox.organization_ids[0], "--limit", "13")
    seen, line, further = first.stdout, first.stderr.splitlines()[-1], first
    for _ in range(2):
        further = amili(*shlex.split(line)[1:])
        assert further.exit_code == 0
        seen += further.stdout
        if "--cursor" not in further.stderr:
            break
        line = further.stderr.splitlines()[-1]
    assert seen == whole
    assert "--cursor" not in further.stderr


def test_an_error_in_the_middle_of_a_list_prints_the_line_that_goes_on(sandbox: Sandbox, amili: Amili) -> None:
    whole = amili("batches", "list", sandbox.organization_ids[0], "--all").stdout
    sandbox.faults.add(Fault("batches.list", status=403, page=3, count=1))
    broken = amili("batches", "list", sandbox.organization_ids[0], "--all")
    assert broken.exit_code == 1
    error, goes_on, line = broken.stderr.splitlines()[-3:]
    assert error.startswith("Error: batches.list: 403 Forbidden")
    assert goes_on == "This goes on from there:"
    assert broken.stdout + amili(*shlex.split(line)[1:]).stdout == whole


def test_a_list_that_fails_at_once_has_nothing_to_go_on_from(sandbox: Sandbox, amili: Amili) -> None:
    result = amili("batches", "list", "no-such-organization")
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: batches.list: 404 Not Found, problem details (")
    assert ".body" not in line
    assert sandbox.requests.count("batches.list") == 1


def test_a_row_that_cannot_be_read_is_left_out_told_of_and_a_failure(sandbox: Sandbox, amili: Amili) -> None:
    sandbox.faults.add(Fault("batches.list", "bad-row", page=2))
    result = amili("batches", "list", sandbox.organization_ids[0], "--all")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 29
    assert "1 row could not be read and was left out:" in result.stderr


def test_a_row_that_cannot_be_read_is_among_the_json_lines_all_the_same(sandbox: Sandbox, amili: Amili) -> None:
    sandbox.faults.add(Fault("batches.list", "bad-row", page=2))
    result = amili("batches", "list", sandbox.organization_ids[0], "--all", "--json")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 30


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cursor", "nonsense"], "Error: --cursor is not what an earlier list printed; leave it out to start at"),
        (["--limit", "0"], "--limit"),
        (["--sort", "sideways"], "--sort"),
    ],
)
def test_a_mistake_is_a_usage_error_and_sends_nothing(
    words: list[str], said: str, sandbox: Sandbox, amili: Amili
) -> None:
    result = amili("batches", "list", sandbox.organization_ids[0], *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert sandbox.requests.count("batches.list") == 0


def test_missing_credentials_are_named(sandbox: Sandbox, amili: Amili, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMILI_CLIENT_SECRET")
    result = amili("batches", "list", sandbox.organization_ids[0])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: AMILI_CLIENT_SECRET is not set in the environment")


def test_get_shows_a_batch_with_each_of_its_objects(sandbox: Sandbox, amili: Amili) -> None:
    organization = sandbox.organization_ids[0]
    listed = amili("batches", "list", organization, "--all", "--json").stdout.splitlines()
    batch = next(row for row in map(json.loads, listed) if row["status"] == "PARTIAL")
    result = amili("batches", "get", organization, batch["batchId"])
    assert result.exit_code == 0
    fields = [line.split("\t") for line in result.stdout.splitlines()]
    assert fields[0] == ["batch", batch["batchId"]]
    assert ["state", "PARTIAL"] in fields
    succeeded = [json.loads(value)["invoiceId"] for name, value in fields if name == "succeeded"]
    assert succeeded == [entry["invoiceId"] for entry in batch["succeeded"]]
    reasons = [value for name, value in fields if name == "failed"]
    assert reasons == decode(json.dumps(batch), Batch).failures()
    assert len(reasons) == len(batch["failed"]) > 0


def test_get_on_a_terminal_aligns_its_fields(sandbox: Sandbox, amili: Amili, terminal: None) -> None:
    assert terminal is None
    organization = sandbox.organization_ids[0]
    batch = json.loads(amili("batches", "list", organization, "--limit", "1", "--json").stdout)
    lines = amili("batches", "get", organization, batch["batchId"]).stdout.splitlines()
    assert {line.index(line.split()[1]) for line in lines if len(line.split()) > 1} == {14}


def test_get_as_json_is_what_the_server_sent(sandbox: Sandbox, amili: Amili) -> None:
    organization = sandbox.organization_ids[0]
    (line,) = amili("batches", "list", organization, "--limit", "1", "--json").stdout.splitlines()
    result = amili("batches", "get", organization, json.loads(line)["batchId"], "--json")
    assert json.loads(result.stdout) == json.loads(line)


@pytest.fixture
def queued(sandbox: Sandbox) -> str:
    """Return the id of a batch that was just written."""

    async def write() -> str:
        async with AmiliClient.from_env() as client:
            invoice = NewInvoice(
                invoice_number="F-1",
                original_invoice_amount=Decimal("4500.00"),
                invoice_date=date(2026, 1, 15),
                due_date=date(2026, 2, 15),
            )
            accepted = await client.invoices.create(sandbox.organization_ids[0], [invoice])
            return accepted.batch_id

    return asyncio.run(write())


@pytest.mark.amili(finish_polls=3)
@pytest.mark.usefixtures("amili_clock")
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_wait_tells_each_change_and_shows_the_batch_once_it_is_final(
    form: list[str], sandbox: Sandbox, amili: Amili, queued: str
) -> None:
    result = amili("batches", "wait", sandbox.organization_ids[0], queued, *form)
    assert result.exit_code == 0
    assert result.stderr.splitlines()[:2] == [f"{queued} is QUEUED", f"{queued} is SUCCESS"]
    if form:
        assert json.loads(result.stdout)["batchId"] == queued
    else:
        assert result.stdout.startswith(f"batch\t{queued}\n")


@pytest.mark.amili(finish_polls=1)
@pytest.mark.usefixtures("amili_clock")
def test_wait_can_ask_the_route_of_older_servers(sandbox: Sandbox, amili: Amili, queued: str) -> None:
    assert amili("batches", "wait", sandbox.organization_ids[0], queued, "--legacy").exit_code == 0
    assert sandbox.requests.count("batches.get_by_id") > 0


@pytest.mark.filterwarnings("default::amili_async.UnusualValueWarning")
def test_a_filter_that_no_page_names_is_sent_and_told_of_in_a_line(sandbox: Sandbox, amili: Amili) -> None:
    result = amili("batches", "list", sandbox.organization_ids[0], "--state", "REVIEW")
    assert result.exit_code == 0
    (line,) = [line for line in result.stderr.splitlines() if "no value" in line]
    assert line.startswith("Warning: --state is no value that Amili's pages name (QUEUED, ")
    assert sandbox.requests.last("batches.list").query["State"] == "REVIEW"


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        (["--state", "partial"], "state is 'partial': did you mean"),
        (["--state", "PARTIALLY"], 'did you mean "PARTIAL"?'),
        (["--type", "Invoices"], 'did you mean "INVOICE"?'),
    ],
)
def test_a_filter_that_is_a_slip_is_a_wrong_use_and_not_an_empty_list(
    sandbox: Sandbox, amili: Amili, options: list[str], meant: str
) -> None:
    result = amili("batches", "list", sandbox.organization_ids[0], *options)
    assert result.exit_code == 2
    assert meant in " ".join(result.stderr.split())
    assert sandbox.requests.count("batches.list") == 0


@pytest.mark.parametrize(("state", "status"), [("SUCCESS", 0), ("PARTIAL", 1), ("FAILED", 1)])
def test_the_status_of_wait_is_that_of_the_batch(state: str, status: int, sandbox: Sandbox, amili: Amili) -> None:
    batch = sandbox.add_batch(entries=state != "FAILED", failures=state != "SUCCESS")
    result = amili("batches", "wait", sandbox.organization_ids[0], batch)
    assert result.exit_code == status
    assert f"state\t{state}\n" in result.stdout


@pytest.mark.amili(finish_after=None)
@pytest.mark.usefixtures("amili_clock")
def test_a_wait_that_takes_too_long_prints_the_line_that_goes_on(sandbox: Sandbox, amili: Amili, queued: str) -> None:
    words = ("batches", "wait", sandbox.organization_ids[0], queued, "--deadline", "30")
    result = amili(*words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"{queued} is QUEUED",
        "Error: the batch was still QUEUED after 30 s; wait again with its id, nothing is lost",
        "This goes on from there:",
        f"  {shlex.join(['amili', *words])}",
    ]


@pytest.mark.usefixtures("amili_clock")
def test_what_is_waited_for_is_told_while_waiting(sandbox: Sandbox, amili: Amili) -> None:
    sandbox.faults.add(
        Fault("batches.list", status=502, count=1), Fault("batches.list", status=429, retry_after=7, count=1)
    )
    result = amili("batches", "list", sandbox.organization_ids[0])
    assert result.exit_code == 0
    assert result.stderr.splitlines()[0].startswith("batches.list: 502, trying again in ")
    assert "batches.list: rate limited, waiting 7.0 s" in result.stderr
