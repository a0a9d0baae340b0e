"""What histories are drawn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, get_args

from hypothesis import HealthCheck
from hypothesis import strategies as st

from tests.simulation.history import HOUR, MINUTE, Change, ChangeKind, History, Listing, Step, Trouble, TroubleKind
from tests.simulation.server import Death, Paging

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
"""Of hypothesis's own: a history is large, and takes a while."""


def one_of(values: Sequence[T]) -> st.SearchStrategy[T]:
    return st.sampled_from(values)


def some(items: st.SearchStrategy[T], most: int) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(items, max_size=most).map(lambda drawn: tuple(drawn))  # noqa: PLW0108  # a bare `tuple` loses the type


def literal(kind: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(get_args(kind))


# Incremental runs rely on a list that is newest first, and long enough to show it: most histories are of such lists.
orders = one_of(("newest", "newest", "newest", "newest", "oldest", "shuffled"))

listings = st.builds(
    Listing,
    resource=one_of(("batches", "batches", "batches", "invoices", "cases")),
    order=orders,
    heeds_sort=st.booleans(),
    paging=literal(Paging),
    page_size=st.integers(1, 7),
    reads_by_id=one_of((True, True, True, False)),
    trailing_page=one_of((False, False, True)),
    hollow=one_of((False, False, False, True)),
    rows=st.integers(0, 40) | st.integers(20, 40),
    gap=one_of((0.0, 1.0, MINUTE, HOUR, HOUR)),
    open_every=one_of((1, 3, 10, 1000)),
    without_ids=one_of((False,)),
)

settlements = st.builds(
    Listing,
    resource=st.just("settlements"),
    order=one_of(("newest", "oldest", "shuffled", "value date")),
    paging=literal(Paging),
    page_size=st.integers(1, 7),
    trailing_page=st.booleans(),
    hollow=one_of((False, False, False, True)),
    rows=st.integers(0, 40),
    gap=one_of((MINUTE, 7 * HOUR)),
    open_every=st.just(1000),
    without_ids=one_of((False,)),
)

changes = st.builds(
    Change,
    at=st.integers(0, 25),
    kind=literal(ChangeKind) | one_of(("add many", "ahead", "late")),
    organization=st.integers(0, 2),
    number=st.integers(0, 2000),
)

troubles = st.builds(
    Trouble,
    kind=literal(TroubleKind),
    organization=st.integers(0, 2),
    skip=st.integers(0, 12),
    times=st.integers(1, 8),
)

steps = st.builds(
    Step,
    changes=some(changes, 6),
    troubles=st.just(()) | some(troubles, 2),
    end=one_of(("by itself", "by itself", "by itself", "cancelled", "killed before a write", "killed after a write")),
    after=st.integers(0, 6) | st.integers(0, 25),
    full=one_of((False, False, False, True)),
    refresh=one_of((None, None, None, HOUR, 48 * HOUR)),
    death=literal(Death),
    pause=one_of((MINUTE, HOUR, 26 * HOUR, 200 * HOUR)),
)

histories = st.builds(
    History,
    listings=st.lists(listings | settlements, min_size=1, max_size=3).map(lambda drawn: tuple(drawn)),  # noqa: PLW0108  # the same
    steps=some(steps, 5),
    overlap_rows=one_of((3, 6, 500)),
    max_open=one_of((0, 2, 200)),
    turn=one_of((1, 2, 50)),
    concurrency=st.integers(1, 3),
    date_ahead=one_of((0.0, 0.0, -45.0, 45.0)),
    client_ahead=one_of((0.0, 0.0, -3 * HOUR, 3 * HOUR)),
    latency=one_of((0.0, 0.0, 0.2, 20.0)),
)
