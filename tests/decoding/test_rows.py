"""Rows of types that msgspec reads as they stand, of no known type, and lists of rows."""

from __future__ import annotations

import msgspec
import pytest

from amili_async import Invoice, RawValue
from amili_async._decoding import Reader
from amili_async._decoding.rows import ListRows, OpenRows, TypedRows
from amili_async._decoding.shapes import Shapes
from tests.support.recorded_drift import RecordedDrift


def invoices() -> TypedRows[Invoice]:
    return TypedRows(Invoice, Shapes())


def test_typed_rows_are_read_whole_and_one_by_one() -> None:
    rows = invoices()
    assert rows.page(b'{"data": [{"id": "1"}, {"id": "2"}]}', None).data == [Invoice(id="1"), Invoice(id="2")]
    assert rows.row(b'{"id": "1"}', None) == Invoice(id="1")
    with pytest.raises(msgspec.ValidationError):
        rows.page(b'{"data": [{"id": 1}]}', None)
    assert rows.row(b'{"id": 1}', None) == Invoice(id="1")


def test_typed_rows_tell_of_a_leniency_only_where_it_helped() -> None:
    rows, drift = invoices(), RecordedDrift()
    with pytest.raises(msgspec.ValidationError):
        rows.row(b'{"id": 1, "type": []}', drift)
    assert drift == []
    rows.row(b'{"id": 1}', drift)
    assert drift == [("leniency", "$.id", "a number taken as text")]


@pytest.mark.parametrize("raw", [b"null", b'{ "a": 1 }', b"[1]", b'"x"'])
def test_open_rows_take_anything_as_it_is(raw: bytes) -> None:
    rows, drift = OpenRows(Shapes()), RecordedDrift()
    assert rows.page(b'{"data": [' + raw + b"]}", drift).data == [RawValue(raw=raw)]
    assert rows.row(raw, drift) == RawValue(raw=raw)
    assert drift == []


def test_lists_of_rows() -> None:
    rows = ListRows(invoices())
    assert rows.row(b'[{"id": "1"}, {"id": 2}]', None) == [Invoice(id="1"), Invoice(id="2")]
    assert rows.page(b'{"data": [[{"id": "1"}], []]}', None).data == [[Invoice(id="1")], []]
    with pytest.raises(msgspec.ValidationError, match=r"at `\$\[1\]\.id`$"):
        rows.row(b'[{"id": "1"}, {"id": null}]', None)
    assert rows.row(b'[{"id": "1", "new": 1}]', None) == [Invoice(id="1", extra={"new": 1})]
    drift = RecordedDrift()
    assert rows.row(b'[{"id": "1", "new": 1}]', drift) == [Invoice(id="1", extra={"new": 1})]
    assert drift == [("member", "$[...].new", "new")]


def test_an_open_row_does_not_keep_the_page_alive() -> None:
    body = bytearray(b'{"data": [{"a": 1}]}')
    page = Reader(RawValue).page(body, None)
    body[:] = b"x" * len(body)
    assert page.rows == [RawValue(raw=b'{"a": 1}')]
