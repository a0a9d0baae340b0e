"""Moments that a caller gives: a date, an aware datetime, or ISO 8601 text."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TypeAlias

from amili_async.errors import ConfigurationError

DateLike: TypeAlias = date | datetime | str
"""A date, a datetime with a zone, or either as ISO 8601 text."""


def moment(when: object, name: str) -> datetime:
    """Return the moment in UTC; of a mere date, its midnight.

    Raises:
        ConfigurationError: a datetime without a zone, or what is no date at all.
    """
    given = parsed(when, name)
    return given.astimezone(UTC) if isinstance(given, datetime) else datetime.combine(given, time(), UTC)


def query_date(when: object, name: str) -> str | None:
    """Return a date as it is sent in a query: as a date, or as a moment in UTC where a time was given.

    Raises:
        ConfigurationError: a datetime without a zone, or what is no date at all.
    """
    if when is None:
        return None
    given = parsed(when, name)
    if not isinstance(given, datetime):
        return given.isoformat()
    return given.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parsed(when: object, name: str) -> date:
    """Return the date, or the aware datetime, that a caller gave.

    Raises:
        ConfigurationError: a datetime without a zone, or what is no date at all.
    """
    given = _read(when, name) if isinstance(when, str) else when
    if not isinstance(given, date):
        raise ConfigurationError(f"{name} must be a date, a datetime with a zone, or ISO 8601 text, not {_kind(when)}")
    if isinstance(given, datetime) and given.utcoffset() is None:
        raise ConfigurationError(
            f"{name} has no time zone, so it is not clear which moment it means: add one, such as datetime.UTC"
        )
    return given


def _read(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{name} is not ISO 8601, such as 2024-01-15 or 2024-01-15T00:00:00Z") from None


def _kind(when: object) -> str:
    return type(when).__name__
