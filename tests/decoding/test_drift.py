"""What a reading met is told in order, and learnt from, once it is clear that the reading holds."""

from __future__ import annotations

from amili_async._decoding.drift import Findings
from amili_async.models import Case, Invoice
from tests.support.recorded_drift import RecordedDrift


def test_what_was_met_is_told_in_order() -> None:
    drift = RecordedDrift()
    found = Findings()
    found.drift("member", "$.a", "a")
    found.drift("value", "$.b", "b")
    assert drift == []
    found.tell(drift)
    assert drift == [("member", "$.a", "a"), ("value", "$.b", "b")]


def test_nobody_need_listen() -> None:
    found = Findings()
    found.drift("member", "$.a", "a")
    found.tell(None)


def test_what_another_reading_met_is_taken_over() -> None:
    found, other = Findings(), Findings()
    found.member(Case, "a")
    other.member(Case, "b")
    other.member(Invoice, "a")
    other.null(Case, "type")
    other.tags["new"] = None
    other.drift("value", "$.b", "b")
    found.take(other)
    assert {model: [*names] for model, names in found.members.items()} == {Case: ["a", "b"], Invoice: ["a"]}
    assert {model: [*names] for model, names in found.nulls.items()} == {Case: ["type"]}
    assert [*found.tags] == ["new"]
    assert found.drifts == [("value", "$.b", "b")]
