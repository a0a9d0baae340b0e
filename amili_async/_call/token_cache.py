"""TokenCache: one token for several processes of a machine, in a file that its owner alone can read.

Whoever holds the lock looks whether another process has renewed the token meanwhile, and asks the endpoint only if not.
The folder may be one that others write to, such as ``/tmp``: what they put there is neither followed, nor written to,
nor taken for ours.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from amili_async._upstream.msgspec import READING_ERRORS
from amili_async._whole_file import whole_file
from amili_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from amili_async._clock import Clock

WAIT = 20.0
"""Seconds to wait for another process that asks the token endpoint; past them, each asks for itself."""

_LOOK = 0.05
"""Seconds between two looks at the lock."""


class CachedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token with the Unix seconds that rule its life."""

    client: str
    """A digest of the client id: two that share a file by mistake must not share a token."""
    text: str
    early: float
    due: float
    expires: float

    def __repr__(self) -> str:
        return "<cached token>"


_decoder = msgspec.json.Decoder(CachedToken)


class TokenCache:
    """A file with the token of one client id, and a lock beside it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Keep the token in ``path``.

        Raises:
            ConfigurationError: its folder is not there.
        """
        self._path = Path(path)
        self._lock = self._path.with_name(f"{self._path.name}.lock")
        if not self._path.parent.is_dir():
            raise ConfigurationError(f"shared_cache: there is no folder {self._path.parent}; make it first")

    @asynccontextmanager
    async def locked(self, clock: Clock) -> AsyncGenerator[None]:
        """Hold the lock while the block runs; after `WAIT` seconds run it all the same.

        Raises:
            OSError: it cannot be made, or what stands there is another user's.
        """
        file = os.open(self._lock, os.O_RDWR | os.O_CREAT | _AS_IT_IS, 0o600)
        try:
            _check_own(file)
            until = clock.monotonic() + WAIT
            while not try_lock(file) and clock.monotonic() < until:
                await clock.sleep(_LOOK)
            yield
        finally:
            os.close(file)

    def read(self, client_id: str, now: float) -> CachedToken | None:
        """Return the token that is there and still good at Unix second ``now``.

        Raises:
            ConfigurationError: it is another client id's.
        """
        try:
            with os.fdopen(os.open(self._path, os.O_RDONLY | _AS_IT_IS), "rb") as file:
                _check_own(file.fileno())
                found = _decoder.decode(file.read())
        except (OSError, *READING_ERRORS):
            return None  # none yet, or none that helps: the endpoint is asked
        if found.client != _digest(client_id):
            raise ConfigurationError(f"shared_cache {self._path} belongs to another client id; name a file of its own")
        return found if now < found.expires else None

    def write(self, client_id: str, *, text: str, early: float, due: float, expires: float) -> None:
        """Put a token there, whole or not at all. Where that fails, the others ask for themselves."""
        token = CachedToken(client=_digest(client_id), text=text, early=early, due=due, expires=expires)
        with suppress(OSError), whole_file(self._path) as file:
            file.write(msgspec.json.encode(token))


_AS_IT_IS = 0 if sys.platform == "win32" else os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""How what others may have put there is opened: no link is followed, and no pipe waited for."""


def _check_own(file: int) -> None:
    """Look whether a file is this user's own, and nobody else's to read or write.

    Raises:
        OSError: it is not.
    """
    found = os.fstat(file)
    if sys.platform != "win32" and not (
        stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077
    ):
        raise PermissionError("that is not a file of this user's alone")


def _digest(client_id: str) -> str:
    return hashlib.sha256(client_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def try_lock(file: int) -> bool:
    """Return whether a file could be locked for this process; the system lets go of it when the process ends."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415  # there on Windows alone

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415  # there everywhere else

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
