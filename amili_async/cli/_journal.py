"""Journal: what was sent of a file and what came of it, on the disk before a request leaves.

JSON lines beside the file, for its owner alone. A row is known by a digest of what is sent of it, so the file may grow,
and no person's data is in the journal. A write that is noted as sent and has no outcome may have taken effect.
"""

from __future__ import annotations

import os
import stat
import sys
import uuid
from typing import TYPE_CHECKING, Literal

import msgspec

from amili_async._call.token_cache import try_lock
from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

Outcome = Literal["accepted", "refused", "unknown"]


class Heading(msgspec.Struct, tag="journal", frozen=True, kw_only=True):
    """The first line: what the writes are, for whom, and where they go."""

    operation: str
    organization_id: str
    server: str
    prefix: str = ""
    """What the idempotency keys of its writes begin with."""


class Sent(msgspec.Struct, tag="sent", frozen=True, kw_only=True):
    """A write is about to leave, with these rows."""

    write: int
    key: str
    rows: tuple[str, ...]


class Ended(msgspec.Struct, tag="ended", frozen=True, kw_only=True):
    """What came of a write."""

    write: int
    outcome: Outcome
    batch_id: str | None = None
    error: str | None = None


_BEGINNING = b'{"type":"journal"'
_heading = msgspec.json.Decoder(Heading)
_records = msgspec.json.Decoder(Sent | Ended)


class Journal:
    """The journal of one file, held by one process at a time."""

    def __init__(self, path: Path, heading: Heading) -> None:
        """Open a journal, or begin one.

        Raises:
            ConfigurationError: it is that of other writes, another process holds it, or it is no journal.
            OSError: it cannot be read or written.
        """
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self.sent: dict[int, Sent] = {}
            self.ended: dict[int, Ended] = {}
            _lock(self._file, path)
            self.heading = self._read(heading)
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._file)

    def _read(self, heading: Heading) -> Heading:
        text = self.path.read_bytes()
        # What was cut off while it was written was never on the disk when a request left.
        whole = text[: text.rfind(b"\n") + 1]
        if not whole and (text.startswith(_BEGINNING) or _BEGINNING.startswith(text)):
            os.truncate(self.path, 0)
            begun = msgspec.structs.replace(heading, prefix=uuid.uuid4().hex)
            self._write(begun)
            _sync_folder(self.path)
            return begun
        first, *rest = whole.splitlines() or [text]
        try:
            found = _heading.decode(first)
            records = [_records.decode(line) for line in rest]
        except READING_ERRORS:
            raise ConfigurationError(f"{self.path} is no journal of ours; name another with --journal") from None
        os.truncate(self.path, len(whole))
        for name in ("operation", "organization_id", "server"):
            there, asked = getattr(found, name), getattr(heading, name)
            if there != asked:
                raise ConfigurationError(
                    f"{self.path} is the journal of other writes ({name} {there!r}, not {asked!r}); "
                    "name another with --journal"
                )
        for record in records:
            if isinstance(record, Sent):
                self.sent[record.write] = record
                self.ended.pop(record.write, None)
            else:
                self.ended[record.write] = record
        return found

    def outcome(self, write: int) -> Outcome:
        """Return what came of a write that was sent."""
        ended = self.ended.get(write)
        return "unknown" if ended is None else ended.outcome

    def rows(self, outcome: Outcome) -> set[str]:
        """Return the rows of all writes that ended so."""
        return {row for write, sent in self.sent.items() if self.outcome(write) == outcome for row in sent.rows}

    def unknown(self) -> list[Sent]:
        """Return the writes of which nobody knows whether they took effect."""
        return [sent for write, sent in self.sent.items() if self.outcome(write) == "unknown"]

    def begin(self, rows: Sequence[str]) -> Sent:
        """Note that a new write with these rows is about to leave; on return the disk has it."""
        write = max(self.sent, default=-1) + 1
        return self.begin_again(Sent(write=write, key=f"{self.heading.prefix}-{write}", rows=tuple(rows)))

    def begin_again(self, sent: Sent) -> Sent:
        """Note that a write is about to leave once more, under the key that it had."""
        self._write(sent)
        self.sent[sent.write] = sent
        self.ended.pop(sent.write, None)
        return sent

    def end(self, ended: Ended) -> None:
        """Note what came of a write."""
        self._write(ended)
        self.ended[ended.write] = ended

    def _write(self, record: Heading | Sent | Ended) -> None:
        line = msgspec.json.encode(record) + b"\n"
        written = os.write(self._file, line)
        if written < len(line):
            os.truncate(self.path, os.fstat(self._file).st_size - written)
            raise OSError(f"{self.path}: the disk took {written} of {len(line)} bytes")
        os.fsync(self._file)


def _sync_folder(path: Path) -> None:
    """Put a new file's name on the disk too, where folders can be synced."""
    if sys.platform == "win32":
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _lock(file: int, path: Path) -> None:
    """Hold a file for this process; the system lets go of it however the process ends."""
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise ConfigurationError(f"{path} is no file; name one with --journal")
    if not try_lock(file):
        raise ConfigurationError(f"another process is sending with {path}; wait until it has ended")
