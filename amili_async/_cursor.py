"""Cursor: where a walk over a list stands, to be kept and gone on from."""

from __future__ import annotations

import base64
import binascii

import msgspec
from msgspec import UNSET, UnsetType

from amili_async._upstream.msgspec import READING_ERRORS, public_in
from amili_async.errors import ConfigurationError


@public_in("amili_async")
class Cursor(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag="1",
    tag_field="v",
    rename={"row": "r", "token": "t", "fingerprint": "f", "last": "l"},
):
    """Where a walk stands: the page, how many of its rows have been handed out, and which list it is.

    Rows that come in above push the others on: the last one handed out is looked for, by `last`.
    The page token comes from the server and may hold data, so it is no part of ``repr``; ``encode()`` holds it.
    """

    token: str | None = None
    """The token of the page that the walk stands in; ``None`` for the first page."""
    row: int = 0
    """How many rows of that page have been handed out."""
    fingerprint: str = ""
    """Which list: operation, organization, filters, sort and page size, hashed."""
    last: str | UnsetType = UNSET
    """The id of the last row handed out, hashed; ``UNSET`` where there is none, as in cursors of earlier versions."""

    def __post_init__(self) -> None:
        if self.row < 0:
            raise ConfigurationError(f"cursor: row must be 0 or more, not {self.row}")

    def __repr__(self) -> str:
        page = "first page" if self.token is None else "later page"
        return f"Cursor({page}, row={self.row}, fingerprint={self.fingerprint!r})"

    def encode(self) -> str:
        """Return the cursor as one word of URL-safe text."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Return the cursor that ``encode()`` wrote.

        Raises:
            ConfigurationError: the text is no cursor, or of a version that this release does not know.
        """
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            cursor = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=Cursor)
        except (AttributeError, UnicodeError, binascii.Error, *READING_ERRORS):
            cursor = None
        # Every member has a default, so any JSON object would pass for the first page: only what we write counts.
        if cursor is None or cursor.encode() != text:
            raise ConfigurationError(
                "cursor is not a text that Cursor.encode() wrote; pass one of those, or none to start at the first page"
            )
        return cursor
