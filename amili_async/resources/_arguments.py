"""What callers pass to an operation, checked before anything is sent; every error names the argument."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from amili_async.errors import ConfigurationError, InvalidArgumentError
from amili_async.models import _inputs as inputs

if TYPE_CHECKING:
    from amili_async.models import Received

M = TypeVar("M")


def count(value: object, name: str, *, least: int) -> int | None:
    """Return a whole number that a caller gave, or ``None`` where none was given.

    Raises:
        InvalidArgumentError: it is no whole number, or below the least.
    """
    return None if value is None else whole(value, name, least=least)


def whole(value: object, name: str, *, least: int) -> int:
    """Return a whole number that a caller has to give.

    Raises:
        InvalidArgumentError: it is no whole number, or below the least.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidArgumentError(f"{name} must be a whole number of at least {least}, not {value!r}")
    return value


def model_of(given: type[M] | None, documented: type[Received]) -> type[M]:
    """Return the class that rows are read as: the documented one, or a subclass of it with further members.

    Raises:
        InvalidArgumentError: it is no subclass.
    """
    model: Any = documented if given is None else given
    if not _is_kind_of(model, documented):
        name = documented.__name__
        raise InvalidArgumentError(
            f"model must be a subclass of {name}: class My{name}({name}, frozen=True, kw_only=True): ..."
        )
    found: type[M] = model
    return found


def _is_kind_of(model: object, documented: type[Received]) -> bool:
    return isinstance(model, type) and issubclass(model, documented)


def text(value: object, name: str) -> str | None:
    """Return a filter's value as it is sent.

    Raises:
        InvalidArgumentError: it is empty or no text.
    """
    return None if value is None else str(inputs.checked(inputs.text, value, name))


def text_or_number(value: object, name: str) -> str | None:
    """Return the value of a filter by a number that names something, such as a case's: text, or a whole number.

    Raises:
        InvalidArgumentError: it is empty, or neither.
    """
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value, name)


def day(value: object, name: str) -> str | None:
    """Return a filter's date as it is sent: a day, or a moment in UTC where a time was given.

    Raises:
        InvalidArgumentError: a datetime without a zone, or what is no date at all.
    """
    return None if value is None else str(inputs.checked(inputs.query_date, value, name))


def flag(value: object, name: str) -> str | None:
    """Return a choice of two as it is sent.

    Raises:
        InvalidArgumentError: it is neither ``True`` nor ``False``.
    """
    return None if value is None else str(inputs.checked(inputs.flag, value, name)).lower()


def span(first: object, last: object, names: tuple[str, str]) -> tuple[str | None, str | None]:
    """Return the ends of a span of time as they are sent.

    Raises:
        InvalidArgumentError: one of them is no date, or the last is before the first: no row lies between them.
    """
    begins, ends = day(first, names[0]), day(last, names[1])
    first_day, last_day = inputs.day_of(begins), inputs.day_of(ends)
    if first_day is not None and last_day is not None and last_day < first_day:
        raise InvalidArgumentError(f"{names[1]} is before {names[0]}: nothing lies between them")
    return begins, ends


def number(value: object, name: str) -> str | None:
    """Return a count, such as a page size, as it is sent."""
    given = count(value, name, least=1)
    return None if given is None else str(given)


def check_key(key: object, name: str = "idempotency_key") -> str | None:
    """Return an idempotency key, or what the keys of several writes begin with.

    Raises:
        InvalidArgumentError: it is empty, or no text of one line.
    """
    if key is None:
        return None
    if isinstance(key, UUID):
        return str(key)
    if not isinstance(key, str) or not key.strip() or not key.isascii() or not key.isprintable():
        raise InvalidArgumentError(f"{name} must be one line of ASCII text that is not empty")
    return key


def needed_key(key: object, resource: str) -> str | None:
    """Return the idempotency key that a write was made with, where nothing else could find it again.

    Raises:
        InvalidArgumentError: there is none, or it is no text of one line.
    """
    if key is None:
        raise InvalidArgumentError(
            f"idempotency_key must be that of the write: {resource} made without one cannot be told from others; "
            "ask Amili what became of them"
        )
    return check_key(key)


def check_several(given: object, name: str) -> None:
    """Do nothing where something can be gone through.

    Raises:
        ConfigurationError: it cannot, such as one hook in place of a list of hooks.
    """
    if isinstance(given, type) or not isinstance(given, Iterable):
        raise ConfigurationError(f"{name} must be several, such as a list, not {given!r}")
