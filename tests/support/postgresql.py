"""A PostgreSQL server of one's own: made in a temporary folder, on a port of loopback, gone with the block."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

MISSING = (
    "no PostgreSQL server on this machine: `apt-get install postgresql`, `brew install postgresql`, or put the folder "
    "of initdb and postgres on PATH"
)


def programs() -> Path | None:
    """Return the folder of ``initdb`` and ``postgres``; Debian keeps them off PATH."""
    found = shutil.which("initdb")
    if found is not None:
        # Beside it stands all that it needs, where it is more than a link.
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return installed[-1].parent if installed else None


class Server:
    """A server that can be stopped in the middle of something, and started again."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self._programs = programs
        self._user = _harmless_user()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, as the store takes it."""
        return f"postgresql://amili@127.0.0.1:{self.port}/{database}"

    def create(self) -> None:
        """Make the folder a cluster of databases that trusts whoever reaches it."""
        if self._user:
            shutil.chown(self._folder, self._user)
        self._run("initdb", "--auth=trust", "--username=amili", "--encoding=UTF8", "--locale=C", "--no-sync")

    def start(self) -> None:
        """Start, and return once it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "start", "--wait", "--silent", "--log", str(self._folder / "log"), "--options", options)

    def stop(self) -> None:
        """Stop as a power cut would: every session ends, nothing is written any more."""
        self._run("pg_ctl", "stop", "--mode=immediate", "--wait", "--silent", check=False)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        command = [str(self._programs / program), "--pgdata", str(self._folder / "data"), *arguments]
        subprocess.run(command, check=check, stdout=subprocess.DEVNULL, user=self._user, cwd=self._folder)  # noqa: S603  # ours


def _harmless_user() -> str | None:
    """Return whom to run as, since PostgreSQL refuses to be run by root; ``None`` for whoever we are."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def throwaway_postgresql() -> Generator[Server]:
    """Run a server while the block runs.

    Raises:
        FileNotFoundError: there is none on this machine.
    """
    found = programs()
    if found is None:
        raise FileNotFoundError(MISSING)
    # Not below a folder that only root may enter.
    folder = Path(tempfile.mkdtemp(prefix="amili-postgresql-"))
    try:
        server = Server(folder, found)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
