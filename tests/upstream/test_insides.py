"""That nothing outside `amili_async._upstream` leans on the insides of other libraries, and what msgspec allows."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import pytest

import amili_async
from amili_async._upstream.msgspec import lookup_of, public_in, set_frozen, setter_of

PACKAGE = Path(amili_async.__file__).parent
OWN = {PACKAGE / "_client.py"}
"""Where this package reaches into a copy of its own."""


class Row(msgspec.Struct, frozen=True):
    name: str


def test_a_member_of_a_frozen_struct_can_be_set_before_anybody_has_seen_it() -> None:
    row = Row("a")
    set_frozen(row, "name", "b")
    assert row == Row("b")


class Shown(Row, frozen=True):
    """Shows a member otherwise than it is kept."""

    size: int = 0


def test_a_member_that_a_subclass_shows_otherwise_can_be_set() -> None:
    row = Shown("a")
    Shown.name = property(lambda _: "shown")  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]  # what is tried
    setter_of(Row, "name")(row, "b")
    assert (row.name, msgspec.structs.astuple(row)) == ("shown", ("b", 0))


class Colour(StrEnum):
    RED = "red"

    @classmethod
    def _missing_(cls, value: object) -> Colour | None:
        return cls.RED if value == "rouge" else None


@public_in("a.module.that.is.not.there")
class Public(msgspec.Struct, frozen=True):
    colours: tuple[Colour, ...] = ()
    row: Row | None = None


def test_a_struct_that_names_another_module_is_read_by_the_names_of_its_own() -> None:
    assert Public.__module__ == "a.module.that.is.not.there"
    assert msgspec.json.decode(b'{"colours":["red"],"row":{"name":"a"}}', type=Public) == Public(
        (Colour.RED,), Row("a")
    )
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"colours":[1]}', type=Public)


def test_what_stands_for_an_enum_reads_the_enum_s_own_members_and_further_ones() -> None:
    teal = str.__new__(Colour, "teal")
    kind: Any = list[lookup_of(Colour, {"teal": teal})]  # type: ignore[misc]  # made at run time
    decoder: msgspec.json.Decoder[list[Colour]] = msgspec.json.Decoder(kind)
    assert [type(value) for value in decoder.decode(b'["red","teal","rouge"]')] == [Colour] * 3
    assert decoder.decode(b'["teal"]')[0] is teal
    assert decoder.decode(b'["rouge"]') == [Colour.RED]
    with pytest.raises(msgspec.ValidationError, match="Invalid enum value 'blue'"):
        decoder.decode(b'["blue"]')
    assert [*Colour] == ["red"]


def test_a_number_that_no_field_is_for_can_be_kept_as_json() -> None:
    (number,) = msgspec.json.Decoder(float_hook=msgspec.Raw).decode(b"[1.50]")
    assert (type(number), bytes(number), msgspec.json.encode(number)) == (msgspec.Raw, b"1.50", b"1.50")


def test_an_unknown_member_is_refused_at_once_by_name() -> None:
    class Strict(msgspec.Struct, forbid_unknown_fields=True):
        a: int = 0

    with pytest.raises(msgspec.ValidationError, match="contains unknown field `b`"):
        msgspec.json.decode(b'{"a":1,"b":2}', type=Strict)


def test_private_attributes_of_others_are_named_in_one_place() -> None:
    naming = {
        path
        for path in PACKAGE.rglob("*.py")
        if re.search(
            r"SLF001|reportPrivateUsage|force_setattr|attr\((?!self\b)[^()]*[\"']_[a-z]", path.read_text("utf-8")
        )
    }
    assert {path for path in naming if "_upstream" not in path.parts} == OWN
