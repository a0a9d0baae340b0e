"""What the proof of the sync is worth: each of its rules broken in a copy, and who notices.

A rule is broken by an edit of the source. First some random histories run against it (`benchmarks.histories`), then the
tests of the sync that need no server of their own, then histories up to 2,000. A rule whose breach nobody notices could
be lost tomorrow: the exit status is 1. ``python -m benchmarks.mutants`` tries all. ``--only gone`` breaks those whose names hold that word. ``--figures
benchmarks/reliability.md`` writes the table.
"""

# ruff: noqa: E501  # an edit is read best in one line

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.measuring import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FIRST, MOST = 150, 2_000
"""Histories before the tests have their turn, and in all."""

TESTS = (
    *(f"tests/sync/test_{name}.py" for name in ("scan", "list_sync", "sources", "engine")),
    "tests/simulation",
)
TESTS_OF_THE_STORE = ("tests/sync/sql",)

_PLAYED = """
import json, logging
from hypothesis import Phase
from benchmarks.histories import Played
logging.disable(logging.CRITICAL)
played, said = Played(1), None
try:
    played.play({count}, [Phase.generate])
except BaseException as error:
    said = f"{{type(error).__name__}}: {{error}}".splitlines()[0]
print(json.dumps([played.count, said]))
"""


class Mutant(NamedTuple):
    """A rule, and the edits by which it is broken: text that stands once in a module, and what takes its place."""

    rule: str
    module: str
    edits: tuple[tuple[str, str], ...]

    @property
    def path(self) -> Path:
        """The module, seen from the project's folder."""
        return Path("amili_async", "sync", f"{self.module}.py")

    def applied(self) -> str:
        """Return the module's text without the rule.

        Raises:
            ValueError: a text to be replaced does not stand there once.
        """
        text = (ROOT / self.path).read_text("utf-8")
        for old, new in self.edits:
            if text.count(old) != 1:
                raise ValueError(f"{self.rule}: {old!r} stands {text.count(old)} times in {self.module}")
            text = text.replace(old, new)
        return text


def _one(rule: str, module: str, old: str, new: str) -> Mutant:
    return Mutant(rule, module, ((old, new),))


