"""What callers give: days, moments, amounts and types, each checked by a plain function that says what would be right.

A rule takes a value and returns it as it is kept and sent. For what cannot be right it raises `RefusedError`, in words
that follow the name of the member or argument and never quote a value that may be personal.
"""

import inspect
import re
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from difflib import get_close_matches
from typing import TypeAlias, TypeVar
from uuid import UUID

from amili_async.errors import InvalidArgumentError, UnusualValueWarning
from amili_async.models._open_enum import OpenEnum

DateLike: TypeAlias = date | datetime | str
"""A date, a datetime, or either as ISO 8601 text."""

Rule: TypeAlias = Callable[[object], object]

E = TypeVar("E", bound=OpenEnum)

NEAR = 0.8
"""How alike a value and a known one are, of 1, from which the one is taken for a slip of the other."""

_WITHOUT_CENTS = {"CLP", "ISK", "JPY", "KRW", "PYG", "RWF", "UGX", "VND", "XAF", "XOF", "XPF"}
_IN_THOUSANDTHS = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}
"""Currencies (ISO 4217) whose smallest unit is no hundredth."""


class RefusedError(ValueError):
    """A value that cannot be right. Its text goes on where the name of what was given ends: "must be …"."""


def checked(rule: Callable[[object], object], value: object, name: str) -> object:
    """Return one argument as a rule keeps it.

    Raises:
        InvalidArgumentError: the rule refuses it.
    """
    try:
        return rule(value)
    except RefusedError as problem:
        raise InvalidArgumentError(f"{name} {problem}") from None


# Text


def text(value: object) -> str:
    """Return text that is not empty and that can be sent; a UUID's text for a UUID."""
    if isinstance(value, UUID):
        return str(value)
    if not isinstance(value, str):
        raise RefusedError(f"must be text, not {_kind(value)}")
    if not value.strip():
        raise RefusedError("must not be empty")
    if is_broken(value):
        raise RefusedError("holds half a character, which cannot be sent")
    return value


def any_text(value: object) -> str:
    """Return text that can be sent, and that may be empty."""
    return value if isinstance(value, str) and not value.strip() else text(value)


def is_broken(value: str) -> bool:
    """Return whether text holds half a character, as text made of a file's name may."""
    return not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value)


def flag(value: object) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise RefusedError(f"must be True or False, not {_kind(value)}")
    return value


# Money

MAX_EXPONENT = 30
"""The places that the first digit of an amount or a rate may be away from the point, read or written."""


def amount(value: object) -> Decimal:
    """Return an amount in major units, as the digits that will be sent."""
    if isinstance(value, float):
        raise RefusedError(
            "is a float, which holds no exact amounts (0.1 + 0.2 is 0.30000000000000004): "
            'pass decimal.Decimal with the amount as text, such as Decimal("4500.00")'
        )
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        raise RefusedError(f"must be a decimal.Decimal, not {_kind(value)}")
    if not Decimal(value).is_finite():
        raise RefusedError("must be a finite amount")
    if not is_bounded(Decimal(value)):
        raise RefusedError(f"must have its first digit within {MAX_EXPONENT} places of the point")
    return Decimal(value)


def is_bounded(value: Decimal) -> bool:
    """Return whether the first digit is near the point: ``1e999999999`` written out is a gigabyte."""
    return value.is_finite() and abs(value.adjusted()) <= MAX_EXPONENT


def positive_amount(value: object) -> Decimal:
    """Return an amount above zero."""
    given = amount(value)
    if given <= 0:
        raise RefusedError("must be above zero")
    return given


def is_finer(value: Decimal, currency: str | None) -> bool:
    """Return whether an amount has more digits behind the point than its currency; øre and cents without one."""
    places = 0 if currency in _WITHOUT_CENTS else 3 if currency in _IN_THOUSANDTHS else 2
    _, _, decimals = f"{value:f}".partition(".")
    return len(decimals.rstrip("0")) > places


# Days and moments


def day(value: object) -> date | str:
    """Return a calendar day, which no time zone moves.

    Text of a day is that day; text with a time goes out as it is. Of a datetime its own day counts.
    """
    given = _read(value) if isinstance(value, str) else value
    if isinstance(given, datetime):
        return value if isinstance(value, str) else given.date()
    if not isinstance(given, date):
        raise RefusedError(f"must be a date, a datetime, or ISO 8601 text such as 2024-01-15, not {_kind(value)}")
    return given


