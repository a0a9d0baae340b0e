"""The OpenAPI document as tests use it: its operations, and whether an answer is one of those that it allows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator, FormatChecker

DOCUMENT: dict[str, Any] = json.loads(Path(__file__).with_name("amili.openapi.json").read_text("utf-8"))
JSON = "application/json"


class Operation(NamedTuple):
    """One operation of the document."""

    name: str
    method: str
    path: str
    query: tuple[str, ...]
    statuses: tuple[int, ...]
    mark: str
    source: str
    generations: tuple[str, ...]
    definition: dict[str, Any]

    def answer(self, status: int) -> dict[str, Any] | None:
        """Return the schema of an answer; ``None`` where it has no JSON."""
        content = self.definition["responses"][str(status)].get("content", {})
        return content[JSON]["schema"] if JSON in content else None


def _operations() -> dict[str, Operation]:
    found: dict[str, Operation] = {}
    for path, methods in DOCUMENT["paths"].items():
        for method, definition in methods.items():
            found[definition["operationId"]] = Operation(
                definition["operationId"],
                method.upper(),
                re.sub(r"(?<!^)([A-Z])", r"_\1", path).lower() if "{" in path else path,
                tuple(each["name"] for each in definition.get("parameters", ()) if each["in"] == "query"),
                tuple(int(status) for status in definition["responses"]),
                definition["x-mark"],
                definition.get("x-source", ""),
                tuple(definition["x-generations"]),
                definition,
            )
    return found


OPERATIONS = _operations()
"""Every operation by its name; its path's placeholders are in snake case, as the route table has them."""

API = {name: operation for name, operation in OPERATIONS.items() if name != "token"}


def faults(schema: dict[str, Any], value: Any) -> list[str]:
    """Return where and how a value is not what a schema of the document says."""
    whole = {**schema, "components": DOCUMENT["components"]}
    validator = Draft202012Validator(whole, format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # its stubs are half typed
