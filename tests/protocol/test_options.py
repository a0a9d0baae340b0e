"""The options of a call: checked by name, layered over each other."""

from __future__ import annotations

import math
from typing import Any

import pytest

from amili_async._protocol.options import Options, Timeout, check_on_invalid, merge_options, seconds
from amili_async._protocol.retry import RetryPolicy
from amili_async.errors import ConfigurationError


def test_the_defaults_are_those_of_the_documentation() -> None:
    assert Options() == Options(
        deadline=60.0, timeout=Timeout(30.0, 5.0), retry=RetryPolicy(attempts=3), headers={}, on_invalid="raise"
    )


def test_what_is_not_given_stays() -> None:
    base = Options(deadline=7.0, timeout=Timeout(3.0, 1.0), headers={"X-A": "1"}, on_invalid="skip")
    assert merge_options(base) == base


def test_what_is_given_takes_its_place_and_the_base_is_left_alone() -> None:
    base = Options(headers={"X-A": "1", "X-B": "1"})
    policy = RetryPolicy(attempts=1)
    layered = merge_options(
        base, deadline=None, timeout=Timeout(9.0, 2.0), retry=policy, headers={"X-B": "2"}, on_invalid=print
    )
    assert layered == Options(
        deadline=None, timeout=Timeout(9.0, 2.0), retry=policy, headers={"X-A": "1", "X-B": "2"}, on_invalid=print
    )
    assert base == Options(headers={"X-A": "1", "X-B": "1"})


def test_a_timeout_in_seconds_is_the_total_and_bounds_connecting_too() -> None:
    assert merge_options(Options(), timeout=12).timeout == Timeout(total=12.0, connect=5.0)
    assert merge_options(Options(), timeout=2.5).timeout == Timeout(total=2.5, connect=2.5)


@pytest.mark.parametrize("value", [0, -1, 0.0, math.inf, -math.inf, math.nan, "5", None, True, b"5", [5]])
def test_what_is_no_duration_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^deadline must be a number of seconds above 0"):
        seconds(value, "deadline")


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
def test_options_that_cannot_be_right_are_refused_by_name(value: float) -> None:
    with pytest.raises(ConfigurationError, match=r"^deadline must be"):
        merge_options(Options(), deadline=value)
    with pytest.raises(ConfigurationError, match=r"^timeout must be"):
        merge_options(Options(), timeout=value)
    with pytest.raises(ConfigurationError, match=r"^timeout\.total must be"):
        Timeout(total=value)
    with pytest.raises(ConfigurationError, match=r"^timeout\.connect must be"):
        Timeout(connect=value)


def test_other_kinds_of_options_are_refused_by_name() -> None:
    number: Any = 3
    with pytest.raises(ConfigurationError, match=r"^retry must be a RetryPolicy, not int"):
        merge_options(Options(), retry=number)
    with pytest.raises(ConfigurationError, match=r"^headers: "):
        merge_options(Options(), headers={"Authorization": "Bearer mine"})


@pytest.mark.parametrize("value", ["raise", "skip", print])
def test_what_becomes_of_invalid_rows_is_one_of_three(value: Any) -> None:
    assert check_on_invalid(value) is value


@pytest.mark.parametrize("value", ["", "ignore", 7, [], None])
def test_anything_else_for_invalid_rows_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r'^on_invalid must be "raise", "skip" or a function'):
        check_on_invalid(value)


def test_an_async_function_for_invalid_rows_is_refused_since_nobody_would_await_it() -> None:
    async def keep(_row: object) -> None: ...

    with pytest.raises(ConfigurationError, match=r"^on_invalid must be a plain function"):
        check_on_invalid(keep)


def test_options_cannot_be_changed_in_place() -> None:
    name = "deadline"
    with pytest.raises(AttributeError):
        setattr(Options(), name, 1.0)
