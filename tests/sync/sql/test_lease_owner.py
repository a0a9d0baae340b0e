"""Who holds a lease, and whether that process is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from amili_async.sync._sql import lease_owner as holder_module
from amili_async.sync._sql.lease_owner import LeaseOwner

ON_LINUX = Path("/proc/self/stat").exists()


def test_a_holder_survives_its_text() -> None:
    holder = LeaseOwner.here("run 1")

    assert LeaseOwner.decode(holder.encode()) == holder
    assert holder.run == "run 1"


def test_a_run_without_a_name_is_one_of_its_own() -> None:
    one, other = LeaseOwner.here(), LeaseOwner.here()

    assert one.run != other.run
    assert not one.yields_to(other)


def test_a_living_process_keeps_what_it_holds_from_other_runs_and_yields_to_its_own() -> None:
    holder = LeaseOwner.here("run 1")

    assert not holder.gone()
    assert not holder.yields_to(LeaseOwner.here("run 2"))
    assert holder.yields_to(LeaseOwner.here("run 1"))


def in_another_process(statement: str) -> LeaseOwner:
    code = f"from amili_async.sync._sql.lease_owner import LeaseOwner; {statement}"
    output = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603  # our own code
    return LeaseOwner.decode(output)


@pytest.mark.skipif(not ON_LINUX, reason="only Linux tells when a process began; elsewhere leases run out")
def test_a_process_that_has_ended_is_gone() -> None:
    ended = in_another_process("print(LeaseOwner.here('run 1').encode())")

    assert ended.process != os.getpid()
    assert ended.gone()
    assert ended.yields_to(LeaseOwner.here("run 2"))


def test_a_number_used_again_is_another_process() -> None:
    assert replace(LeaseOwner.here(), started="long ago").gone()


def test_of_another_machine_nothing_is_known() -> None:
    assert not replace(LeaseOwner.here(), machine="elsewhere", process=2**22 + 1).gone()


def test_where_processes_cannot_be_asked_about_none_is_taken_for_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nowhere(type(Path())):  # type: ignore[misc]  # the path class of this platform
        def read_text(self, *_arguments: object, **_options: object) -> str:
            raise FileNotFoundError

    monkeypatch.setattr(holder_module, "Path", Nowhere)
    holder = LeaseOwner.here()

    assert holder.started == ""
    assert not replace(holder, process=2**22 + 1).gone()


@pytest.mark.parametrize("state", ["Z", "X"])
def test_a_process_that_nobody_has_buried_yet_is_gone(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = LeaseOwner.here()
    living = Path(f"/proc/{os.getpid()}/stat").read_text("utf-8")
    before, _, after = living.rpartition(")")
    dead = f"{before}) {state}{after[2:]}"
    read_text = Path.read_text

    def read(path: Path, *arguments: str, **options: str) -> str:
        return dead if path.name == "stat" else read_text(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", read)

    assert holder.gone()