MUTANTS = (
    # What is known
    Mutant(
        "the boundary is the newest row's moment in place of the server's time",
        "_scan",
        (
            ("[moment for moment in moments if moment <= as_of]", "moments"),
            ("known_until=min(_present(scan.as_of, scan.newest), default=None)", "known_until=scan.newest"),
        ),
    ),
    _one(
        "the boundary is our own time in place of the server's",
        "_list_sync",
        "as_of=self._around.server_time(since)",
        "as_of=self._now()",
    ),
    _one("no overlap of 15 minutes", "_scan", "moments[-1] < boundary - OVERLAP", "moments[-1] < boundary"),
    _one("no overlap of 500 rows", "_scan", "scan.beyond >= OVERLAP_ROWS", "scan.beyond >= 1"),
    _one("the order of a list is trusted", "_scan", "ordered = all(map(ge, moments, older)) and (", "ordered = (True or "),
    _one("no evidence for an order", "_scan", "(scan.steps >= EVIDENCE or not everything)", "True"),
    _one("the first page need not reach what is known", "_scan", "scan.top >= watermark.known_until and", ""),
    _one(
        "a scan that met nothing known moves what is known",
        "_scan",
        "joined = everything or scan.by_known or scan.beyond > 0",
        "joined = True",
    ),
    _one("what is known moves before a scan has ended", "_list_sync", "if done(scan) and self", "if self"),
    _one(
        "what is doubtful is forgotten",
        "_scan",
        "doubtful=scan.doubtful or lost or not joined or not settled",
        "doubtful=False",
    ),
    # Lists without moments
    _one("a known row ends a list without moments", "_scan", "watermark.on_top >= EVIDENCE_ON_TOP", "True"),
    _one("a new row below a known one is no reason to read on", "_scan", "not scan.misplaced and scan.unchanged", "scan.unchanged"),
    _one(
        "a list without moments that proved out of order is trusted again",
        "_scan",
        "before.on_top < 0 or (scan.misplaced and scan.whole)",
        "False",
    ),
    _one("equal rows without an id are one", "_sources", 'f"{row.id}:{seen[row.id]}") if twice', '"") if False'),
    # Killed and resumed
    Mutant(
        "the cursor is committed before the rows",
        "_list_sync",
        (
            (
                "        result = await self._keep(checkpoint, rows=rows,",
                "        await self._keep(checkpoint)\n        result = await self._keep(checkpoint, rows=rows,",
            ),
        ),
    ),
    _one("a resumed scan is the last one of its run", "_list_sync", "if not self._behind and not leaves_unread(", "if True or not leaves_unread("),
    _one("a scan that goes on after a pause is as one without", "_scan", "replace(scan, reached=None, by_known=False, unchanged=0)", "scan"),
    _one("a broken-off scan is as if it had not been", "_list_sync", "broken_off=scan is not None", "broken_off=False"),
    _one("a resumed scan need not do what is asked for", "_scan", "(scan.full or not full)", "True"),
    _one("what was never read is not looked for in the list of the same run", "_list_sync", " and not leaves_unread(before, self._checkpoint.watermark)", ""),
    _one("what the list has and no reading by id is taken for gone", "_scan", "for row in reread.missing if row not in scan.unread}", "for row in reread.missing}"),
    # Page tokens, empty pages
    _one("a dead cursor is not tried again", "_list_sync", "if self.restart is not None:", "if True:"),
    _one("a dead cursor is tried again only where it is refused as such", "_list_sync", "old = self._kept or", "old ="),
    _one("a dead cursor is tried again without end", "_list_sync", "if self.restart is not None:", "if False:"),
    _one("an empty page behind an old cursor is the end", "_list_sync", "return self._kept and self._restarts(", "return False and self._restarts("),
    _one("an empty list is believed at once", "_list_sync", "watermark is not None and not watermark.empty and", "False and"),
    _one("an empty page is the end", "_scan", "if following is None:", "if following is None or not (rows or page.unread):"),
    _one("a list that goes in circles is followed", "_scan", "if before == digest:", "if False:"),
    # Rows that may still change, that cannot be read, that are not there
    _one("open rows are forgotten", "_scan", "**scan.seen_open}\n    kept", "}\n    kept"),
    _one("the oldest of many open rows is forgotten", "_scan", "return {}, min((*oldest, *open_rows.values()))", "return {}, None"),
    _one("quarantined rows are not asked for again", "_scan", "unread={**_left_out(before.unread, scan), **scan.unread}", "unread={}"),
    _one(
        "the place of an unreadable row is forgotten",
        "_scan",
        "min(_present(scan.oldest_unread, _if_left_out(before.oldest_unread, scan)), default=None)",
        "None",
    ),
    _one("a 404 by id is believed at once", "_scan", "{} if everything and settled else scan.missing", "{}"),
    # What is gone
    _one("gone without asking by id", "_reconciliation", "suspects.asked.append(row.id)", "suspects.gone.append(row.id)"),
    _one("gone by one scan, without reads by id", "_reconciliation", "(suspects.gone if row.before else suspects.absent)", "suspects.gone"),
    _one("gone where the server has no such route", "_list_sync", "if row is NotRead.ABSENT]", "if isinstance(row, NotRead)]"),
    _one("no rule of 5 %", "_reconciliation", "if absent > most or", "if"),
    _one("all may be gone at once", "_reconciliation", "or (absent == known > 0 and max_gone < 1)", ""),
    _one("reconciliation is never due again", "_reconciliation", "return floor(now", "return False and floor(now"),
    _one("what an earlier scan met counts as met by this one", "_list_sync", "forget_met=scan.reconciles and not before.pages", "forget_met=False"),
    # Whose failure it is
    _one("one organization's failure ends the run", "_engine", "        account = job.reading.account\n        if isinstance(error, Conf", "        account = job.reading.account\n        if True or isinstance(error, Conf"),
    _one("a 401 for one is a 401 for all", "_engine", "if any(account.answered_at is not None for account in accounts):", "if False:"),
    _one("a sort that one refuses is off for all", "_sources", "        self.sort = None", "        self.sort = self._lists.newest_first = None"),
    _one("a refused sort is a failure", "_list_sync", "if self._scan.sort is None or status not in _MALFORMED:", "if True:"),
    _one("a refusal for load is a failure", "_engine", "if self._is_load(job, error) and", "if False and"),
    _one("open rows are read one after the other", "_list_sync", "_AT_ONCE = 50", "_AT_ONCE = 1"),
    _one("what is read rarely is read each time", "_list_sync", "refreshes=not fresh", "refreshes=True"),
    _one("a scan that reconciles stops where others do", "_scan", "everything = wanted.full or wanted.reconciles or", "everything = wanted.full or"),
    _one("what a narrower run left out counts as known", "_scan", "return covered is None or (since", "return True or (since"),
    # Leases
    _one("a lease is left where a run is cancelled", "_engine", "await job.give_back(self._store, None)\n\n", "pass\n\n"),
    _one("a lease is lost where a run is cancelled while taking it", "_engine", "await to_its_end(taking)", "(await taking, None)"),
    _one("a list that another run has taken over is written on", "_list_sync", "        if isinstance(result, LeaseConflict):\n            raise LeaseLostError(result)\n        self._check", "        if isinstance(result, LeaseConflict):\n            return WriteResult(0, 0)\n        self._check"),
    _one("a lease is not fenced", "_sql/checkpoints", 'lists.c.fencing_token == sa.bindparam("fencing_token")', 'sa.bindparam("fencing_token") > 0'),
    _one("a lease that is held is taken", "_sql/leases", "if not owner.yields_to(self._owner):", "if False:"),
    _one("a lease never ends", "_sql/leases", "and found.expires_at > found.now:", ":"),
    _one("a row that comes back is still gone", "_sql/reconciliation", '"gone_at": sa.null(), "synced', '"synced'),
)  # fmt: skip


