from __future__ import annotations

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async.sandbox import Fault
from amili_async.sandbox._faults import INSTEAD, KINDS, LISTS, ROWS, Kind, seconds

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=30)
numbers = st.floats(min_value=0.001, max_value=1e6, allow_nan=False)
whole = st.integers(min_value=1, max_value=10**6)
kinds: st.SearchStrategy[Kind] = st.sampled_from(get_args(Kind))

faults = st.builds(
    Fault,
    st.sampled_from(["batches.list", "token", "*", "invoices.*"]),
    kinds,
    status=st.none() | st.integers(100, 599),
    body=st.none() | words | st.binary(max_size=20),
    content_type=st.none() | st.just("text/plain; charset=utf-8"),
    headers=st.dictionaries(st.sampled_from(["X-One", "X-Two"]), words.map(str.strip).filter(bool), max_size=2),
    location=st.none() | st.just("https://elsewhere.example/a,b"),
    retry_after=st.none() | whole.map(float) | st.just("Wed, 21 Oct 2026 07:28:00 GMT"),
    latency=st.just(0.0) | numbers,
    spread=st.just(0.0) | numbers,
    seconds=st.none() | numbers,
    size=st.none() | whole,
    row=st.none() | whole,
    acts=st.booleans(),
    organization=st.none() | st.uuids().map(str),
    page=st.none() | whole,
    count=st.none() | whole,
    skip=st.just(0) | whole,
    probability=st.just(1.0) | st.floats(0.01, 0.99),
)


@given(faults)
def test_a_fault_is_read_back_from_its_text(fault: Fault) -> None:
    assert Fault.parse(str(fault)) == fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("batches.list:status=503,count=3", Fault("batches.list", status=503, count=3)),
        (" token : reset ", Fault("token", "reset")),
        ("*:latency=20ms,spread=1.5s", Fault("*", latency=0.02, spread=1.5)),
        ("token:html,probability=10%", Fault("token", "html", probability=0.1)),
        ("invoices.create:reset,acts,count=1", Fault("invoices.create", "reset", acts=True, count=1)),
        ('batches.list:status=200,body=\'{"a":1,"b":2}\'', Fault("batches.list", status=200, body=b'{"a":1,"b":2}')),
        ("batches.list:oversize,size=2MiB", Fault("batches.list", "oversize", size=2 * 2**20)),
        ("*:refuse,seconds=2m", Fault("*", "refuse", seconds=120)),
        ("*:header=X-One: 1,header=X-Two: 2", Fault("*", headers={"X-One": "1", "X-Two": "2"})),
        ("*:status=429,retry_after=0.5", Fault("*", status=429, retry_after=0.5)),
    ],
)
def test_text_says_what_code_says(text: str, fault: Fault) -> None:
    assert Fault.parse(text) == fault


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("batches.list", "write operation:what"),
        (":reset", "write operation:what"),
        ("batches.lst:status=500", "'batches.lst' is no operation and fits none; did you mean batches.list"),
        ("batches:status=500", "'batches' is no operation and fits none; did you mean batches."),
        ("moons.*:status=500", "'moons.*' is no operation and fits none; there are autocollect.attachment, "),
        ("batches.list:explode", "'explode' is no part of a fault; there are acts, bad-row"),
        ("batches.list:slow_body", "'slow_body' is no part of a fault; did you mean slow-body"),
        ("batches.list:repeat-tokens", "'repeat-tokens' is no part of a fault; did you mean repeat-token"),
        ("batches.list:statuss=500", "'statuss=500' is no part of a fault; did you mean status="),
        ("batches.list:weight=3", "'weight=3' is no part of a fault"),
        ("batches.list:", "nothing happens: give a kind"),
        ("batches.list:count=3", "nothing happens"),
        ("batches.list:status=many", "status=many: invalid literal"),
        ("batches.list:status=999", "status must be 100 to 599, not 999"),
        ("batches.list:latency=soon", "latency=soon: 'soon' is no duration; write 20ms"),
        ("batches.list:latency=3 parsecs", "is no duration"),
        ("batches.list:oversize,size=big", "'big' is no size"),
        ("batches.list:oversize,size=3acres", "is no size"),
        ("batches.list:reset,probability=2", "probability must be 0 to 1, not 2.0"),
        ("batches.list:reset,count=-1", "count must not be negative, it is -1"),
        ("batches.list:reset,count=0", "count must be at least 1, or the fault never strikes"),
        ("batches.list:reset,page=0", "page must be at least 1, or the fault never strikes"),
    ],
)
def test_text_that_is_no_fault_is_refused_with_what_would_be(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        Fault.parse(text)


def test_a_kind_that_does_not_exist_is_refused_in_code_too() -> None:
    with pytest.raises(ValueError, match="'explode' is no kind of fault; there are bad-row"):
        Fault("batches.list", "explode")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # on purpose


def test_faults_compare_and_hash_by_what_they_say() -> None:
    assert Fault("token", status=500, body="x") == Fault("token", status=500, body=b"x")
    assert len({Fault("token", "reset"), Fault("token", "reset"), Fault("token", "close")}) == 2


def test_every_kind_is_explained_in_the_docstring() -> None:
    assert Fault.__doc__ is not None
    explained = set(re.findall(r"``([a-z-]+)``", Fault.__doc__.split("kind                    what happens")[1]))
    assert explained >= KINDS


def test_the_groups_of_kinds_do_not_overlap() -> None:
    assert not INSTEAD & LISTS
    assert not INSTEAD & ROWS
    assert not LISTS & ROWS
    assert INSTEAD | LISTS | ROWS < KINDS


@pytest.mark.parametrize(("text", "value"), [("20ms", 0.02), ("1.5s", 1.5), ("2m", 120), ("1 min", 60), ("3", 3)])
def test_durations_have_units(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)
