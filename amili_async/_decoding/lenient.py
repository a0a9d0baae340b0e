"""What may stand at each place of a row: to read what almost fits, and to keep what no model names.

Each place reads strictly where it can, so that only what does not fit is taken apart. It is used where the strict
reading of a whole page or row failed, so it may be slow. What it met on the way is in its `Findings`.
"""

from __future__ import annotations

import re
import types
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec

from amili_async._decoding.drift import Findings
from amili_async._decoding.failures import validation_detail
from amili_async._decoding.places import Places
from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.models import Extra, Received
from amili_async.models._inputs import MAX_EXPONENT, is_bounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from msgspec.structs import FieldInfo

JSON = bytes | bytearray | msgspec.Raw

_values = msgspec.json.Decoder()
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_arrays = msgspec.json.Decoder(list[msgspec.Raw])
_texts = msgspec.json.Decoder(str)
_encode = msgspec.json.encode
_SIMPLE = (str, int, msgspec.Raw, types.NoneType)

_NUMBER, _WITHOUT_ZONE = "a number taken as text", "a time without a zone taken as UTC"
"""What is told of what is coerced most."""

_HALF = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
"""Half of a character outside the first plane, without its other half."""
_ESCAPED, _NO_JSON = b"\\\\", b"\0\0"
"""A backslash that is none before a ``u``, and what stands for it meanwhile, since no JSON holds it."""
_MARK = b"\xef\xbb\xbf"
"""UTF-8's byte order mark, which some servers put before JSON."""


def mended(body: JSON) -> bytes | None:
    """Return a body that other readers take and msgspec refuses, as it takes it too; ``None`` where that is not it.

    A server that cuts text at a number of characters may leave half of one, such as of an emoji at the end of a name.
    JSON's grammar has nothing against it; U+FFFD takes its place.
    """
    given = bytes(body)
    text = given.removeprefix(_MARK).replace(_ESCAPED, _NO_JSON)
    if b"\0" in given or not (len(text) < len(given) or _HALF.search(text)):
        return None
    return _HALF.sub(rb"\\ufffd", text).replace(_NO_JSON, _ESCAPED)


MENDED = "half a character, or a byte order mark"


class Coerced(NamedTuple):
    """Other JSON that says the same, and how it came to that."""

    json: bytes
    what: str


class Coercer:
    """A place where only one reading makes sense."""

    def __init__(self, annotation: object) -> None:
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(annotation, float_hook=Decimal)

    def read(self, raw: JSON, path: str, found: Findings) -> Any:
        """Return what stands here: as it is, else coerced.

        Raises:
            msgspec.ValidationError: it does not fit. The path in its text begins here.
        """
        try:
            return self._decoder.decode(raw)
        except msgspec.ValidationError:
            for coerced in self.coerce(bytes(raw)):
                with suppress(msgspec.DecodeError):
                    value = self._decoder.decode(coerced.json)
                    found.drift("leniency", path, coerced.what)
                    return value
            raise

    def read_value(self, value: object) -> tuple[Any, str]:
        """Return what a JSON value says that stands where one had to be coerced, and how it came to that, if it had to.

        Of an amount only `Places` knows whether it is within bounds.

        Raises:
            msgspec.ValidationError: it does not fit, or is none of those of which all digits are known.
        """
        if not isinstance(value, _SIMPLE):
            raise msgspec.ValidationError("Expected a text, a number as JSON, true, false or null")
        raw = _encode(value)
        try:
            return self._decoder.decode(raw), ""
        except msgspec.ValidationError:
            found = Findings()
            read = self.read(raw, "$", found)
            return read, found.drifts[0].found

    def coerce(self, raw: bytes) -> list[Coerced]:  # noqa: ARG002  # what other places need
        """Return what to read in place of JSON that does not fit."""
        return []


class Text(Coercer):
    """A text, or an enum of texts: the digits of a number are taken as one, and the two words."""

    def coerce(self, raw: bytes) -> list[Coerced]:
        """Put it in quotes."""
        if raw[:1] not in b"-0123456789tf":
            return []
        what = "true or false taken as text" if raw[:1] in b"tf" else _NUMBER
        return [Coerced(b'"' + raw + b'"', what)]

    def read_value(self, value: object) -> tuple[Any, str]:
        """Return the text; the digits of a number at once."""
        if type(value) is int:
            return self._decoder.decode(b'"%d"' % value), _NUMBER
        return super().read_value(value)


class Moment(Coercer):
    """A date with a time and a zone: what has no zone is taken as UTC, and a mere date as its first moment."""

    def coerce(self, raw: bytes) -> list[Coerced]:
        """Add what is missing."""
        text = _values.decode(raw)
        missing = (("Z", _WITHOUT_ZONE), ("T00:00:00Z", "a date taken as UTC"))
        return [Coerced(_encode(f"{text}{end}"), what) for end, what in missing]

    def read_value(self, value: object) -> tuple[Any, str]:
        """Return the moment; one that does not end in the usual zone is likely to have none."""
        if not isinstance(value, str) or value.endswith("Z"):
            return super().read_value(value)
        try:
            return self._decoder.decode(_encode(f"{value}Z")), _WITHOUT_ZONE
        except msgspec.ValidationError:
            return super().read_value(value)


