"""What may stand at each place of a row: to bend what does not fit, and to find what no model names.

A shape is made of a type's annotations, and works on JSON text: what it does not bend stays byte for byte. It is used
only where the strict reading failed, or where somebody listens for drift, so it may be slow.
"""

from __future__ import annotations

import types
from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import msgspec

from amili_async._decoding.drift import DriftBuffer, DriftReporter
from amili_async.models import OpenEnum

if TYPE_CHECKING:
    from collections.abc import Sequence

JSON = bytes | bytearray | msgspec.Raw

_values = msgspec.json.Decoder()
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_arrays = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.encode


class Coercer:
    """A place where only one reading makes sense: nothing to bend, nothing to find."""

    def __init__(self, annotation: object) -> None:
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(annotation)

    def fits(self, raw: JSON) -> bool:
        """Return whether the JSON can be read as it is."""
        try:
            self._decoder.decode(raw)
        except msgspec.ValidationError:
            return False
        return True

    def coerce(self, raw: JSON, path: str, note: DriftReporter) -> JSON:  # noqa: ARG002  # what other shapes need
        """Return JSON that can be read, if there is a way; else what came, which then fails with msgspec's reason."""
        return raw

    def report_unknown_fields(self, raw: JSON, path: str, note: DriftReporter) -> None:
        """Report the members that no model names."""

    def report_unknown_values(self, value: object, path: str, note: DriftReporter) -> None:
        """Report the values that no enum lists."""

    @property
    def open(self) -> bool:
        """Whether an open enum may stand here or below."""
        return False


class Text(Coercer):
    """A text, or an enum of texts."""

    def __init__(self, annotation: object, kind: type) -> None:
        super().__init__(annotation)
        self._open = issubclass(kind, OpenEnum)

    def coerce(self, raw: JSON, path: str, note: DriftReporter) -> JSON:
        """Take the digits of a number as the text, and the two words."""
        scalar = bytes(raw)
        if scalar[:1] not in b"-0123456789tf":
            return raw
        note("leniency", path, "true or false taken as text" if scalar[:1] in b"tf" else "a number taken as text")
        return b'"' + scalar + b'"'

    def report_unknown_values(self, value: object, path: str, note: DriftReporter) -> None:
        """Report a value that the enum does not list."""
        if isinstance(value, OpenEnum) and not value.known:
            note("value", path, value)

    @property
    def open(self) -> bool:
        """Whether this is an open enum."""
        return self._open


class Moment(Coercer):
    """A date with a time and a zone."""

    def coerce(self, raw: JSON, path: str, note: DriftReporter) -> JSON:
        """Take what has no zone as UTC, and a mere date as its first moment."""
        text = _values.decode(raw)
        for missing, what in (("Z", "a time without a zone"), ("T00:00:00Z", "a date")):
            bent = _encode(f"{text}{missing}")
            if self.fits(bent):
                note("leniency", path, f"{what} taken as UTC")
                return bent
        return raw


class Day(Coercer):
    """A date."""

    def coerce(self, raw: JSON, path: str, note: DriftReporter) -> JSON:
        """Take a moment as its date."""
        day, separator, _ = str(_values.decode(raw)).partition("T")
        bent = _encode(day)
        if not (separator and self.fits(bent)):
            return raw
        note("leniency", path, "a time taken as its date")
        return bent


class Bool(Coercer):
    """True or false."""

    def coerce(self, raw: JSON, path: str, note: DriftReporter) -> JSON:
        """Take 0, 1 and the two words as text."""
        bent = {b"0": b"false", b"1": b"true", b'"false"': b"false", b'"true"': b"true"}.get(bytes(raw).lower())
        if bent is None:
            return raw
        note("leniency", path, "a number or text taken as true or false")
        return bent


class Number(Coercer):
    """A whole or floating number."""

    def coerce(self, raw: JSON, path: str, note: DriftReporter) -> JSON:
        """Take the digits in a text."""
        text = _values.decode(raw)
        bent = text.encode() if isinstance(text, str) else b""
        try:
            if not self.fits(bent):
                return raw
        except msgspec.DecodeError:
            return raw
        note("leniency", path, "a text taken as a number")
        return bent


class Choice(Coercer):
    """One of several shapes, or null."""

    def __init__(self, annotation: object, shapes: tuple[Coercer, ...]) -> None:
        super().__init__(annotation)
        self._shapes = shapes

    def coerce(self, raw: JSON, path: str, note: DriftReporter) -> JSON:
        """Bend as the first shape that makes it fit."""
        for shape in self._shapes:
            kept = DriftBuffer()
            bent = shape.coerce(raw, path, kept)
            if self.fits(bent):
                kept.pass_on(note)
                return bent
        return raw

    def report_unknown_fields(self, raw: JSON, path: str, note: DriftReporter) -> None:
        """Look below the shape that fits."""
        for shape in self._shapes:
            if shape.fits(raw):
                shape.report_unknown_fields(raw, path, note)
                return

    def report_unknown_values(self, value: object, path: str, note: DriftReporter) -> None:
        """Look below all that the value may be."""
        for shape in self._shapes:
            shape.report_unknown_values(value, path, note)

    @property
    def open(self) -> bool:
        """Whether one of the shapes does."""
        return any(shape.open for shape in self._shapes)


