"""What callers give is kept as it is, or refused in words that say what would be right and quote nothing personal."""

from __future__ import annotations

import contextlib
import warnings
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async import BatchState, InvalidArgumentError, InvoiceStatus, InvoiceType, SortDirection, UnusualValueWarning
from amili_async.models import _inputs as inputs
from amili_async.models._inputs import DateLike, RefusedError

if TYPE_CHECKING:
    from amili_async import OpenEnum
    from amili_async.models._inputs import Rule

OSLO = timezone(timedelta(hours=1))
MIDNIGHT = datetime(2024, 1, 15, tzinfo=UTC)
NAIVE = datetime(2024, 1, 15)  # noqa: DTZ001  # what is refused, or kept as a day


@pytest.mark.parametrize(
    ("rule", "value", "why"),
    [
        (inputs.text, "", "must not be empty"),
        (inputs.text, " \t", "must not be empty"),
        (inputs.text, None, "must be text, not None"),
        (inputs.text, 5, "must be text, not int"),
        (inputs.text, "\udcff", "holds half a character"),
        (inputs.any_text, "a\udcff", "holds half a character"),
        (inputs.any_text, b"", "must be text, not bytes"),
        (inputs.flag, 1, "must be True or False, not int"),
        (inputs.amount, 4500.0, r"is a float, which holds no exact amounts .*: pass .*Decimal\("),
        (inputs.amount, True, "must be a decimal.Decimal, not bool"),
        (inputs.amount, "4500.00", "must be a decimal.Decimal, not str"),
        (inputs.amount, None, "must be a decimal.Decimal, not None"),
        (inputs.amount, Decimal("NaN"), "must be a finite amount"),
        (inputs.amount, Decimal("sNaN"), "must be a finite amount"),
        (inputs.amount, Decimal("-Infinity"), "must be a finite amount"),
        (inputs.amount, Decimal("1e31"), "must have its first digit within 30 places of the point"),
        (inputs.positive_amount, Decimal("0.00"), "must be above zero"),
        (inputs.positive_amount, -1, "must be above zero"),
        (inputs.day, "soon", "is not ISO 8601, such as 2024-01-15"),
        (inputs.day, 5, "must be a date, a datetime, or ISO 8601 text .*, not int"),
        (inputs.moment, NAIVE, "has no time zone"),
        (inputs.moment, "2024-01-15T00:00:00", "has no time zone"),
        (inputs.moment, None, "must be a date, a datetime with a zone, or ISO 8601 text, not None"),
        (inputs.moment, datetime.min.replace(tzinfo=OSLO), "lies beyond the years 1 to 9999 in UTC"),
        (inputs.query_date, NAIVE, "has no time zone"),
        (inputs.query_date, "soon", "is not ISO 8601"),
    ],
)
def test_what_cannot_be_right_is_refused_with_what_would_be(rule: Rule, value: object, why: str) -> None:
    with pytest.raises(RefusedError, match=f"^{why}"):
        rule(value)
    with pytest.raises(InvalidArgumentError, match=f"^due_date {why}") as caught:
        inputs.checked(rule, value, "due_date")
    assert caught.value.problems == (str(caught.value),)


@given(st.text(), st.sampled_from([inputs.day, inputs.moment, inputs.query_date, inputs.one_of(InvoiceStatus)]))
def test_no_text_breaks_a_rule_or_is_quoted(text: str, rule: Rule) -> None:
    with contextlib.suppress(RefusedError):
        rule(text)
    with pytest.raises(RefusedError) as refused:
        rule(f"Kari {text}")
    assert "Kari" not in str(refused.value)


def test_a_uuid_is_text() -> None:
    assert inputs.text(UUID(int=5)) == "00000000-0000-0000-0000-000000000005"


@pytest.mark.parametrize("amount", [Decimal("4500.00"), 4500, Decimal(-1), 0, Decimal("1E+3")])
def test_exact_amounts_keep_their_digits(amount: Decimal | int) -> None:
    assert str(inputs.amount(amount)) == str(amount)


@pytest.mark.parametrize(
    ("amount", "currency", "finer"),
    [
        ("4500.00", "NOK", False),
        ("4500.000", "NOK", False),
        ("4500.001", "NOK", True),
        ("4500.001", None, True),
        ("4500.01", None, False),
        ("4500", "JPY", False),
        ("4500.50", "JPY", True),
        ("4500.001", "KWD", False),
        ("4500.0001", "KWD", True),
        ("1E+30", "NOK", False),
        ("1E-3", "NOK", True),
        ("0E-9", "NOK", False),
    ],
)
def test_an_amount_has_the_digits_of_its_currency(amount: str, currency: str | None, *, finer: bool) -> None:
    assert inputs.is_finer(Decimal(amount), currency) is finer


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (date(2024, 1, 15), date(2024, 1, 15)),
        ("2024-01-15", date(2024, 1, 15)),
        ("2024-01-15T00:00:00Z", "2024-01-15T00:00:00Z"),
        ("2024-01-15T00:00:00", "2024-01-15T00:00:00"),
        (NAIVE, date(2024, 1, 15)),
        (datetime(2024, 1, 15, tzinfo=OSLO), date(2024, 1, 15)),
        (datetime(2024, 1, 15, 23, 59, tzinfo=timezone(timedelta(hours=-11))), date(2024, 1, 15)),
    ],
)
def test_a_day_is_moved_through_no_time_zone(given: DateLike, kept: object) -> None:
    assert inputs.day(given) == kept
    assert type(inputs.day(given)) is type(kept)
    assert inputs.day_of(kept) == date(2024, 1, 15)


