"""A file system of one's own that is soon full: two runs of one command on it, the second with room enough."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# Nobody else sees what is mounted here, and it is gone with the shell.
_SCRIPT = """
folder=$1 size=$2 kept=$3; shift 3
mount -t tmpfs -o "size=$size" none "$folder" && cp -r "$kept"/. "$folder" && cd "$folder" || exit 99
"$@" >"$kept/full.out" 2>"$kept/full.err"; full=$?
mount -o remount,size=64m none "$folder" || exit 99
"$@" >"$kept/room.out" 2>"$kept/room.err"; room=$?
cp -r "$folder"/. "$kept"
echo "$full $room"
"""


class Ran(NamedTuple):
    """What a command left behind."""

    status: int
    printed: str
    said: str


def on_a_full_disk(
    folder: Path, command: Sequence[str], *, size: str, environment: Mapping[str, str]
) -> tuple[Ran, Ran, Path]:
    """Run a command on so small a disk, and again once there is room; return both, and where its files are afterwards.

    What lies in the folder ``kept`` is on that disk from the beginning.
    """
    alone = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--mount", "--user", "--map-root-user")
    mounted = folder / "mounted"
    kept = folder / "kept"
    for each in (mounted, kept):
        each.mkdir(exist_ok=True)
    trial = (*alone, "mount", "-t", "tmpfs", "none", str(mounted))
    if subprocess.run(trial, check=False, capture_output=True).returncode:  # noqa: S603  # ours
        pytest.skip("nothing may be mounted on this machine, so a full disk was not tried; run as root, or allow users")
    words = (*alone, "sh", "-c", _SCRIPT, "sh", str(mounted), size, str(kept), *command)
    ended = subprocess.run(  # noqa: S603  # ours
        words, check=True, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300
    )
    full, room = (
        Ran(int(status), (kept / f"{name}.out").read_text("utf-8"), (kept / f"{name}.err").read_text("utf-8"))
        for name, status in zip(("full", "room"), ended.stdout.split(), strict=True)
    )
    return full, room, kept
