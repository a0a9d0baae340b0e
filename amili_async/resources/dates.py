"""Dates: what a caller may pass where the API takes a date, and how it is sent."""

from __future__ import annotations

from datetime import UTC, date, datetime

from amili_async.errors import ConfigurationError

Date = date | datetime | str
"""A day, an aware moment, or the ISO 8601 text of either."""


def date_text(value: Date | None, name: str) -> str | None:
    """Return a date as it is sent: a day as ``2024-01-15``, a moment in UTC as ``2024-01-15T00:00:00Z``.

    Raises:
        ConfigurationError: it is no date, or a moment without a zone, which would be another one on another machine.
    """
    if value is None:
        return None
    if isinstance(value, datetime):
        return _moment(value, name)
    if isinstance(value, date):
        return value.isoformat()
    try:
        return _day(value) or _moment(datetime.fromisoformat(value), name)
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(
            f"{name} must be a date, an aware datetime, or ISO 8601 text such as 2024-01-15"
        ) from None


def _day(text: str) -> str | None:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return None


def _moment(value: datetime, name: str) -> str:
    if value.tzinfo is None or value.utcoffset() is None:
        raise ConfigurationError(f"{name} has no time zone; pass an aware datetime, such as datetime.now(UTC)")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
