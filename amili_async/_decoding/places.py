"""Places: where models stand in rows, and what is looked for there once rows were read: amounts, values, members.

Nothing is looked for in rows that have no such place, and drift only where somebody listens.
"""

from __future__ import annotations

import types
from decimal import Decimal
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Union, get_args, get_origin

import msgspec
from msgspec import UNSET

from amili_async.models import OpenEnum, Received
from amili_async.models._base import fields_of
from amili_async.models._extra import check_values
from amili_async.models._inputs import MAX_EXPONENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from amili_async._decoding.drift import DriftReporter


class _Field(NamedTuple):
    name: str
    wire: str
    enums: tuple[type[OpenEnum], ...]
    below: tuple[_Place, ...]
    """What may stand in it."""


class _Place(NamedTuple):
    """Where objects of one struct stand, in rows or in a field of other objects."""

    path: str
    """The way there from what holds it: empty, or ``[...]`` for each array on it."""
    model: type[msgspec.Struct]
    amounts: tuple[str, ...]
    fields: tuple[_Field, ...]
    """Those with an enum, or with further objects."""
    has_amounts: bool
    """Whether there are amounts here or below."""
    has_enums: bool
    """Whether there are open enums here or below."""
    untyped: tuple[str, ...]
    """The fields that may hold anything."""
    has_untyped: bool
    """Whether there are such fields here or below."""
    models: frozenset[type[msgspec.Struct]]
    """What may stand here and below."""

    def may_be_deep(self, learnt: AbstractSet[type[Received]]) -> bool:
        """Return whether there are values here or below of which no annotation says what they are."""
        return self.has_untyped or not self.models.isdisjoint(learnt)

    def objects(self, values: Iterable[Any]) -> tuple[list[Any], set[type]]:
        """Return the objects of this struct, and their classes: its own, and learnt ones."""
        for _ in range(self.path.count("[")):
            values = chain.from_iterable(filter(None, values))
        objects = list(values)
        # By their few classes, which are cheaper to find than to ask each object for.
        kinds = set(map(type, objects))
        fitting = {kind for kind in kinds if issubclass(kind, self.model)}
        if len(fitting) < len(kinds):
            objects = [one for one in objects if type(one) in fitting]
        return objects, fitting


class Places:
    """All places in rows of one type."""

    def __init__(self, annotation: Any, given: Mapping[str, object] | None = None) -> None:
        """Find them in an annotation; ``given`` are annotations of the row's fields that say more than its own."""
        self._places = tuple(_places_in(annotation, given or {}, frozenset()))
        self._has_amounts = any(place.has_amounts for place in self._places)
        self.enums = frozenset(_enums_in(self._places))
        """The open enums that may stand in such a row."""

    @cached_property
    def paths(self) -> Mapping[type[msgspec.Struct], str]:
        """Where each struct stands that stands in one place alone."""
        found: dict[type[msgspec.Struct], list[str]] = {}
        for model, path in _paths_to(self._places, "$"):
            found.setdefault(model, []).append(path)
        return {model: paths[0] for model, paths in found.items() if len(paths) == 1}

    def report_coerced(self, met: Iterable[tuple[type[msgspec.Struct], str, str]], note: DriftReporter) -> None:
        """Tell of the members that were coerced, and how."""
        for model, name, what in tuple(met):  # whoever listens may have something else read
            if model in self.paths:
                note("leniency", f"{self.paths[model]}.{name}", what)

    def check_amounts(self, rows: Sequence[object]) -> None:
        """Look at the amounts of rows.

        Raises:
            msgspec.ValidationError: one has digits too far from the point.
        """
        if self._has_amounts:
            for place in self._places:
                _check_amounts(place, rows)

    def check_depth(self, rows: Sequence[object], learnt: AbstractSet[type[Received]]) -> None:
        """Look at how deep values are nested of which no annotation says what they are.

        ``learnt`` are the models that members were learnt of.

        Raises:
            msgspec.ValidationError: one is nested too deeply.
        """
        for place in self._places:
            if place.may_be_deep(learnt):
                _check_depth(place, rows, learnt)

    def report(
        self,
        rows: Sequence[object],
        note: DriftReporter,
        learnt: AbstractSet[type[Received]] = frozenset(),
        path: str = "$",
    ) -> None:
        """Tell of the values that no enum lists, and of the members that learnt structs have a place for.

        ``learnt`` are the models that members were learnt of: there are none to be found of others.
        """
        for place in self._places:
            _report(place, rows, path, note, learnt)


def _paths_to(places: Iterable[_Place], path: str) -> Iterator[tuple[type[msgspec.Struct], str]]:
    for place in places:
        yield place.model, path + place.path
        for field in place.fields:
            yield from _paths_to(field.below, f"{path}{place.path}.{field.wire}")


def _check_amounts(place: _Place, values: Iterable[object]) -> None:
    objects, _ = place.objects(values)
    for name in place.amounts:
        amounts = [amount for amount in map(attrgetter(name), objects) if amount is not None]
        exponents = list(map(Decimal.adjusted, amounts))
        if exponents and not (min(exponents) >= -MAX_EXPONENT and max(exponents) <= MAX_EXPONENT):
            raise msgspec.ValidationError("Expected an amount")
    for field in place.fields:
        for below in field.below:
            if below.has_amounts:
                _check_amounts(below, map(attrgetter(field.name), objects))


