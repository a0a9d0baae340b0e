"""RawValue: an answer, or a row, whose shape is not documented."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from amili_async.models._base import Model

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_envelope = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)


class RawValue(Model, frozen=True, kw_only=True, gc=False):
    """What Amili answered where no public page says of what shape it is: the bytes, and what they decode to."""

    private = frozenset({"raw"})

    raw: bytes
    """The answer as received; of a row, its JSON."""

    @property
    def text(self) -> str:
        """The answer as text."""
        return self.raw.decode("utf-8", "replace")

    @property
    def json(self) -> object:
        """What the JSON says, fractions as `Decimal`.

        Raises:
            ValueError: the answer is no JSON; see `text`.
        """
        return _decoder.decode(self.raw)

    @property
    def data(self) -> object:
        """The ``data`` of the envelope if there is one, else all of `json`."""
        try:
            return _envelope.decode(self.raw)["data"]
        except (msgspec.ValidationError, KeyError):
            return self.json

    def to_builtins(self) -> object:
        """Return the JSON as received."""
        return msgspec.Raw(self.raw)
