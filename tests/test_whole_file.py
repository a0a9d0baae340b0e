"""A file is whole or absent, and nothing of a process that was killed stays behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

import amili_async._whole_file as module
from amili_async._whole_file import save, target_of, whole_file
from amili_async.errors import ConfigurationError
from tests.support.processes import popen

if TYPE_CHECKING:
    from pathlib import Path

HALF_WAY = """
import sys
from amili_async._whole_file import whole_file
with whole_file(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("written", flush=True)
    sys.stdin.read()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_is_there_once_the_block_ends_and_its_owners_alone(tmp_path: Path) -> None:
    with whole_file(tmp_path / "f") as file:
        file.write(b"whole")
        assert "f" not in names(tmp_path)
    assert names(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"whole"
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o600


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_failure_leaves_what_was_there_and_names_the_file(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_bytes(b"before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def write() -> None:
        with whole_file(tmp_path / "f"):
            if step == "write":
                full()

    with monkeypatch.context() as patched:
        if step != "write":
            patched.setattr(os, step, full)
        with pytest.raises(OSError, match="No space left") as raised:
            write()
    assert raised.value.filename == str(tmp_path / "f")
    assert names(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"before"


def test_another_files_error_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="of another") as raised, whole_file(tmp_path / "f"):
        raise OSError(5, "of another", "elsewhere")
    assert raised.value.filename == "elsewhere"


def test_a_folder_that_takes_no_file_is_named_by_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied", "/somewhere/.f.abc.part")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(PermissionError) as raised, whole_file(tmp_path / "f"):
        pass
    assert raised.value.filename == str(tmp_path / "f")


def test_what_a_killed_process_left_goes_and_what_another_writes_stays(tmp_path: Path) -> None:
    with ExitStack() as running:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        writers = [
            running.enter_context(popen(sys.executable, "-c", HALF_WAY, str(tmp_path / "f"), **pipes)) for _ in range(2)
        ]
        killed, living = writers
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"written\n"
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert len(names(tmp_path)) == 2
        with whole_file(tmp_path / "f") as file:
            file.write(b"mine")
        assert len(names(tmp_path)) == 2
        assert (tmp_path / "f").read_bytes() == b"mine"
        living.communicate()
        assert living.returncode == 0
    assert names(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"half"


def test_a_file_that_was_taken_for_one_left_behind_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, taken = module._lock, [True]  # pyright: ignore[reportPrivateUsage]  # what the test comes between

    def late(descriptor: int, *, wait: bool = True) -> bool:
        if wait and taken:
            taken.clear()
            next(tmp_path.glob(".f.*.part")).unlink()
        return real(descriptor, wait=wait)

    monkeypatch.setattr(module, "_lock", late)
    with whole_file(tmp_path / "f") as file:
        file.write(b"whole")
    assert (tmp_path / "f").read_bytes() == b"whole"


def test_a_file_system_without_locks_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl  # noqa: PLC0415  # not there on Windows

    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    (tmp_path / ".f.abc.part").write_bytes(b"")
    monkeypatch.setattr(fcntl, "flock", refuse)
    with whole_file(tmp_path / "f") as file:
        file.write(b"whole")
    assert names(tmp_path) == [".f.abc.part", "f"]


async def test_a_file_is_written_and_an_older_one_replaced(tmp_path: Path) -> None:
    target = target_of(tmp_path / "invoice.pdf")
    await save(b"first", target)
    await save(b"second", target)
    assert target.read_bytes() == b"second"
    assert [file.name for file in tmp_path.iterdir()] == ["invoice.pdf"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
async def test_a_failure_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    target = tmp_path / "invoice.pdf"
    target.write_bytes(b"first")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        await save(b"second", target)
    monkeypatch.undo()
    assert target.read_bytes() == b"first"
    assert [file.name for file in tmp_path.iterdir()] == ["invoice.pdf"]


def test_a_path_that_cannot_be_written_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a folder"):
        target_of(tmp_path)
    with pytest.raises(ConfigurationError, match="no such folder"):
        target_of(tmp_path / "missing" / "invoice.pdf")


async def test_a_system_that_cannot_open_folders_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_open = os.open

    def no_folders(path: str, flags: int, mode: int = 0o777) -> int:
        if os.path.isdir(path):  # noqa: PTH112  # os.open takes text too
            raise PermissionError(13, "Permission denied")
        return real_open(path, flags, mode)

    monkeypatch.setattr(os, "open", no_folders)
    await save(b"whole", tmp_path / "invoice.pdf")
    assert (tmp_path / "invoice.pdf").read_bytes() == b"whole"
