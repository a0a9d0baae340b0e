"""The records that hooks receive: frozen, documented, and silent about data."""

from __future__ import annotations

import inspect
import re
from typing import get_type_hints

import msgspec
import pytest

from amili_async import events
from amili_async._cursor import Cursor
from amili_async.events import Hook, QuarantinedRow

RECORDS: list[type[msgspec.Struct]] = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == events.__name__
]


def test_there_is_one_record_for_each_method_of_a_hook_and_the_table_lists_both() -> None:
    table = dict(re.findall(r"^``(on_\w+)``\s+`(\w+)`", events.__doc__ or "", re.MULTILINE))
    methods = {
        name: get_type_hints(method, {**vars(events), "Mapping": dict})["record"].__name__
        for name, method in vars(Hook).items()
        if name.startswith("on_")
    }
    assert table == methods
    assert set(methods.values()) == {kind.__name__ for kind in RECORDS}


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_is_frozen_keyword_only_and_documented(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen
    assert not inspect.signature(kind).parameters or all(
        parameter.kind is parameter.KEYWORD_ONLY for parameter in inspect.signature(kind).parameters.values()
    )
    assert kind.__doc__


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_has_no_member_for_secrets_urls_queries_or_bodies(kind: type[msgspec.Struct]) -> None:
    named = set(kind.__struct_fields__)
    assert not named & {"url", "query", "headers", "token", "authorization", "body", "idempotency_key", "params"}
    assert ("raw" in named) == (kind is QuarantinedRow)


def test_a_quarantined_row_shows_where_it_failed_and_not_what_it_holds() -> None:
    row = QuarantinedRow(
        operation="batches.list",
        index=3,
        path="$.createdAt",
        reason="expected a time",
        raw=b'{"debtor": "Kari Nordmann"}',
        cursor=Cursor(token="Kari Nordmann"),
    )
    assert repr(row) == "QuarantinedRow(batches.list, index=3, path='$.createdAt', reason='expected a time')"
