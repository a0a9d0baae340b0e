"""Extra: the members of an object that no field names, as exact as they came, decoded when they are looked at.

How deep such JSON may be is bounded, since what Python does with values goes into them by calling itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import accumulate, chain, count
from operator import sub
from typing import Any

import msgspec
from msgspec import UNSET

from amili_async._upstream.msgspec import READING_ERRORS

MAX_DEPTH = 100
"""How deep arrays and objects may be nested in a row, or in what stands beside rows; ten are not documented."""

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


def read_json(raw: bytes) -> object:
    """Return what JSON says, its numbers exact.

    Raises:
        msgspec.DecodeError: it is none, or nested too deeply; what else `READING_ERRORS` names.
    """
    check_depth(raw)
    return _decoder.decode(raw)


def check_depth(raw: bytes | bytearray | msgspec.Raw, most: int = MAX_DEPTH) -> None:
    """Look at how deep JSON is nested, before anything is made of it.

    Raises:
        msgspec.ValidationError: too deep.
    """
    text = bytes(raw) if isinstance(raw, msgspec.Raw) else raw
    if text.count(b"[") + text.count(b"{") <= most:
        return
    brackets = text.translate(_STEPS, _NEITHER).replace(b'""', b"")
    if b'"' in brackets or b"\\" in brackets:
        # Brackets in texts, or what may hide where these end.
        outside = text.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
        brackets = b"".join(outside).translate(_STEPS, _NEITHER)
    # Each step is one more than what a bracket adds to the depth.
    if max(map(sub, accumulate(brackets), count(1)), default=0) > most:
        raise too_deep(most)


def check_values(values: Iterable[object], most: int = MAX_DEPTH) -> None:
    """Look at how deep lists and dicts are nested, all of them at once.

    Raises:
        msgspec.ValidationError: one is too deep.
    """
    level = [*values]
    for _ in range(most + 1):
        containers = [one for one in level if isinstance(one, dict | list)]  # pyright: ignore[reportUnknownVariableType]  # of any kind
        if not containers:
            return
        level = [*chain.from_iterable(map(_inside, containers))]  # pyright: ignore[reportUnknownArgumentType]  # the same
    raise too_deep(most)


def _inside(container: Any) -> Iterable[object]:
    return container.values() if isinstance(container, dict) else container  # pyright: ignore[reportUnknownVariableType]  # of any kind


def too_deep(most: int = MAX_DEPTH) -> msgspec.ValidationError:
    """Return the error of JSON that is nested too deeply."""
    return msgspec.ValidationError(f"Expected JSON that is nested at most {most} deep")


def given_twice(text: str | bytes | bytearray) -> str | None:
    """Return a member that an object has twice, at any depth of JSON; its readers take the last one in silence.

    Raises:
        ValueError: it is no JSON; RecursionError: it is nested too deeply.
    """
    found: list[str] = []

    def look(members: list[tuple[str, object]]) -> None:
        names = [name for name, _ in members]
        if len({*names}) < len(names):
            found.append(Counter(names).most_common(1)[0][0])

    json.loads(text, object_pairs_hook=look, parse_int=str, parse_float=str)
    return found[0] if found else None


_NEITHER = bytes(set(range(256)) - {*b'[]{}"\\'})
_STEPS = bytes.maketrans(b"[{]}", bytes([2, 2, 0, 0]))
"""What makes steps of brackets: two down, none up, since a byte is not negative."""


def _read(raw: msgspec.Raw) -> object:
    try:
        return _decoder.decode(raw)
    except READING_ERRORS:
        # JSON all the same: a number of thousands of digits, or beyond even a `Decimal`, which stays text.
        return json.loads(bytes(raw).decode("utf-8", "replace"), parse_float=_number, parse_int=_number)


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
