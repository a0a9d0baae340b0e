"""What all models share: frozen, keyword-only, camelCase on the wire, silent about people in ``repr``; and `encode`.

The annotations of models are read when a class is made, so no module with a model turns them into text: a public class
names `amili_async.models` as its module, where the names in them are not to be found.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import msgspec

from amili_async.errors import ConfigurationError
from amili_async.models._extra import Extra

EXTRA = "(extra)"
"""What msgspec takes for the wire's name of the field ``extra``; no such member is ever written."""

fields_of = lru_cache(256)(msgspec.structs.fields)
"""The fields of a struct. msgspec resolves its annotations anew each time, which is a tenth of making a client."""


class Model(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A value as Amili sends it: hashable where its members are, comparable, picklable.

    ``repr`` leaves out what is absent and shows `private` members as ``...``: models end up in logs.
    """

    private: ClassVar[frozenset[str]] = frozenset()
    """The members that hold personal data or bytes as received, which ``repr`` does not show."""

    direct: ClassVar[bool] = False
    """Whether msgspec may try to write it as its fields stand, and gives up where that would not be all."""

    def to_builtins(self) -> object:
        """Return what stands for this model in JSON; what holds raw parts or extra members overrides it."""
        return self

    def __rich_repr__(self) -> list[tuple[str, object]]:
        values = ((field, getattr(self, field.name)) for field in msgspec.structs.fields(type(self)))
        return [
            (field.name, Hidden() if field.name in self.private else value)
            for field, value in values
            if field.required or value != field.default
        ]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"


class Hidden:
    """What ``repr`` shows of a value that it must not show."""

    def __repr__(self) -> str:
        return "..."


def lower(name: str) -> str:
    """Return a member's name as AutoCollect and the oldest generation spell it: ``object_name`` is ``objectname``."""
    return name.replace("_", "")


def encode(model: Model | Sequence[Model]) -> bytes:
    """Return the JSON that stands for a model, or for several, on the wire.

    What was absent is left out, money is written as the digits of its `Decimal`, what a model keeps raw byte for byte,
    and ``extra`` among the members. What this writes `decode` reads to an equal value.
    """
    if isinstance(model, Model):
        direct = model.direct
    elif isinstance(model, Sequence) and all(isinstance(one, Model) for one in model):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        direct = all(one.direct for one in model)
    else:
        raise ConfigurationError(f"encode takes a model of this package, or a list of them, not {type(model).__name__}")
    if direct:
        try:
            found = _encoder.encode(model)
        except _NotDirectError:
            pass
        else:
            # Of a plain dict that a caller gave as `extra` msgspec does not ask: it writes it under its own name.
            if _EXTRA not in found:
                return found
    return _encoder.encode(written(model))


def written(value: Any) -> Any:
    """Return what stands for a value in JSON, models at any depth included."""
    if isinstance(value, Model):
        built = value.to_builtins()
        return value if built is value else written(built)
    if isinstance(value, Extra):
        return value.members
    if isinstance(value, Mapping):
        return {name: written(member) for name, member in value.items()}  # pyright: ignore[reportUnknownVariableType]  # of any kind
    if isinstance(value, list | tuple):
        return [written(item) for item in value]  # pyright: ignore[reportUnknownVariableType]  # of any kind
    return value


class _NotDirectError(Exception):
    """A struct that is not written as its fields stand was met."""


def _refuse(value: object) -> object:
    if isinstance(value, Extra):
        raise _NotDirectError
    raise NotImplementedError(f"a {type(value).__name__} cannot be written as JSON")


_EXTRA = f'"{EXTRA}"'.encode()
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_refuse)
