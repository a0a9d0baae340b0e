"""The sync's promise, held against a server that is not ours, over random histories."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from tests.simulation.history import History, play
from tests.simulation.strategies import CHECKS, histories

if TYPE_CHECKING:
    from collections.abc import Generator


@given(histories)
@settings(max_examples=40, deadline=None, suppress_health_check=CHECKS)
def test_whatever_happens_nothing_is_lost(history: History) -> None:
    play(history)


@contextmanager
def unmeasured() -> Generator[None]:
    """Run without what measures coverage, which makes a history three times as long; forty are measured above."""
    tracing = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracing)


@pytest.mark.fuzz
@given(histories)
@settings(max_examples=2_000, deadline=None, suppress_health_check=CHECKS)
def test_whatever_happens_nothing_is_lost_over_two_thousand_histories(history: History) -> None:
    with unmeasured():
        play(history)
