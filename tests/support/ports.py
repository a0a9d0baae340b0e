"""Ports of loopback for servers of other programs, which must be told theirs before they start."""

from __future__ import annotations

import atexit
import random
import socket
import sys
from contextlib import suppress
from functools import cache
from itertools import cycle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST, _END, _BLOCK = 15_000, 32_000, 500


def free_port() -> int:
    """Return a port that nobody listens on, below those that outgoing connections take by themselves.

    One of those could be taken before the server has it, or while it is down: by another suite's connection, or by a
    client's own that asks for the server and meets itself.
    """
    while True:
        port = next(_ports())
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@cache
def _ports() -> Iterator[int]:
    """Return the ports of a block that no other process has, over and over.

    Two suites that chose from all of them would one day choose alike, before the server of either has its port.
    """
    firsts = [*range(_FIRST, _END, _BLOCK)]
    random.shuffle(firsts)
    first = next(filter(_reserve, firsts), firsts[0])
    return cycle(range(first, first + _BLOCK))


def _reserve(first: int) -> bool:
    """Return whether a block is this process's until it ends: Linux keeps a name for as long as its socket is open."""
    if sys.platform != "linux":
        return True
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0amili-async-tests-{first}")
    except OSError:
        name.close()
        return False
    atexit.register(name.close)
    return True
