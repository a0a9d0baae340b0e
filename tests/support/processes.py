"""Processes that are gone with the block they were started for, also where the test fails in the middle of it.

One that is left running fails a test that has nothing to do with it, when Python collects what is left of it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator


@asynccontextmanager
async def child(*command: str, **options: Any) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run a program while the block runs; kill it and all that it has started where they still run at its end."""
    process = await asyncio.create_subprocess_exec(*command, start_new_session=True, **options)
    try:
        yield process
    finally:
        _kill_group(process.pid)
        await process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                await pipe.read()  # to its end, which is what closes it


@contextmanager
def popen(*command: str, **options: Any) -> Generator[subprocess.Popen[Any]]:
    """Do the same for a test without an event loop."""
    with subprocess.Popen(command, start_new_session=True, **options) as process:  # noqa: S603  # the tests' own programs
        try:
            yield process
        finally:
            _kill_group(process.pid)


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):  # all of them have ended
        os.killpg(leader, signal.SIGKILL)
