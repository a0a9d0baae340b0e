from __future__ import annotations

import msgspec
import pytest

from amili_async import AutoCollectCase, Case, Invoice, Settlement
from amili_async.models._number_text import StringifiedInts


@pytest.mark.parametrize("written", [b"5000001", b'"5000001"'])
def test_a_case_number_is_text_however_it_is_written(written: bytes) -> None:
    case = msgspec.json.decode(b'{"caseId": "c", "caseNumber": ' + written + b"}", type=Case)
    assert case.case_number == "5000001"
    settlement = msgspec.json.decode(b'{"caseNumber": ' + written + b"}", type=Settlement)
    assert settlement.case_number == "5000001"
    invoice = msgspec.json.decode(b'{"id": "i", "collectionCaseNumber": ' + written + b"}", type=Invoice)
    assert invoice.collection_case_number == "5000001"
    old = msgspec.json.decode(b'{"casenumber": ' + written + b"}", type=AutoCollectCase)
    assert old.case_number == "5000001"


def test_leading_zeros_of_a_text_stay() -> None:
    assert msgspec.json.decode(b'{"caseNumber": "007"}', type=Settlement).case_number == "007"


@pytest.mark.parametrize("kind", StringifiedInts.__subclasses__(), ids=lambda kind: kind.__name__)
def test_every_member_of_this_kind_is_named(kind: type[StringifiedInts]) -> None:
    mixed = {field.name for field in msgspec.structs.fields(kind) if "int | str" in str(field.type)}
    assert mixed == set(kind.numbers)
