"""Decides when a list is read from end to end, and which rows are gone by what that found.

Incremental scans see what comes at the top. What they cannot see (a row that came very late, a final row that changed
all the same, one that an offset skipped, one that was deleted) a scan of everything does, now and then.
"""

from __future__ import annotations

from hashlib import blake2b
from math import floor
from typing import TYPE_CHECKING, NamedTuple

from amili_async.errors import ReconciliationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime, timedelta

    from amili_async.sync._store import Absences, AbsentRow

MAX_GONE = 0.05
"""The part of an organization's rows that may be gone at once; more is taken for a failure of the server."""

AT_ONCE = 10_000
"""Rows that are looked into in one scan; those beyond are left to the next one."""


def due(list_name: str, reconciled_at: datetime | None, now: datetime, interval: timedelta) -> bool:
    """Return whether it is time for a scan of everything.

    Each list has a time of its own within the interval, by its name; so those that were first read on one day are not
    all read again on one day, and none waits longer than the interval.
    """
    if reconciled_at is None:
        return True
    digest = int.from_bytes(blake2b(list_name.encode(), digest_size=8).digest(), "big")
    phase, seconds = digest / 2**64, interval.total_seconds()
    return floor(now.timestamp() / seconds - phase) > floor(reconciled_at.timestamp() / seconds - phase)


def check(absences: Absences, max_gone: float) -> None:
    """Look whether so many rows can be gone; one alone always can, unless nothing is left.

    Raises:
        ReconciliationError: more than ``max_gone`` of the rows are not in the list any more.
    """
    known, absent = absences.known, absences.absent
    most = max(1, floor(known * max_gone))
    if absent > most or (absent == known > 0 and max_gone < 1):
        raise ReconciliationError(
            f"{absent:,} of {known:,} rows are not in the list any more, which is more than can be taken for a fact "
            f"({max_gone:.0%}): none is marked as gone; look at it, and let it pass with max_gone where it is true"
        )


class Suspects(NamedTuple):
    """Rows that a scan of everything has not met."""

    asked: list[str]
    """To be asked for by id."""
    gone: list[str]
    """Not met by the scan before either, and without another way to ask."""
    absent: list[str]
    """Not met by this scan, and to be looked for by another."""


def sort_out(rows: Iterable[AbsentRow], readable_by_id: Callable[[str], bool]) -> Suspects:
    """Return what each row still needs for a proof: a word of the server's own, or a second scan."""
    suspects = Suspects([], [], [])
    for row in rows:
        if readable_by_id(row.id):
            suspects.asked.append(row.id)
        else:
            (suspects.gone if row.before else suspects.absent).append(row.id)
    return suspects
