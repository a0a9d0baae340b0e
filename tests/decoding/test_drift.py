"""What a reading met is told in order, and learnt from, once it is clear that the reading holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amili_async._decoding import Reader
from amili_async._decoding.drift import Findings
from amili_async._decoding.places import Places
from amili_async.models import Batch, Case, Invoice
from tests.support.recorded_drift import RecordedDrift

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from amili_async import Drift


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


def test_rows_are_not_gone_through_where_nothing_was_learnt_and_no_value_was_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []
    report = Places.report

    def counted(places: Places, rows: Sequence[object], *arguments: Any, **options: Any) -> None:
        looked.append(len(rows))
        report(places, rows, *arguments, **options)

    monkeypatch.setattr(Places, "report", counted)
    drift: list[Drift] = []
    reader = Reader(Batch)
    known, strange = b'{"data":[{"batchId":"a","type":"INVOICE"}]}', b'{"data":[{"batchId":"a","type":"%s"}]}'
    for _ in range(3):
        reader.page(known, drift.append)
    assert looked == []
    assert drift == []
    unlisted = f"UNLISTED_{id(looked)}"
    for _ in range(2):
        reader.page(strange % unlisted.encode(), drift.append)
    assert [one.found for one in drift] == [unlisted, unlisted]


def test_a_value_that_another_reader_has_met_is_told_of_here_too() -> None:
    page = b'{"data":[{"batchId":"a","type":"MET_ELSEWHERE"},{"batchId":"b","type":"MET_ELSEWHERE"}]}'
    Reader(Batch).page(page, None)
    for _ in range(2):
        drift: list[Drift] = []
        Reader(Batch).page(page, drift.append)
        assert [(one.kind, one.found) for one in drift] == [("value", "MET_ELSEWHERE")]