class Day(Coercer):
    """A date: a moment is taken as its date."""

    def coerce(self, raw: bytes) -> list[Coerced]:
        """Leave the time out."""
        day, separator, _ = str(_values.decode(raw)).partition("T")
        return [Coerced(_encode(day), "a time taken as its date")] if separator else []


class Bool(Coercer):
    """True or false: 0, 1 and the two words as text are taken as well."""

    def coerce(self, raw: bytes) -> list[Coerced]:
        """Write the word."""
        word = {b"0": b"false", b"1": b"true", b'"false"': b"false", b'"true"': b"true"}.get(raw.lower())
        return [] if word is None else [Coerced(word, "a number or text taken as true or false")]


class Number(Coercer):
    """A whole or floating number: the digits in a text are taken as one."""

    def coerce(self, raw: bytes) -> list[Coerced]:
        """Leave the quotes out."""
        text = _values.decode(raw)
        return [Coerced(text.encode(), "a text taken as a number")] if isinstance(text, str) else []


class Amount(Coercer):
    """An amount or a rate, whose digits stand near the point: ``1e999999999`` written out is a gigabyte."""

    def read(self, raw: JSON, path: str, found: Findings) -> Any:
        """Return the amount, exactly."""
        return _bounded(super().read(raw, path, found))


def _bounded(value: Any) -> Any:
    if isinstance(value, Decimal) and not is_bounded(value):
        raise msgspec.ValidationError(f"Expected `decimal` within {MAX_EXPONENT} places of the point")
    return value


class Choice(Coercer):
    """One of several things, or null."""

    def __init__(self, annotation: object, options: tuple[Coercer, ...]) -> None:
        super().__init__(annotation)
        self._options = options
        self._with_amount = any(isinstance(option, Amount) for option in options)

    def read(self, raw: JSON, path: str, found: Findings) -> Any:
        """Return what the first option makes of it that can."""
        try:
            value = super().read(raw, path, found)
        except msgspec.ValidationError:
            for option in self._options:
                met = Findings()
                with suppress(*READING_ERRORS):
                    value = option.read(raw, path, met)
                    found.take(met)
                    return value
            raise
        return _bounded(value) if self._with_amount else value

    def read_value(self, value: object) -> tuple[Any, str]:
        """Return what the only option makes of it, if there is but one."""
        if value is None or len(self._options) != 1:
            return super().read_value(value)
        (option,) = self._options
        return option.read_value(value)


class Items(Coercer):
    """An array."""

    def __init__(self, annotation: Any, item: Coercer) -> None:
        super().__init__(annotation)
        self._make: Any = get_origin(annotation)
        self._item = item

    def read(self, raw: JSON, path: str, found: Findings) -> Any:
        """Return the items, each as it stands where it can be read so."""
        try:
            return super().read(raw, path, found)
        except msgspec.DecodeError as strict:
            items = _taken_apart(_arrays, raw, strict)
        return self._make(self.read_all(items, path, found))

    def read_all(self, items: Sequence[msgspec.Raw], path: str, found: Findings) -> list[Any]:
        """Return what each item says."""
        read: list[Any] = []
        for index, item in enumerate(items):
            try:
                read.append(self._item.read(item, f"{path}[...]", found))
            except READING_ERRORS as error:
                raise below(f"[{index}]", error) from None
        return read


class Named(Coercer):
    """An object whose members' names are data."""

    def __init__(self, annotation: Any, member: Coercer) -> None:
        super().__init__(annotation)
        self._member = member

    def read(self, raw: JSON, path: str, found: Findings) -> Any:
        """Return the members, each as it stands where it can be read so."""
        try:
            return super().read(raw, path, found)
        except msgspec.DecodeError as strict:
            members = _taken_apart(_objects, raw, strict)
        try:
            return {name: self._member.read(value, f"{path}[...]", found) for name, value in members.items()}
        except READING_ERRORS as error:
            raise below("[...]", error) from None


