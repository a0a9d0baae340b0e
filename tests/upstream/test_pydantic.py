"""What pydantic makes of a type that it does not know."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema  # noqa: TC002  # as pydantic's own documentation has it

from amili_async._upstream.pydantic import described, reference


class Inner:
    """A part of another."""


class Outer:
    """A type with a reader and a schema of its own, which refers to another's."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        inner = described(str, lambda _: {"type": "string", "title": "Inner"}, name="here.Inner:1")
        return described(int, lambda handler: {"properties": {"a": reference(handler, inner)}}, name="here.Outer:2")


def test_it_is_read_by_its_own_reader() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(list[Outer])
    assert adapter.validate_python(["7"]) == [7]
    with pytest.raises(ValidationError):
        adapter.validate_python(["x"])


def test_others_refer_to_it_by_its_name_wherever_it_stands() -> None:
    schema = TypeAdapter(list[Outer]).json_schema()
    assert schema["items"] == {"$ref": "#/$defs/Outer"}
    assert schema["$defs"]["Outer"] == {"properties": {"a": {"$ref": "#/$defs/Inner"}}}
    assert schema["$defs"]["Inner"] == {"type": "string", "title": "Inner"}
