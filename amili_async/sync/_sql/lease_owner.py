"""Who holds a lease: a run, in a process, on a machine; and whether that process is gone.

A lease ends by itself after a while. A process that was killed on this machine need not be waited for: its lease may be
taken over at once.
"""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path

import msgspec

_DEAD = frozenset("ZX")


class LeaseOwner(msgspec.Struct, frozen=True, array_like=True):
    """A store in a process. Those of one run take leases over from each other at once."""

    run: str
    machine: str
    process: int
    started: str
    """When the process began, so that a number used again is not taken for the same process."""
    store: str

    @classmethod
    def here(cls, run: str | None = None) -> LeaseOwner:
        """Return a new owner in this process."""
        store = uuid.uuid4().hex
        process = os.getpid()
        return cls(run or store, _machine(), process, _started(process) or "", store)

    def encode(self) -> str:
        """Return the owner as text."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def decode(cls, text: str) -> LeaseOwner:
        """Return the owner that `encode` wrote."""
        return msgspec.json.decode(text, type=LeaseOwner)

    def described(self) -> str:
        """Return who it is, for a person who may want to look what that process does."""
        here = _machine()
        if self.machine == here:
            return f"process {self.process} on this machine"
        name, *boot = self.machine.split(" ")
        if boot[:1] == here.split(" ")[1:2]:
            return f"process {self.process} in another container of this machine ({name})"
        return f"process {self.process} on {name}"

    def gone(self) -> bool:
        """Return whether its process is known to have ended: on another machine that cannot be known."""
        return self.machine == _machine() and _started(self.process) != self.started

    def yields_to(self, other: LeaseOwner) -> bool:
        """Return whether another may take its leases before they end."""
        return self.run == other.run or self.gone()


def _machine() -> str:
    """Return what tells machines, boots and containers apart, as process numbers mean something within those only."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        processes = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        # Not Linux: without a way to ask about processes, none is ever taken for gone.
        boot, processes = uuid.uuid4().hex, ""
    return f"{socket.gethostname()} {boot} {processes}"


def _started(process: int) -> str | None:
    """Return when a living process of this machine began, in the kernel's own words; ``None`` for one that ended."""
    try:
        # The second field is the program's name in brackets, and may hold blanks and brackets itself.
        fields = Path(f"/proc/{process}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in _DEAD else fields[19]