class Members(Coercer):
    """An object that a struct describes. ``special`` gives what the annotations of some fields do not tell."""

    def __init__(self, annotation: Any, special: Mapping[str, Coercer] | None = None) -> None:
        super().__init__(annotation)
        model: Any = get_origin(annotation) or annotation
        self._annotation = annotation
        self._special = special or {}
        self._model: type[msgspec.Struct] = model
        self._keeps: type[Received] | None = model if issubclass(model, Received) else None
        self._tag: tuple[str | None, object] = (model.__struct_config__.tag_field, model.__struct_config__.tag)

    @cached_property  # a model may hold objects of its own kind
    def _fields(self) -> dict[str, tuple[FieldInfo, Coercer]]:
        return {
            field.encode_name: (field, self._special.get(field.name) or coercer_of(field.type))
            for field in msgspec.structs.fields(self._annotation)
            if self._keeps is None or field.name != "extra"
        }

    @cached_property
    def _places(self) -> Places:
        return Places(self._annotation)

    def read(self, raw: JSON, path: str, found: Findings) -> Any:
        """Return the object, each member as it stands where it can be read so, what no field names in ``extra``."""
        try:
            whole = super().read(raw, path, found)
            self._places.check_amounts((whole,))
        except msgspec.DecodeError as strict:
            members = _taken_apart(_objects, raw, strict)
            if not self._may_be(members):
                raise
            return self.made_of(members, path, found)
        return whole

    def made_of(self, members: Mapping[str, msgspec.Raw], path: str, found: Findings) -> Any:
        """Return the object with these members."""
        values: dict[str, object] = {}
        unknown: dict[str, object] = {}
        nulls: list[str] = []
        for name, raw in members.items():
            if name not in self._fields:
                if name != self._tag[0]:
                    unknown[name] = msgspec.Raw(_own(raw)) if self._keeps else raw
                continue
            field, coercer = self._fields[name]
            place, told = f"{path}.{name}", len(found.drifts)
            try:
                values[field.name] = coercer.read(raw, place, found)
            except READING_ERRORS as error:
                empty = "".join(bytes(raw).decode("utf-8", "replace").split())
                if field.required or empty not in {"null", "{}"}:
                    raise below(f".{name}", error) from None
                if empty == "null":
                    nulls.append(name)
                if empty != "null" or field.default is not None:
                    found.drift("leniency", place, f"{empty} taken as absent")
            else:
                if self._keeps is not None and any(drift.path == place for drift in found.drifts[told:]):
                    found.coercion(self._keeps, field.name)
        return self._make(values, unknown, nulls, path, found)

    def _make(
        self, values: dict[str, object], unknown: dict[str, object], nulls: list[str], path: str, found: Findings
    ) -> Any:
        for name, (field, _) in self._fields.items():
            if field.required and field.name not in values:
                raise msgspec.ValidationError(f"Object missing required field `{name}`")
        # An object of which no member is known at all, such as a currency, has none that would be news.
        for name in unknown if self._fields else ():
            found.drift("member", f"{path}.{name[:MAX_SHOWN]}", name)
        if self._keeps is not None and (unknown or nulls):
            for name in unknown:
                found.member(self._keeps, name)
            for name in nulls:
                found.null(self._keeps, self._fields[name][0].name)
            values["extra"] = Extra(unknown, nulls)
        try:
            return self._model(**values)
        except ValueError as error:  # of a `__post_init__`
            raise msgspec.ValidationError(str(error)) from None

    def _may_be(self, members: Mapping[str, msgspec.Raw]) -> bool:
        """Return whether the tag, if there is one that is a text, is this struct's own."""
        name, own = self._tag
        if name is None or name not in members:
            return True
        with suppress(msgspec.ValidationError):
            return _texts.decode(members[name]) == own
        return True


class TakenApart(Members):
    """An object that is never read strictly, as no annotation says what stands in its ``special`` fields."""

    def read(self, raw: JSON, path: str, found: Findings) -> Any:
        """Return the object."""
        return self.made_of(_objects.decode(raw), path, found)


MAX_SHOWN = 64
"""The characters of a member's name that a path shows, at most."""


def _own(raw: msgspec.Raw) -> str:
    """Return JSON as text of its own, which does not keep the page alive."""
    return bytes(raw).decode()


T = TypeVar("T")


def _taken_apart(decoder: msgspec.json.Decoder[T], raw: JSON, strict: msgspec.DecodeError) -> T:
    """Return the parts of an array or an object; of anything else, why it does not fit."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:
        raise strict from None


def below(step: str, error: Exception) -> msgspec.ValidationError:
    """Return the error of something that stands further down, with the way there in its path."""
    path, reason = validation_detail(error)
    return msgspec.ValidationError(f"{reason} - at `${step}{path[1:]}`")


def coercer_of(annotation: Any) -> Coercer:
    """Return what may stand where an annotation says."""
    bare = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    origin, inner = get_origin(bare), get_args(bare)
    if origin in {Union, types.UnionType}:
        return Choice(annotation, tuple(coercer_of(one) for one in inner if one is not type(None)))
    if origin in {tuple, list}:
        items = [one for one in inner if one is not Ellipsis]
        return Items(bare, coercer_of(items[0])) if len(items) == 1 else Coercer(annotation)
    if origin is dict and inner[0] is str:
        return Named(annotation, coercer_of(inner[1]))
    kind: Any = origin or bare
    if not isinstance(kind, type):
        return Coercer(annotation)
    if issubclass(kind, msgspec.Struct) and not kind.__struct_config__.array_like:
        return Members(annotation)
    return _scalar(annotation, kind)


def _scalar(annotation: object, kind: Any) -> Coercer:
    if issubclass(kind, str):
        return Text(annotation)
    if issubclass(kind, Enum):
        return Coercer(annotation)
    if issubclass(kind, datetime):
        return Moment(annotation)
    if issubclass(kind, date):
        return Day(annotation)
    if issubclass(kind, bool):
        return Bool(annotation)
    if issubclass(kind, Decimal):
        return Amount(annotation)
    return Number(annotation) if issubclass(kind, int | float) else Coercer(annotation)
