"""Search: the JSON of a page's few entries with one tag, found by that tag without going through all of the page.

Sound because of what it asks for. A piece from a brace to a brace that decodes to an object with a tag is an object of
the page: where its brace stood in a text, what the piece takes for names would be what stands between texts, in which
there is no ``$type``. A tag of letters and digits has one spelling where no letter and no digit is escaped. So where
there are as many as the page has entries with this tag, and the tag stands nowhere else, they are those entries, in
their order. Anything else, such as an entry with an object in it, is left to others.
"""

from __future__ import annotations

import msgspec

from amili_async._upstream.msgspec import READING_ERRORS


class Tagged(msgspec.Struct, frozen=True, gc=False):
    """An entry, of which only the tag matters."""

    tag: object = msgspec.field(name="$type", default=None)


_decoder = msgspec.json.Decoder(Tagged)

WORTH_A_LOOK = 400
"""Bytes of a page for each of its escapes up to which looking at each beats going through the page."""


def entries_with(tag: str, body: bytes | bytearray, count: int) -> list[bytes] | None:
    """Return the JSON of the entries with this tag, of which the page has so many; ``None`` where that is not sure."""
    if not (tag.isascii() and tag.isalnum()) or not _has_one_spelling(body):
        return None
    word = b'"' + tag.encode() + b'"'
    found: list[bytes] = []
    end = 0
    while (place := body.find(word, end)) >= 0:
        start, end = body.rfind(b"{", end, place), body.find(b"}", place) + 1
        raw = bytes(body[start:end])
        try:
            if _decoder.decode(raw).tag != tag:
                return None
        except READING_ERRORS:
            return None
        found.append(raw)
    return found if len(found) == count else None


def _has_one_spelling(body: bytes | bytearray) -> bool:
    """Return whether no letter and no digit of a page is escaped, as far as that is soon told."""
    # `find` goes to a single byte several times as fast as to a pattern.
    place, left = body.find(b"\\"), len(body) // WORTH_A_LOOK
    while place >= 0 and left:
        if body[place + 1 : place + 4] == b"u00" and body[place + 4] in b"34567":
            return False
        place, left = body.find(b"\\", place + 1), left - 1
    return place < 0
