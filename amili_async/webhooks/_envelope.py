"""The outside of a webhook: its headers, its envelope, its moment of sending; what verifying and reading share."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from amili_async._decoding.lenient import mended
from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.errors import MAX_BODY, ConfigurationError, DecodeError
from amili_async.models._extra import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT_HEADER = "X-Amili-Event"
KEY_HEADER = "IdempotencyKey"
REQUEST_ID_HEADER = "X-Amili-Request-Id"

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str | int | None)
_NUMBER = re.compile(r"-?\d{1,19}(?:\.\d{1,9})?", re.ASCII)


class Envelope(NamedTuple):
    """An event as it came; what is not needed to read it may be anything."""

    id: str | None
    type: str | None
    event_type: str | None
    source: str | None
    time_stamp: object
    """As it stands there."""
    data: bytes
    extra: dict[str, object]
    """The members of other names, and what cannot be read as what it is called."""


def read_envelope(body: bytes) -> Envelope:
    """Return the outside of an event.

    Raises:
        DecodeError: the body is no JSON object; its bytes are on the error.
    """
    try:
        members = _members.decode(body)
    except READING_ERRORS:
        members = _mended_members(body)
    data = bytes(members.pop("data", b"null"))
    texts = {name: _taken_text(members, name) for name in ("id", "type", "eventType", "source")}
    stamp = open_value(members.get("timeStamp", msgspec.Raw(b"null")))
    if stamp is None or moment(stamp):
        members.pop("timeStamp", None)
    return Envelope(
        id=texts["id"],
        type=texts["type"],
        event_type=texts["eventType"],
        source=texts["source"],
        time_stamp=stamp,
        data=data,
        extra={name: open_value(raw) for name, raw in members.items()},
    )


def _mended_members(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _members.decode(mended(body) or b"")
    except READING_ERRORS:
        raise DecodeError("the webhook's body is no JSON object", body=body[:MAX_BODY]) from None


def _taken_text(members: dict[str, msgspec.Raw], name: str) -> str | None:
    """Take a text, or a whole number as one, or null as none, out of the members; leave there what is neither."""
    try:
        value = _text.decode(members.get(name, b"null"))
    except READING_ERRORS:
        return None
    members.pop(name, None)
    return None if value is None else str(value) or None


def open_value(raw: msgspec.Raw) -> object:
    """Return what JSON says, its numbers exact; its text where that cannot be, such as a number of 5,000 digits."""
    try:
        return read_json(bytes(raw))
    except READING_ERRORS:
        return bytes(raw).decode("utf-8", "replace")


def members_in(raw: bytes) -> dict[str, msgspec.Raw]:
    """Return the members of an object.

    Raises:
        ValidationError: the JSON is no object; any of the others in `READING_ERRORS`.
    """
    return _members.decode(raw)


def header(headers: Mapping[str, str], name: str) -> str | None:
    """Return a header's value, its name compared without regard to case; ``None`` also for what is no text."""
    found: object = headers.get(name)
    if found is None:
        wanted = name.lower()
        found = next((value for other, value in headers.items() if str(other).lower() == wanted), None)
    return found if isinstance(found, str) else None


def checked(body: bytes, headers: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
    """Return body and headers if they are of the types that they must be.

    Raises:
        ConfigurationError: they are not, which is the caller's mistake and no sender's.
    """
    if not isinstance(body, bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError(
            f"body must be the bytes as they came, not {type(body).__name__}: JSON written again does not verify"
        )
    # Not isinstance: some frameworks' headers are no Mapping by name.
    if not (hasattr(headers, "get") and hasattr(headers, "items")):
        raise ConfigurationError(f"headers must be a mapping of names to values, not {type(headers).__name__}")
    return bytes(body), headers


def moment(value: object) -> datetime | None:
    """Return the aware moment that ISO 8601 text names: UTC where it names no zone, a mere date's first moment."""
    if not isinstance(value, str):
        return None
    for text in (value, f"{value}T00:00:00Z"):
        try:
            found = msgspec.convert(text, datetime)
        except msgspec.ValidationError:
            continue
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None


def unix_seconds(value: object) -> float | None:
    """Return Unix seconds of a number, its text, or ISO 8601."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    if _NUMBER.fullmatch(value):
        return float(value)
    found = moment(value)
    return None if found is None else found.timestamp()
