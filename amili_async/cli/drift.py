"""Collects how the answers differed from the documentation, to be told when a command ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.cli.running import say, say_each

if TYPE_CHECKING:
    from amili_async.events import Drift, DriftKind, QuarantinedRow

WORDS: dict[DriftKind, str] = {
    "member": "a member that is not documented, ",
    "value": "a value that is not documented, ",
    "type": "a $type that is not documented, ",
    "leniency": "",
}


class DriftNotes:
    """A hook that keeps what was met."""

    def __init__(self) -> None:
        self.drift: list[Drift] = []
        self.quarantined: list[QuarantinedRow] = []

    def on_drift(self, record: Drift) -> None:
        """Keep a difference."""
        self.drift.append(record)

    def on_quarantine(self, record: QuarantinedRow) -> None:
        """Keep where a row could not be read."""
        self.quarantined.append(record)

    def tell(self) -> None:
        """Print what was met to standard error; nothing where all was as documented."""
        if self.drift:
            say("Not quite as documented, and read all the same:")
            say_each(f"{record.operation} {record.path}: {WORDS[record.kind]}{record.found}" for record in self.drift)
        if self.quarantined:
            count = len(self.quarantined)
            rows = "1 row could not be read and was" if count == 1 else f"{count:,} rows could not be read and were"
            say(f"{rows} left out:")
            say_each(f"{record.operation} {record.path}: {record.reason}" for record in self.quarantined)
