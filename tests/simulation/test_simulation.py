"""The sync's promise, held against a server that is not ours, over random histories."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.simulation.history import History, play
from tests.simulation.strategies import histories

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@given(histories)
@settings(max_examples=40, deadline=None, suppress_health_check=CHECKS)
def test_whatever_happens_nothing_is_lost(history: History) -> None:
    play(history)


@pytest.mark.fuzz
@given(histories)
@settings(max_examples=2_000, deadline=None, suppress_health_check=CHECKS)
def test_whatever_happens_nothing_is_lost_over_two_thousand_histories(history: History) -> None:
    play(history)
