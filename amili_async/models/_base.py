"""What all models share: frozen, keyword-only, camelCase on the wire, silent about people in ``repr``; and `encode`.

The annotations of models are read when a class is made, so no module with a model turns them into text: a public class
names `amili_async.models` as its module, where the names in them are not to be found.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import msgspec

from amili_async._upstream.msgspec import set_frozen

if TYPE_CHECKING:
    NumberText = str
else:
    # Read as either; `StringifiedInts` makes it the one type that users see.
    NumberText = int | str


class Model(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A value as Amili sends it: hashable where its members are, comparable, picklable.

    ``repr`` leaves out what is absent and shows `private` members as ``...``: models end up in logs.
    """

    private: ClassVar[frozenset[str]] = frozenset()
    """The members that hold personal data or bytes as received, which ``repr`` does not show."""

    def to_builtins(self) -> object:
        """Return what stands for this model in JSON; what holds raw parts or extra members overrides it."""
        return self

    def __rich_repr__(self) -> list[tuple[str, object]]:
        values = ((field, getattr(self, field.name)) for field in msgspec.structs.fields(type(self)))
        return [
            (field.name, _Hidden() if field.name in self.private else value)
            for field, value in values
            if field.required or value != field.default
        ]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"


class _Hidden:
    def __repr__(self) -> str:
        return "..."


class StringifiedInts(Model, frozen=True, kw_only=True):
    """A model with members of `NumberText`, named in ``numbers``."""

    numbers: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for name in self.numbers:
            value: object = getattr(self, name)
            if isinstance(value, int):
                set_frozen(self, name, str(value))


def lower(name: str) -> str:
    """Return a member's name as AutoCollect and the oldest generation spell it: ``object_name`` is ``objectname``."""
    return name.replace("_", "")


def encode(model: Model | Sequence[Model]) -> bytes:
    """Return the JSON that stands for a model, or for several, on the wire.

    Members at their default are left out, money is written as the digits of its `Decimal`, and what a model keeps raw
    is written byte for byte. What this writes decodes to an equal value; only what stood in ``extra`` has no field to
    come back to, so msgspec refuses it there (to keep such an object, pickle it).
    """
    if isinstance(model, Model):
        return _encoder.encode(model.to_builtins())
    return _encoder.encode([one.to_builtins() for one in model])


def members_of(model: Model) -> dict[str, object]:
    """Return a model's members, by their names on the wire, without those at their default."""
    return dict(_members.decode(_encoder.encode(model)))


_encoder = msgspec.json.Encoder(decimal_format="number")
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
