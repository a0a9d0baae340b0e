"""What the tests of the command line share: a sandbox that the environment points at, and a way to run a command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from amili_async.cli._application import app

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    from amili_async.sandbox import Sandbox

    Amili = Callable[..., Result]


@pytest.fixture
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Serve three organizations with 30 batches each, ten a page, where the environment leads to."""
    request.node.add_marker(pytest.mark.amili(organizations=3, batches=30, entries=2, page_size=10))
    served: Sandbox = request.getfixturevalue("amili_sandbox")
    return served


@pytest.fixture
def amili(monkeypatch: pytest.MonkeyPatch) -> Amili:
    """Run ``amili`` with the given words in this process."""
    monkeypatch.delenv("AMILI_STORE", raising=False)
    # A sync that a busy machine lets take longer would say in a line how far it is.
    monkeypatch.setattr("amili_async.cli._sync_output.EVERY", float("inf"))

    def invoke(*words: str, typed: str = "") -> Result:
        monkeypatch.setattr(sys, "argv", ["amili", *words])
        result = CliRunner().invoke(app, list(words), prog_name="amili", input=typed)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands take standard output for a wide terminal."""
    monkeypatch.setattr("amili_async.cli._console.on_terminal", lambda: True)
    monkeypatch.setattr("amili_async.cli._results.on_terminal", lambda: True)
    monkeypatch.setattr("amili_async.cli._routes.on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "140")
