"""JSON from plain values, with money as the digits that a bank would print: ``4500.00``, not ``4500.0``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import TypeAlias, TypeGuard, Union

Value: TypeAlias = Union[str, int, float, Decimal, Mapping[str, "Value"], "list[Value]", None]


@lru_cache(maxsize=4096)
def quoted(text: str) -> str:
    """Return text as a JSON string."""
    return json.dumps(text, ensure_ascii=False)


def written(value: Value) -> str:
    """Return a value as compact JSON; decimals keep their digits."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return f"{{{','.join([f'{quoted(name)}:{written(member)}' for name, member in value.items()])}}}"
    if isinstance(value, list):
        return array(written(item) for item in value)
    return json.dumps(value)


def array(items: Iterable[str]) -> str:
    """Return what is JSON already as a JSON array."""
    return f"[{','.join(items)}]"


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Return whether what JSON gave is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[object]]:
    """Return whether what JSON gave is an array."""
    return isinstance(value, list)


def money(ore: int) -> Decimal:
    """Return an amount in major units, with both decimals."""
    return Decimal(ore).scaleb(-2)
