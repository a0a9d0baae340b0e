"""What callers pass to an operation, checked before anything is sent; every error names the argument."""

from __future__ import annotations

from amili_async.errors import ConfigurationError


def count(value: object, name: str, *, least: int) -> int | None:
    """Return a whole number that a caller gave, or ``None`` where none was given.

    Raises:
        ConfigurationError: it is no whole number, or below the least.
    """
    return None if value is None else whole(value, name, least=least)


def whole(value: object, name: str, *, least: int) -> int:
    """Return a whole number that a caller has to give.

    Raises:
        ConfigurationError: it is no whole number, or below the least.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name} must be a whole number of at least {least}, not {value!r}")
    return value


def text(value: object, name: str) -> str | None:
    """Return a filter's value as it is sent.

    Raises:
        ConfigurationError: it is empty or no text.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{name} must be text that is not empty, not {type(value).__name__}")
    return str(value)


def number(value: object, name: str) -> str | None:
    """Return a count, such as a page size, as it is sent."""
    checked = count(value, name, least=1)
    return None if checked is None else str(checked)


def check_key(key: object) -> str | None:
    """Return an idempotency key.

    Raises:
        ConfigurationError: it is empty, or no text of one line.
    """
    if key is None:
        return None
    if not isinstance(key, str) or not key.strip() or not key.isascii() or not key.isprintable():
        raise ConfigurationError("idempotency_key must be one line of ASCII text that is not empty")
    return key
