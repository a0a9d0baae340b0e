"""A PostgreSQL server of one's own: made in a temporary folder, on a port of loopback, gone with the block."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Generator

MISSING = (
    "no PostgreSQL server on this machine: `apt-get install postgresql`, `brew install postgresql`, or put the folder "
    "of initdb and postgres on PATH"
)

PATIENCE = 120.0
"""Seconds in which a program must have started, or a session have ended."""


def programs() -> Path | None:
    """Return the folder of ``initdb`` and ``postgres``; Debian keeps them off PATH."""
    found = shutil.which("initdb")
    if found is not None:
        # Beside it stands all that it needs, where it is more than a link.
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return installed[-1].parent if installed else None


class Pooler:
    """PgBouncer in transaction mode before a server: two connections of its own, for any number of clients."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.port = free_port()
        self._server = server
        self._settings = folder / "pgbouncer.ini"
        users = folder / "users.txt"
        users.write_text('"amili" ""\n', "ascii")
        self._settings.write_text(
            "[databases]\n"
            f"* = host=127.0.0.1 port={server.port}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {users}\n"
            "pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 100\n",
            "ascii",
        )
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        """Return the URL of a database of the server, by way of the pooler."""
        return f"postgresql://amili@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start, and return once it answers."""
        command = [shutil.which("pgbouncer") or "/usr/sbin/pgbouncer", "--quiet", str(self._settings)]
        self._process = subprocess.Popen(command, user=_harmless_user(), stderr=subprocess.DEVNULL)  # noqa: S603  # ours
        wait_for_port(self.port)

    def stop(self) -> None:
        """Kill it: every connection through it ends."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def throwaway_pgbouncer(server: Server) -> Generator[Pooler]:
    """Run PgBouncer before a server while the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="amili-pgbouncer-"))
    try:
        folder.chmod(0o755)
        pooler = Pooler(folder, server)
        pooler.start()
        try:
            yield pooler
        finally:
            pooler.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def nobody_else_at(url: str) -> None:
    """Return once nobody else is connected to a database: of a process that was killed, a last write may still come."""
    connection = await asyncpg.connect(url)
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    try:
        async with asyncio.timeout(PATIENCE):
            while await connection.fetchval(others):  # noqa: ASYNC110  # of other processes
                await asyncio.sleep(0.02)
    finally:
        await connection.close()


def wait_for_port(port: int) -> None:
    """Return once somebody listens on a port of loopback.

    Raises:
        TimeoutError: nobody does for as long as a program may take to start.
    """
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise TimeoutError(f"nobody listens on port {port}")


class Server:
    """A server that can be stopped in the middle of something, and started again."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self._programs = programs
        self._user = _harmless_user()
        self.port = free_port()

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, as the store takes it."""
        return f"postgresql://amili@127.0.0.1:{self.port}/{database}"

    def create(self) -> None:
        """Make the folder a cluster of databases that trusts whoever reaches it."""
        if self._user:
            shutil.chown(self.folder, self._user)
        self._run("initdb", "--auth=trust", "--username=amili", "--encoding=UTF8", "--locale=C", "--no-sync")

    def start(self, *settings: str) -> None:
        """Start, and return once it answers; settings are such as ``ssl=on``."""
        usual = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
        options = " ".join([f"-p {self.port}", *(f"-c {setting}" for setting in (*usual, *settings))])
        self._run(
            "pg_ctl",
            "start",
            "--wait",
            f"--timeout={PATIENCE:.0f}",
            "--silent",
            "--log",
            str(self.folder / "log"),
            "--options",
            options,
        )

    def stop(self) -> None:
        """Stop as a power cut would: every session ends, nothing is written any more."""
        self._run("pg_ctl", "stop", "--mode=immediate", "--wait", f"--timeout={PATIENCE:.0f}", "--silent", check=False)

    def give(self, file: Path, *, mode: int = 0o600) -> None:
        """Let the server, and nobody else, read a file, or use a folder."""
        file.chmod(mode)
        if self._user:
            shutil.chown(file, self._user)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        command = [str(self._programs / program), "--pgdata", str(self.folder / "data"), *arguments]
        subprocess.run(command, check=check, stdout=subprocess.DEVNULL, user=self._user, cwd=self.folder)  # noqa: S603  # ours


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
