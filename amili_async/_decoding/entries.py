"""The entries of a batch one by one: by their tag, and where they have none, by their members."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from amili_async._decoding.drift import Findings
from amili_async._decoding.lenient import JSON, Coercer, Items, Members
from amili_async.models import FailedEntry, SucceededEntry, UnknownEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

PATH = "$.succeeded[...]"

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_texts = msgspec.json.Decoder(str)


class _Kind:
    """A type of entry that this client knows."""

    def __init__(self, entry_type: type[SucceededEntry]) -> None:
        fields = [field for field in msgspec.structs.fields(entry_type) if field.name != "extra"]
        self.type = entry_type
        self.names = frozenset(field.encode_name for field in fields)
        self.required = frozenset(field.encode_name for field in fields if field.required)
        self._quoted = tuple(f'"{name}"'.encode() for name in self.required)

    @cached_property
    def members(self) -> Members:
        return Members(self.type)

    def may_occur_in(self, text: bytes | bytearray) -> bool:
        for name in self._quoted:
            if name not in text:
                return False
        return bool(self.required)


class EntryReader(Coercer):
    """Reads an entry. One without ``$type`` is of the type that leaves the fewest of its members unread.

    Only types that it fits come into question, and none that has no required member, which would fit anything. What is
    of no known type is kept whole.
    """

    def __init__(self, known: Mapping[str, type[SucceededEntry]]) -> None:
        super().__init__(msgspec.Raw)
        self._kinds = {tag: _Kind(entry_type) for tag, entry_type in known.items()}

    def likely(
        self, data: JSON, learnt: Callable[[type[SucceededEntry]], Iterable[str]]
    ) -> type[SucceededEntry] | None:
        """Return the type that entries without a tag are of if each is one of it and has no member that is unread.

        Only types whose required members occur at all come into question. Of several it is the one that requires a
        member which all others would leave unread. ``learnt`` names the further members that a type is read with.
        """
        text = bytes(data) if isinstance(data, msgspec.Raw) else data
        possible = [kind for kind in self._kinds.values() if kind.may_occur_in(text)]
        for kind in possible:
            others = [other for other in possible if other is not kind]
            further = learnt(kind.type) if others else ()
            if all(kind.required - other.names and other.names.isdisjoint(further) for other in others):
                return kind.type
        return None

    def read(self, raw: JSON, path: str, found: Findings) -> SucceededEntry:
        """Return the entry.

        Raises:
            msgspec.ValidationError: its tag is known, and it does not fit.
        """
        members = _members(raw)
        tag = _tag(members)
        if tag in self._kinds:
            return self._read_as(self._kinds[tag], raw, path, found)
        if tag is None:
            for kind in self._by_members(members):
                met = Findings()
                try:
                    # A tag that is no text, such as null, says no more than none, and would not decode.
                    entry = (
                        kind.members.made_of(members, path, met)
                        if "$type" in members
                        else self._read_as(kind, raw, path, met)
                    )
                except msgspec.ValidationError:
                    continue
                found.take(met)
                return entry
        else:
            found.tags[tag] = None
        found.drift("type", f"{path}.$type", "no tag, and members that fit no known type" if tag is None else tag)
        return UnknownEntry(type=tag, raw=bytes(raw))

    def _read_as(self, kind: _Kind, raw: JSON, path: str, found: Findings) -> SucceededEntry:
        entry: SucceededEntry = kind.members.read(raw, path, found)
        return entry

    def _by_members(self, members: Mapping[str, msgspec.Raw]) -> list[_Kind]:
        """Return the types that may fit, the best first."""
        fitting = [kind for kind in self._kinds.values() if kind.required and kind.required <= members.keys()]
        return sorted(fitting, key=lambda kind: len(members.keys() - kind.names))


class Entries(Items):
    """The place of the entries in a batch."""

    def __init__(self, reader: EntryReader) -> None:
        super().__init__(tuple[msgspec.Raw, ...], reader)

    def read(self, raw: JSON, path: str, found: Findings) -> tuple[Any, ...]:
        """Return the entries. One whose tag is known and that does not fit makes the batch invalid."""
        return tuple(self.read_all(self._decoder.decode(raw), path, found))


class Failures(Coercer):
    """The place of what failed in a batch, of which nothing is known but that it is an array."""

    def __init__(self) -> None:
        super().__init__(tuple[msgspec.Raw, ...])

    def read(self, raw: JSON, path: str, found: Findings) -> tuple[FailedEntry, ...]:
        """Return the entries, whole."""
        return failed_of(super().read(raw, path, found))


def failed_of(raws: Sequence[msgspec.Raw]) -> tuple[FailedEntry, ...]:
    """Return entries of what failed, copied: they do not keep the page alive."""
    return tuple(map(FailedEntry, map(bytes, raws)))


def _members(raw: JSON) -> dict[str, msgspec.Raw]:
    try:
        return _objects.decode(raw)
    except msgspec.ValidationError:
        return {}


def _tag(members: Mapping[str, msgspec.Raw]) -> str | None:
    try:
        return _texts.decode(members["$type"])
    except (KeyError, msgspec.ValidationError):
        return None
