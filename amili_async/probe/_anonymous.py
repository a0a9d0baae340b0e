"""Anonymizer: JSON with every value replaced by another of its shape, the same value always by the same."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import string
from datetime import datetime, timedelta
from typing import TypeAlias, Union
from uuid import UUID

JSON: TypeAlias = Union[str, bool, "list[JSON]", "dict[str, JSON]", None]
"""A JSON value whose numbers are text: the digits as they stood there."""

CODES = frozenset(
    {
        "$type",
        "type",
        "eventtype",
        "status",
        "state",
        "substatus",
        "source",
        "collectiontype",
        "currency",
        "currencycode",
        "countrycode",
        "status_statuscode",
        "token_type",
        "error",
        "code",
        "errorcode",
    }
)
"""Members whose values are words of the API, not of a person: kept where they look like one."""

_CODE = re.compile(r"[A-Z][A-Z_]{1,39}|[a-z]{2,20}(?:[A-Z][a-z]{1,20}){0,3}")
_NAME = re.compile(r"[A-Za-z_$][A-Za-z_]{0,63}[0-9]?")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_SCHEME = re.compile(r"https?://")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Number(str):
    """A number as its digits stood in the JSON."""

    __module__ = "amili_async.probe"  # where it is imported from
    __slots__ = ()


class Anonymizer:
    """Replaces what a server sent: ids by ids, money by money, names by names, moments by moments as far apart."""

    __module__ = "amili_async.probe"  # where it is imported from

    def __init__(self, key: bytes | None = None) -> None:
        """Make a mapping of its own; a ``key`` makes the same one again, and must be kept as secret as the data."""
        self._key = key or secrets.token_bytes(32)
        self._shift = timedelta(days=-400 - self._draw("days")[0] * 4, seconds=-self._draw("seconds")[0] * 331)

    def body(self, body: bytes) -> bytes:
        """Return an answer's body with every value replaced; what is no JSON is replaced letter by letter."""
        try:
            value: JSON = json.loads(body, parse_int=Number, parse_float=Number)
        except (ValueError, RecursionError):
            return self.text(body.decode("utf-8", "replace")).encode()
        return self._written(self.value(value)).encode()

    def value(self, value: JSON, name: str = "") -> JSON:
        """Return a JSON value with all that is in it replaced; truth values and null stay."""
        if isinstance(value, Number):
            return self.number(value)
        if isinstance(value, str):
            return self.text(value, name)
        if isinstance(value, dict):
            return {self.name(member): self.value(inner, member) for member, inner in value.items()}
        if isinstance(value, list):
            return [self.value(item, name) for item in value]
        return value

    def name(self, name: str) -> str:
        """Return a member's name: as it is where it is a word, replaced where it may be a value."""
        return name if _NAME.fullmatch(name) else self.text(name)

    def number(self, digits: str) -> Number:
        """Return a number of as many digits before and behind the point; nothing stays nothing."""
        if not any(character in "123456789" for character in digits):
            return Number(digits)
        drawn = iter(self._draw(f"number {digits}", len(digits)))
        mantissa, exponent, power = digits.partition("e" if "e" in digits else "E")
        out = [str(next(drawn) % 10) if character.isdigit() else character for character in mantissa]
        first = next(index for index, character in enumerate(out) if character.isdigit())
        out[first] = "0" if mantissa[first] == "0" else str(1 + next(drawn, 6) % 9)
        return Number("".join(out) + exponent + power)

    def text(self, text: str, name: str = "") -> str:
        """Return text of the same shape: a code of the API stays, an id becomes an id, a moment a moment."""
        if not text or (name.lower() in CODES and _CODE.fullmatch(text)):
            return text
        if text.isdecimal() and text.isascii():
            return str(self.number(text))
        if _MOMENT.fullmatch(text):
            return self._moment(text)
        # An id keeps its meaning inside longer text too, such as a URL.
        parts = _UUID.split(text)
        ids = _UUID.findall(text)
        return "".join(self._letters(part) + self._id(id_) for part, id_ in zip(parts, [*ids, ""], strict=True))

    def _id(self, text: str) -> str:
        return str(UUID(bytes=self._draw(f"id {text.lower()}", 16))) if text else ""

    def _letters(self, text: str) -> str:
        scheme = _SCHEME.match(text)
        kept = scheme[0] if scheme else ""
        rest = text[len(kept) :]
        return kept + "".join(map(_letter, rest, self._draw(f"text {rest}", len(rest))))

    def _moment(self, text: str) -> str:
        try:
            read = datetime.fromisoformat(text[:19].replace(" ", "T")) + self._shift
        except (ValueError, OverflowError):
            return self._letters(text)
        # The fraction and the zone stay: two moments keep their order and their distance.
        return f"{read:%Y-%m-%d}" if len(text) == 10 else f"{read:%Y-%m-%d}{text[10]}{read:%H:%M:%S}{text[19:]}"  # noqa: PLR2004  # a mere day

    def _draw(self, what: str, size: int = 32) -> bytes:
        block = hmac.digest(self._key, what.encode("utf-8", "surrogatepass"), "sha256")
        return block[:size] if size <= len(block) else hashlib.shake_256(block).digest(size)

    def _written(self, value: JSON) -> str:
        if isinstance(value, Number):
            return str(value)
        if isinstance(value, dict):
            members = (f"{json.dumps(name)}:{self._written(inner)}" for name, inner in value.items())
            return f"{{{','.join(members)}}}"
        if isinstance(value, list):
            return f"[{','.join(map(self._written, value))}]"
        return json.dumps(value)


def _letter(character: str, drawn: int) -> str:
    """Return another character of the same kind; what is neither letter nor digit stays."""
    if character.isdecimal():
        return str(drawn % 10)
    if not character.isalpha():
        return character
    letter = string.ascii_lowercase[drawn % 26] if character.isascii() else "æøåéöü"[drawn % 6]
    return letter.upper() if character.isupper() else letter
