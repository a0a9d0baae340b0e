"""Downloads: a file that is whole or absent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from amili_async._whole_file import whole_file
from amili_async.errors import ConfigurationError

if TYPE_CHECKING:
    import os


def target_of(path: str | os.PathLike[str]) -> Path:
    """Return where a file shall be written.

    Raises:
        ConfigurationError: the path is a folder, or there is none to write it into.
    """
    target = Path(path)
    if target.is_dir():
        raise ConfigurationError("path is a folder; name the file to write")
    if not target.parent.is_dir():
        raise ConfigurationError("path: there is no such folder; make it first")
    return target


async def save(body: bytes, target: Path) -> Path:
    """Write a file in a thread, whole or not at all; return its path.

    Raises:
        OSError: it cannot be written; what was there before is unchanged.
    """
    await asyncio.to_thread(_write, body, target)
    return target


def _write(body: bytes, target: Path) -> None:
    with whole_file(target) as file:
        file.write(body)
