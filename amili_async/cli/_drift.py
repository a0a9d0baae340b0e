"""Collects how the answers differed from the documentation, to be told when a command ends."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from amili_async.cli._console import say, say_each

if TYPE_CHECKING:
    from amili_async.events import Drift, DriftKind, QuarantinedRow

NAMED = 8
"""How many differences of one kind are named."""

WORDS: dict[DriftKind, str] = {
    "member": "unknown members",
    "value": "unknown values",
    "type": "unknown entries",
    "leniency": "read by bending the rules",
}


class DriftNotes:
    """A hook that keeps what was met."""

    def __init__(self) -> None:
        self.drift: dict[tuple[str, DriftKind], list[Drift]] = {}
        self.quarantined: list[QuarantinedRow] = []

    def on_drift(self, record: Drift) -> None:
        """Keep a difference."""
        self.drift.setdefault((record.operation, record.kind), []).append(record)

    def on_quarantine(self, record: QuarantinedRow) -> None:
        """Keep where a row could not be read."""
        self.quarantined.append(record)

    def tell(self) -> None:
        """Print what was met to standard error; nothing where all was as documented."""
        if self.drift:
            say("Not quite as documented, and read all the same:")
            say_each(
                f"{operation}: {WORDS[kind]} {_named([_name(record) for record in records])}"
                for (operation, kind), records in self.drift.items()
            )
        if self.quarantined:
            count = len(self.quarantined)
            rows = "1 row could not be read and was" if count == 1 else f"{count:,} rows could not be read and were"
            say(f"{rows} left out:")
            say_each(f"{record.operation} {record.path}: {record.reason}" for record in self.quarantined)


def _name(record: Drift) -> str:
    place = re.sub(r"^\$\.data(\[\.\.\.\])?\.?", "", record.path)
    if record.kind == "member":
        return place
    return f"{place} ({record.found})" if record.kind == "leniency" else record.found


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
