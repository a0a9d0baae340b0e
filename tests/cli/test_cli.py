from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from importlib.metadata import version
from io import BytesIO, StringIO, TextIOWrapper
from typing import TYPE_CHECKING

import pytest

import amili_async.cli

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from pathlib import Path

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


def in_a_shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line with ``amili`` in it as a shell runs it."""
    command = f"{sys.executable} -c 'from amili_async.cli import main; raise SystemExit(main())'"
    return subprocess.run(  # noqa: S603  # our own line
        # Not bash, which says a line of its own where the machine's locale is not installed.
        ["sh", "-c", line.replace("amili", command, 1)],  # noqa: S607  # a shell is what is tried
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")  # noqa: PTH110  # a device
@pytest.mark.parametrize("words", ["--version", "--help", "routes"])
def test_a_full_disk_under_standard_output_is_one_line(words: str) -> None:
    ended = in_a_shell(f"amili {words} > /dev/full")
    assert (ended.returncode, ended.stderr) == (1, "Error: No space left on device\n")


@pytest.mark.parametrize("words", ["routes", "--version"])
def test_a_standard_output_that_is_closed_is_as_one_that_nobody_reads(words: str) -> None:
    ended = in_a_shell(f"amili {words} >&-")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_an_encoding_lacks_is_escaped(tmp_path: Path) -> None:
    environment = {"PYTHONIOENCODING": "ascii", "COLUMNS": "300"}
    ended = in_a_shell("amili sync --orgs-file nøwhere", **environment)
    assert ended.returncode == 2
    assert "n\\xf8where" in ended.stderr
    assert "Traceback" not in ended.stderr
    (tmp_path / "f.csv").write_text("invoiceNumber,originalInvoiceAmount,type\nF-1,1,Påminnelse\n", "utf-8")
    ended = in_a_shell(f"amili invoices create o --dry-run --file {tmp_path}/f.csv", **environment)
    assert "Traceback" not in ended.stderr


def test_streams_are_prepared_once_for_all_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = TextIOWrapper(BytesIO(), encoding="ascii")

    def full(**_options: object) -> None:
        assert sys.stdout is not None
        assert errors.errors == "backslashreplace"
        raise OSError(28, "No space left on device")

    def nowhere(_one: int, _other: int) -> None:
        """Leave what pytest captures alone."""

    monkeypatch.setattr("amili_async.cli._application.app", full)
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setattr("amili_async.cli._running.os.dup2", nowhere)
    assert amili_async.cli.main() == 1
    errors.seek(0)
    assert errors.read().endswith("Error: No space left on device\n")
    sys.stdout.close()


def test_a_stream_that_is_no_file_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def tell(**_options: object) -> None:
        sys.stdout.write("é")
        raise KeyboardInterrupt

    written = StringIO()
    monkeypatch.setattr("amili_async.cli._application.app", tell)
    monkeypatch.setattr(sys, "stdout", written)
    assert amili_async.cli.main() == 130
    assert written.getvalue() == "é"
