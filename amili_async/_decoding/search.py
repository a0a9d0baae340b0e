"""Search: the JSON of a page's few entries with one tag, found by that tag without going through all of the page.

Sound because of what it asks for. In JSON without a backslash quotes open and close text in turn, and a tag has one
spelling. So a piece from a brace to a brace that decodes to an object with the tag is an object of the page and not a
part of a text; and where there are as many as the page has entries with this tag, and the tag stands nowhere else,
they are those entries, in their order. Anything else, such as an entry with an object in it, is left to others.
"""

from __future__ import annotations

import msgspec

from amili_async._upstream.msgspec import READING_ERRORS


class Tagged(msgspec.Struct, frozen=True, gc=False):
    """An entry, of which only the tag matters."""

    tag: object = msgspec.field(name="$type", default=None)


_decoder = msgspec.json.Decoder(Tagged)


def entries_with(tag: str, body: bytes | bytearray, count: int) -> list[bytes] | None:
    """Return the JSON of the entries with this tag, of which the page has so many; ``None`` where that is not sure."""
    if b"\\" in body:
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
