"""Looking entries up by their tag: what is found is what the page holds, and where that is not sure, nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async import Batch, UnknownEntry
from amili_async._decoding import Reader, search
from amili_async._decoding import batches as batch_rows
from amili_async._decoding.search import WORTH_A_LOOK, entries_with

if TYPE_CHECKING:
    from collections.abc import Iterable

KNOWN: dict[str, Any] = {"$type": "invoiceSuccess", "invoiceId": "i", "invoiceNumber": "1", "caseId": "c"}

texts = st.text(alphabet='new{}[]:,$"\\é type', max_size=12) | st.sampled_from(
    ["new", '"new"', "$type", "{", "}", "\\"]
)
objects: st.SearchStrategy[dict[str, Any]] = st.dictionaries(texts, texts | st.integers(), max_size=2)
members: st.SearchStrategy[dict[str, Any]] = st.dictionaries(texts, texts | st.integers() | objects, max_size=3)


def entry_of(tag: str, others: dict[str, Any], *, first: bool) -> dict[str, Any]:
    return {"$type": tag, **others} if first else {**others, "$type": tag}


@st.composite
def batches(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """Batches with known entries and with unknown ones, as a rule of a single type."""
    tags = st.sampled_from(draw(st.lists(st.sampled_from(["new", "{", "$type", "é"]), min_size=1, max_size=2)))
    unknown = st.builds(entry_of, tags, members, first=st.booleans())
    return draw(st.lists(st.lists(st.just(KNOWN) | unknown, max_size=4), min_size=1, max_size=4))


ANOTHER_SPELLING = str.maketrans({"w": "\\u0077", "y": "\\u0079"})
"""Two letters as JSON may write them too, of a tag and of its name. Neither stands in what is escaped already."""


def page(
    lists: list[list[dict[str, Any]]], kind: str, spelling: Iterable[bool] = (), **dumping: Any
) -> tuple[bytes, list[list[str]]]:
    """Return a page whose batches hold these entries, some of them in another spelling, and the JSON of each."""
    others = iter(spelling)
    raws = [
        [json.dumps(entry, **dumping).translate(ANOTHER_SPELLING if next(others, False) else {}) for entry in entries]
        for entries in lists
    ]
    rows = [
        f'{{"batchId":"b","type":"{kind}","status":"SUCCESS","succeeded":[{",".join(entries)}],"failed":[]}}'
        for entries in raws
    ]
    return f'{{"data":[{",".join(rows)}]}}'.encode(), raws


@given(
    lists=batches(),
    kind=st.sampled_from(["INVOICE", "new"]),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
    often=st.booleans(),
    spelling=st.lists(st.booleans(), max_size=8),
)
def test_every_unknown_entry_keeps_its_own_json(
    lists: list[list[dict[str, Any]]],
    kind: str,
    *,
    ascii_only: bool,
    indent: int | None,
    often: bool,
    spelling: list[bool],
) -> None:
    body, raws = page(lists, kind, spelling, ensure_ascii=ascii_only, indent=indent)
    reader = Reader(Batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_rows, "WORTH_A_SEARCH", 0 if often else 10**6)
        patch.setattr(search, "WORTH_A_LOOK", 1)
        for data in (body, bytearray(body)):
            rows = reader.page(data, None).rows
            kept = [[entry.raw for entry in row.succeeded if isinstance(entry, UnknownEntry)] for row in rows]  # type: ignore[union-attr]  # none is set aside
            expected = [
                [raw.encode() for entry, raw in zip(entries, texts, strict=True) if entry["$type"] != KNOWN["$type"]]
                for entries, texts in zip(lists, raws, strict=True)
            ]
            assert kept == expected


ENTRY = '{"$type":"new","a":1}'


@pytest.mark.parametrize(
    ("body", "count", "found"),
    [
        (f"[{ENTRY}]", 1, [ENTRY]),
        (f'[{ENTRY},{{"$type":"old"}},{{ "b" : 2 , "$type" : "new" }}]', 2, [ENTRY, '{ "b" : 2 , "$type" : "new" }']),
        ('[{"a":"{","$type":"new"}]', 1, None),  # a brace in a text
        ('[{"$type":"new","a":{}}]', 1, None),  # an object in the entry
        ('[{"$type":"new","a":"\\u00f8\\n\\""}]', 1, ['{"$type":"new","a":"\\u00f8\\n\\""}']),
        (f'[{ENTRY},"{{\\"$type\\":\\"new\\"}}"]', 1, [ENTRY]),  # an entry in a text
        (f'[{ENTRY},"{{\\"$type\\":\\"new"]', 1, None),  # a part of one at its end
        # More escapes than are looked at.
        (r'[{"$type":"new","a":"\u00f8\u00f8\u00f8\u00f8\u00f8\u00f8\u00f8\u00f8\u00f8"}]', 1, None),
        (f'[{ENTRY},{{"$type":"old","a":"new"}}]', 1, None),  # the tag's word as a value
        (f'[{ENTRY},{{"new":1}}]', 1, None),  # and as a name
        (f"[{ENTRY},{ENTRY}]", 1, None),  # more than there should be
        (f"[{ENTRY}]", 2, None),  # fewer
        ("[]", 1, None),
    ],
)
def test_entries_are_found_where_it_is_sure_that_they_are_all_and_no_others(
    body: str, count: int, found: list[str] | None
) -> None:
    expected = None if found is None else [raw.encode() for raw in found]
    body += " " * (8 * WORTH_A_LOOK)
    assert entries_with("new", body.encode(), count) == expected
    assert entries_with("new", bytearray(body.encode()), count) == expected


@pytest.mark.parametrize("kind", ["new", "INVOICE"])
def test_an_entry_that_a_search_cannot_be_sure_of_is_kept_all_the_same(kind: str) -> None:
    entry: dict[str, Any] = {"$type": "new", "n": 1 if kind == "new" else {}}
    body, raws = page([[KNOWN] * 40, [KNOWN, entry]] * 2, kind)
    rows = Reader(Batch).page(body, None).rows
    unknown = [row.succeeded[1] for row in rows[1::2] if isinstance(row, Batch)]
    assert unknown == [UnknownEntry(type="new", raw=raws[1][1].encode())] * 2


@pytest.mark.parametrize(
    ("tag", "spelling"), [("new", r"n\u0065w"), ("new", r"ne\u0077"), ("New", r"\u004eew"), ("n1", r"n\u0031")]
)
def test_an_entry_whose_tag_is_spelt_otherwise_is_not_taken_for_another_object_with_that_tag(
    tag: str, spelling: str
) -> None:
    body = f'[{{"$type":"{spelling}"}},{{"$type":"old","a":{{"$type":"{tag}"}}}}]' + " " * WORTH_A_LOOK
    assert entries_with(tag, body.encode(), 1) is None


def test_a_tag_with_signs_in_it_could_be_spelt_in_more_ways_than_are_looked_for() -> None:
    assert entries_with("a/b", b'[{"$type":"a/b"}]', 1) is None
    assert entries_with("\u00f8", '[{"$type":"\u00f8"}]'.encode(), 1) is None


def test_a_few_unknown_entries_are_found_without_taking_the_page_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    body, raws = page([[KNOWN] * 40, [KNOWN, {"$type": "new", "n": 1}]] * 2, "INVOICE")
    reader = Reader(Batch)
    reader.page(body, None)  # learns the tag
    monkeypatch.delattr(batch_rows, "_split_page")
    monkeypatch.delattr(batch_rows, "_raw_page")
    rows = reader.page(body, None).rows
    unknown = [row.succeeded[1] for row in rows[1::2] if isinstance(row, Batch)]
    assert unknown == [UnknownEntry(type="new", raw=raws[1][1].encode())] * 2
