from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from amili_async.sandbox._shapes import Value, is_array, is_object, money, to_json

values: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(values)
def test_what_is_written_is_json_of_the_same_value(value: Value) -> None:
    assert json.loads(to_json(value)) == value


@given(st.integers(-(10**15), 10**15))
def test_money_keeps_its_two_decimals(ore: int) -> None:
    text = to_json({"amount": money(ore)})
    digits = text.removeprefix('{"amount":').removesuffix("}")
    assert digits.partition(".")[2].isdigit()
    assert len(digits.partition(".")[2]) == 2
    assert Decimal(digits) * 100 == ore


def test_objects_and_arrays_are_told_apart() -> None:
    assert (is_object({}), is_object([]), is_array([]), is_array({}), is_array("")) == (True, False, True, False, False)
