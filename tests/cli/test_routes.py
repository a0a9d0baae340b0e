from __future__ import annotations

import json
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from amili_async._routes import ROUTES
from amili_async.cli import _routes as routes
from amili_async.cli._application import app

if TYPE_CHECKING:
    import pytest


def test_routes_as_json_has_every_operation_on_a_line_of_its_own() -> None:
    result = CliRunner().invoke(app, ["routes", "--json"])
    assert result.exit_code == 0
    shown = [json.loads(line) for line in result.stdout.splitlines()]
    assert [route["operation"] for route in shown] == list(ROUTES)
    assert shown[1]["path"] == "/orgs/{organization_id}/batches"
    assert {"mark", "source", "statuses", "query", "generations", "method", "server"} < shown[1].keys()


def test_routes_in_a_pipe_are_whole_tab_separated_lines() -> None:
    result = CliRunner().invoke(app, ["routes"])
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{route.mark}\t{route.operation}\t{route.method}\t{route.path}" for route in ROUTES.values()
    ]


def test_routes_on_a_terminal_are_a_table_that_explains_its_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    result = CliRunner().invoke(app, ["routes"])
    assert result.exit_code == 0
    assert "operation" in result.stdout.splitlines()[0]
    assert "D documented" in result.stdout
    letters = "".join(result.stdout.split())
    assert all(route.path.rsplit("/", 1)[1] in letters for route in ROUTES.values())
