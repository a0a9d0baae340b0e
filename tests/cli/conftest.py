"""What the tests of the command line share: a sandbox that the environment points at, and a way to run a command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from amili_async.cli.application import app
from amili_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typer.testing import Result

    Amili = Callable[..., Result]


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Serve three organizations with 30 batches each where the environment says, with its credentials."""
    with Sandbox(organizations=3, batches=30, entries=2, page_size=10) as served:
        monkeypatch.setenv("AMILI_BASE_URL", served.base_url)
        monkeypatch.setenv("AMILI_TOKEN_URL", served.token_url)
        monkeypatch.setenv("AMILI_CLIENT_ID", served.credentials[0])
        monkeypatch.setenv("AMILI_CLIENT_SECRET", served.credentials[1])
        yield served


@pytest.fixture
def amili(monkeypatch: pytest.MonkeyPatch) -> Amili:
    """Run ``amili`` with the given words in this process."""
    for name in ("AMILI_TOKEN", "AMILI_ENVIRONMENT", "AMILI_STORE"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*words: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["amili", *words])
        result = CliRunner().invoke(app, list(words), prog_name="amili")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands take standard output for a wide terminal."""
    monkeypatch.setattr("amili_async.cli.output.on_terminal", lambda: True)
    monkeypatch.setattr("amili_async.cli.listing.on_terminal", lambda: True)
    monkeypatch.setattr("amili_async.cli.routes.on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "140")
