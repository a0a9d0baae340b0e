"""The base of every model: frozen, keyword-only, camelCase on the wire, silent about people in ``repr``."""

from __future__ import annotations

from typing import ClassVar

import msgspec


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
