"""Shapes: what the rows of one reader turned out to hold beside what is documented, learnt to be decoded in one pass.

Three things are learnt: members that no field names, fields that are null, values that no enum lists. Learning is
bounded: a server that makes up names costs time, as its rows are then read one by one, and no memory.
"""

from __future__ import annotations

import types
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

import msgspec

from amili_async._decoding.places import may_be_anything
from amili_async._upstream.msgspec import lookup_of
from amili_async.models import OpenEnum, Received
from amili_async.models._base import EXTRA, fields_of
from amili_async.models._open_enum import kept_values
from amili_async.models._received import learnt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from amili_async._decoding.drift import Findings

T = TypeVar("T")

MAX_NAMES = 64
"""The unknown members of one model that are learnt, at most."""

MAX_NAME_LENGTH = 64
"""The characters of an unknown member's name that is learnt, at most."""


class Shapes:
    """What one reader has learnt. ``version`` counts up each time; what was made of an earlier one is stale."""

    def __init__(self) -> None:
        self.version = 0
        self._members: dict[type[Received], dict[str, None]] = {}
        self._nulls: dict[type[Received], dict[str, None]] = {}
        self._values: dict[type[OpenEnum], int] = {}
        self._made: dict[object, Any] = {}

    @property
    def learnt(self) -> AbstractSet[type[Received]]:
        """The models that unknown members were learnt of."""
        return self._members.keys()

    def learn(self, found: Findings) -> None:
        """Learn from a row that was read leniently."""
        before = self._size()
        for model, names in found.members.items():
            known = self._members.setdefault(model, {})
            known.update(dict.fromkeys([name for name in names if _learnable(name)][: MAX_NAMES - len(known)]))
        for model, fields in found.nulls.items():
            self._nulls.setdefault(model, {}).update(fields)
        if self._size() != before:
            self.renew()

    def learn_values(self, enums: frozenset[type[OpenEnum]]) -> None:
        """Learn the unknown values of these enums that were met, here or elsewhere."""
        met = {enum: len(kept_values(enum)) for enum in enums}
        if any(count > self._values.get(enum, 0) for enum, count in met.items()):
            self._values.update(met)
            self.renew()

    def members_of(self, model: type[Received]) -> tuple[str, ...]:
        """Return the names that were learnt for a model, in the order of its hidden fields."""
        return tuple(self._members.get(model, ()))

    def of(self, annotation: Any) -> Any:
        """Return an annotation with what was learnt in the place of models and enums."""
        if isinstance(annotation, type) and not get_args(annotation):
            if annotation not in self._made:
                # Of a model that holds itself, the inner one is taken as it is.
                self._made[annotation] = annotation
                self._made[annotation] = self._made_of(annotation)
            return self._made[annotation]
        origin: Any = get_origin(annotation)
        inner: tuple[Any, ...] = get_args(annotation)
        if origin is Annotated:
            return Annotated[(self.of(inner[0]), *inner[1:])]
        changed = tuple(one if one is Ellipsis else self.of(one) for one in inner)
        if changed == inner:
            return annotation
        return Union[changed] if origin in {Union, types.UnionType} else origin[changed]  # noqa: UP007  # at run time

    def struct(self, model: type[Received], given: Mapping[str, object] | None = None) -> type[Received]:
        """Return the struct for a model, with further kinds for some of its fields; the model itself if need be."""
        kinds = dict(given or {})
        for field in fields_of(model):
            changed = self.of(field.type)
            if field.name not in kinds and field.name != "extra" and changed != field.type:
                kinds[field.name] = changed
        nulls = tuple(self._nulls.get(model, ()))
        members = self.members_of(model)
        return learnt(model, members, nulls, kinds) if members or nulls or kinds else model

    def renew(self) -> None:
        """Have everything made again that was made of what was known before."""
        self._made = {}
        self.version += 1

    def _made_of(self, kind: type) -> Any:
        if issubclass(kind, OpenEnum):
            return lookup_of(kind, kept_values(kind)) if self._values.get(kind) else kind
        if issubclass(kind, Received):
            return self.struct(kind)
        return kind  # pyright: ignore[reportUnknownVariableType]  # of any kind

    def _size(self) -> int:
        return sum(map(len, self._members.values())) + sum(map(len, self._nulls.values()))


class Decoder(Generic[T]):
    """A strict decoder for something that is made of shapes, made again when more was learnt."""

    def __init__(self, shapes: Shapes, make: Callable[[], object], *, exact: bool = False) -> None:
        self._shapes = shapes
        self._make = make
        # A number that no field is for is kept as JSON, at a third of the cost of a `Decimal`. Where users can look at
        # untyped values directly, they need to find a `Decimal`.
        self._hook: Callable[[str], object] = Decimal if exact else msgspec.Raw
        self._version = -1

    def decode(self, data: bytes | bytearray | msgspec.Raw) -> T:
        """Return what was asked for.

        Raises:
            msgspec.ValidationError: it does not fit.
        """
        if self._version != self._shapes.version:
            kind: Any = self._make()
            self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind, float_hook=self._hook)
            self._version = self._shapes.version
        return self._decoder.decode(data)


def _learnable(name: str) -> bool:
    """Return whether msgspec takes this for the name of a field."""
    return len(name) <= MAX_NAME_LENGTH and name != EXTRA and not any(char in '"\\' or char < " " for char in name)


def is_untyped(annotation: Any) -> bool:
    """Return whether values of no particular type may stand at or below an annotation."""
    seen: set[object] = set()

    def look(kind: Any) -> bool:
        if kind in seen:
            return False
        seen.add(kind)
        inner = get_args(kind)
        if inner:
            return any(map(look, inner))
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return any(look(field.type) for field in fields_of(kind) if field.name != "extra")
        return may_be_anything(kind)

    return look(annotation)
