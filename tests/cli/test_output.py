from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from amili_async.cli import _output as output
from amili_async.models._batches import BatchState

OSLO = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "whole", "short"),
    [
        (None, "", ""),
        ("Ola", "Ola", "Ola"),
        (Decimal("4500.00"), "4500.00", "4500.00"),
        (BatchState("QUEUED"), "QUEUED", "QUEUED"),
        (0, "0", "0"),
        (datetime(2026, 5, 17, 12, 30, 5, tzinfo=UTC), "2026-05-17T12:30:05Z", "2026-05-17 12:30"),
        (datetime(2026, 5, 17, 12, 30, tzinfo=OSLO), "2026-05-17T10:30:00Z", "2026-05-17 10:30"),
        ("a\tb\nc\x1b[2J", "a�b�c�[2J", "a�b�c�[2J"),
    ],
)
def test_a_value_is_shown_as_one_cell(value: object, whole: str, short: str) -> None:
    assert output.cell(value) == whole
    assert output.cell(value, short=True) == short


def test_json_is_one_line_with_its_members_as_they_are(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    output.write_json('{"b": 4500.00,\n "a": "Grünerløkka", "b": 1e3}'.encode())
    assert capfdbinary.readouterr().out == '{"b":4500.00,"a":"Grünerløkka","b":1e3}\n'.encode()
