"""Numbers that name something, such as a case: written as a number here and as text there, always text for users."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from amili_async._upstream.msgspec import set_frozen
from amili_async.models._base import Model

if TYPE_CHECKING:
    NumberText = str
else:
    # Read as either; `StringifiedInts` makes it the one type that users see.
    NumberText = int | str


class StringifiedInts(Model, frozen=True, kw_only=True):
    """A model with members of `NumberText`, named in ``numbers``."""

    numbers: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for name in self.numbers:
            value: object = getattr(self, name)
            if isinstance(value, int):
                set_frozen(self, name, str(value))