class Items(Coercer):
    """An array."""

    def __init__(self, annotation: object, item: Coercer) -> None:
        super().__init__(annotation)
        self._item = item

    def coerce(self, raw: JSON, path: str, note: DriftReporter) -> JSON:
        """Bend each item that does not fit."""
        try:
            items = _arrays.decode(raw)
        except msgspec.ValidationError:
            return raw
        bent = [item if self._item.fits(item) else self._item.coerce(item, f"{path}[...]", note) for item in items]
        return b"[" + b",".join(map(bytes, bent)) + b"]"

    def report_unknown_fields(self, raw: JSON, path: str, note: DriftReporter) -> None:
        """Look into each item."""
        for item in items_in(raw):
            self._item.report_unknown_fields(item, f"{path}[...]", note)

    def report_unknown_values(self, value: object, path: str, note: DriftReporter) -> None:
        """Look into each item."""
        if self._item.open:
            for item in items_of(value):
                self._item.report_unknown_values(item, f"{path}[...]", note)

    @property
    def open(self) -> bool:
        """Whether its items do."""
        return self._item.open


class Members(Coercer):
    """An object that a struct describes. ``special`` gives the shapes that the annotations do not tell."""

    def __init__(self, annotation: Any, special: dict[str, Coercer] | None = None) -> None:
        super().__init__(annotation)
        special = special or {}
        self._tag: str | None = (get_origin(annotation) or annotation).__struct_config__.tag_field
        self._fields = {
            field.encode_name: (field, special.get(field.name) or shape_of(field.type))
            for field in msgspec.structs.fields(annotation)
        }
        self._open_fields = [(field, shape) for field, shape in self._fields.values() if shape.open]

    def coerce(self, raw: JSON, path: str, note: DriftReporter) -> JSON:
        """Bend each member that does not fit; leave out a null or an empty object that stands for one."""
        try:
            members: dict[str, JSON] = {**_objects.decode(raw)}
        except msgspec.ValidationError:
            return raw
        for name, (field, shape) in self._fields.items():
            found = members.get(name)
            if found is None or shape.fits(found):
                continue
            empty = "".join(bytes(found).decode().split())
            if not field.required and empty in {"null", "{}"}:
                del members[name]
                note("leniency", f"{path}.{name}", f"{empty} taken as absent")
            else:
                members[name] = shape.coerce(found, f"{path}.{name}", note)
        return b"{" + b",".join(_encode(name) + b":" + bytes(value) for name, value in members.items()) + b"}"

    def report_unknown_fields(self, raw: JSON, path: str, note: DriftReporter) -> None:
        """Report the members that the struct does not name, and look into the others."""
        try:
            members = _objects.decode(raw)
        except msgspec.ValidationError:
            return
        for name, value in members.items():
            if name in self._fields:
                self._fields[name][1].report_unknown_fields(value, f"{path}.{name}", note)
            elif name != self._tag:
                note("member", f"{path}.{name[:64]}", name)

    def report_unknown_values(self, value: object, path: str, note: DriftReporter) -> None:
        """Look into the members that may hold an enum."""
        if isinstance(value, msgspec.Struct):
            for field, shape in self._open_fields:
                shape.report_unknown_values(getattr(value, field.name, None), f"{path}.{field.encode_name}", note)

    @property
    def open(self) -> bool:
        """Whether one of the members does."""
        return bool(self._open_fields)


def items_in(raw: JSON) -> list[msgspec.Raw]:
    """Return the JSON of each item of an array; nothing for any other JSON."""
    try:
        return _arrays.decode(raw)
    except msgspec.ValidationError:
        return []


def items_of(value: Any) -> Sequence[object]:
    """Return what an array was decoded to; nothing for any other value."""
    return value if type(value) in {tuple, list} else ()


def shape_of(annotation: Any) -> Coercer:
    """Return the shape of an annotation; a plain one for what msgspec reads in one way only."""
    bare = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    origin = get_origin(bare)
    if origin in {Union, types.UnionType}:
        return Choice(annotation, tuple(shape_of(one) for one in get_args(bare) if one is not type(None)))
    if origin in {tuple, list}:
        inner = [one for one in get_args(bare) if one is not Ellipsis]
        return Items(annotation, shape_of(inner[0])) if len(inner) == 1 else Coercer(annotation)
    kind: Any = origin or bare
    if not isinstance(kind, type):
        return Coercer(annotation)
    if issubclass(kind, msgspec.Struct):
        return Members(annotation)
    return _scalar(annotation, kind)


def _scalar(annotation: object, kind: Any) -> Coercer:
    if issubclass(kind, str):
        return Text(annotation, kind)
    if issubclass(kind, Enum):
        return Coercer(annotation)
    if issubclass(kind, datetime):
        return Moment(annotation)
    if issubclass(kind, date):
        return Day(annotation)
    if issubclass(kind, bool):
        return Bool(annotation)
    return Number(annotation) if issubclass(kind, int | float) else Coercer(annotation)
