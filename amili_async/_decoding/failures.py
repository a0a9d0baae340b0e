"""What msgspec says of a body that does not fit, as errors that name the place and never the value."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from amili_async.errors import MAX_BODY, DecodeError

_SAFE = ("Expected ", "Object missing required field ", "Invalid RFC3339 ", "Invalid date", "Invalid decimal")


class ValidationDetail(NamedTuple):
    """Where something does not fit, and what was expected there."""

    path: str
    reason: str


def validation_detail(error: Exception) -> ValidationDetail:
    """Return the place and the expectation out of an error of msgspec's, without any value that it quotes."""
    reason, found, path = str(error).rpartition(" - at `")
    return ValidationDetail(path[:-1], _without_value(reason)) if found else ValidationDetail("$", _without_value(path))


def _without_value(reason: str) -> str:
    return reason if reason.startswith(_SAFE) else "the value does not fit"


def decode_error(body: bytes | bytearray, error: Exception, *, within: str = "$") -> DecodeError:
    """Return the error for a body that msgspec could not read. ``within`` is where the part that it read stands."""
    kept = bytes(body[:MAX_BODY])
    if isinstance(error, msgspec.ValidationError):
        path, reason = validation_detail(error)
        path = within + path[1:]
        return DecodeError(f"the answer does not fit: {reason} at {path}", path=path, body=kept)
    if ends_early(body, error):
        return DecodeError("the answer is JSON that ends early", truncated=True, body=kept)
    if isinstance(error, RecursionError):
        return DecodeError("the answer is JSON nested too deeply to be read", body=kept)
    return DecodeError(f"the answer is not JSON{' but HTML' if kept.lstrip()[:1] == b'<' else ''}", body=kept)


def ends_early(body: bytes | bytearray, error: Exception) -> bool:
    """Return whether a body is JSON that stops before its end, which is what a cut connection leaves."""
    if not isinstance(error, msgspec.DecodeError) or isinstance(error, msgspec.ValidationError):
        return False
    if not body or body.isspace():
        return True
    at = re.search(r"\(byte (\d+)\)$", str(error))
    # A number is cut without msgspec calling it truncated: it finds the end of input where a digit is due.
    return "truncated" in str(error) or (at is not None and int(at[1]) >= len(body))
