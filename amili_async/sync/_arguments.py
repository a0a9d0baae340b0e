"""The arguments of a sync, checked before anything is sent: here and for the workers of a cluster."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from amili_async.errors import ConfigurationError
from amili_async.sync._sources import LISTS

if TYPE_CHECKING:
    from collections.abc import Iterable


def checked_resources(resources: Iterable[str]) -> tuple[str, ...]:
    """Return the names of lists, each once.

    Raises:
        ConfigurationError: there is none, or one that is not known.
    """
    names = () if isinstance(resources, str) else tuple(dict.fromkeys(resources))
    if not names or any(name not in LISTS for name in names):
        raise ConfigurationError(f"resources must be a non-empty subset of {', '.join(LISTS)}")
    return names


def at_least_one(value: int, name: str) -> None:
    """Check a count that a caller gave.

    Raises:
        ConfigurationError: it is no whole number, or below 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError(f"{name} must be a whole number of at least 1, not {value!r}")


def beginning(since: datetime | date | None) -> datetime | None:
    """Return the moment before which rows are left out; of a day, its midnight in UTC.

    Raises:
        ConfigurationError: a moment without a zone.
    """
    if since is None:
        return None
    if not isinstance(since, datetime):
        return datetime.combine(since, time.min, UTC)
    if since.tzinfo is None:
        raise ConfigurationError("since must be a day, or a moment with its time zone")
    return since


def span(value: timedelta | None, name: str) -> timedelta | None:
    """Return a stretch of time that a caller gave.

    Raises:
        ConfigurationError: it is none, or not above 0.
    """
    if value is not None and (not isinstance(value, timedelta) or value <= timedelta(0)):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError(
            f"{name} must be a timedelta above 0, such as timedelta(days=7), or None, not {value!r}"
        )
    return value


def part(value: float, name: str) -> float:
    """Return a part of a whole that a caller gave.

    Raises:
        ConfigurationError: it is no number from 0 to 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError(f"{name} must be a number from 0 to 1, such as 0.05, not {value!r}")
    return value
