"""Stand-ins for entries whose tag nobody taught, so that a page which holds some is still decoded in one pass."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from amili_async._upstream.msgspec import setter_of
from amili_async.models import Batch, UnknownEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_set_succeeded = setter_of(Batch, "succeeded")

MAX_LEARNT = 64
"""The unknown tags that are learnt, at most: a server that makes up tags must not fill the memory."""

MAX_TAG_LENGTH = 64
"""The characters of a tag that is learnt, at most."""


class _Learnt(NamedTuple):
    kind: type
    latest: deque[object]
    """The one that was made last."""


class Placeholders:
    """An empty struct for each unknown tag that was met. It tells when one is made: most pages need no second look."""

    def __init__(self) -> None:
        self._learnt: list[_Learnt] = []
        self.tags: dict[type, str] = {}

    def learn(self, tags: Iterable[str]) -> bool:
        """Make a placeholder for each tag that is not too long, while there is room; return whether there are more."""
        room = MAX_LEARNT - len(self._learnt)
        chosen = sorted(tag for tag in tags if len(tag) <= MAX_TAG_LENGTH)[:room]
        for tag in chosen:
            learnt = _learn(tag)
            self._learnt.append(learnt)
            self.tags[learnt.kind] = tag
        return bool(chosen)

    @property
    def full(self) -> bool:
        """Whether no more are learnt."""
        return len(self._learnt) == MAX_LEARNT

    def latest(self) -> list[object]:
        """Return what was made last, to be compared with later on."""
        return [learnt.latest[0] for learnt in self._learnt]

    def made_since(self, latest: list[object]) -> list[type]:
        """Return the placeholder of each tag that was met meanwhile, in this thread or another."""
        if not self._learnt:
            return []
        # A tag that was learnt meanwhile is not in the list: None is no placeholder.
        before = latest + [None] * (len(self._learnt) - len(latest))
        return [learnt.kind for learnt, last in zip(self._learnt, before, strict=True) if learnt.latest[0] is not last]

    def replace(self, row: Batch, raws: Sequence[msgspec.Raw]) -> None:
        """Put unknown entries with their JSON where the placeholders of a batch stand."""
        tags = self.tags
        entries = list(row.succeeded)
        for index, kind in enumerate(map(type, entries)):
            if kind in tags:
                entries[index] = UnknownEntry(type=tags[kind], raw=bytes(raws[index]))
        _set_succeeded(row, tuple(entries))

    def fill(self, row: Batch, jsons: Iterator[bytes]) -> None:
        """Put unknown entries where the placeholders of a batch stand, with the next of these as their JSON."""
        tags = self.tags
        entries = (
            UnknownEntry(type=tags[type(entry)], raw=next(jsons)) if type(entry) in tags else entry
            for entry in row.succeeded
        )
        _set_succeeded(row, tuple(entries))


def _learn(tag: str) -> _Learnt:
    latest: deque[object] = deque((None,), maxlen=1)
    # msgspec calls what stands under this name with the struct that it made. A deque's method costs a tenth of what a
    # function in Python does, and this happens for each unknown entry.
    namespace = {"__post_init__": latest.append}
    kind = msgspec.defstruct("Placeholder", (), tag=tag, tag_field="$type", frozen=True, gc=False, namespace=namespace)
    return _Learnt(kind, latest)
