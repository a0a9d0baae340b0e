"""Shows one object: as fields for a person and a shell, or as Amili wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from amili_async.cli.output import write_fields, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from amili_async import AmiliClient

T = TypeVar("T")


async def show_one(
    amili: AmiliClient,
    operation: str,
    *ids: str,
    row_type: type[T],
    fields: Callable[[T], Iterable[tuple[str, object]]],
    as_json: bool,
) -> None:
    """Write the one object that a read answers with."""
    if as_json:
        write_json(await amili.caller.get(operation, *ids, type=msgspec.Raw))
    else:
        write_fields(fields(await amili.caller.get(operation, *ids, type=row_type)))
