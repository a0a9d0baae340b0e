"""Open enums: text with known values, which keeps an unknown one instead of refusing it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_KEPT = 256
"""The unknown values of one enum that are kept as shared members, at most; further ones are made anew each time."""

MAX_KEPT_LENGTH = 64
"""The characters of an unknown value that is kept, at most."""


class UnknownValueSignal:
    """Tells whether an unknown value was met meanwhile: ``latest`` is another object after each time.

    An object and not a number, since two threads that count at once may lose a count.
    """

    def __init__(self) -> None:
        self.latest = object()

    def tell(self) -> None:
        """Remember that an unknown value was met."""
        self.latest = object()


misses = UnknownValueSignal()
"""Of the whole process: a false alarm makes a reader look twice, and nothing more."""


class OpenEnum(StrEnum):
    """Text with known values, which keeps an unknown one: as a member that compares, hashes and pickles as its text.

    The lists of values are what has been seen, not what exists.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        misses.tell()
        kept = _kept.setdefault(cls, {})
        known = kept.get(value)
        if isinstance(known, cls):
            return known
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        setattr(member, _UNLISTED, True)
        if len(kept) < MAX_KEPT and len(value) <= MAX_KEPT_LENGTH:
            kept[value] = member
        return member

    @property
    def known(self) -> bool:
        """Whether this value is one of those listed in the class."""
        return not hasattr(self, _UNLISTED)


def kept_values(kind: type[OpenEnum]) -> Mapping[str, OpenEnum]:
    """Return the unknown values of an enum that were met and are kept, with their members."""
    return _kept.get(kind, {})


_kept: dict[type[OpenEnum], dict[str, OpenEnum]] = {}
_UNLISTED = "_unlisted"
"""What a member has that is no listed one: to ask the class takes ten times as long."""
