"""Open enums keep what they do not know, compare as text, and do not leak."""

from __future__ import annotations

import copy
import pickle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async.models import OpenEnum
from amili_async.models._open_enum import MAX_KEPT, MAX_KEPT_LENGTH, misses


class Colour(OpenEnum):
    RED = "RED"
    BLUE = "blue-ish"


@given(st.text())
def test_any_text_is_a_value(text: str) -> None:
    colour = Colour(text)
    assert colour == text
    assert str(colour) == text
    assert f"{colour}" == text
    assert hash(colour) == hash(text)
    assert colour.known == (text in {"RED", "blue-ish"})
    assert pickle.loads(pickle.dumps(colour)) == colour  # noqa: S301  # our own bytes
    assert type(copy.deepcopy(colour)) is Colour
    assert msgspec.json.decode(msgspec.json.encode(colour), type=Colour) == text


def test_a_known_value_is_the_member() -> None:
    assert Colour("RED") is Colour.RED
    assert Colour.BLUE.known


def test_a_set_finds_a_value_by_its_text() -> None:
    assert "blue-ish" in {Colour.RED, Colour.BLUE}
    assert Colour("GREEN") in {"GREEN", "RED"}


def test_an_unknown_value_is_no_member_of_the_class() -> None:
    Colour("GREEN")
    assert list(Colour) == [Colour.RED, Colour.BLUE]


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="5 is not a valid Colour"):
        Colour(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # what it refuses


def test_an_unknown_value_met_again_is_the_same_object() -> None:
    class Fresh(OpenEnum):  # of which no other test has met so many values that this one is not kept
        RED = "RED"

    assert Fresh("TEAL") is Fresh("TEAL")


def test_a_server_that_makes_up_values_does_not_fill_the_memory() -> None:
    class Made(OpenEnum):
        UP = "UP"

    first = [Made(f"value {number}") for number in range(MAX_KEPT)]
    assert all(Made(str(value)) is value for value in first)
    assert Made("one more") is not Made("one more")
    assert Made("one more") == Made("one more")


def test_a_long_value_is_kept_by_its_holder_alone() -> None:
    assert Colour("x" * (MAX_KEPT_LENGTH + 1)) is not Colour("x" * (MAX_KEPT_LENGTH + 1))


def test_meeting_an_unknown_value_is_told_and_a_known_one_is_not() -> None:
    before = misses.latest
    msgspec.json.decode(b'["RED"]', type=list[Colour])
    assert misses.latest is before
    msgspec.json.decode(b'["MAUVE"]', type=list[Colour])
    after = misses.latest
    assert after is not before
    msgspec.json.decode(b'["MAUVE"]', type=list[Colour])
    assert misses.latest is not after
