"""Prism: a mock server that knows the API from its OpenAPI document alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.outside.programs import Program, temporary_folder
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Generator

VERSION = "5.14.2"
DOCUMENT = Path(__file__).with_name("amili.openapi.json")


class Prism(Program):
    """A mock server: answers with the document's examples, or with what it makes up after the document's schemas."""

    @property
    def url(self) -> str:
        """The API's root, and that of all other servers in the document."""
        return f"http://127.0.0.1:{self.port}"


def program() -> Path:
    """Return Prism's program, installed with npm into a cache folder where it is not there yet."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "amili-async-tests" / f"prism-{VERSION}"
    found = folder / "node_modules" / ".bin" / "prism"
    if not found.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("no npm on this machine: `apt-get install npm`")
        # Whole or absent: a run that is stopped in the middle must not leave half of it behind.
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
            package = f"@stoplight/prism-cli@{VERSION}"
            options = ("--silent", "--no-fund", "--no-audit", "--ignore-scripts")
            subprocess.run([npm, "install", *options, "--prefix", beside, package], check=True, timeout=300)  # noqa: S603  # npm's own
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(beside, folder, symlinks=True)
    return found


@contextmanager
def running_prism() -> Generator[Prism]:
    """Serve the document while the block runs; a request that it does not allow is refused."""
    with temporary_folder("prism") as folder:
        port = free_port()
        command = [str(program()), "mock", "--errors", "--host", "127.0.0.1", "--port", str(port), str(DOCUMENT)]
        prism = Prism(command, folder, port)
        prism.start()
        try:
            yield prism
        finally:
            prism.stop()
