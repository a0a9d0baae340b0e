"""A page of too many rows is refused before they are built, and no other."""

from __future__ import annotations

import tracemalloc

import pytest

from amili_async import Batch, DecodeError, RawValue, Settlement
from amili_async._decoding import Reader
from amili_async._decoding.bounds import COMMAS, check_size


@pytest.mark.parametrize("row", [b"0", b"{}", b"[]", b'""', b"null"])
@pytest.mark.parametrize("kind", [Batch, Settlement, RawValue])
def test_a_page_of_one_row_too_many_is_refused_and_of_as_many_as_allowed_read(row: bytes, kind: type[object]) -> None:
    reader = Reader(kind, max_rows=50)
    full = b'{"data":[' + b",".join([row] * 50) + b"]}"
    assert len(reader.page(full, None).rows) == 50
    assert len(reader.split(full).rows) == 50
    longer = full[:-2] + b"," + row + b"]}"
    with pytest.raises(DecodeError, match=r"more than max_rows \(50\) rows") as caught:
        reader.page(longer, None)
    assert not caught.value.truncated
    with pytest.raises(DecodeError, match="more than max_rows"):
        reader.split(longer)


@pytest.mark.parametrize("row", [b"0", b"{}", b"[]"])
def test_millions_of_rows_take_no_memory(row: bytes) -> None:
    body = b'{"data":[' + (row + b",") * 4_000_000 + row + b"]}"
    reader = Reader(Batch)
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="more than max_rows"):
            reader.split(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_they_are_found_wherever_they_are() -> None:
    dense, sparse = b"0," * 200_000, b'"' + b"x" * 2_000_000 + b'",'
    for body in (dense + sparse, sparse + dense, sparse + dense + sparse):
        with pytest.raises(DecodeError):
            check_size(b'{"data":[' + body + b"0]}", 1000)


def test_a_page_of_rows_with_many_members_is_not_refused() -> None:
    row = b'{"batchId":"' + b"x" * 36 + b'",' + b",".join(b'"m%d":"xxxxxx"' % number for number in range(20)) + b"}"
    body = b'{"data":[' + b",".join([row] * 1000) + b"]}"
    assert body.count(b",") > 1000 * COMMAS // 2
    check_size(body, 1000)
    assert len(Reader(Batch, max_rows=1000).split(body).rows) == 1000
