"""Ports of loopback for servers of other programs, which must be told theirs before they start."""

from __future__ import annotations

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """Return a port that nobody listens on, below those that outgoing connections take by themselves.

    One of those could be taken before the server has it, or while it is down: by another suite's connection, or by a
    client's own that asks for the server and meets itself.
    """
    while True:
        port = random.randint(15_000, 32_000)  # noqa: S311  # two runs at once must not choose alike; no secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
