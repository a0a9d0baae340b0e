"""The arguments of a sync, checked before anything is sent: here and for the workers of a cluster."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from datetime import UTC, date, datetime, time, timedelta

from amili_async.errors import ConfigurationError
from amili_async.sync._sources import LISTS


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


def beginning(since: datetime | date | None, name: str = "since") -> datetime | None:
    """Return the moment before which rows are left out; of a day, its midnight in UTC.

    Raises:
        ConfigurationError: neither, or a moment without a zone.
    """
    if since is None:
        return None
    if not isinstance(since, date):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError(f"{name} must be a day, or a moment with its time zone, not {type(since).__name__}")
    if not isinstance(since, datetime):
        return datetime.combine(since, time.min, UTC)
    if since.tzinfo is None:
        raise ConfigurationError(f"{name} must be a day, or a moment with its time zone")
    return since


def named(value: str | None, name: str) -> str | None:
    """Return an id or a number that narrows what is done; one that is empty was forgotten, and stands for no all.

    Raises:
        ConfigurationError: it is no text, or empty.
    """
    if value is not None and (not isinstance(value, str) or not value.strip()):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError(f"{name} must be text that is not empty; leave it out for all")
    return value


def check_store(store: object) -> None:
    """Do nothing where an `SqlStore` is given, and open.

    Raises:
        ConfigurationError: it is something else.
        StoreError: it is not open yet, or no more.
    """
    check = getattr(store, "check_open", None)
    if check is None:
        raise ConfigurationError(f"store must be an open SqlStore, not {type(store).__name__}")
    check()


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


def several(organization_ids: object) -> None:
    """Do nothing where ids can be gone through.

    Raises:
        ConfigurationError: it is one text, or nothing of the kind.
    """
    if isinstance(organization_ids, str | bytes):
        raise ConfigurationError("organization_ids must be several ids, such as a list, not one text")
    if not isinstance(organization_ids, Iterable | AsyncIterable):
        kind = type(organization_ids).__name__
        raise ConfigurationError(f"organization_ids must be several ids, such as a list, not {kind}")


def check_given(client: object, store: object, clients: object, on_progress: object) -> None:
    """Do nothing where each of a sync's parts is what it is for.

    Raises:
        ConfigurationError: one of them is something else; its name is in the message.
    """
    for given, name, wanted, fits in (
        (client, "client", "an AmiliClient", client is None or hasattr(client, "caller")),
        (store, "store", "an open SqlStore, or a Store of your own", hasattr(store, "begin")),
        (
            clients,
            "clients",
            "a mapping or a function",
            clients is None or callable(clients) or hasattr(clients, "get"),
        ),
        (on_progress, "on_progress", "a function", on_progress is None or callable(on_progress)),
    ):
        if not fits:
            raise ConfigurationError(f"{name} must be {wanted}, not {type(given).__name__}")
