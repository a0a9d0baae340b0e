"""Shows one object: as fields for a person and a shell, or as Amili wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from amili_async.cli._client_context import opened
from amili_async.cli._output import write_fields, write_json
from amili_async.cli._running import DONE, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from amili_async.models._base import Model

T = TypeVar("T")


def show_one(
    operation: str,
    *ids: str,
    row_type: type[T],
    fields: Callable[[T], Iterable[tuple[str, object]]],
    as_json: bool,
) -> None:
    """Write the one object that a read answers with, and leave with the exit status."""

    async def work() -> int:
        async with opened() as amili:
            if as_json:
                write_json(await amili.caller.get(operation, *ids, type=msgspec.Raw))
            else:
                write_fields(fields(await amili.caller.get(operation, *ids, type=row_type)))
        return DONE

    run(work)


def members(model: Model) -> Iterator[tuple[str, object]]:
    """Yield the members of an object by their names on the wire; one that has members itself as JSON."""
    from amili_async import encode  # noqa: PLC0415  # only where there is an object
    from amili_async.models._base import Model  # noqa: PLC0415  # the same

    for field in msgspec.structs.fields(model):
        value: object = getattr(model, field.name)
        yield field.encode_name, encode(value).decode() if isinstance(value, Model) else value
