"""Programs that are not ours, run on loopback in a temporary folder: awaited until they answer, and surely ended."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

PATIENCE = 120.0
"""Seconds in which a program must have started, reloaded or stopped."""

_POLL = 0.005


def find_program(name: str) -> str | None:
    """Return the path of a program; Debian keeps servers where a plain user's PATH does not lead."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/local/bin")


def wait_for(condition: Callable[[], object], what: str, *, within: float = PATIENCE) -> None:
    """Return once ``condition()`` is true.

    Raises:
        TimeoutError: it was not within so many seconds.
    """
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} took more than {within:g} s")
        time.sleep(_POLL)


def listens(port: int) -> bool:
    """Tell whether something takes connections on a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Program:
    """A server of someone else's that listens on one port of loopback."""

    def __init__(self, command: Sequence[str], folder: Path, port: int, *, user: str | None = None) -> None:
        self.folder = folder
        self.port = port
        self._command = command
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the process that was started (of nginx and HAProxy: of the master)."""
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """What it has printed."""
        return (self.folder / "output").read_text("utf-8", "replace")

    def start(self) -> None:
        """Start, and return once it takes connections."""
        with (self.folder / "output").open("ab") as output:
            self._process = process = subprocess.Popen(  # noqa: S603  # chosen by the tests
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                user=self._user,
                # A group of its own, which its workers belong to: all end together, and Control-C is not for them.
                start_new_session=True,
            )

        def ready() -> bool:
            if process.poll() is not None:
                raise AssertionError(f"{self._command[0]} ended with {process.returncode}:\n{self.output}")
            return listens(self.port)

        wait_for(ready, f"{self._command[0]}'s start")

    def send(self, number: int) -> None:
        """Send a signal to the process that was started."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it and all its workers as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, and see to it that it has."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Stop it and all its workers where they stand: connections are taken by the kernel and never answered."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        os.killpg(self.pid, signal.SIGCONT)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
            os.killpg(process.pid, signal.SIGCONT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)  # and is killed where it takes longer
        with suppress(ProcessLookupError):  # workers that outlived the master
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


@contextmanager
def temporary_folder(prefix: str) -> Generator[Path]:
    """Make a folder that servers which shed root's rights may enter, unlike pytest's own, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix=f"amili-{prefix}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def python_program(*arguments: str) -> tuple[str, ...]:
    """Return the command that runs one of the tests' own programs with this interpreter."""
    return (sys.executable, *arguments)
