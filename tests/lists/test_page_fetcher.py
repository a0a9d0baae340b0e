"""One list of the API: where its pages are, what tells it from others, how a page is read."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async._call.hooks import Hooks
from amili_async._call.transport import Transport
from amili_async._decoding import Reader
from amili_async._lists import page_fetcher as listing
from amili_async._lists.page_fetcher import LENIENT, DecodeWindow, PageFetcher
from amili_async._protocol.options import Options
from amili_async._protocol.requests import join
from amili_async._routes import ROUTES
from amili_async.errors import DecodeError
from amili_async.events import Drift, QuarantinedRow
from amili_async.models import Batch, Case, Invoice, RawValue, Received, Settlement
from tests.support.turns import turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from amili_async._decoding import DriftSink, PageBody
    from amili_async._protocol.requests import Body, Call
    from amili_async._upstream.aiohttp import RequestSentSignal

T = TypeVar("T")

BODY = b'{"summary":{"nextPageToken":"abc"},"data":[{"n":1},{"n":2}]}'


class Row(Received, frozen=True, kw_only=True):
    n: int


class ScriptedTransport(Transport):
    """Answers every call with one body, and keeps the calls."""

    def __init__(self, body: bytes = BODY, *hooks: object) -> None:
        self.hooks = Hooks(hooks)
        self.body = body
        self.calls: list[tuple[Call, Options, RequestSentSignal | None]] = []

    async def send(
        self, call: Call, read: Callable[[Body], T], options: Options, sent_signal: RequestSentSignal | None = None
    ) -> T:
        self.calls.append((call, options, sent_signal))
        return read(self.body)


def a_listing(
    transport: Transport,
    *,
    operation: str = "settlements.list",
    path: str = "/orgs/o-1/settlements",
    query: tuple[tuple[str, str | None], ...] = (),
    token_name: str = "pageToken",  # noqa: S107  # a query name
    reader: Reader[Row] | None = None,
) -> PageFetcher[Row]:
    return PageFetcher(
        transport,
        Options(),
        reader or Reader(Row),
        route=ROUTES[operation],
        path=path,
        query=query,
        token_name=token_name,
    )


@pytest.mark.parametrize(
    ("query", "token", "target"),
    [
        ((), None, "/orgs/o-1/settlements"),
        ((), "abc", "/orgs/o-1/settlements?pageToken=abc"),
        ((("fromDate", "2024-01-15"), ("toDate", None)), None, "/orgs/o-1/settlements?fromDate=2024-01-15"),
        (
            (("pageSize", "5"),),
            "a&b=c d/é+%",
            "/orgs/o-1/settlements?pageSize=5&pageToken=a%26b%3Dc%20d%2F%C3%A9%2B%25",
        ),
    ],
)
async def test_each_page_has_its_target(
    query: tuple[tuple[str, str | None], ...], token: str | None, target: str
) -> None:
    transport = ScriptedTransport()
    await a_listing(transport, query=query).fetch(token)
    ((call, options, sent_signal),) = transport.calls
    assert join(call.path, call.query) == target
    assert (call.method, call.route, sent_signal) == ("GET", ROUTES["settlements.list"], None)
    assert (call.repeatable, call.body) == (True, None)
    assert options == Options()


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
async def test_any_token_reaches_the_server_as_it_came(token: str) -> None:
    transport = ScriptedTransport()
    await a_listing(transport, query=(("pageSize", "5"),)).fetch(token)
    query = transport.calls[0][0].query
    assert parse_qsl(query, keep_blank_values=True) == [("pageSize", "5"), ("pageToken", token)]


async def test_lists_differ_by_operation_path_and_filters_and_not_by_how_the_token_is_spelt() -> None:
    transport = ScriptedTransport()
    one = a_listing(transport)
    others = [
        a_listing(transport, operation="cases.list"),
        a_listing(transport, path="/orgs/o-2/settlements"),
        a_listing(transport, query=(("pageSize", "5"),)),
        a_listing(transport, query=(("pageSize", "6"),)),
    ]
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert one.fingerprint == a_listing(ScriptedTransport(), token_name="PageToken").fingerprint
    assert len(one.fingerprint) == 16


async def test_a_fingerprint_stays_what_it_was() -> None:
    """Or cursors that are kept would be refused by the next release."""
    assert a_listing(ScriptedTransport()).fingerprint == "bb11c5fbb4c3ace3"


@pytest.mark.parametrize(("large", "in_parts"), [(len(BODY), True), (len(BODY) + 1, False)])
async def test_a_page_is_decoded_in_parts_from_a_size_on(
    monkeypatch: pytest.MonkeyPatch, large: int, *, in_parts: bool
) -> None:
    monkeypatch.setattr(listing, "LARGE", large)
    walked = a_listing(ScriptedTransport())
    page = await walked.fetch(None)
    assert (page.rows is not None, len(page)) == (in_parts, 2)
    (rows,) = [page.items] if page.rows is None else walked.part(page.rows, 0, 1000)[0]
    assert rows == [Row(n=1), Row(n=2)]
    assert page.body == BODY
    assert page.summary is not None
    assert page.summary.next_page_token == "abc"


async def test_a_page_of_two_megabytes_is_large() -> None:
    assert listing.LARGE == 2**21


def raws(*rows: bytes) -> list[msgspec.Raw]:
    return [msgspec.Raw(row) for row in rows]


def test_a_part_ends_with_the_row_that_makes_it_long_enough_and_says_what_it_took() -> None:
    walked = a_listing(ScriptedTransport())
    rows = raws(*(b'{"n":%d}' % number for number in range(5)))
    assert walked.part(rows, 0, 0) == ([[Row(n=0)]], 1, 7)
    assert walked.part(rows, 1, 7) == ([[Row(n=1), Row(n=2)]], 3, 14)
    assert walked.part(rows, 3, 1000) == ([[Row(n=3), Row(n=4)]], 5, 14)


def test_rows_that_do_not_fit_are_read_one_by_one_and_count_for_more() -> None:
    walked = a_listing(ScriptedTransport())
    part, end, size = walked.part(raws(b'{"n":1}', b'{"n":"2"}', b'{"n":"x"}'), 0, 1000)
    assert part[:2] == [(Row(n=1),), (Row(n=2),)]
    assert isinstance(part[2], QuarantinedRow)
    assert (part[2].index, part[2].raw) == (2, b'{"n":"x"}')
    assert (end, size) == (3, (7 + 9 + 9) * LENIENT)


async def test_a_page_that_does_not_fit_is_read_in_parts_whatever_its_size() -> None:
    page = await a_listing(ScriptedTransport(b'{"data":[{"n":1},{"n":"x"}]}')).fetch(None)
    assert page.rows is not None
    assert [bytes(row) for row in page.rows] == [b'{"n":1}', b'{"n":"x"}']


@pytest.mark.parametrize("large", [0, 2**21])
async def test_drift_says_which_operation_it_was_met_in(monkeypatch: pytest.MonkeyPatch, large: int) -> None:
    monkeypatch.setattr(listing, "LARGE", large)
    told: list[Drift] = []

    class Hook:
        def on_drift(self, record: Drift, /) -> None:
            told.append(record)

    walked = a_listing(ScriptedTransport(json.dumps({"data": [{"n": 1, "new": 2}]}).encode(), Hook()))
    page = await walked.fetch(None)
    walked.part(page.rows or (), 0, 1000)
    assert told == [Drift(operation="settlements.list", kind="member", path="$.data[...].new", found="new")]


async def test_drift_is_not_looked_for_where_nobody_listens() -> None:
    assert a_listing(ScriptedTransport()).drift is None


ROWS = [
    ("batches.list", Batch(batch_id="5"), b'{"batchId":"5"}'),
    ("batches.list_all", Batch(batch_id="5"), b'{"x":[1], "batchId":5}'),
    ("cases.list", Case(case_id="5", case_number="7"), b'{"caseNumber":7,"caseId":"5"}'),
    ("invoices.list", Invoice(id="5", invoice_number="7"), b'{"id":"5","batchId":"9"}'),
    ("settlements.list", Settlement(settlement_id="5", case_number="7"), b'{"settlementId":"5"}'),
]


@pytest.mark.parametrize(("operation", "row", "raw"), ROWS, ids=[operation for operation, _, _ in ROWS])
def test_a_row_is_known_again_by_its_id_decoded_or_not(operation: str, row: Received, raw: bytes) -> None:
    listing: PageFetcher[Any] = a_listing(ScriptedTransport(), operation=operation)
    quarantined = QuarantinedRow(index=0, path="$", reason="no", raw=raw)
    known = listing.row_hash(row)
    assert known == listing.row_hash(msgspec.Raw(raw)) == listing.row_hash(quarantined)
    assert isinstance(known, str)
    assert re.fullmatch(r"[0-9a-f]{12}", known)
    assert known != listing.row_hash(msgspec.Raw(raw.replace(b"5", b"6")))


@pytest.mark.parametrize(
    "row", [Settlement(), *map(msgspec.Raw, (b"{}", b'{"settlementId":null}', b'{"settlementId":[]}', b"[1]", b"null"))]
)
def test_a_row_without_an_id_is_not_known_again(row: Any) -> None:
    listing: PageFetcher[Any] = a_listing(ScriptedTransport(), operation="settlements.list")
    assert listing.row_hash(row) is msgspec.UNSET


def test_a_row_of_no_documented_shape_is_known_by_all_that_it_is() -> None:
    listing: PageFetcher[Any] = a_listing(ScriptedTransport(), operation="invoices.payments")
    assert listing.row_hash(RawValue(raw=b'{"a":1}')) == listing.row_hash(msgspec.Raw(b'{"a":1}'))
    assert listing.row_hash(RawValue(raw=b'{"a":1}')) != listing.row_hash(RawValue(raw=b'{"a":2}'))
    assert listing.row_hash(Row(n=1)) is msgspec.UNSET


# Few pages decoded at a time


class LoggingReader(Reader[Row]):
    """Keeps what it has decoded."""

    def __init__(self) -> None:
        super().__init__(Row)
        self.decoded: list[bytes] = []

    def whole(self, body: Body, drift: DriftSink | None) -> PageBody | None:
        self.decoded.append(bytes(body))
        return super().whole(body, drift)


def is_full(window: DecodeWindow) -> bool:
    """Return whether it is full now, which no type checker is to remember."""
    return window.full


async def test_pages_enter_a_window_until_it_is_full_and_then_as_others_leave_it_in_their_order() -> None:
    window = DecodeWindow(100)
    await window.enter(60)
    assert not is_full(window)
    await window.enter(60)
    assert is_full(window)
    entered: list[int] = []

    async def enter(size: int) -> None:
        await window.enter(size)
        entered.append(size)

    waiting = [asyncio.create_task(enter(size)) for size in (30, 70, 5)]
    await turns(3)
    assert entered == []
    window.leave(60)  # 60 are held, so that 30 go in, and with these 70
    await turns(3)
    assert (entered, is_full(window)) == ([30, 70], True)
    window.leave(70)
    await turns(3)
    assert (entered, is_full(window)) == ([30, 70, 5], False)
    assert all(task.done() for task in waiting)


async def test_one_page_enters_an_empty_window_however_large_it_is() -> None:
    window = DecodeWindow(1)
    seen = [is_full(window)]
    await window.enter(1000)
    seen.append(is_full(window))
    window.leave(1000)
    assert [*seen, is_full(window)] == [False, True, False]


async def test_a_page_whose_walk_was_ended_takes_no_place_in_a_window() -> None:
    window = DecodeWindow(1)
    await window.enter(1)
    ended, other = asyncio.create_task(window.enter(1)), asyncio.create_task(window.enter(1))
    await turns(1)
    ended.cancel()
    await turns(1)
    window.leave(1)
    await other
    window.leave(1)
    assert not is_full(window)


async def test_a_page_that_comes_while_the_window_is_full_is_decoded_when_it_enters() -> None:
    window, reader = DecodeWindow(1), LoggingReader()
    walked = a_listing(ScriptedTransport(), reader=reader)
    first = await walked.fetch_within(None, window)
    second = asyncio.create_task(walked.fetch_within("abc", window))
    await turns(5)
    assert reader.decoded == [BODY]
    window.leave(len(first.body))
    assert list((await second).items) == [Row(n=1), Row(n=2)]
    assert reader.decoded == [BODY, BODY]
    assert is_full(window)


@pytest.mark.parametrize("body", [b'{"data":[{"n":1},', b"<html></html>", b"", b"{} trailing", b"[1]"])
async def test_what_is_no_whole_object_is_left_to_the_transport_at_once(body: bytes) -> None:
    window = DecodeWindow(0)  # always full
    transport = ScriptedTransport(body)
    with pytest.raises(DecodeError):
        await a_listing(transport).fetch_within(None, window)
    assert len(transport.calls) == 1


async def test_a_page_that_waited_and_cannot_be_read_is_asked_for_again() -> None:
    window = DecodeWindow(1)
    await window.enter(1)
    transport = ScriptedTransport(b'{"data":7} \n')
    walked = a_listing(transport)
    asking = asyncio.create_task(walked.fetch_within(None, window))
    await turns(3)
    transport.body = BODY
    window.leave(1)
    page = await asking
    assert (page.body, len(transport.calls)) == (BODY, 2)
    assert is_full(window)
    window.leave(len(BODY))
    assert not is_full(window)


async def test_a_page_that_cannot_be_read_the_second_time_either_ends_the_walk_and_leaves_the_window() -> None:
    window = DecodeWindow(1)
    await window.enter(1)
    transport = ScriptedTransport(b'{"data":7}')
    asking = asyncio.create_task(a_listing(transport).fetch_within(None, window))
    await turns(3)
    window.leave(1)
    with pytest.raises(DecodeError):
        await asking
    assert (len(transport.calls), is_full(window)) == (2, False)
