"""A downloaded file is there whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from amili_async.errors import ConfigurationError
from amili_async.resources._downloads import save, target_of

if TYPE_CHECKING:
    from pathlib import Path


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
