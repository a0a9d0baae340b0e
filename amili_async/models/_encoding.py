"""Models to wire JSON: money as digits, raw parts verbatim."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from amili_async.models._base import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

_encoder = msgspec.json.Encoder(decimal_format="number")
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def encode(model: Model | Sequence[Model]) -> bytes:
    """Return the JSON that stands for a model, or for several, on the wire.

    Members at their default are left out, money is written as the digits of its `Decimal`, and what a model keeps raw
    is written byte for byte. What this writes decodes to an equal value; only what stood in ``extra`` has no field to
    come back to, so msgspec refuses it there (to keep such an object, pickle it).
    """
    if isinstance(model, Model):
        return _encoder.encode(model.to_builtins())
    return _encoder.encode([one.to_builtins() for one in model])


def members_of(model: Model) -> dict[str, object]:
    """Return a model's members, by their names on the wire, without those at their default."""
    return dict(_members.decode(_encoder.encode(model)))
