"""The base of what a write sends: every member checked, all at once, and members that have no field in ``extra``.

A member that is absent (``UNSET``, the default) and one that is null (``None``) are two things here: the one is not
sent, the other is sent as ``null``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias, get_args, get_origin
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from amili_async._upstream.msgspec import READING_ERRORS, set_frozen
from amili_async.errors import InvalidArgumentError
from amili_async.models import _inputs as inputs
from amili_async.models._base import Model
from amili_async.models._inputs import Rule
from amili_async.models._open_enum import OpenEnum

DEEPEST = 100
"""How deep lists and dicts may be nested in ``extra``: what holds itself would be gone through for ever."""


_MEMBER = re.compile(r"[$A-Za-z_]\w{0,39}", re.ASCII)


def ruled(kind: object, rule: Rule, **schema: object) -> Any:
    """Return the annotation of a member that is read as a kind and checked by a rule."""
    return Annotated[kind, msgspec.Meta(extra={"rule": rule}, extra_json_schema=schema or None)]


def chosen(kind: type[OpenEnum]) -> Any:
    """Return the annotation of a member that is a value of an open enum."""
    return ruled(str, inputs.one_of(kind), examples=[str(value) for value in kind.__members__.values()])


if TYPE_CHECKING:
    Text: TypeAlias = str
    AnyText: TypeAlias = str
    Flag: TypeAlias = bool
    Amount: TypeAlias = Decimal
    PositiveAmount: TypeAlias = Decimal
    Day: TypeAlias = date | datetime | str
    Moment: TypeAlias = date | datetime | str
    ExtraMembers: TypeAlias = Mapping[str, object]
else:
    # What msgspec is told: how the member is written in JSON. The rule makes of it what is kept.
    Text = ruled(str, inputs.text, minLength=1)
    AnyText = ruled(str, inputs.any_text)
    Flag = ruled(bool, inputs.flag)
    Amount = ruled(Decimal, inputs.amount)
    PositiveAmount = ruled(Decimal, inputs.positive_amount, exclusiveMinimum=0)
    Day = ruled(str, inputs.day, anyOf=[{"format": "date"}, {"format": "date-time"}])
    Moment = ruled(str, inputs.moment, anyOf=[{"format": "date-time"}, {"format": "date"}])
    ExtraMembers = dict[str, msgspec.Raw]  # decoded below, with exact numbers


if TYPE_CHECKING:

    class _Named(Model, frozen=True, kw_only=True): ...
else:

    class _NamedArguments(msgspec.StructMeta):
        """Says of a call with wrong keywords which they are, and which would be right."""

        def __call__(cls, *arguments: object, **members: object) -> object:  # noqa: N805  # of a metaclass
            problems = list(_wrong_keywords(cls, arguments, members))
            if problems:
                raise TypeError(f"{cls.__name__}: {'; '.join(problems)}")
            return super().__call__(**members)

    class _Named(Model, frozen=True, kw_only=True, metaclass=_NamedArguments): ...


class Request(_Named, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An object that a write sends. Decoding refuses what no field names: no ``extra`` is lost in silence.

    Raises:
        InvalidArgumentError: members that cannot be right, all of them in ``problems``.
    """

    private: ClassVar[frozenset[str]] = frozenset({"description", "extra"})

    extra: ExtraMembers = {}  # noqa: RUF012  # msgspec makes a new one each time
    """Members by their names on the wire, sent as they are beside those that have a field; models as they are sent."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        for name, rule in _rules(type(self)):
            value = getattr(self, name)
            if value is UNSET or (value is None and not self._is_required(name)):
                continue
            try:
                set_frozen(self, name, rule(value))
            except inputs.RefusedError as problem:
                problems.append(f"{name} {problem}")
        problems += self._take_extra()
        if problems:
            raise InvalidArgumentError.listing(type(self).__name__, problems)
        for warning in self.unusual():
            inputs.warn(f"{type(self).__name__}: {warning}")

    def unusual(self) -> Iterator[str]:
        """Yield what is worth a warning."""
        currency: object = getattr(self, "currency", UNSET)
        if isinstance(currency, str) and not re.fullmatch(r"[A-Z]{3}", currency):
            yield "currency is no ISO 4217 code, such as NOK"
        for name in self.__struct_fields__:
            value: object = getattr(self, name)
            if isinstance(value, Decimal) and inputs.is_finer(value, currency if isinstance(currency, str) else None):
                yield f"{name} is finer than the currency's smallest unit"

    def to_builtins(self) -> object:
        """Return the members and those of ``extra``."""
        fields = zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True)
        values = {name: getattr(self, field) for field, name in fields if field != "extra"}
        sent = {name: value for name, value in values.items() if value is not UNSET}
        return {**sent, **{name: as_sent(value) for name, value in self.extra.items()}}

    def problems(self) -> list[str]:
        """Return what cannot be right of what may have changed since this was made: the inside of ``extra``."""
        return [*problems_in(self.extra, "extra")]

    @classmethod
    def _is_required(cls, name: str) -> bool:
        return name in _required(cls)

    def _take_extra(self) -> list[str]:
        given: Any = self.extra  # whatever callers without a type checker pass
        if not isinstance(given, Mapping):
            return [f"extra must be a dict of members by their names on the wire, not {type(given).__name__}"]
        extra: dict[Any, Any] = {name: _opened(value) for name, value in given.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # the same
        set_frozen(self, "extra", extra)
        fields = zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True)
        known = {_folded(name): field for field, wire in fields for name in (field, wire)}
        named = [(name, known.get(_folded(name))) for name in extra if isinstance(name, str)]
        return [
            *(f"extra names {name!r}, which has a field: pass {field}= instead" for name, field in named if field),
            *problems_in(extra, "extra"),
        ]


@cache
def _rules(kind: type[Request]) -> tuple[tuple[str, Rule], ...]:
    """Return the members of a request that have a rule, with it."""
    found = ((field.name, _rule_in(field.type)) for field in msgspec.structs.fields(kind))
    return tuple((name, rule) for name, rule in found if rule is not None)


@cache
def _required(kind: type[Request]) -> frozenset[str]:
    return frozenset(field.name for field in msgspec.structs.fields(kind) if field.required)


def _rule_in(annotation: object) -> Rule | None:
    if get_origin(annotation) is Annotated:
        _, *notes = get_args(annotation)
        return next((note.extra["rule"] for note in notes if isinstance(note, msgspec.Meta) and note.extra), None)
    return next((rule for part in get_args(annotation) if (rule := _rule_in(part)) is not None), None)


def _wrong_keywords(kind: type[Request], arguments: Sequence[object], members: Mapping[str, object]) -> Iterator[str]:
    fields = kind.__struct_fields__
    if arguments:
        yield "members are given by name, such as amount=..."
    for name in members.keys() - {*fields}:
        near = next((field for field in fields if _folded(field) == _folded(name)), None)
        near = near or next(iter(get_close_matches(name, fields, n=1)), None)
        meant = f"did you mean {near}?" if near else f"there are {', '.join(fields)}."
        yield f"there is no member {name!r}; {meant} Members that have no field go into extra={{...}}"
    missing = [name for name in fields if name in _required(kind) and name not in members]
    if missing:
        yield f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_decoder = msgspec.json.Decoder(float_hook=Decimal)


def _opened(value: object) -> object:
    """Return a member of ``extra``; decoded, with exact numbers, where it is JSON."""
    with suppress(*READING_ERRORS):
        return _decoder.decode(value) if isinstance(value, msgspec.Raw) else value
    return value


def problems_in(value: object, path: str, depth: int = 0, *, floats: bool = False) -> Iterator[str]:
    """Yield what cannot be sent of a value of any kind and depth, each with its path; floats are, where they may be."""
    if isinstance(value, Model):
        try:
            built = value.to_builtins()
        except UnicodeEncodeError:
            yield f"{path} holds half a character, which cannot be sent"
            return
        value = value if built is value else built
    inside = _inside(value)
    if inside is None:
        problem = None if floats and isinstance(value, float) and isfinite(value) else _problem_of(value)
        if problem is not None:
            yield f"{path} {problem}"
    elif depth == DEEPEST:
        yield f"{path[:40]}… is nested more than {DEEPEST} deep"
    else:
        for name, member in inside:
            if isinstance(name, int):
                yield from problems_in(member, f"{path}[{name}]", depth + 1, floats=floats)
            elif isinstance(name, str) and not inputs.is_broken(name):
                shown = name if _MEMBER.fullmatch(name) else "…"  # what is no member's name may be a person's
                yield from problems_in(member, f"{path}.{shown}", depth + 1, floats=floats)
            else:
                yield f"{path} has a member whose name is no text that can be sent"


def _inside(value: Any) -> Iterable[tuple[object, object]] | None:
    """Return what a value holds, by name or index; ``None`` where it holds nothing."""
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        return [(name, member) for field, name in names if (member := getattr(value, field)) is not UNSET]
    if isinstance(value, Mapping):
        return [(name if isinstance(name, str) else None, member) for name, member in value.items()]  # pyright: ignore[reportUnknownVariableType]  # of any kind
    if isinstance(value, list | tuple):
        return [(index, item) for index, item in enumerate(value)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # of any kind
    return None


def _problem_of(value: object) -> str | None:
    """Return why a value that holds no others cannot be sent."""
    if isinstance(value, float | Decimal):
        try:
            inputs.amount(value)
        except inputs.RefusedError as problem:
            return str(problem)
    elif isinstance(value, str):
        return "holds half a character, which cannot be sent" if inputs.is_broken(value) else None
    elif isinstance(value, UnsetType):
        return "is UNSET: leave the member out"
    elif isinstance(value, msgspec.Raw):
        try:
            _decoder.decode(value)
        except READING_ERRORS:
            return "is no JSON"
    elif not (value is None or isinstance(value, int | date | UUID)):
        return f"is of the kind {type(value).__name__}: pass text, exact numbers, True, False, None, lists and dicts"
    return None


def as_sent(value: Any) -> Any:
    """Return a value with what stands for each model in it: its members, and those of its ``extra``."""
    if isinstance(value, Model):
        built = value.to_builtins()
        return value if built is value else as_sent(built)
    if isinstance(value, Mapping):
        return {name: as_sent(member) for name, member in value.items()}  # pyright: ignore[reportUnknownVariableType]  # of any kind
    if isinstance(value, list | tuple):
        return [as_sent(item) for item in value]  # pyright: ignore[reportUnknownVariableType]  # of any kind
    return value
