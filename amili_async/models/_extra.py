"""Extra: the members of an object that no field names, as exact as they came, decoded when they are looked at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=Decimal)


class Extra(Mapping[str, object]):
    """JSON values by their names on the wire, numbers as ``int`` or `Decimal`. ``repr`` shows the names alone."""

    __slots__ = ("members", "nulls")

    def __init__(self, members: Mapping[str, object], nulls: Iterable[str] = ()) -> None:
        self.members: Mapping[str, object] = members
        """What is written: some values are still JSON."""
        self.nulls: frozenset[str] = frozenset(nulls)
        """The members with a field that were null: written as null again, unless the field has another value now."""

    def __getitem__(self, name: str) -> object:
        return value_of(self.members[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __hash__(self) -> int:
        return hash(hashable(self))

    def __repr__(self) -> str:
        return f"Extra({', '.join(self.members)})"

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled, (_encoder.encode(self.members), sorted(self.nulls))


NOTHING = Extra({})
"""What a model has in ``extra`` whose members all have a field."""


def _unpickled(members: bytes, nulls: list[str]) -> Extra:
    read = _raws.decode(members)
    return Extra(read, nulls) if read or nulls else NOTHING


_raws = msgspec.json.Decoder(dict[str, msgspec.Raw])


def value_of(value: Any) -> object:
    """Return a value as users see it: JSON decoded, at every depth."""
    if isinstance(value, msgspec.Raw):
        return _read(value)
    if isinstance(value, list):
        return [value_of(item) for item in value]  # pyright: ignore[reportUnknownVariableType]  # of any kind
    if isinstance(value, dict):
        return {name: value_of(member) for name, member in value.items()}  # pyright: ignore[reportUnknownVariableType]  # of any kind
    return None if value is UNSET else value


def _read(raw: msgspec.Raw) -> object:
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, ArithmeticError):
        # JSON all the same: a number of thousands of digits, or beyond even a `Decimal`, which stays text.
        return json.loads(bytes(raw), parse_float=_number, parse_int=_number)


def _number(digits: str) -> object:
    for kind in (int, Decimal):
        try:
            return kind(digits)
        except (ValueError, ArithmeticError):
            continue
    return digits


def hashable(value: Any) -> object:
    """Return what hashes alike for equal values, dicts and lists among them."""
    if isinstance(value, Mapping):
        return frozenset([(name, hashable(member)) for name, member in value.items()])  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # of any kind
    if isinstance(value, list | tuple):
        return tuple([hashable(item) for item in value])  # pyright: ignore[reportUnknownVariableType]  # of any kind
    return value
