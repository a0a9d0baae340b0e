"""Downloads: a file that is whole or absent."""

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from amili_async.errors import ConfigurationError


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
    # In the same folder, as only there a rename is atomic.
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)


def _flush_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut; where a system cannot open folders, it needs no such thing."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