def day_of(value: object) -> date | None:
    """Return the calendar day that `day` has kept, whether as a date or as text with a time."""
    if isinstance(value, str):
        value = _read(value)
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else None


def moment(value: object) -> datetime | str:
    """Return a moment in UTC, of a mere date its midnight; text goes out as it is."""
    given = _dated(value)
    found = _in_utc(given) if isinstance(given, datetime) else datetime.combine(given, time(), UTC)
    return value if isinstance(value, str) and found.isoformat().replace("+00:00", "Z") != value else found


def query_date(value: object) -> str:
    """Return a date as it is sent in a query: as a date, or as a moment in UTC where a time was given."""
    given = _dated(value)
    if not isinstance(given, datetime):
        return given.isoformat()
    return _in_utc(given).isoformat().replace("+00:00", "Z")


def in_utc(moment: datetime) -> datetime:
    """Return a moment that was read, in UTC: the calendar's first or last one where it lies beyond that there."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC) if moment.year == 1 else datetime.max.replace(tzinfo=UTC)


def _in_utc(given: datetime) -> datetime:
    try:
        return given.astimezone(UTC)
    except OverflowError:
        raise RefusedError("lies beyond the years 1 to 9999 in UTC") from None


def _dated(value: object) -> date:
    given = _read(value) if isinstance(value, str) else value
    if not isinstance(given, date):
        raise RefusedError(f"must be a date, a datetime with a zone, or ISO 8601 text, not {_kind(value)}")
    if isinstance(given, datetime) and given.utcoffset() is None:
        raise RefusedError("has no time zone, so it is not clear which moment it means: add one, such as datetime.UTC")
    return given


def _read(written: str) -> date:
    try:
        return date.fromisoformat(written)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(written)
    except ValueError:
        raise RefusedError("is not ISO 8601, such as 2024-01-15 or 2024-01-15T00:00:00Z") from None


# Values of open enums


def one_of(kind: type[E]) -> Callable[[object], E]:
    """Return the rule for a value that Amili's pages name; any other has to be said as a member of the enum."""

    def rule(value: object) -> E:
        if isinstance(value, kind):
            return value
        plain = text(value)
        if isinstance(value, OpenEnum):
            raise RefusedError(f"must be {kind.__name__}, not {_kind(value)}")
        if plain in kind.__members__.values():
            return kind(plain)
        _refuse_slip(kind, plain)
        raise RefusedError(
            f"is no value that Amili's pages name ({', '.join(kind.__members__.values())}): "
            f'where Amili told you of another, pass {kind.__name__}("...")'
        )

    return rule


def choice(kind: type[OpenEnum], value: object, name: str) -> str | None:
    """Return a filter's value as it is sent; warn of one that no page of Amili's names.

    Raises:
        InvalidArgumentError: it is empty or no text, or nearly a known value, which is then named.
    """
    if value is None:
        return None
    plain = str(checked(text, value, name))
    if isinstance(value, OpenEnum) and not isinstance(value, kind):
        raise InvalidArgumentError(f"{name} must be a {kind.__name__}, not a {type(value).__name__}")
    if isinstance(value, kind) or plain in kind.__members__.values():
        return plain
    checked(lambda _: _refuse_slip(kind, plain), plain, name)
    warn(
        f"{name} is no value that Amili's pages name ({', '.join(kind.__members__.values())}); it is sent all the "
        f'same. {kind.__name__}("...") says that you mean it'
    )
    return plain


def _refuse_slip(kind: type[OpenEnum], value: str) -> None:
    """Refuse a value that nearly is a known one: but for case and signs, a letter or two, or what its end lacks."""
    known = [str(member) for member in kind.__members__.values()]
    written = re.sub(r"[^A-Z0-9]+", "_", value.upper()).strip("_")
    longer = (each for each in known if len(written) > 2 and (written.startswith(each) or each.startswith(written)))  # noqa: PLR2004  # letters that one goes by
    near = next(iter(get_close_matches(written, known, n=1, cutoff=NEAR)), None) or next(longer, None)
    if near is not None:
        raise RefusedError(f'is {value!r}: did you mean "{near}"? If not, pass {kind.__name__}("...")')


def warn(message: str) -> None:
    """Warn of a value that is unusual, at the line that called this package."""
    warnings.warn(message, UnusualValueWarning, stacklevel=level_of_the_user())


def level_of_the_user() -> int:
    """Return the ``stacklevel`` at which the caller's own warning points at the code that called this package."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("amili_async."):
        frame, level = frame.f_back, level + 1
    return level


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
