"""Cursors go through text and come back the same, and nothing else passes for one."""

from __future__ import annotations

import base64
import contextlib
import copy
import pickle
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from amili_async._cursor import Cursor
from amili_async.errors import ConfigurationError

cursors = st.builds(
    Cursor,
    token=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    row=st.integers(min_value=0, max_value=2**31),
    fingerprint=st.text("0123456789abcdef"),
    last=st.just(UNSET) | st.text("0123456789abcdef", min_size=12, max_size=12),
)


@given(cursors)
def test_a_cursor_goes_through_text_and_comes_back(cursor: Cursor) -> None:
    text = cursor.encode()
    assert re.fullmatch(r"[\w-]+", text, re.ASCII)
    assert Cursor.decode(text) == cursor


@given(cursors)
def test_a_cursor_travels(cursor: Cursor) -> None:
    assert pickle.loads(pickle.dumps(cursor)) == copy.deepcopy(cursor) == cursor  # noqa: S301  # our own bytes


def test_the_form_on_disk_stays_what_it_was() -> None:
    text = "eyJ2IjoiMSIsInQiOiJhYmMiLCJyIjozLCJmIjoiZjAifQ"
    assert Cursor.decode(text) == Cursor(token="abc", row=3, fingerprint="f0")
    assert Cursor(token="abc", row=3, fingerprint="f0").encode() == text


def test_a_cursor_of_an_earlier_version_does_not_know_its_last_row() -> None:
    assert Cursor.decode("eyJ2IjoiMSIsInQiOiJhYmMiLCJyIjozLCJmIjoiZjAifQ").last is UNSET


@pytest.mark.parametrize("row", [-1, -(2**40)])
def test_a_row_before_the_first_is_refused(row: int) -> None:
    with pytest.raises(ConfigurationError, match=f"cursor: row must be 0 or more, not {row}"):
        Cursor(row=row)


def encoded(json: str) -> str:
    return base64.urlsafe_b64encode(json.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not a cursor",
        "ø",
        "e30",
        "AAAA",
        None,
        7,
        encoded('{"v":"2","t":"abc"}'),
        encoded('{"v":"1","t":7}'),
        encoded('{"v":"1","r":"3"}'),
        encoded("[]"),
        encoded('{"v":"1","x":' + "[" * 100_000),
        encoded('{"v":"1","t":"abc","r":3,"f":"f0","x":1}'),
        encoded('{"v":"1","t":null,"r":-1,"f":""}'),
        encoded('{"v":"1","t":"abc","r":3,"f":"f0","l":7}'),
        encoded('{"v":"1","t":"abc","r":3,"f":"f0","l":null}'),
        Cursor(token="abc").encode() + "!",
        Cursor(token="abc").encode()[:-3],
    ],
)
def test_anything_else_is_refused_without_quoting_it(text: Any) -> None:
    with pytest.raises(ConfigurationError, match="not a text that Cursor") as caught:
        Cursor.decode(text)
    assert caught.value.__cause__ is None
    assert not text or str(text) not in str(caught.value)


@given(st.text())
def test_no_text_breaks_the_reading(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        Cursor.decode(text)


def test_the_token_is_no_part_of_the_repr() -> None:
    assert repr(Cursor(token="Kari Nordmann", row=2, fingerprint="f")) == ("Cursor(later page, row=2, fingerprint='f')")
    assert repr(Cursor()) == "Cursor(first page, row=0, fingerprint='')"
