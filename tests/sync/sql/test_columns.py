from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async.sync._sql.columns import POSTGRESQL, SQLITE, Values

ZONES = st.sampled_from((UTC, timezone(timedelta(0)), timezone(timedelta(hours=5, minutes=30))))
MOMENTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=ZONES)  # noqa: DTZ001  # bounds have none


@pytest.mark.parametrize("values", [SQLITE, POSTGRESQL])
@pytest.mark.parametrize("amount", ["1" * 20_000, "1e20000", "1e-20000", "NaN"])
def test_an_amount_that_no_column_takes_is_refused_before_its_page_is_written(values: Values, amount: str) -> None:
    with pytest.raises(ValueError, match="too many digits"):
        values.number(Decimal(amount))


@pytest.mark.parametrize(("values", "kept"), [(SQLITE, "4500.10"), (POSTGRESQL, Decimal("4500.10"))])
def test_any_other_amount_keeps_its_digits(values: Values, kept: object) -> None:
    assert values.number(Decimal("4500.10")) == kept
    assert values.number(None) is None


@given(MOMENTS | MOMENTS.map(lambda moment: moment.replace(microsecond=0)))
def test_a_moment_is_text_of_one_length_in_utc(moment: datetime) -> None:
    assert SQLITE.moment(moment) == moment.astimezone(UTC).isoformat(timespec="microseconds")


@pytest.mark.parametrize("values", [SQLITE, POSTGRESQL])
def test_a_moment_that_lies_outside_the_calendar_in_utc_is_refused_before_its_page_is_written(values: Values) -> None:
    with pytest.raises(OverflowError):
        values.moment(datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2))))
