"""The entries of a batch one by one: by their tag, and where they have none, by their members."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from amili_async._decoding.drift import DriftBuffer, DriftReporter
from amili_async._decoding.failures import validation_detail
from amili_async._decoding.lenient import JSON, Coercer, Members, items_in, items_of
from amili_async.models import SucceededEntry, UnknownEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH = "$.succeeded[...]"

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_texts = msgspec.json.Decoder(str)


class _Kind:
    """A type of entry that this client knows."""

    def __init__(self, entry_type: type[SucceededEntry]) -> None:
        fields = msgspec.structs.fields(entry_type)
        self.type = entry_type
        self.names = frozenset(field.encode_name for field in fields)
        self.required = frozenset(field.encode_name for field in fields if field.required)
        self._quoted = tuple(f'"{name}"'.encode() for name in self.required)
        self._decoder = msgspec.json.Decoder(entry_type)

    @cached_property
    def shape(self) -> Members:
        return Members(self.type)

    def may_occur_in(self, text: bytes | bytearray) -> bool:
        for name in self._quoted:
            if name not in text:
                return False
        return bool(self.required)

    def read(self, raw: JSON, note: DriftReporter) -> SucceededEntry:
        try:
            return self._decoder.decode(raw)
        except msgspec.ValidationError:
            kept = DriftBuffer()
            entry = self._decoder.decode(self.shape.coerce(raw, PATH, kept))
            kept.pass_on(note)
            return entry


class EntryReader:
    """Reads single entries. One without ``$type`` is of the type that leaves the fewest of its members unread.

    Only types that it fits come into question, and none that has no required member, which would fit anything.
    """

    def __init__(self, known: Mapping[str, type[SucceededEntry]]) -> None:
        self._kinds = {tag: _Kind(entry_type) for tag, entry_type in known.items()}

    def possible(self, data: JSON) -> list[type[SucceededEntry]]:
        """Return the types that entries without a tag may be of: those whose required members occur at all."""
        text = bytes(data) if isinstance(data, msgspec.Raw) else data
        return [kind.type for kind in self._kinds.values() if kind.may_occur_in(text)]

    def read_all(self, raws: tuple[Any, ...], note: DriftReporter) -> tuple[SucceededEntry, ...]:
        """Return all entries of a batch. One whose tag is known and that does not fit makes the batch invalid."""
        entries: list[SucceededEntry] = []
        for index, raw in enumerate(raws):
            try:
                entries.append(self._read(raw, note))
            except msgspec.ValidationError as error:
                path, reason = validation_detail(error)
                raise msgspec.ValidationError(f"{reason} - at `$.succeeded[{index}]{path[1:]}`") from None
        return tuple(entries)

    def _read(self, raw: msgspec.Raw, note: DriftReporter) -> SucceededEntry:
        members = _members(raw)
        tag = _tag(members)
        if tag in self._kinds:
            return self._kinds[tag].read(raw, note)
        if tag is None:
            # A tag that is no text, such as null, says no more than none, and would not decode.
            untagged = msgspec.json.encode(members) if members.pop("$type", None) else raw
            for kind in self._by_members(members):
                try:
                    return kind.read(untagged, note)
                except msgspec.ValidationError:
                    continue
        note("type", f"{PATH}.$type", "no tag, and members that fit no known type" if tag is None else tag)
        return UnknownEntry(type=tag, raw=bytes(raw))

    def _by_members(self, members: Mapping[str, msgspec.Raw]) -> list[_Kind]:
        """Return the types that may fit, the best first."""
        fitting = [kind for kind in self._kinds.values() if kind.required and kind.required <= members.keys()]
        return sorted(fitting, key=lambda kind: len(members.keys() - kind.names))

    def shape_for(self, raw: JSON) -> Members | None:
        """Return the shape that an entry should have; nothing for one of an unknown type."""
        members = _members(raw)
        tag = _tag(members)
        if tag is not None:
            return self._kinds[tag].shape if tag in self._kinds else None
        return next((kind.shape for kind in self._by_members(members)), None)

    def shapes(self) -> dict[type, Members]:
        """Return the shapes of all known types."""
        return {kind.type: kind.shape for kind in self._kinds.values()}


class Entries(Coercer):
    """The place of the entries in a batch: each has the shape of its own type."""

    def __init__(self, reader: EntryReader) -> None:
        super().__init__(list[msgspec.Raw])
        self._reader = reader
        self._open_shapes = {kind: shape for kind, shape in reader.shapes().items() if shape.open}

    def report_unknown_fields(self, raw: JSON, path: str, note: DriftReporter) -> None:
        """Look into the entries of known types."""
        for item in items_in(raw):
            shape = self._reader.shape_for(item)
            if shape is not None:
                shape.report_unknown_fields(item, f"{path}[...]", note)

    def report_unknown_values(self, value: object, path: str, note: DriftReporter) -> None:
        """Look into the entries of known types."""
        for entry in items_of(value) if self._open_shapes else ():
            shape = self._open_shapes.get(type(entry))
            if shape is not None:
                shape.report_unknown_values(entry, f"{path}[...]", note)

    @property
    def open(self) -> bool:
        """Whether an entry of a known type may hold an open enum."""
        return bool(self._open_shapes)


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
