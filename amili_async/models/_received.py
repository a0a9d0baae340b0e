"""What Amili sends: models that keep what no field of theirs names, in ``extra``, at every depth.

A row of documented members alone is a plain struct, and costs what a plain struct costs. What else was met is learnt:
`learnt` makes a struct at run time, a subclass with a hidden field for each such member, which decodes as fast. Users
need not tell the two apart: they compare, hash, copy, pickle, show and write themselves alike. A row that no learnt
struct fits is plain, with what is left over in its field ``extra``.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from amili_async._upstream.msgspec import READING_ERRORS, setter_of
from amili_async.errors import ConfigurationError
from amili_async.models._base import EXTRA, Hidden, Model, fields_of, written
from amili_async.models._extra import NOTHING, Extra, check_depth, hashable

__all__ = ["NOT_SENT", "ExtraMembers", "Maybe", "NumberText", "Received", "Whole", "learnt", "show"]

R = TypeVar("R", bound="Received")


class _NotSent(tuple[()]):
    """An empty tuple that stands for an array which was absent: one that was sent empty is written again."""

    __slots__ = ()

    def __reduce__(self) -> str:
        return "NOT_SENT"


NOT_SENT = _NotSent()

if TYPE_CHECKING:
    from typing import Optional as Maybe

    NumberText = str
    ExtraMembers = Mapping[str, object]
else:

    class Maybe:
        """The kind of a member that may be absent or null. Which of the two it was is learnt, so null is not of it."""

        def __class_getitem__(cls, kind: object) -> object:
            return kind

    # Read as either and kept as it came, to be written alike; users see text.
    NumberText = int | str
    ExtraMembers = Extra

_LEARNT = Extra({})
"""Stands in ``extra`` of a learnt struct, whose further members are in hidden fields."""


class Received(Model, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value as Amili sends it. What no field names is kept in ``extra``, and written again by `encode`.

    `decode` reads one. msgspec alone refuses what it would lose: unknown members, and null where a member is optional.
    """

    direct: ClassVar[bool] = True
    numbers: ClassVar[tuple[str, ...]] = ()
    """The members of `NumberText`."""
    plain: ClassVar[type[Model]] = Model
    """The class that a learnt struct stands for; of any other class, itself."""
    further: ClassVar[tuple[tuple[str, str], ...]] = ()
    """The hidden fields of a learnt struct, each with its name on the wire."""

    # No member on the wire has such a name; and if one has, no JSON is an `Extra`, so it is taken for an unknown one.
    extra: ExtraMembers = msgspec.field(default=NOTHING, name=EXTRA)
    """Members that no field names, by their names on the wire: JSON values, numbers as ``int`` or `Decimal`."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.plain = cls
        for name in vars(cls).get("numbers", ()):
            show(cls, name, _text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Received) or self.plain is not other.plain:
            return NotImplemented
        return self is other or self._values() == other._values()

    def __ne__(self, other: object) -> bool:
        # msgspec has one of its own, for which no two classes are alike.
        return not self == other  # `!=` would come back here

    def __hash__(self) -> int:
        return hash((self.plain, *map(hashable, self._values())))

    def _values(self) -> tuple[object, ...]:
        return tuple([getattr(self, name) for name in self.plain.__struct_fields__])

    def __rich_repr__(self) -> list[tuple[str, object]]:
        fields = ((field, getattr(self, field.name)) for field in msgspec.structs.fields(self.plain))
        return [
            (field.name, Hidden() if field.name in self.private else value)
            for field, value in fields
            if field.name != "extra" and (field.required or value not in (field.default, None))
        ]

    def __dir__(self) -> list[str]:
        usable = {
            name
            for base in self.plain.__mro__
            if issubclass(base, Received)
            for name, value in vars(base).items()
            if not name.startswith("_") and (callable(value) or isinstance(value, property))
        }
        return sorted({*self.plain.__struct_fields__, *usable} - {"plain", "to_builtins"})

    def to_builtins(self) -> object:
        """Return the members by their names on the wire, those in ``extra`` and nulls among them."""
        config, kind, extra = self.__struct_config__, type(self), self.extra
        members: dict[str, object] = {} if config.tag is None else {str(config.tag_field): config.tag}
        wire = dict(zip(self.plain.__struct_fields__, self.plain.__struct_encode_fields__, strict=True))
        del wire["extra"]
        required = len(kind.__struct_fields__) - len(kind.__struct_defaults__)
        defaults = (*(msgspec.NODEFAULT,) * required, *kind.__struct_defaults__)
        for field, default, value in zip(kind.__struct_fields__, defaults, msgspec.structs.astuple(self), strict=True):
            if field in wire and not (value is UNSET or value is default or (type(default) is _FACTORY and not value)):
                members[wire[field]] = written(value)
        if isinstance(extra, Extra):
            members.update((name, None) for name in extra.nulls if name not in members)
        else:
            named = extra.keys() & {*wire, *wire.values()}
            if named:
                raise ConfigurationError(f"extra names {min(named)!r}, which {kind.__name__} has a field for")
        members.update(written(extra))
        return members


class Whole(Received, frozen=True, omit_defaults=False):
    """What is kept as the JSON that came, of which no member has a field."""

    private: ClassVar[frozenset[str]] = frozenset({"raw"})

    raw: bytes
    """Its JSON, byte for byte."""

    @property  # type: ignore[misc]  # read out of the JSON in place of being given
    def extra(self) -> Mapping[str, object]:  # pyright: ignore[reportIncompatibleVariableOverride]  # the same
        """The members of the JSON, if it is an object: JSON values, numbers as ``int`` or `Decimal`."""
        try:
            check_depth(self.raw)
            return Extra(_objects.decode(self.raw))
        except READING_ERRORS:
            return NOTHING

    def _values(self) -> tuple[object, ...]:
        return tuple([getattr(self, name) for name in self.plain.__struct_fields__ if name != "extra"])

    def to_builtins(self) -> object:
        """Return the JSON as received."""
        return msgspec.Raw(self.raw)


def learnt(
    base: type[R], names: Iterable[str], nulls: Iterable[str] = (), kinds: Mapping[str, object] | None = None
) -> type[R]:
    """Return a struct that stands for a model and has a place for further members.

    ``names`` are those of the further members on the wire, ``nulls`` the fields that may be null, ``kinds`` the
    annotations of fields that are read as something else than the model's own say.
    """
    wire, given, config = tuple(names), dict(kinds or {}), base.__struct_config__
    fields: list[Any] = [("extra", Extra, msgspec.field(default=_LEARNT, name=EXTRA))]
    for field in fields_of(base):
        kind = given.get(field.name, field.type)
        if field.name in nulls:
            fields.append((field.name, kind | UnsetType | None, msgspec.field(default=UNSET, name=field.encode_name)))
        elif field.name in given:
            default: dict[str, Any] = {} if field.required else {"default": field.default}
            fields.append((field.name, kind, msgspec.field(name=field.encode_name, **default)))
    hidden = tuple(f"_{number}" for number in range(len(wire)))
    fields += [(own, Any | UnsetType, msgspec.field(default=UNSET, name=name)) for own, name in zip(hidden, wire)]  # noqa: B905  # of one length
    made: Any = msgspec.defstruct(
        base.__name__,
        fields,
        bases=(base,),
        module=base.__module__,
        namespace={"__doc__": base.__doc__, "__qualname__": base.__qualname__, "__reduce__": _reduce},
        frozen=True,
        kw_only=True,
        gc=config.gc,
        tag=config.tag,
        tag_field=config.tag_field,
    )
    made.plain, made.further = base, (*zip(hidden, wire),)  # noqa: B905  # of one length
    struct: type[R] = made
    made.extra = _learnt_extra(made, hidden, wire, frozenset(nulls))
    for field in fields_of(base):
        if field.name in nulls:
            show(made, field.name, partial(_given_or, field.default))
    return struct


def _learnt_extra(
    made: type[Received], hidden: tuple[str, ...], names: tuple[str, ...], nulls: frozenset[str]
) -> property:
    own = _slot(made, "extra")
    values = {name: _slot(made, field) for field, name in zip(hidden, names, strict=True)}
    nullable = {
        field.encode_name: _slot(made, field.name) for field in msgspec.structs.fields(made) if field.name in nulls
    }

    def extra(row: Received) -> Mapping[str, object]:
        given: Mapping[str, object] = own(row)
        if given is not _LEARNT:
            return given
        if not values and not nullable:
            return NOTHING
        members = {name: value for name, get in values.items() if (value := get(row)) is not UNSET}
        null = [name for name, get in nullable.items() if get(row) is None]
        return Extra(members, null) if members or null else NOTHING

    return property(extra, doc=Received.extra.__doc__)


def _reduce(row: Received) -> tuple[object, ...]:
    """Pickle a learnt struct as a plain one: there is no such class in another process."""
    kind, extra = type(row), row.extra
    known = {*row.plain.__struct_fields__} - {"extra"}
    # What was null has its default again, and `extra` says that it was null.
    nulls = extra.nulls if isinstance(extra, Extra) else ()
    fields = zip(kind.__struct_fields__, kind.__struct_encode_fields__, msgspec.structs.astuple(row), strict=True)
    members = {
        name: value for name, wire, value in fields if name in known and value is not UNSET and wire not in nulls
    }
    return _unpickled, (row.plain, {**members, "extra": extra})


def _unpickled(kind: type[R], members: dict[str, Any]) -> R:
    return kind(**members)


def show(kind: type[Received], name: str, made_of: Callable[[Any], object]) -> None:
    """Let users see what is made of a field in place of what it holds."""
    get = _slot(kind, name)

    def shown(row: Received) -> object:
        return made_of(get(row))

    setattr(kind, name, _Shown(shown))
    vars(kind)[name].kept = get


def show_once(kind: type[Received], name: str, made_of: Callable[[Any], object]) -> None:
    """Let users see what is made of a field, which takes the place of what it held when it is first looked at."""
    get, put = _slot(kind, name), setter_of(kind, name)

    def shown(row: Received) -> object:
        kept = get(row)
        made = made_of(kept)
        if made is not kept:
            put(row, made)
        return made

    setattr(kind, name, _Shown(shown))
    vars(kind)[name].kept = shown


class _Shown(property):
    """What users see of a field, in the place of what reads the field as it is kept."""

    kept: Callable[[Any], Any]


def _given_or(default: object, value: object) -> object:
    return default if value is UNSET or value is None else _text(value)


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) else value


def _slot(kind: type, name: str) -> Callable[[Any], Any]:
    """Return what reads a field as it is kept."""
    found = (vars(base).get(name) for base in kind.__mro__)
    kept = next(each for each in found if isinstance(each, MemberDescriptorType | _Shown))
    return kept.kept if isinstance(kept, _Shown) else kept.__get__


_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Probe(msgspec.Struct):
    made: list[object] = []  # msgspec makes a new one each time


_FACTORY: type[Any] = _Probe.__struct_defaults__[0].__class__
"""What stands among the defaults of a struct for one that is made anew each time."""
