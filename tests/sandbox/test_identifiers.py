from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from amili_async.sandbox._identifiers import ENTRIES, ORGANIZATIONS, SEQUENCES, Identifiers, Kind, Place

places = st.builds(
    Place,
    st.sampled_from(Kind),
    st.integers(0, ORGANIZATIONS - 1),
    st.integers(0, SEQUENCES - 1),
    st.integers(0, ENTRIES - 1),
)


@given(places, st.integers(0, 2**40))
def test_an_id_leads_back_to_its_place(place: Place, seed: int) -> None:
    identifiers = Identifiers(seed)
    text = identifiers.make(*place)
    assert identifiers.read(text) == place
    assert identifiers.read(text.upper()) == place


@given(places)
def test_an_id_is_a_random_uuid_to_look_at(place: Place) -> None:
    parsed = UUID(Identifiers(1).make(*place))
    assert parsed.version == 4
    assert str(parsed) == Identifiers(1).make(*place)


@given(st.uuids() | st.uuids(version=4) | st.text(max_size=40))
def test_text_that_is_no_id_leads_nowhere(value: object) -> None:
    assert Identifiers(1).read(str(value)) is None


@given(places, places)
def test_ids_differ_where_places_do(one: Place, other: Place) -> None:
    identifiers = Identifiers(3)
    assert (identifiers.make(*one) == identifiers.make(*other)) == (one == other)


def test_another_seed_makes_other_ids_and_reads_none_of_the_first() -> None:
    text = Identifiers(1).make(Kind.BATCH, 1, 2)
    assert Identifiers(2).make(Kind.BATCH, 1, 2) != text
    assert Identifiers(2).read(text) is None


def test_32_characters_that_are_no_hex_digits_lead_nowhere() -> None:
    assert Identifiers(1).read("z" * 32) is None
