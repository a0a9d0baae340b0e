"""Money: exact digits in and out, never binary fractions."""

from __future__ import annotations

from decimal import Decimal

from amili_async.errors import ConfigurationError


def to_decimal(amount: object, name: str) -> Decimal:
    """Return an amount in major units, as given by a caller, as the digits that will be sent.

    Raises:
        ConfigurationError: a ``float``, or what is no finite number; the message says why and what to pass.
    """
    if isinstance(amount, float):
        raise ConfigurationError(
            f"{name} is a float, which holds no exact amounts (0.1 + 0.2 is 0.30000000000000004): "
            f'pass decimal.Decimal with the amount as text, such as Decimal("4500.00")'
        )
    if isinstance(amount, bool) or not isinstance(amount, Decimal | int):
        raise ConfigurationError(f"{name} must be a decimal.Decimal, not {type(amount).__name__}")
    if not Decimal(amount).is_finite():
        raise ConfigurationError(f"{name} must be a finite amount")
    return Decimal(amount)
