from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

import amili_async.cli

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec

    from typer.testing import Result


def test_without_its_extra_the_command_says_how_to_get_it_and_exits_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find_spec(name: str) -> ModuleSpec | None:
        assert name in {"typer", "rich"}
        return None

    monkeypatch.setattr(amili_async.cli, "find_spec", find_spec)
    assert amili_async.cli.main() == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "amili: the command line is an extra: pip install 'amili-async[cli,sync]'\n"


def test_rich_alone_missing_is_told_the_same_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find_spec(name: str) -> ModuleSpec | None:
        return importlib.util.find_spec("typing") if name == "typer" else None

    monkeypatch.setattr(amili_async.cli, "find_spec", find_spec)
    assert amili_async.cli.main() == 2
    assert "pip install" in capsys.readouterr().err


def test_the_command_is_installed_and_starts_without_the_client_or_the_store() -> None:
    code = (
        "import sys; from amili_async.cli import main; sys.argv[1:] = ['--version']\n"
        "try: main()\n"
        "except SystemExit as left: print(left.code)\n"
        "print(sorted({'aiohttp', 'sqlalchemy', 'distributed', 'asyncpg'} & set(sys.modules)))"
    )
    lines = subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()  # noqa: S603  # our own code
    assert lines[0].startswith("amili-async ")
    assert lines[1:] == ["0", "[]"]


@pytest.mark.parametrize(("words", "status"), [(["--version"], 0), (["no-such-command"], 2)])
def test_the_command_leaves_with_the_status_of_what_it_ran(
    words: list[str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["amili", *words])
    with pytest.raises(SystemExit) as left:
        amili_async.cli.main()
    assert left.value.code == status


def test_control_c_before_a_command_runs_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(**_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("amili_async.cli._application.app", interrupt)
    assert amili_async.cli.main() == 130


def test_the_version_is_that_of_the_package(amili: Callable[..., Result]) -> None:
    parts = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "msgspec"))
    assert amili("--version").stdout.startswith(f"amili-async {version('amili-async')} ({parts}, Python 3.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_there_for_each_shell(shell: str) -> None:
    environment = {**os.environ, "_AMILI_COMPLETE": f"source_{shell}"}
    script = subprocess.check_output(  # our own code
        [sys.executable, "-c", "from amili_async.cli import main; main()"], text=True, env=environment
    )
    assert "_AMILI_COMPLETE" in script
