"""What pydantic allows, and FastAPI through it: a type that it does not know, with a reader and a schema of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import core_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema


def described(
    read: Callable[[Any], object],
    describe: Callable[[GetJsonSchemaHandler], dict[str, Any]],
    *,
    name: str | None = None,
) -> CoreSchema:
    """Return the core schema of what ``read`` reads and ``describe`` describes; with a name, others refer to it.

    The key is pydantic's own, for its ``__get_pydantic_json_schema__``, which types alone can have.
    """

    def describing(_: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return describe(handler)

    return core_schema.no_info_plain_validator_function(
        read, ref=name, metadata={"pydantic_js_functions": [describing]}
    )


def reference(handler: GetJsonSchemaHandler, schema: CoreSchema) -> dict[str, Any]:
    """Return what refers to a core schema in the description of another one.

    A handler goes by names in what is within a list and not in what it is given itself.
    """
    within: dict[str, Any] = handler(core_schema.list_schema(schema))["items"]
    return within
