from __future__ import annotations

from amili_async._decoding.drift import DriftBuffer
from tests.support.recorded_drift import RecordedDrift


def test_what_was_kept_is_passed_on_in_order() -> None:
    drift = RecordedDrift()
    kept = DriftBuffer()
    kept("member", "$.a", "a")
    kept("value", "$.b", "b")
    assert drift == []
    kept.pass_on(drift)
    assert drift == [("member", "$.a", "a"), ("value", "$.b", "b")]


def test_nobody_need_listen() -> None:
    kept = DriftBuffer()
    kept("member", "$.a", "a")
    kept.pass_on(None)
