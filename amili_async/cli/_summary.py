"""Says what a sync did, for a person: what is new, what failed, and that the next run goes on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from amili_async.cli._console import say, say_each, without_hint, without_password
from amili_async.cli._progress import duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amili_async.sync import Counts, SyncReport


def tell(report: SyncReport, store: str, totals: Mapping[str, int]) -> None:
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
        say_each(report.held)
    if report.restarts:
        say(f"{len(report.restarts):,} lists were read from their beginning, as the place where they stood is gone:")
        say_each(f"{restart.organization_id} {restart.resource}: {restart.reason}" for restart in report.restarts)


def _counts(counts: Counts) -> str:
    if not (counts.new or counts.changed or counts.quarantined or counts.gone):
        return "nothing new, nothing changed"
    parts = [f"{counts.new:,} new", f"{counts.changed:,} changed"]
    if counts.quarantined:
        parts.append(f"{counts.quarantined:,} that no reading makes sense of, kept in the table quarantine")
    if counts.gone:
        parts.append(f"{counts.gone:,} that the server no longer has")
    return ", ".join(parts)
