"""What msgspec allows and warns of, such as setting a member of a frozen struct; and all that it raises for JSON."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

S = TypeVar("S", bound=msgspec.Struct)

READING_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError)
"""All that msgspec raises for a body: its own, invalid UTF-8, nesting past the interpreter's limit, and what `Decimal`
raises for a number that is beyond even it."""

set_frozen = msgspec.structs.force_setattr
"""Set a member of a frozen struct: in ``__post_init__``, or on a row that has just been decoded."""


def setter_of(kind: type[msgspec.Struct], name: str) -> Callable[[object, object], None]:
    """Return what sets one member of a frozen struct, and of its subclasses that show the member differently."""
    slot: Any = vars(kind)[name]
    setter: Callable[[object, object], None] = slot.__set__
    return setter


def lookup_of(kind: type[StrEnum], further: Mapping[str, StrEnum]) -> type[StrEnum]:
    """Return what msgspec takes for an enum and reads further values with, as fast as those that the enum lists.

    msgspec looks values up in ``_value2member_map_`` and asks ``_missing_`` for the others; what it finds there is what
    it returns. So the members of this enum are those of the other one.
    """

    class Lookup(StrEnum):
        @classmethod
        def _missing_(cls, value: object) -> Any:
            return kind._missing_(value)

    Lookup._value2member_map_ = {**kind._value2member_map_, **further}
    Lookup.__name__, Lookup.__qualname__, Lookup.__module__ = kind.__name__, kind.__qualname__, kind.__module__
    return Lookup


def public_in(module: str) -> Callable[[type[S]], type[S]]:
    """Let a struct name the module that users import it from, so that pickles and tracebacks outlive its moves.

    msgspec looks for the names in a struct's annotations in the module that it names, so they are looked up before.
    """

    def publish(kind: type[S]) -> type[S]:
        kind.__annotations__.update(get_type_hints(kind, include_extras=True))
        kind.__module__ = module
        return kind

    return publish
