"""How a sync shows itself: a bar or a line every few seconds while it runs, and at the end what it did."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from amili_async.cli._console import say, say_each, without_hint, without_password

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from datetime import datetime

    from amili_async.sync import Counts, HeldOrganization, SyncReport
    from amili_async.sync import Progress as SyncProgress

EVERY = 5.0
"""Seconds between two lines where there is no terminal."""


@contextmanager
def shown_progress() -> Generator[Callable[[SyncProgress], None], None, None]:
    """Yield what takes the progress of a sync and shows it on standard error."""
    if not sys.stderr.isatty():
        yield Lines().update
        return
    with Progress(
        SpinnerColumn(),
        BarColumn(bar_width=None),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
        expand=True,
    ) as bar:
        task = bar.add_task("organizations", total=None)
        walked = Walked()

        def update(progress: SyncProgress) -> None:
            bar.update(
                task,
                # Until one is done nothing is known of how large they are: the bar then only shows that it moves.
                total=progress.organizations_total if progress.organizations_done else None,
                completed=walked.organizations(progress),
                description=f"{count(progress)} organizations, {figures(progress)}",
            )

        yield update


class Walked:
    """How many organizations are walked, those under way counted by their rows: a bar moves with each page."""

    def __init__(self) -> None:
        self._done = 0
        self._rows = 0
        """Rows that had been read when an organization was done last."""

    def organizations(self, progress: SyncProgress) -> float:
        """Return how many are walked, in parts; it never goes back, and never says that one is done before it is."""
        if progress.organizations_done != self._done:
            self._done, self._rows = progress.organizations_done, progress.rows
        since, usual = progress.rows - self._rows, self._rows / self._done if self._done else 0
        return self._done + (min(0.9, since / usual) if usual else 0.0)


def count(progress: SyncProgress) -> str:
    """Return how many organizations are done, of how many where that is known."""
    total = "" if progress.organizations_total is None else f" of {progress.organizations_total:,}"
    return f"{progress.organizations_done:,}{total}"


class Lines:
    """Prints the progress as a line, but not more often than every few seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last = now()

    def update(self, progress: SyncProgress) -> None:
        """Print a line where the last one is long enough ago."""
        if self._now() - self._last < EVERY:
            return
        self._last = self._now()
        say(f"{count(progress)} organizations, {figures(progress)}")


def figures(progress: SyncProgress) -> str:
    """Return the progress in numbers, without those that say nothing."""
    parts = [f"{progress.rows:,} rows", f"{progress.rows_per_second:,.0f} rows/s"]
    if progress.limited:
        parts.append(f"{progress.requests_per_second:,.1f} requests/s")
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    if progress.retries:
        parts.append(f"{progress.retries:,} retries")
    if progress.waiting:
        parts.append(f"told to wait {progress.waiting:,.0f} s")
    if progress.seconds_left is not None:
        parts.append(f"{duration(progress.seconds_left)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return so many seconds as a person says them: ``4.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 10:  # noqa: PLR2004  # below, a tenth is worth telling
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def tell_report(report: SyncReport, store: str, totals: Mapping[str, int]) -> None:
    """Print the report: its numbers to standard output, with how many rows there are; what went wrong to the other."""
    total = report.total
    speed = f"{total.rows / report.seconds:,.0f} rows/s, " if total.new + total.changed and report.seconds else ""
    count = "1 organization" if report.organizations == 1 else f"{report.organizations:,} organizations"
    work = f"{duration(report.seconds)} ({speed}{report.requests:,} requests)"
    sys.stdout.write(f"Synced {count} into {without_password(store)} in {work}.\n")
    for resource, counts in report.resources.items():
        sys.stdout.write(f"  {resource}: {_counts(counts)}, {totals[resource]:,} in the store\n")
    if report.failures:
        say(f"{len(report.failures):,} failed and will be tried again by the next run:")
        say_each(f"{failure.organization_id} {without_hint(failure.message)}" for failure in report.failures)
    if report.stopped:
        say("Stopped there, as --max-failures says; the organizations left are read by the next run.")
    if report.held:
        say(f"{len(report.held):,} are being synced by another run and were left to it:")
        say_each(_held(held) for held in report.held)
    if report.restarts:
        say(f"{len(report.restarts):,} lists were read from their beginning, as the place where they stood is gone:")
        say_each(f"{restart.organization_id} {restart.resource}: {restart.reason}" for restart in report.restarts)


def _held(held: HeldOrganization) -> str:
    """Return an organization with who has it, since when and until when, as far as that is known."""
    parts = [f"by {held.owner}"] if held.owner else []
    parts += [f"{word} {moment:%Y-%m-%d %H:%M:%S %Z}" for word, moment in _times(held) if moment is not None]
    return f"{held.organization_id} ({', '.join(parts)})" if parts else held.organization_id


def _times(held: HeldOrganization) -> tuple[tuple[str, datetime | None], ...]:
    return ("since", held.since), ("until", held.until)


def _counts(counts: Counts) -> str:
    if not any((counts.new, counts.changed, counts.quarantined, counts.gone, counts.returned)):
        return "nothing new, nothing changed"
    parts = [f"{counts.new:,} new", f"{counts.changed:,} changed"]
    if counts.quarantined:
        parts.append(f"{counts.quarantined:,} that no reading makes sense of, kept in the table quarantine")
    if counts.missed or counts.stale:
        parts.append(f"of them {counts.missed:,} and {counts.stale:,} that earlier runs had not seen")
    if counts.gone:
        parts.append(f"{counts.gone:,} that the server no longer has")
    if counts.returned:
        parts.append(f"{counts.returned:,} that it has again")
    return ", ".join(parts)
