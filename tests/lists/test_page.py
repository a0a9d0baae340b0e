"""A page holds what came around its rows as well, and writes itself as Amili would."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from aioresponses import aioresponses
from hypothesis import given, settings
from hypothesis import strategies as st

from amili_async import AmiliClient, Batch, Summary
from amili_async._lists import page_fetcher

if TYPE_CHECKING:
    from amili_async import OnInvalid, Page

BASE = "https://api.example/collection/v1"

ROWS = (
    b'{"batchId":"a","status":"SUCCESS","succeeded":[{"$type":"invoiceSuccess","invoiceId":"i","vat":1.50}],"failed":[null]}'
    b',{"batchId":"b","new":1e3,"finishedAt":null}'
)
AROUND = b'"links":{"self":"/x","ratio":0.10},"summary":{"status":"SUCCESS","total":2,"nextPageToken":""},"at":null'
BODY = b"{" + AROUND + b',"data":[' + ROWS + b"]}"

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.decimals(-1000, 1000, places=2).map(float)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def exact(body: bytes) -> object:
    return json.loads(body, parse_float=Decimal)


async def a_page(body: bytes, *, on_invalid: OnInvalid = "raise", limit: int | None = None) -> Page[Batch]:
    with aioresponses() as scripted:
        scripted.get(f"{BASE}/orgs/o/batches", body=body)  # pyright: ignore[reportUnknownMemberType]  # half typed
        async with AmiliClient("token", base_url=BASE) as amili:
            (page,) = [page async for page in amili.batches.list("o", on_invalid=on_invalid, limit=limit).pages()]
    return page


@pytest.fixture(params=["whole", "in parts"])
def _in_either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in parts":
        monkeypatch.setattr(page_fetcher, "LARGE", 1)


@pytest.mark.usefixtures("_in_either_way")
async def test_what_stands_beside_summary_and_rows_is_kept_exactly() -> None:
    page = await a_page(BODY)
    assert dict(page.extra) == {"links": {"self": "/x", "ratio": Decimal("0.10")}, "at": None}
    assert page.summary == Summary(status="SUCCESS", next_page_token="", extra={"total": 2})
    assert [batch.batch_id for batch in page.items] == ["a", "b"]


@pytest.mark.usefixtures("_in_either_way")
async def test_a_page_is_written_as_it_came() -> None:
    assert exact((await a_page(BODY)).encode()) == exact(BODY)


async def test_where_nothing_stands_beside_them_extra_is_empty() -> None:
    page = await a_page(b'{"data":[]}')
    assert (dict(page.extra), page.summary, page.encode()) == ({}, None, b'{"data":[]}')


async def test_rows_that_are_not_handed_out_are_not_written() -> None:
    broken = b'{"data":[' + ROWS + b',{"batchId":{"no":"text"}}],"new":1}'
    page = await a_page(broken, on_invalid="skip")
    assert len(page.quarantined) == 1
    assert exact(page.encode()) == exact(b'{"data":[' + ROWS + b'],"new":1}')
    cut = await a_page(BODY, limit=1)
    assert exact(cut.encode()) == exact(BODY.replace(b',{"batchId":"b","new":1e3,"finishedAt":null}', b""))


@settings(max_examples=25, deadline=None)
@given(around=st.dictionaries(st.text(max_size=8), VALUES, max_size=5), summary=st.dictionaries(st.text(), VALUES))
async def test_any_members_around_the_rows_survive(around: dict[str, Any], summary: dict[str, Any]) -> None:
    known = {"status": "SUCCESS", "nextPageToken": None}
    body = json.dumps({**around, "summary": {**summary, **known}, "data": [{"batchId": "b"}]}).encode()
    page = await a_page(body)
    assert exact(page.encode()) == exact(body)
