"""Ids that look random, are the same for the same seed, and say where their object is: no index has to be kept."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

_BITS = 60
_MASK = (1 << _BITS) - 1
_CHECK_MASK = (1 << 62) - 1
_FIRST = 0x9E3779B97F4A7C15 & _MASK | 1
_SECOND = 0xBF58476D1CE4E5B9 & _MASK | 1
_THIRD = 0x94D049BB133111EB & _CHECK_MASK | 1
_FIRST_INVERSE = pow(_FIRST, -1, 1 << _BITS)
_SECOND_INVERSE = pow(_SECOND, -1, 1 << _BITS)
_HEX_DIGITS = 32

ORGANIZATIONS = 1 << 20
"""How many organizations can be told apart."""
SEQUENCES = 1 << 24
"""How many batches of one organization can be told apart."""
ENTRIES = 1 << 12
"""How many entries of one batch can be told apart."""


class Kind(IntEnum):
    """What an id names."""

    ORGANIZATION = 1
    BATCH = 2
    INVOICE = 3
    CASE = 4
    PAYMENT = 5
    CORRECTION = 6
    SETTLEMENT = 7
    PERSON = 8
    DEBTOR = 9
    CREDITOR = 10
    DOCUMENT = 11
    EVENT = 12


class Place(NamedTuple):
    """Where an object is: its organization's number, its batch's sequence, its entry in the batch."""

    kind: Kind
    organization: int = 0
    sequence: int = 0
    entry: int = 0


class Identifiers:
    """Makes ids (UUIDs of version 4, as far as one can tell) and reads them back."""

    def __init__(self, seed: int) -> None:
        self._salt = (seed * _SECOND + 0x5DEECE66D) & _MASK

    def make(self, kind: Kind, organization: int = 0, sequence: int = 0, entry: int = 0) -> str:
        """Return the id of what is at a place."""
        # This is most of the cost of rendering a page: two rounds of multiply and shift, each of which can be undone.
        x = (((kind << 20 | organization) << 24 | sequence) << 12 | entry) * _FIRST + self._salt & _MASK
        x = (x ^ x >> 31) * _SECOND & _MASK
        x ^= x >> 29
        check = (x * _THIRD + self._salt) & _CHECK_MASK
        check ^= check >> 31
        return (
            f"{x >> 28:08x}-{x >> 12 & 0xFFFF:04x}-4{x & 0xFFF:03x}-"
            f"{0x8000 | check >> 48:04x}-{check & 0xFFFFFFFFFFFF:012x}"
        )

    def read(self, text: str) -> Place | None:
        """Return the place that an id of this seed names; ``None`` for any other text."""
        digits = text.replace("-", "")
        if len(digits) != _HEX_DIGITS:
            return None
        try:
            number = int(digits, 16)
        except ValueError:
            return None
        x = number >> 80 << 12 | number >> 64 & 0xFFF
        x ^= x >> 29 ^ x >> 58
        x = x * _SECOND_INVERSE & _MASK
        x ^= x >> 31
        x = (x - self._salt) * _FIRST_INVERSE & _MASK
        kind, rest = x >> 56, x & (1 << 56) - 1
        if kind not in Kind.__members__.values():
            return None
        place = Place(Kind(kind), rest >> 36, rest >> 12 & SEQUENCES - 1, rest & ENTRIES - 1)
        return place if self.make(*place) == text.lower() else None
