from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from amili_async import ConfigurationError
from amili_async.models._moments import moment, query_date

if TYPE_CHECKING:
    from amili_async.models import DateLike

OSLO = timezone(timedelta(hours=1))
MIDNIGHT = datetime(2024, 1, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "expected", "queried"),
    [
        (date(2024, 1, 15), MIDNIGHT, "2024-01-15"),
        ("2024-01-15", MIDNIGHT, "2024-01-15"),
        ("2024-01-15T00:00:00Z", MIDNIGHT, "2024-01-15T00:00:00Z"),
        (datetime(2024, 1, 15, 1, tzinfo=OSLO), MIDNIGHT, "2024-01-15T00:00:00Z"),
        ("2024-01-15T01:00:00+01:00", MIDNIGHT, "2024-01-15T00:00:00Z"),
        (
            datetime(2024, 1, 15, 0, 0, 0, 123000, tzinfo=UTC),
            MIDNIGHT + timedelta(milliseconds=123),
            "2024-01-15T00:00:00.123000Z",
        ),
    ],
)
def test_a_date_an_aware_datetime_and_text_are_taken(given: DateLike, expected: datetime, queried: str) -> None:
    assert moment(given, "due_date") == expected
    assert moment(given, "due_date").tzinfo is UTC
    assert query_date(given, "due_date") == queried


def test_no_date_is_no_query() -> None:
    assert query_date(None, "due_date") is None


@pytest.mark.parametrize("given", [datetime(2024, 1, 15), "2024-01-15T00:00:00"])  # noqa: DTZ001  # what is refused
def test_a_moment_without_a_zone_is_refused(given: DateLike) -> None:
    with pytest.raises(ConfigurationError, match="due_date has no time zone"):
        moment(given, "due_date")
    with pytest.raises(ConfigurationError, match="due_date has no time zone"):
        query_date(given, "due_date")


@pytest.mark.parametrize(("given", "why"), [("soon", "is not ISO 8601"), (5, "not int"), (None, "not NoneType")])
def test_what_is_no_date_is_refused(given: object, why: str) -> None:
    with pytest.raises(ConfigurationError, match=f"due_date .*{why}"):
        moment(given, "due_date")


def test_the_refused_text_is_not_quoted() -> None:
    with pytest.raises(ConfigurationError) as caught:
        moment("Kari Nordmann", "due_date")
    assert "Kari" not in str(caught.value)