@given(st.datetimes(timezones=st.timezones() | st.none()))
def test_of_a_datetime_its_own_day_counts(moment: datetime) -> None:
    assert inputs.day(moment) == date(moment.year, moment.month, moment.day)
    assert inputs.day_of(inputs.day(moment.isoformat())) == moment.date()


def test_what_is_absent_or_null_has_no_day() -> None:
    assert inputs.day_of(None) is None


@pytest.mark.parametrize(
    ("given", "kept", "queried"),
    [
        (date(2024, 1, 15), MIDNIGHT, "2024-01-15"),
        ("2024-01-15", "2024-01-15", "2024-01-15"),
        ("2024-01-15T00:00:00Z", MIDNIGHT, "2024-01-15T00:00:00Z"),
        (datetime(2024, 1, 15, 1, tzinfo=OSLO), MIDNIGHT, "2024-01-15T00:00:00Z"),
        ("2024-01-15T01:00:00+01:00", "2024-01-15T01:00:00+01:00", "2024-01-15T00:00:00Z"),
        ("2024-01-15T00:00:00.123Z", "2024-01-15T00:00:00.123Z", "2024-01-15T00:00:00.123000Z"),
    ],
)
def test_a_moment_is_in_utc_and_text_goes_out_as_it_is(given: DateLike, kept: object, queried: str) -> None:
    assert inputs.moment(given) == kept
    assert inputs.query_date(given) == queried


# -- values of open enums


@pytest.mark.parametrize(
    ("kind", "value", "right"),
    [
        (BatchState, "PARTIALLY", "PARTIAL"),
        (BatchState, "partial", "PARTIAL"),
        (BatchState, "SUCESS", "SUCCESS"),
        (BatchState, "Queue", "QUEUED"),
        (InvoiceType, "payment reminder", "PAYMENT_REMINDER"),
        (InvoiceType, "Payment-Reminder", "PAYMENT_REMINDER"),
        (InvoiceType, "NOTISE", "NOTICE"),
        (InvoiceStatus, "open", "OPEN"),
        (InvoiceStatus, "OPENED_AGAIN", "OPEN"),
        (BatchState, "FAIL", "FAILED"),
        (InvoiceType, "collection", "COLLECTION_NOTICE"),
        (SortDirection, "descending", "DESC"),
    ],
)
def test_a_slip_is_refused_with_the_right_one_named(kind: type[OpenEnum], value: str, right: str) -> None:
    why = f'is {value!r}: did you mean "{right}"\\? If not, pass {kind.__name__}'
    with pytest.raises(InvalidArgumentError, match=f"^state {why}"):
        inputs.choice(kind, value, "state")
    with pytest.raises(RefusedError, match=why):
        inputs.one_of(kind)(value)
    insisted = kind(value)
    assert inputs.choice(kind, insisted, "state") == value
    assert inputs.one_of(kind)(insisted) is insisted


def test_a_known_value_is_taken_as_text_or_member() -> None:
    assert inputs.choice(BatchState, "PARTIAL", "state") == "PARTIAL"
    assert type(inputs.choice(BatchState, BatchState.PARTIAL, "state")) is str
    assert inputs.choice(BatchState, None, "state") is None
    assert inputs.one_of(BatchState)("PARTIAL") is BatchState.PARTIAL


def test_any_other_value_goes_out_with_a_warning_at_the_line_that_gave_it() -> None:
    with pytest.warns(UnusualValueWarning, match=r"status is no value .* \(OPEN\); it is sent") as caught:
        assert inputs.choice(InvoiceStatus, "SETTLED_ELSEWHERE", "status") == "SETTLED_ELSEWHERE"
    assert Path(caught[0].filename) == Path(__file__)
    assert "SETTLED_ELSEWHERE" not in str(caught[0].message)
    with warnings.catch_warnings(action="error"):
        inputs.choice(InvoiceStatus, InvoiceStatus("SETTLED_ELSEWHERE"), "status")


def test_a_member_of_another_enum_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="state must be a BatchState, not a InvoiceStatus"):
        inputs.choice(BatchState, InvoiceStatus.OPEN, "state")
    with pytest.raises(RefusedError, match="must be InvoiceType, not BatchState"):
        inputs.one_of(InvoiceType)(BatchState.PARTIAL)


def test_in_what_is_sent_any_other_value_has_to_be_said_explicitly() -> None:
    with pytest.raises(RefusedError, match=r'is no value .* \(NOTICE, .*\): .* pass InvoiceType\("\.\.\."\)'):
        inputs.one_of(InvoiceType)("SUMMONS")
