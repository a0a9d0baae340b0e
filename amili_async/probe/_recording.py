"""Recorder: a server's answers in a folder, every value in them replaced, to be served by a sandbox and shared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.errors import ConfigurationError
from amili_async.probe._anonymous import Anonymizer

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence


PLAIN = frozenset({"PageSize", "pageSize", "SortDirection"})
"""Parts of a query that say nothing of anybody."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer: what was asked and what came, with no value that was there."""

    operation: str
    ids: tuple[str, ...] = ()
    query: dict[str, str] = {}
    status: int
    json: msgspec.Raw | None = None
    text: str | None = None
    """The body, where it was no JSON."""


class Recorder:
    """Writes answers into a folder, a file each, in the order in which they came."""

    __module__ = "amili_async.probe"  # where it is imported from

    def __init__(self, folder: str | os.PathLike[str], anonymizer: Anonymizer | None = None) -> None:
        """Record into a folder that is new or empty.

        Raises:
            ConfigurationError: something is in it already.
        """
        self._folder = Path(folder)
        self._anonymizer = anonymizer or Anonymizer()
        self._count = 0
        self._folder.mkdir(parents=True, exist_ok=True)
        if any(self._folder.iterdir()):
            raise ConfigurationError(f"{folder} is not empty; name a new folder for the recording")

    def keep(self, operation: str, ids: Sequence[str], query: Mapping[str, str], *, status: int, body: bytes) -> None:
        """Keep one answer, each of its values replaced."""
        replaced = self._anonymizer.body(body)
        is_json = _is_json(replaced)
        recorded = Recorded(
            operation=operation,
            ids=tuple(self._anonymizer.text(id_) for id_ in ids),
            query={name: value if name in PLAIN else self._anonymizer.text(value) for name, value in query.items()},
            status=status,
            json=msgspec.Raw(replaced) if is_json else None,
            text=None if is_json else replaced.decode(),
        )
        self._count += 1
        file = self._folder / f"{self._count:03}-{operation}.json"
        file.write_bytes(msgspec.json.format(msgspec.json.encode(recorded), indent=2) + b"\n")


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except READING_ERRORS:
        return False
    return True
