"""JSON Schema (2020-12) of what `encode` writes, made of the models themselves: ``json_schema(Batch)``.

It is as open as the models are: unknown members are allowed, an enum is text with its known values as examples, what
may be absent may be null, an entry is of a known type, by its ``$type``, or of any other.
"""

import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin
from uuid import UUID

import msgspec
from msgspec import UnsetType

from amili_async._decoding import PageBody
from amili_async._lists.pager import Page
from amili_async.models import Batch, FailedEntry, Model, OpenEnum, Received, UnknownEntry
from amili_async.models._base import fields_of
from amili_async.models._batches import batch_of, types_by_tag
from amili_async.models._received import Whole
from amili_async.models._request import Request

Schema: TypeAlias = dict[str, Any]
"""A schema as JSON: names and values."""

Refer: TypeAlias = Callable[[type], Schema]
"""Returns what stands for a model or an open enum in the schema of another."""

_NULL: Schema = {"type": "null"}

_SCALARS: Mapping[object, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    Decimal: {"type": "number"},
    bool: {"type": "boolean"},
    date: {"type": "string", "format": "date"},
    datetime: {"type": "string", "format": "date-time"},
    UUID: {"type": "string", "format": "uuid"},
    type(None): {"type": "null"},
}


def json_schema(kind: Any) -> Schema:
    """Return the schema of a model, or of a ``list`` or a ``Page`` of one, with all that it refers to."""
    definitions: dict[str, Schema] = {}
    names: dict[type, str] = {}

    def refer(named: type) -> Schema:
        if named not in names:
            taken = {*names.values()}
            name = names[named] = named.__name__ if named.__name__ not in taken else f"{named.__name__}{len(taken)}"
            definitions[name] = schema_of(named, refer)
        return {"$ref": f"#/$defs/{names[named]}"}

    schema = annotated_schema(kind, refer)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "$defs": definitions}


def is_named(kind: object) -> bool:
    """Return whether a kind has a schema of its own, that others refer to."""
    return isinstance(kind, type) and issubclass(kind, OpenEnum | msgspec.Struct) and not get_args(kind)


def annotated_schema(annotation: Any, refer: Refer) -> Schema:
    """Return the schema of what may stand at an annotation."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return {**annotated_schema(inner[0], refer), **_said_in(inner[1:])}
    if origin in {Union, types.UnionType}:
        return _any_of(annotated_schema(one, refer) for one in inner if one is not UnsetType)
    if origin is Page:
        return page_schema(inner[0], refer)
    if origin is Literal:
        return {"enum": [*inner]}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": annotated_schema(inner[1], refer)}
    if origin is not None and issubclass(origin, Sequence):
        return {"type": "array", "items": annotated_schema(inner[0], refer)}
    return refer(annotation) if is_named(annotation) else dict(_SCALARS.get(annotation, {}))


def page_schema(row: Any, refer: Refer) -> Schema:
    """Return the schema of what `Page.encode` writes."""
    told = {"title": f"Page of {row.__name__}", "description": "A page of a list, as Amili sends one."}
    return {**schema_of(PageBody, refer, {"data": list[row]}), **told}


def schema_of(kind: type, refer: Refer, given: Mapping[str, Any] | None = None) -> Schema:
    """Return the schema of a model or an open enum; ``given`` are annotations that say more than the fields' own."""
    described = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].replace("\n", " ").replace("``", "`")
    schema: Schema = {"title": kind.__name__, **({"description": described} if described else {})}
    if issubclass(kind, OpenEnum):
        return {**schema, "type": "string", "examples": [str(value) for value in kind.__members__.values()]}
    if issubclass(kind, UnknownEntry):
        known_tags = {"properties": {"$type": {"enum": [*types_by_tag(())]}}, "required": ["$type"]}
        return {**schema, "not": {"type": "object", **known_tags}}
    if issubclass(kind, Whole) or (issubclass(kind, Model) and not issubclass(kind, Received | Request)):
        return schema
    return {**schema, **_members_of(kind, refer, given or {})}


def _members_of(kind: Any, refer: Refer, given: Mapping[str, Any]) -> Schema:
    """Return what a schema says of a struct's members."""
    config, received = kind.__struct_config__, issubclass(kind, Received)
    properties: Schema = {}
    required: list[str] = []
    if config.tag is not None:
        properties[config.tag_field] = {"const": config.tag}
        required.append(config.tag_field)
    for field in fields_of(_with_entries(kind)):
        if field.name == "extra" and issubclass(kind, Received | Request):
            continue
        member = annotated_schema(_annotation_of(kind, field, given), refer)
        # What Amili sent as null is written as null again.
        properties[field.encode_name] = member if field.required or not received else _any_of([member, _NULL])
        if field.required:
            required.append(field.encode_name)
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": True}
    return {**schema, "required": required} if required else schema


def _annotation_of(kind: type, field: Any, given: Mapping[str, Any]) -> Any:
    if field.name in getattr(kind, "amounts", ()):
        return Decimal | str  # of AutoCollect, where either comes
    return given.get(field.name, field.type)


def _with_entries(kind: Any) -> Any:
    """Return a kind of batch that says what it holds; any other kind as it is."""
    if not issubclass(kind, Batch):
        return kind
    return batch_of(Union[(*types_by_tag(()).values(), UnknownEntry)], FailedEntry, kind)


def _said_in(notes: tuple[object, ...]) -> Schema:
    said: Schema = {}
    for note in notes:
        if isinstance(note, msgspec.Meta):
            said |= {} if note.min_length is None else {"minLength": note.min_length}
            said |= note.extra_json_schema or {}
    return said


def _any_of(schemas: Iterator[Schema] | Sequence[Schema]) -> Schema:
    """Return the schema of what fits one of several; anything where one of them is no bound at all."""
    found: list[Schema] = []
    for schema in schemas:
        found += [one for one in (schema["anyOf"] if schema.keys() == {"anyOf"} else [schema]) if one not in found]
    if {} in found:
        return {}
    if len(found) == 2 and found[1] == _NULL and isinstance(found[0].get("type"), str):  # noqa: PLR2004  # it and null
        return {**found[0], "type": [found[0]["type"], "null"]}
    return found[0] if len(found) == 1 else {"anyOf": found}
