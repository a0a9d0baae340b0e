"""Case numbers, which some answers write as a number and others as text: here always text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    CaseNumber = str
else:
    # Read as either; `text_of_number` makes it the one type that users see.
    CaseNumber = int | str


def text_of_number(model: msgspec.Struct, *names: str) -> None:
    """Turn members that were read as numbers into text; for ``__post_init__`` of frozen models."""
    for name in names:
        value: object = getattr(model, name)
        if isinstance(value, int):
            msgspec.structs.force_setattr(model, name, str(value))
