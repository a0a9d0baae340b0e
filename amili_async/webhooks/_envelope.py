"""The outside of a webhook: its headers, its envelope, its moment of sending; what verifying and reading share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from amili_async.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT_HEADER = "X-Amili-Event"
KEY_HEADER = "IdempotencyKey"
REQUEST_ID_HEADER = "X-Amili-Request-Id"


class Envelope(msgspec.Struct, rename="camel"):
    """An event as it came; what is not needed to read it may be anything."""

    id: object = None
    type: object = None
    event_type: object = None
    source: object = None
    time_stamp: object = None
    data: msgspec.Raw = msgspec.Raw(b"null")


def read_envelope(body: bytes) -> Envelope:
    """Return the outside of an event.

    Raises:
        DecodeError: the body is no JSON object; its bytes are on the error.
    """
    try:
        return msgspec.json.decode(body, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DecodeError("the webhook's body is no JSON object", body=bytes(body)) from None


def header(headers: Mapping[str, str], name: str) -> str | None:
    """Return a header's value, its name compared without regard to case."""
    found = headers.get(name)
    if found is not None:
        return found
    wanted = name.lower()
    return next((value for other, value in headers.items() if other.lower() == wanted), None)


def moment(value: object) -> datetime | None:
    """Return the aware moment that ISO 8601 text names; UTC where it names no zone."""
    if not isinstance(value, str):
        return None
    try:
        found = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def unix_seconds(value: object) -> float | None:
    """Return Unix seconds of a number, its text, or ISO 8601."""
    try:
        return float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        found = moment(value)
        return None if found is None else found.timestamp()
