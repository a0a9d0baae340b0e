from __future__ import annotations

from amili_async._decoding.drift import DriftBuffer
from tests.decoding.told import Told


def test_what_was_kept_is_passed_on_in_order() -> None:
    told = Told()
    kept = DriftBuffer()
    kept("member", "$.a", "a")
    kept("value", "$.b", "b")
    assert told == []
    kept.pass_on(told)
    assert told == [("member", "$.a", "a"), ("value", "$.b", "b")]


def test_nobody_need_listen() -> None:
    kept = DriftBuffer()
    kept("member", "$.a", "a")
    kept.pass_on(None)
