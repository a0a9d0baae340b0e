from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amili_async.sandbox import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from amili_async.sandbox import Sandbox

    Amili = Callable[..., Result]


def test_good_credentials_are_told_so_and_the_token_is_never_printed(sandbox: Sandbox, amili: Amili) -> None:
    result = amili("token")
    assert result.exit_code == 0
    assert result.stdout == (
        "The token endpoint accepts AMILI_CLIENT_ID and AMILI_CLIENT_SECRET: it gave a token, good for 1 h 0 min.\n"
    )
    assert sandbox.requests.count("token") == 1
    assert sandbox.credentials[1] not in result.output
    assert sandbox.requests.count() == 1


def test_refused_credentials_are_one_line_that_says_what_to_check(
    sandbox: Sandbox, amili: Amili, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sandbox.port
    monkeypatch.setenv("AMILI_CLIENT_SECRET", "wrong-secret")
    result = amili("token")
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: the token endpoint refused the credentials")
    assert line.endswith("; check AMILI_CLIENT_ID and AMILI_CLIENT_SECRET")
    assert "wrong-secret" not in line


def test_a_failing_token_endpoint_is_not_blamed_on_the_credentials(sandbox: Sandbox, amili: Amili) -> None:
    sandbox.faults.add(Fault("token", status=403))
    assert "check AMILI_CLIENT_ID" in amili("token").stderr
    sandbox.faults.clear()
    sandbox.faults.add(Fault("token", status=503))
    result = amili("token")
    assert result.exit_code == 1
    assert "check AMILI_CLIENT_ID" not in result.stderr


@pytest.mark.parametrize("name", ["AMILI_CLIENT_ID", "AMILI_CLIENT_SECRET"])
def test_missing_credentials_are_a_usage_error(
    name: str, sandbox: Sandbox, amili: Amili, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name)
    result = amili("token")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {name} is not set in the environment")
    assert sandbox.requests.count() == 0


def test_a_ready_token_cannot_be_checked_and_is_told_so(
    sandbox: Sandbox, amili: Amili, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMILI_TOKEN", "a-ready-token")
    result = amili("token")
    assert result.exit_code == 0
    assert result.stdout == "AMILI_TOKEN is taken as it is; whether it is good, only a call can tell.\n"
    assert sandbox.requests.count() == 0


def test_a_ready_token_that_a_call_is_refused_with_is_what_to_check(
    sandbox: Sandbox, amili: Amili, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = amili("batches", "list", "no-organization-of-theirs")
    assert "check AMILI_TOKEN" not in refused.stderr
    monkeypatch.setenv("AMILI_TOKEN", "a-stale-token")
    result = amili("batches", "list", sandbox.organization_ids[0])
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: batches.list: 401 Unauthorized")
    assert line.endswith("; check AMILI_TOKEN")


def test_a_sync_with_a_ready_token_that_is_refused_speaks_of_no_new_one(
    sandbox: Sandbox, amili: Amili, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AMILI_TOKEN", "a-stale-token")
    result = amili("sync", "--org", sandbox.organization_ids[0])
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    said = f"Error: batches.list: no organization was answered: 401 for {sandbox.organization_ids[0]} ("
    assert line.startswith(said)
    assert line.endswith("; check AMILI_TOKEN")
    assert sandbox.requests.count() == 1
