"""Dates are sent as the API prints them, and a moment that means something else elsewhere is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async.errors import ConfigurationError
from amili_async.resources.dates import date_text


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (None, None),
        (date(2024, 1, 15), "2024-01-15"),
        ("2024-01-15", "2024-01-15"),
        ("20240115", "2024-01-15"),
        (datetime(2024, 1, 15, tzinfo=UTC), "2024-01-15T00:00:00Z"),
        (datetime(2024, 1, 15, 1, tzinfo=timezone(timedelta(hours=1))), "2024-01-15T00:00:00Z"),
        ("2024-01-15T01:00:00.123+01:00", "2024-01-15T00:00:00.123000Z"),
        ("2024-01-15T00:00:00Z", "2024-01-15T00:00:00Z"),
    ],
)
def test_a_day_is_sent_as_a_day_and_a_moment_in_utc(value: date | str | None, sent: str | None) -> None:
    assert date_text(value, "since") == sent


@pytest.mark.parametrize("value", [datetime(2024, 1, 15), "2024-01-15T00:00:00"])  # noqa: DTZ001  # what is refused
def test_a_moment_without_a_zone_is_refused(value: datetime | str) -> None:
    with pytest.raises(ConfigurationError, match=r"since has no time zone.*aware"):
        date_text(value, "since")


@pytest.mark.parametrize("value", ["", "yesterday", "15.01.2024", 20240115, 1.5])
def test_what_is_no_date_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="since must be a date"):
        date_text(value, "since")


@given(st.datetimes(timezones=st.timezones()))
def test_any_aware_moment_survives(moment: datetime) -> None:
    try:
        expected = moment.astimezone(UTC)
    except OverflowError:
        return
    sent = date_text(moment, "since")
    assert sent is not None
    assert sent.endswith("Z")
    assert datetime.fromisoformat(sent) == expected