def _check_depth(place: _Place, values: Iterable[object], learnt: AbstractSet[type[Received]]) -> None:
    objects, models = place.objects(values)
    for name in place.untyped:
        _check_values(objects, name)
    for model in models if place.model in learnt else ():
        for name, _ in model.further if issubclass(model, Received) else ():
            _check_values(objects if len(models) == 1 else [one for one in objects if type(one) is model], name)
    for field in place.fields:
        for below in field.below:
            if below.may_be_deep(learnt):
                _check_depth(below, map(attrgetter(field.name), objects), learnt)


def _check_values(objects: Iterable[object], name: str) -> None:
    values = list(map(attrgetter(name), objects))
    if not _CONTAINERS.isdisjoint(map(type, values)):
        check_values(values)


_CONTAINERS = frozenset({dict, list})


def _report(
    place: _Place, values: Iterable[object], path: str, note: DriftReporter, learnt: AbstractSet[type[Received]]
) -> None:
    if not place.has_enums and place.models.isdisjoint(learnt):
        return
    objects, models = place.objects(values)
    path += place.path
    for model in models:
        _report_members(model, objects, path, note)
    for field in place.fields:
        found, below = list(map(attrgetter(field.name), objects)), f"{path}.{field.wire}"
        if field.enums:
            # Members are shared: a page holds few, and each is looked at once.
            distinct = dict(zip(map(id, found), found, strict=True)).values()
            for value in sorted({one for one in distinct if isinstance(one, OpenEnum) and not one.known}):
                note("value", below, value)
        for inner in field.below:
            _report(inner, found, below, note, learnt)


def _report_members(model: type[msgspec.Struct], objects: Sequence[Any], path: str, note: DriftReporter) -> None:
    if not issubclass(model, Received) or {*model.plain.__struct_fields__} <= {"extra"}:
        return  # an object of which no member is known at all, such as a currency, has none that would be news
    for name, wire in model.further:
        if any(type(one) is model and getattr(one, name) is not UNSET for one in objects):
            note("member", f"{path}.{wire}", wire)


def _places_in(annotation: Any, given: Mapping[str, object], above: frozenset[object]) -> Iterator[_Place]:
    for kind in _options(annotation):
        inner = _item_of(kind)
        if inner is not None:
            yield from (place._replace(path=f"[...]{place.path}") for place in _places_in(inner, given, above))
        model: Any = get_origin(kind) or kind
        # What a model holds of its own kind is not looked into.
        if isinstance(model, type) and issubclass(model, msgspec.Struct) and model not in above:
            yield _place_of(kind, model, given, above | {model})


def _place_of(kind: Any, model: type[msgspec.Struct], given: Mapping[str, object], above: frozenset[object]) -> _Place:
    amounts: list[str] = []
    untyped: list[str] = []
    fields: list[_Field] = []
    for field in fields_of(kind):
        if field.name == "extra" and issubclass(model, Received):
            continue
        options = _options(field.type)
        if Decimal in options:
            amounts.append(field.name)
        annotated = given.get(field.name, field.type)
        if may_be_anything(annotated):
            untyped.append(field.name)
        enums = tuple(one for one in options if isinstance(one, type) and issubclass(one, OpenEnum))
        below = tuple(_places_in(annotated, {}, above))
        if enums or below:
            fields.append(_Field(field.name, field.encode_name, enums, below))
    places = [place for field in fields for place in field.below]
    return _Place(
        path="",
        model=model,
        amounts=tuple(amounts),
        fields=tuple(fields),
        has_amounts=bool(amounts) or any(place.has_amounts for place in places),
        has_enums=any(field.enums for field in fields) or any(place.has_enums for place in places),
        untyped=tuple(untyped),
        has_untyped=bool(untyped) or any(place.has_untyped for place in places),
        models=frozenset({model}).union(*(place.models for place in places)),
    )


def _options(annotation: Any) -> tuple[Any, ...]:
    """Return the kinds of which a value with this annotation may be."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _options(inner[0])
    if origin in {Union, types.UnionType}:
        return tuple(chain.from_iterable(map(_options, inner)))
    return (annotation,)


def _item_of(kind: Any) -> Any:
    """Return the annotation of the items of an array; nothing for what is none, or holds items of several kinds."""
    items = [one for one in get_args(kind) if one is not Ellipsis]
    return items[0] if get_origin(kind) in {tuple, list} and len(items) == 1 else None


def may_be_anything(annotation: Any) -> bool:
    """Return whether values of no particular type may stand at an annotation, structs aside."""
    inner = get_args(annotation)
    return any(map(may_be_anything, inner)) if inner else annotation in _UNTYPED


_UNTYPED = frozenset({Any, object, dict, list, tuple, set, frozenset})


def _enums_in(places: Iterable[_Place]) -> Iterator[type[OpenEnum]]:
    for place in places:
        for field in place.fields:
            yield from field.enums
            yield from _enums_in(field.below)
