from __future__ import annotations

from decimal import Decimal

import pytest

from amili_async import ConfigurationError
from amili_async.models._money import to_decimal


@pytest.mark.parametrize("amount", [Decimal("4500.00"), 4500, Decimal(-1), 0, Decimal("1E+3")])
def test_exact_amounts_keep_their_digits(amount: Decimal | int) -> None:
    assert str(to_decimal(amount, "amount")) == str(amount)


def test_a_float_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigurationError, match=r"original_amount is a float, which holds no exact .* Decimal\("):
        to_decimal(4500.0, "original_amount")


@pytest.mark.parametrize("amount", [True, "4500.00", None, b"1"])
def test_what_is_no_number_is_refused(amount: object) -> None:
    with pytest.raises(ConfigurationError, match=f"amount must be a decimal.Decimal, not {type(amount).__name__}"):
        to_decimal(amount, "amount")


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_an_amount_that_json_cannot_say_is_refused(amount: str) -> None:
    with pytest.raises(ConfigurationError, match="amount must be a finite amount"):
        to_decimal(Decimal(amount), "amount")