class Noticed(NamedTuple):
    """Who noticed that a rule is broken."""

    histories: int
    """How many it took."""
    said: str | None
    """What the last of them said; nothing where all passed."""
    test: str | None = None
    """The first test that failed, where no history did."""


def broken(mutant: Mutant, root: Path) -> None:
    """Make a copy of the project in which the rule does not hold."""
    for folder in ("amili_async", "tests", "benchmarks"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    (root / mutant.path).write_text(mutant.applied(), "utf-8")


def try_out(mutant: Mutant) -> Noticed:
    """Break a rule, and see who notices."""
    with tempfile.TemporaryDirectory() as folder:
        broken(mutant, Path(folder))
        noticed = _play(folder, FIRST)
        if noticed.said is None:
            tests = TESTS_OF_THE_STORE if mutant.module.startswith("_sql") else TESTS
            noticed = noticed._replace(test=_failing_test(folder, tests))
        if noticed.said is None and noticed.test is None:
            noticed = _play(folder, MOST)
        return noticed


def _play(folder: str, count: int) -> Noticed:
    ran = _run(folder, "-c", _PLAYED.format(count=count))
    if ran.returncode:
        raise RuntimeError(ran.stderr[-2000:])
    played, said = json.loads(ran.stdout.splitlines()[-1])
    return Noticed(played, said)


def _failing_test(folder: str, tests: Sequence[str]) -> str | None:
    # Not those that play histories: they have been played.
    options = ("-x", "-q", "--no-header", "--color=no", "--deselect", "tests/simulation/test_simulation.py")
    ran = _run(folder, "-m", "pytest", *options, *tests)
    failed = [line for line in ran.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return failed[0].split(" - ")[0].rpartition("::")[2] if failed else None


def _run(folder: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(  # noqa: S603  # this interpreter
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def table(results: Iterable[tuple[Mutant, Noticed]]) -> list[str]:
    """Return the table that stands in the page."""
    lines = ["| the rule that is broken | noticed by |", "| --- | --- |"]
    for mutant, noticed in results:
        by = f"history {noticed.histories}" if noticed.said else f"`{noticed.test}`" if noticed.test else "**nobody**"
        lines.append(f"| {mutant.rule} | {by} |")
    return lines


BEGIN, END = "<!-- mutants -->", "<!-- /mutants -->"


def main() -> int:
    """Break what was asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="those rules whose name holds this")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="so many side by side")
    parser.add_argument("--figures", type=Path, metavar="FILE", help="write the table into this page")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if options.only in mutant.rule]
    for mutant in chosen:
        mutant.applied()  # before an hour goes by: a rule that has moved is to be looked for anew

    def tried(mutant: Mutant) -> tuple[Mutant, Noticed]:
        noticed = try_out(mutant)
        print(f"{mutant.rule}: {noticed}", flush=True)
        return mutant, noticed

    with ThreadPoolExecutor(options.at_once) as threads:
        results = list(threads.map(tried, chosen))
    if options.figures is not None:
        head, _, rest = options.figures.read_text("utf-8").partition(BEGIN)
        tail = rest.partition(END)[2]
        options.figures.write_text("\n".join([f"{head}{BEGIN}", *table(results), f"{END}{tail}"]), "utf-8")
    return int(any(noticed.said is None and noticed.test is None for _, noticed in results))


if __name__ == "__main__":
    sys.exit(main())
