"""A file that is whole or absent, whatever happens while it is written, and readable by its owner alone."""

from __future__ import annotations

import asyncio
import errno
import glob
import os
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from amili_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Generator[IO[bytes]]:
    """Yield a file beside ``path``; it is on the disk and takes that name when the block ends, and goes if it fails.

    What an earlier process was killed over goes too.

    Raises:
        OSError: it cannot be written; what was there before is unchanged. ``filename`` is ``path``.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "that is a folder; name a file in it", str(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder; make it first", str(target.parent))
    try:
        _clear_left_behind(target)
        descriptor, name = _make(target)
    except OSError as error:
        error.filename = str(path)
        raise
    # The lock of a descriptor lasts as long as a copy of it is open: past the file's end, up to its name.
    held = os.dup(descriptor)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if sys.platform == "win32":
            os.close(held)  # an open file cannot be renamed there
        os.replace(name, target)  # noqa: PTH105  # takes no time worth a thread
    except BaseException as error:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108  # the same
        if isinstance(error, OSError) and error.filename in {None, name}:
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):
            os.close(held)
    _flush_folder(target.parent)


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


def _make(target: Path) -> tuple[int, str]:
    """Return a new file beside the target, that is locked: as only in the same folder a rename is atomic."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
        _lock(descriptor)
        if os.fstat(descriptor).st_nlink:
            return descriptor, name
        os.close(descriptor)  # another process took it for one that was left behind, before it was locked


def _clear_left_behind(target: Path) -> None:
    """Delete what a killed process was writing for the same name: nobody holds its lock any more."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        with suppress(OSError):
            descriptor = os.open(left, os.O_RDWR)
            try:
                if sys.platform != "win32" and _lock(descriptor, wait=False):
                    left.unlink()
            finally:
                os.close(descriptor)


def _lock(descriptor: int, *, wait: bool = True) -> bool:
    """Return whether a file could be locked; not every file system can."""
    if sys.platform == "win32":
        return False
    import fcntl  # noqa: PLC0415  # not there on Windows

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _flush_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut; where a system cannot open folders, it needs no such thing."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
