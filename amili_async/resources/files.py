"""Files: bytes written to a path whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from amili_async.errors import ConfigurationError

if TYPE_CHECKING:
    from amili_async.protocol import Body


def check_target(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that can be written.

    Raises:
        ConfigurationError: it is a folder, or its folder does not exist.
    """
    target = Path(path)
    if target.is_dir():
        raise ConfigurationError(f"path {str(target)!r} is a folder; name a file in it")
    if not target.parent.is_dir():
        raise ConfigurationError(f"path {str(target)!r}: its folder does not exist")
    return target


def write_whole(target: Path, content: Body) -> None:
    """Write a file under a temporary name beside it, and give it its own name once it is safe on the disk."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename last; where a system cannot open folders, it needs no such thing."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
