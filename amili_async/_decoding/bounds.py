"""Bounds: how many rows a page may hold, known before they are built.

Some kilobytes of gzip unpack to a page of millions of rows of two bytes each, and what is made of a row is twenty times
as large and more. So a page that can hold too many is counted before it is taken apart.
"""

from __future__ import annotations

import random

from amili_async.errors import MAX_BODY, DecodeError

MAX_ROWS = 100_000
"""The rows of a page, at most, unless a client says otherwise."""

COMMAS = 32
"""The commas that rows have on average, at most, on a page of as many rows as there may be."""

_WINDOWS = 64
_WINDOW = 1024


def check_size(body: bytes | bytearray, max_rows: int) -> None:
    """Look at a page that is to be taken apart.

    Raises:
        DecodeError: it holds so many values that it holds too many rows, or rows that no documented one is like.
    """
    most = max_rows * COMMAS
    if len(body) <= most:
        return
    # Places that nobody can foresee: rows that are dense somewhere are found there, and then all is counted.
    step = max(1, len(body) // _WINDOWS)
    start = random.randrange(step)  # noqa: S311  # no secret
    seen = sum(body.count(b",", place, place + _WINDOW) for place in range(start, len(body), step))
    if seen * len(body) // (_WINDOWS * _WINDOW) > most // 4 and body.count(b",") > most:
        raise too_many(body, max_rows)


def check_rows(count: int, body: bytes | bytearray, max_rows: int) -> None:
    """Look at how many rows a page has.

    Raises:
        DecodeError: too many.
    """
    if count > max_rows:
        raise too_many(body, max_rows)


def too_many(body: bytes | bytearray, max_rows: int) -> DecodeError:
    """Return the error for a page of too many rows."""
    return DecodeError(
        f"the page has more than max_rows ({max_rows:,}) rows; ask for smaller pages, or allow more",
        body=bytes(body[:MAX_BODY]),
    )
