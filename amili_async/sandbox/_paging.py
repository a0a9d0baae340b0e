"""Page tokens: where a list goes on. Opaque, stable while rows are added, refused when altered or expired."""

from __future__ import annotations

import base64
import binascii
import json
from hashlib import blake2b
from typing import NamedTuple

Position = tuple[int, ...]
"""What the last row handed out sorts by; the next page begins behind it."""

_MAC_BYTES = 8
_KEPT = 10_000


class PageTokenError(Exception):
    """A page token that this server did not write, that belongs to another list, or that has expired."""


class PagePoint(NamedTuple):
    """What a page token says."""

    position: Position
    number: int
    """The number of the page that it leads to; the first page of a list is 1."""
    empty: int = 0
    """How many pages without rows came before it: makes the tokens of empty pages differ."""


class PageTokens:
    """Writes and reads page tokens. They hold all that is needed; which followed which is kept for faults alone."""

    def __init__(self, *, seed: int, lifetime: float | None) -> None:
        self._key = f"page tokens of seed {seed}".encode()
        self._lifetime = lifetime
        self._era = 0
        self._before: dict[str, str] = {}

    @property
    def mortal(self) -> bool:
        """Whether tokens expire, so that a page that holds one cannot be kept."""
        return self._lifetime is not None

    def expire(self) -> None:
        """Refuse every token written so far."""
        self._era += 1

    def write(self, point: PagePoint, listing: str, now: float) -> str:
        """Return the token that leads to a point of a listing (its operation, organization and filters, as text)."""
        issued = int(now * 1000) if self._lifetime is not None else 0
        values = [self._era, issued, list(point.position), point.number, point.empty]
        payload = json.dumps(values, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(payload, listing) + payload).decode().rstrip("=")

    def read(self, token: str, listing: str, now: float) -> PagePoint:
        """Return the point that a token leads to.

        Raises:
            PageTokenError: it was written by another server, for another list, or too long ago.
        """
        try:
            raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (UnicodeError, binascii.Error):
            raise PageTokenError("the page token is not one of this server's") from None
        mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if mac != self._mac(payload, listing):
            raise PageTokenError("the page token is not one of this list's")
        era, issued, position, number, empty = json.loads(payload)
        late = self._lifetime is not None and now * 1000 - issued > self._lifetime * 1000
        if era != self._era or late:
            raise PageTokenError("the page token has expired")
        return PagePoint(tuple(position), number, empty)

    def follow(self, token: str, asked_with: str) -> None:
        """Remember that a token was handed out by the page that was asked for with another."""
        self._before[token] = asked_with
        if len(self._before) > _KEPT:
            del self._before[next(iter(self._before))]

    def before(self, token: str | None) -> str | None:
        """Return the token of the page before the one that a token leads to; ``None`` where that is the first."""
        return None if token is None else self._before.get(token)

    def number(self, token: str) -> int:
        """Return the number of the page that a token leads to; 1 for text that is none of this server's."""
        try:
            payload = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_")[_MAC_BYTES:]
            return int(json.loads(payload)[3])
        except (ValueError, LookupError, TypeError):
            return 1

    def _mac(self, payload: bytes, listing: str) -> bytes:
        return blake2b(payload + listing.encode(), digest_size=_MAC_BYTES, key=self._key).digest()
