"""What no field names: opened when it is looked at, and never from a depth that would end the program."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async import Batch, FailedEntry, QuarantinedRow, RawValue, Settlement, UnknownEntry, decode
from amili_async._decoding import Reader
from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.errors import DecodeError
from amili_async.models._extra import MAX_DEPTH, check_depth, check_values, read_json

if TYPE_CHECKING:
    from collections.abc import Callable

TEXTS = st.text(st.sampled_from('[]{}"\\\\/aæ,:\n'), max_size=12)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=20,
)


def depth_of(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    inner: Any = [*value.values()] if isinstance(value, dict) else value  # pyright: ignore[reportUnknownVariableType]  # JSON
    return 1 + max(map(depth_of, inner), default=0)


def nested(depth: int, *, opens: str = "[", closes: str = "]", core: str = "1") -> bytes:
    return (opens * depth + core + closes * depth).encode()


@given(value=VALUES, most=st.integers(0, 6), ascii_only=st.booleans(), indent=st.sampled_from((None, 1)))
def test_the_depth_is_that_of_arrays_and_objects_whatever_stands_in_texts(
    value: Any, most: int, *, ascii_only: bool, indent: int | None
) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    looks: list[tuple[Callable[[Any, int], None], object]] = [
        (check_depth, raw),
        (check_depth, msgspec.Raw(raw)),
        (check_values, [1, value, "text"]),
    ]
    for look, given_as in looks:
        if depth_of(value) <= most:
            look(given_as, most)
        else:
            with pytest.raises(msgspec.ValidationError, match=f"^Expected JSON that is nested at most {most} deep$"):
                look(given_as, most)


@pytest.mark.parametrize("hidden_by", ["", '"]]]]]]]]]]]]]]]]]]]]]]]]]]]",', r'"\\\"]]]]]]]]]]]]]]]]]]]]",', r'"\\",'])
def test_no_text_hides_what_is_nested_too_deeply(hidden_by: str) -> None:
    for depth, fits in ((MAX_DEPTH - 1, True), (MAX_DEPTH, False)):
        raw = b"[" + hidden_by.encode() * 50 + nested(depth) + b"]"
        assert depth_of(json.loads(raw)) == depth + 1
        if fits:
            assert read_json(raw) == json.loads(raw)
        else:
            with pytest.raises(msgspec.DecodeError):
                read_json(raw)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 5_000, 100_000])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_json_of_any_depth_ends_nothing(depth: int, opens: str, closes: str) -> None:
    raw = nested(depth, opens=opens, closes=closes)
    for whole in (RawValue(raw=raw), FailedEntry(raw=raw), UnknownEntry(raw=raw)):
        assert dict(whole.extra) == {}
    assert FailedEntry(raw=raw).message is None
    with pytest.raises(READING_ERRORS):
        _ = RawValue(raw=raw).data
    rows = b'{"data":[{"batchId":"b"},{"batchId":"d","new":' + raw + b"}]}"
    for kind in (Batch, Settlement, dict, RawValue):
        reader: Reader[Any] = Reader(kind)
        for _ in range(2):
            try:
                found = reader.page(rows, None).rows
            except DecodeError:
                continue
            assert isinstance(found[1], QuarantinedRow)
        with pytest.raises(DecodeError):
            decode(raw, kind)


class Mine(Settlement, frozen=True, kw_only=True):
    """A settlement with a member that may be anything."""

    notes: dict[str, object] = {}  # noqa: RUF012  # msgspec makes a new one each time


def test_a_users_own_members_are_bounded_too() -> None:
    for depth, fits in ((MAX_DEPTH - 2, True), (MAX_DEPTH, False)):
        page = b'{"data":[{"notes":{"a":' + nested(depth) + b"}}]}"
        (row,) = Reader(Mine).page(page, None).rows
        assert isinstance(row, Mine) == fits


def test_a_program_that_raised_pythons_own_bound_is_no_worse_off() -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        # Beyond the 1,000 that are usual, and within what CPython 3.12 allows C code whatever this bound is.
        rows = b'{"data":[{"batchId":"d","new":' + nested(1_200) + b"}]}"
        reader = Reader(Batch)
        assert reader.page(b'{"data":[{"batchId":"b","new":[1]}]}', None).quarantined == 0
        for _ in range(2):
            assert reader.page(rows, None).quarantined == 1
    finally:
        sys.setrecursionlimit(before)


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    entry = FailedEntry(raw=b'{"message":"\xff","a":"\xff"}')
    assert entry.message is None
    assert entry.extra["a"] == "\ufffd"
    assert dict(FailedEntry(raw=b'{"\xff":1}').extra) == {}
