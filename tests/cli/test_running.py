from __future__ import annotations

import errno
import os
import subprocess
import sys
import warnings
from io import UnsupportedOperation
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
import typer

from amili_async._cursor import Cursor
from amili_async.cli import _running as running
from amili_async.errors import AmiliError, AmiliWarning, ConfigurationError, TokenError
from tests.support.processes import popen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[TextIO]:
    """Put a file of the test's own in the place of standard output, as `run` may redirect it."""
    with (tmp_path / "output").open("w", encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdout", file)
        yield file


def status_of(error: BaseException | None = None, *, resume: str | None = None, returned: int = 0) -> int:
    async def work() -> int:
        if error is not None:
            raise error
        return returned

    with pytest.raises(typer.Exit) as left:
        running.run(work, resume=lambda: resume)
    return left.value.exit_code


@pytest.mark.parametrize("returned", [0, 1])
def test_a_command_leaves_with_the_status_that_its_work_returns(returned: int) -> None:
    assert status_of(returned=returned) == returned


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ConfigurationError("AMILI_CLIENT_ID is not set"), 2, "AMILI_CLIENT_ID is not set"),
        (AmiliError("it is broken", operation="batches.get"), 1, "batches.get: it is broken"),
        (TokenError("refused"), 1, "refused; check AMILI_CLIENT_ID and AMILI_CLIENT_SECRET"),
        (TokenError("unreachable", retry_after=3.0), 1, "unreachable"),
        (
            ModuleNotFoundError("no asyncpg", name="asyncpg"),
            2,
            "this needs an extra: pip install 'amili-async[cli,postgres]'",
        ),
        (
            ModuleNotFoundError("no", name="sqlalchemy.ext"),
            2,
            "this needs an extra: pip install 'amili-async[cli,sync]'",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "No space left on device"),
        (FileNotFoundError(errno.ENOENT, "No such file", "orgs.txt"), 1, "No such file: orgs.txt"),
        (OSError("odd"), 1, "odd"),
    ],
)
def test_an_error_is_one_line_and_a_status(
    error: Exception, status: int, line: str, output: TextIO, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(error) == status
    assert capsys.readouterr().err == f"Error: {line}\n"
    assert Path(output.name).read_text("utf-8") == ""


def test_a_module_that_no_extra_brings_is_no_users_mistake_and_keeps_its_traceback() -> None:
    async def work() -> int:
        raise ModuleNotFoundError("no such module", name="antigravitation")

    with pytest.raises(ModuleNotFoundError):
        running.run(work)


@pytest.mark.parametrize(
    ("resume", "said"),
    [(None, "Interrupted.\n"), ("amili sync --org a", "Interrupted. This goes on from there:\n  amili sync --org a\n")],
)
def test_control_c_prints_the_line_that_resumes_and_exits_130(
    resume: str | None, said: str, output: TextIO, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not output.closed
    assert status_of(KeyboardInterrupt(), resume=resume) == 130
    assert capsys.readouterr().err == said


def test_output_that_nobody_captures_in_a_file_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Captured:
        def fileno(self) -> NoReturn:
            raise UnsupportedOperation("fileno")

    monkeypatch.setattr(sys, "stdout", Captured())
    assert status_of(BrokenPipeError()) == 0
    assert capsys.readouterr().err == ""


WRITE_LINES = """
import sys
import warnings
from amili_async.cli import _console as output
from amili_async.cli import _running as running
async def work():
    for _ in range(int(sys.argv[1])):
        output.write_json(b"[1, 2]")
    return 0
try:
    running.run(work)
except running.typer.Exit as left:
    sys.exit(left.exit_code)
"""


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_has_had_enough_is_no_failure(lines: int) -> None:
    reading, writing = os.pipe()
    command = (sys.executable, "-X", "dev", "-c", WRITE_LINES, str(lines))
    with popen(*command, stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        os.close(reading)
        _, said = process.communicate(timeout=100)
    assert (process.returncode, said) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_full_disk_is_one_line_and_exit_status_1(lines: int) -> None:
    with Path("/dev/full").open("wb") as full:
        process = subprocess.run(  # noqa: S603  # our own code
            [sys.executable, "-c", WRITE_LINES, str(lines)],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=100,
        )
    assert (process.returncode, process.stderr) == (1, b"Error: No space left on device\n")


@pytest.mark.parametrize("words", [["--cursor", "old", "list"], ["list", "--cursor=old"], ["list", "--cursor", "old"]])
def test_a_line_that_goes_on_has_one_cursor_only(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["amili", *words, "an id"])
    cursor = Cursor(row=3)
    assert running.command_line(cursor=cursor) == f"amili list 'an id' --cursor {cursor.encode()}"


def test_a_line_that_goes_on_holds_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["amili", "sync", "--store", "postgresql://me:secret@host/db"])
    assert running.command_line() == "amili sync --store 'postgresql://me:***@host/db'"


@pytest.mark.filterwarnings("always::DeprecationWarning", "always::amili_async.AmiliWarning")
def test_a_warning_of_this_package_is_a_line_and_one_of_others_is_shown_as_always(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    others: list[str] = []

    def show(message: Warning | str, *_: object) -> None:
        others.append(str(message))

    async def work() -> int:
        warnings.warn("page_size is odd", AmiliWarning, stacklevel=1)
        warnings.warn("gone soon", DeprecationWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(warnings, "showwarning", show)
    with pytest.raises(typer.Exit):
        running.run(work)
    assert others == ["gone soon"]
    assert capsys.readouterr().err == "Warning: --page-size is odd\n"
