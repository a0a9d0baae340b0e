"""What callers give is checked before anything is sent, and the error names the argument."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async.errors import ConfigurationError, InvalidArgumentError
from amili_async.models import BatchState
from amili_async.resources._arguments import check_key, count, day, flag, number, span, text, text_or_number


@pytest.mark.parametrize(("value", "least"), [(None, 1), (1, 1), (0, 0), (10**9, 1)])
def test_a_count_is_a_whole_number_or_nothing(value: int | None, least: int) -> None:
    assert count(value, "limit", least=least) == value


@pytest.mark.parametrize("value", [0, -1, True, False, 1.0, "1", float("nan"), [1]])
def test_any_other_count_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="limit must be a whole number of at least 1, not "):
        count(value, "limit", least=1)


@pytest.mark.parametrize(("value", "sent"), [(None, None), (1, "1"), (500, "500")])
def test_a_number_is_sent_in_digits(value: int | None, sent: str | None) -> None:
    assert number(value, "page_size") == sent


@pytest.mark.parametrize("value", [0, -5, True, "5"])
def test_a_page_has_at_least_one_row(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="page_size must be a whole number of at least 1"):
        number(value, "page_size")


@pytest.mark.parametrize(
    ("value", "sent"), [(None, None), ("PARTIAL", "PARTIAL"), (BatchState.PARTIAL, "PARTIAL"), (BatchState("X"), "X")]
)
def test_a_filter_is_sent_as_plain_text(value: str | None, sent: str | None) -> None:
    found = text(value, "state")
    assert found == sent
    assert type(found) in {str, type(None)}


@pytest.mark.parametrize("value", ["", " ", 7, b"PARTIAL", ["PARTIAL"], False])
def test_any_other_filter_is_refused_without_quoting_it(value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^state must (be text, not \w+|not be empty)$"):
        text(value, "state")


@pytest.mark.parametrize(("value", "sent"), [(None, None), (5, "5"), ("5", "5"), ("0005", "0005")])
def test_a_number_that_names_something_is_taken_as_either(value: str | int | None, sent: str | None) -> None:
    assert text_or_number(value, "case_number") == sent


@pytest.mark.parametrize("value", ["", True, 5.0])
def test_what_is_neither_text_nor_a_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="case_number must"):
        text_or_number(value, "case_number")


def test_a_span_ends_where_it_begins_or_later() -> None:
    names = ("from_date", "to_date")
    assert span(None, None, names) == (None, None)
    assert span("2024-01-15", date(2024, 1, 15), names) == ("2024-01-15", "2024-01-15")
    assert span("2024-01-15T12:00:00Z", None, names) == ("2024-01-15T12:00:00Z", None)
    with pytest.raises(InvalidArgumentError, match="to_date is before from_date: nothing lies between them"):
        span("2024-02-15", date(2024, 1, 15), names)


def test_a_choice_of_two_is_sent_in_lower_case() -> None:
    assert [flag(value, "include_closed") for value in (None, True, False)] == [None, "true", "false"]
    with pytest.raises(InvalidArgumentError, match="include_closed must be True or False, not str"):
        flag("yes", "include_closed")


def test_a_uuid_is_a_key() -> None:
    assert check_key(UUID(int=1)) == "00000000-0000-0000-0000-000000000001"


def test_a_filter_s_date_is_a_day_or_a_moment() -> None:
    assert day(None, "from_date") is None
    assert day("2024-01-15", "from_date") == "2024-01-15"
    with pytest.raises(InvalidArgumentError, match="from_date is not ISO 8601"):
        day("soon", "from_date")


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_key_is_one_line_of_ascii(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", " ", "a\nb", "a\r", "nøkkel", "a\x00", "tab\t", 7, b"key"])
def test_any_other_key_is_refused_without_quoting_it(key: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^idempotency_key must be one line of ASCII text that is not empty$"):
        check_key(key)


def test_no_key_is_no_key() -> None:
    assert check_key(None) is None
