"""Shapes: what the rows of one reader turned out to hold beside what is documented, learnt to be decoded in one pass.

Four things are learnt: members that no field names, fields that are null, fields that hold what only makes sense in
another writing, values that no enum lists. Learning is bounded: a server that makes up names costs time, as its rows
are then read one by one, and no memory.
"""

from __future__ import annotations

import types
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

import msgspec

from amili_async._decoding.lenient import coercer_of
from amili_async._decoding.places import may_be_anything
from amili_async._upstream.msgspec import lookup_of
from amili_async.models import OpenEnum, Received
from amili_async.models._base import EXTRA, fields_of
from amili_async.models._open_enum import kept_values
from amili_async.models._received import learnt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from msgspec.structs import FieldInfo

    from amili_async._decoding.drift import Findings
    from amili_async._decoding.places import Places

T = TypeVar("T")

MAX_NAMES = 64
"""The unknown members of one model that are learnt, at most."""

FORGOTTEN_AFTER = 64
"""Readings in a row in which nothing had to be coerced, until all fields are read as documented again: it is faster."""

MAX_NAME_LENGTH = 64
"""The characters of an unknown member's name that is learnt, at most."""


class Shapes:
    """What one reader has learnt. ``version`` counts up each time; what was made of an earlier one is stale."""

    def __init__(self) -> None:
        self.version = 0
        self._members: dict[type[Received], dict[str, None]] = {}
        self._nulls: dict[type[Received], dict[str, None]] = {}
        self._values: dict[type[OpenEnum], int] = {}
        self._coerced: dict[type[Received], dict[str, type]] = {}
        """What msgspec is told in the place of a field's kind, so that it asks `_read_value`."""
        self.met: dict[tuple[type[Received], str, str], None] = {}
        """The models and members that were coerced since somebody cleared this, and how."""
        self._unmet = 0
        """How many readings have met none."""
        self._made: dict[object, Any] = {}

    @property
    def learnt(self) -> AbstractSet[type[Received]]:
        """The models that unknown members were learnt of."""
        return self._members.keys()

    def learn(self, found: Findings, places: Places) -> None:
        """Learn from something that was read leniently, and that has these places."""
        before = self._size()
        for model, fields in found.coerced.items():
            if model in places.paths:
                self._learn_coerced(model, fields)
        for model, names in found.members.items():
            known = self._members.setdefault(model, {})
            known.update(dict.fromkeys([name for name in names if _learnable(name)][: MAX_NAMES - len(known)]))
        for model, fields in found.nulls.items():
            self._nulls.setdefault(model, {}).update(fields)
        if self._size() != before:
            self.renew()

    def _learn_coerced(self, model: type[Received], names: Iterable[str]) -> None:
        known = self._coerced.setdefault(model, {})
        for field in fields_of(model):
            if field.name in names and field.name not in known:
                known[field.name] = _stand_in(model, field, self.met)

    def forget_unmet(self) -> None:
        """After each reading: forget what had to be coerced, once it has not for long."""
        if not self._coerced:
            return
        self._unmet = 0 if self.met else self._unmet + 1
        if self._unmet == FORGOTTEN_AFTER:
            self._coerced, self._unmet = {}, 0
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
        kinds = {**self._coerced.get(model, {}), **(given or {})}
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
        return sum(len(names) for each in (self._members, self._nulls, self._coerced) for names in each.values())


class _AnyValue(type):
    """The type of a class that msgspec takes any value for an instance of, and whose values `read` is asked for."""

    read: Callable[[object], object]

    def __instancecheck__(cls, instance: object) -> bool:
        return True


def _stand_in(model: type[Received], field: FieldInfo, met: dict[tuple[type[Received], str, str], None]) -> _AnyValue:
    """Return what stands for the kind of a field where values have to be coerced; ``met`` is told of each that had."""
    read_value, name = coercer_of(field.type).read_value, field.encode_name

    def read(value: object) -> object:
        found, what = read_value(value)
        if what:
            met[model, name, what] = None
        return found

    return _AnyValue("Coerced", (), {"read": staticmethod(read)})


def _read_value(kind: type, value: object) -> object:
    """Return what a value is that msgspec has no kind of its own for: whatever it came as, but for what was learnt."""
    return kind.read(value) if isinstance(kind, _AnyValue) else value


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
            self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(
                kind, float_hook=self._hook, dec_hook=_read_value
            )
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
