"""Many organizations in one stream: so many at once, each in its order, none starved, nothing left behind."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import pytest

from amili_async import (
    AmiliClient,
    Batch,
    ConfigurationError,
    DecodeError,
    InvalidArgumentError,
    NotFoundError,
    TransportError,
    UnusualValueWarning,
)
from amili_async._decoding import Reader
from amili_async._lists.page_fetcher import DecodeWindow
from amili_async._upstream.direct import DirectAnswer, DirectReads
from amili_async.resources import _streaming
from amili_async.sandbox import Fault
from tests.support.turns import running, turns, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

    from amili_async._decoding import DriftSink, PageBody
    from amili_async._protocol.requests import Body
    from amili_async.sandbox import Kind, Sandbox

LIST = "batches.list"


async def rows(client: AmiliClient, organization: str) -> list[str]:
    return [batch.batch_id async for batch in client.batches.list(organization)]


async def by_organization(stream: AsyncIterable[tuple[str, Batch]]) -> dict[str, list[str]]:
    came: defaultdict[str, list[str]] = defaultdict(list)
    async for organization, batch in stream:
        came[organization].append(batch.batch_id)
    return came


@pytest.mark.parametrize("concurrency", [1, 2, 3, 8])
async def test_every_batch_of_every_organization_comes_once_and_in_its_order(
    client: AmiliClient, sandbox: Sandbox, concurrency: int
) -> None:
    came = await by_organization(client.batches.stream(sandbox.organization_ids, concurrency=concurrency))
    assert came == {organization: await rows(client, organization) for organization in sandbox.organization_ids}


@pytest.mark.parametrize("concurrency", [1, 2, 3])
async def test_so_many_organizations_are_walked_at_once_and_no_more(
    client: AmiliClient, sandbox: Sandbox, concurrency: int
) -> None:
    sandbox.faults.add("*:latency=10ms")
    await by_organization(client.batches.stream(sandbox.organization_ids * 2, concurrency=concurrency))
    assert sandbox.requests.overlapping(LIST) == concurrency


async def test_ids_are_taken_as_walks_end(client: AmiliClient, sandbox: Sandbox) -> None:
    taken: list[str] = []
    ended: list[int] = []

    async def ids() -> AsyncIterator[str]:
        for organization in itertools.cycle(sandbox.organization_ids):
            await turns(1)
            taken.append(organization)
            yield organization

    async with aclosing(client.batches.stream(ids(), concurrency=2)) as stream:
        count = 0
        async for _ in stream:
            count += 1
            # Two walks are under way, and as many more have begun as have ended; a page waits, one is in hand.
            assert len(taken) <= 2 + (count + 6) // 8
            ended.append(len(taken))
            if count == 40:
                break
    assert ended[0] == 2
    assert ended[-1] >= 5


@pytest.mark.parametrize("walks", [1, 3])
async def test_a_page_of_each_walk_is_ahead_of_a_slow_consumer(
    client: AmiliClient, sandbox: Sandbox, walks: int
) -> None:
    async with aclosing(client.batches.stream(sandbox.organization_ids, concurrency=walks, page_size=1)) as stream:
        await anext(stream)
        await turns(200)
        # The one in the consumer's hands or in line for them, and the next.
        assert sandbox.requests.count(LIST) == 2 * walks


async def test_few_pages_are_decoded_before_a_slow_consumer_comes_to_them(
    client: AmiliClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Body] = []
    whole = Reader[Batch].whole

    def counted(reader: Reader[Batch], body: Body, drift: DriftSink | None) -> PageBody | None:
        decoded.append(body)
        return whole(reader, body, drift)

    monkeypatch.setattr(Reader, "whole", counted)
    monkeypatch.setattr(_streaming, "DecodeWindow", lambda: DecodeWindow(1))
    expected = {organization: await rows(client, organization) for organization in sandbox.organization_ids}
    decoded.clear()
    sandbox.requests.clear()
    came: defaultdict[str, list[str]] = defaultdict(list)
    async with aclosing(client.batches.stream(sandbox.organization_ids, concurrency=3, page_size=1)) as stream:
        async for organization, batch in stream:
            came[organization].append(batch.batch_id)
            if len(decoded) == 1:
                await until(lambda: sandbox.requests.count(LIST) == 4 and not sandbox.requests.under_way(LIST))
            # A page of each walk is at hand, and none of them is decoded before its turn.
            await turns(20)
            assert len(decoded) == sum(map(len, came.values()))
    assert came == expected


@pytest.mark.parametrize("fault", ["truncate", "html", "wrong-schema", "corrupt"])
async def test_a_page_that_cannot_be_read_is_the_same_to_a_slow_consumer(
    client: AmiliClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, fault: Kind
) -> None:
    monkeypatch.setattr(_streaming, "DecodeWindow", lambda: DecodeWindow(1))
    (failing, *_) = sandbox.organization_ids
    expected = await rows(client, failing)
    sandbox.faults.add(Fault(LIST, fault, page=2, organization=failing))
    came: list[str] = []
    kind = TransportError if fault == "truncate" else DecodeError
    with pytest.raises(kind) as caught:  # noqa: PT012  # what came before it counts
        async for organization, batch in client.batches.stream(sandbox.organization_ids):
            came += [batch.batch_id] if organization == failing else []
            await turns(5)
    sandbox.faults.clear()
    rest = [batch.batch_id async for batch in client.batches.list(failing, cursor=caught.value.cursor)]
    assert came + rest == expected


async def test_the_next_request_is_sent_before_a_consumer_that_waited_for_its_page_works_on_it(
    client: AmiliClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    read = DirectReads.read

    async def counted(direct: DirectReads, target: str, *arguments: Any) -> DirectAnswer:
        sent.append(target)
        return await read(direct, target, *arguments)

    monkeypatch.setattr(DirectReads, "read", counted)
    ahead: list[int] = []
    async for _ in client.batches.stream(sandbox.organization_ids[:1], concurrency=1, page_size=1):
        ahead.append(len(sent) - len(ahead) - 1)
    # Behind the last page there is none.
    assert ahead == [*[1] * (len(sent) - 1), 0]
    assert len(sent) > 3


async def test_an_organization_of_many_pages_does_not_starve_the_others(client: AmiliClient, sandbox: Sandbox) -> None:
    large, small, other = sandbox.organization_ids
    for one in (small, other):
        sandbox.faults.add(Fault(LIST, "last-absent", organization=one))
    order: list[str] = []
    async for organization, _ in client.batches.stream([large, small, other], concurrency=3, page_size=1):
        order.append(organization)
    assert {*order[:3]} == {large, small, other}
    assert all(len(list(run)) <= 3 for _, run in itertools.groupby(order))


async def test_an_error_ends_the_stream_with_a_note_and_the_cursor_of_its_walk(
    client: AmiliClient, sandbox: Sandbox
) -> None:
    failing = sandbox.organization_ids[1]
    expected = await rows(client, failing)
    sandbox.faults.add(Fault(LIST, status=404, page=3, organization=failing))
    came: defaultdict[str, list[str]] = defaultdict(list)
    with pytest.raises(NotFoundError) as caught:  # noqa: PT012  # what came before it counts
        async for organization, batch in client.batches.stream(sandbox.organization_ids):
            came[organization].append(batch.batch_id)
            await turns(200)
    assert caught.value.__notes__ == [f"while walking organization {failing}"]
    assert running() == []
    # However slow the consumer: whoever goes on from the cursor has every batch once.
    sandbox.faults.clear()
    rest = [batch.batch_id async for batch in client.batches.list(failing, cursor=caught.value.cursor)]
    assert came[failing] + rest == expected


async def test_a_bad_row_ends_the_stream_and_loses_no_batch(client: AmiliClient, sandbox: Sandbox) -> None:
    (failing, *_) = sandbox.organization_ids
    expected = await rows(client, failing)
    sandbox.faults.add(Fault(LIST, "bad-row", page=2, row=1))
    came: list[str] = []
    with pytest.raises(DecodeError) as caught:  # noqa: PT012  # what came before it counts
        async for _, batch in client.batches.stream([failing]):
            came.append(batch.batch_id)
    sandbox.faults.clear()
    rest = [batch.batch_id async for batch in client.batches.list(failing, cursor=caught.value.cursor)]
    assert came + rest == expected


async def test_an_error_of_the_ids_ends_the_stream(client: AmiliClient, sandbox: Sandbox) -> None:
    async def ids() -> AsyncIterator[str]:
        yield sandbox.organization_ids[0]
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        await by_organization(client.batches.stream(ids()))
    assert running() == []


async def test_a_walk_that_somebody_else_cancels_ends_the_stream_too(client: AmiliClient) -> None:
    class Cancelled:
        def __aiter__(self) -> Self:
            return self

        async def __anext__(self) -> str:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await by_organization(client.batches.stream(Cancelled()))


@pytest.mark.parametrize("way", ["break", "close", "cancel"])
async def test_leaving_early_ends_every_walk(client: AmiliClient, sandbox: Sandbox, way: str) -> None:
    sandbox.faults.add(Fault(LIST, "hang", page=2))
    stream = client.batches.stream(sandbox.organization_ids)
    most = 0  # turns of the event loop that it takes
    if way == "break":
        most = 10
        async for _ in stream:
            assert running()
            break
        del stream
    elif way == "close":
        async with aclosing(stream):
            await anext(stream)
            assert running()
    else:
        walking = asyncio.create_task(by_organization(stream))
        await until(lambda: sandbox.requests.count(LIST) == 6)
        walking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await walking
    assert await until(lambda: not running(), most=most + 1) <= most
    await until(lambda: sandbox.requests.under_way(LIST) == 0)


async def test_ids_that_were_not_taken_are_let_go(client: AmiliClient, sandbox: Sandbox) -> None:
    closed: list[str] = []

    async def ids() -> AsyncIterator[str]:
        try:
            for organization in sandbox.organization_ids:
                yield organization
        finally:
            closed.append("ids")

    async with aclosing(client.batches.stream(ids(), concurrency=1)) as stream:
        await anext(stream)
        assert closed == []
    await until(lambda: closed == ["ids"])


async def test_nothing_is_sent_before_the_stream_is_iterated(client: AmiliClient, sandbox: Sandbox) -> None:
    stream = client.batches.stream(sandbox.organization_ids)
    await turns(50)
    await stream.aclose()
    assert sandbox.requests.total == 0


async def test_no_organizations_are_an_empty_stream(client: AmiliClient) -> None:
    assert await by_organization(client.batches.stream([])) == {}
    assert await by_organization(client.batches.stream(iter([]), concurrency=1)) == {}


async def test_a_uuid_comes_back_as_text(client: AmiliClient, sandbox: Sandbox) -> None:
    (organization, *_) = sandbox.organization_ids
    assert [*await by_organization(client.batches.stream([UUID(organization)]))] == [organization]


@pytest.mark.parametrize("resource", ["invoices", "cases", "settlements"])
async def test_every_list_of_organizations_can_be_streamed(
    client: AmiliClient, sandbox: Sandbox, resource: str
) -> None:
    lists = getattr(client, resource)
    expected = {organization: await lists.list(organization).collect() for organization in sandbox.organization_ids}
    assert all(expected.values())
    sandbox.requests.clear()
    came: defaultdict[str, list[object]] = defaultdict(list)
    async for organization, row in lists.stream(iter(sandbox.organization_ids), concurrency=2):
        came[organization].append(row)
    assert came == expected
    assert {request.operation for request in sandbox.requests} == {f"{resource}.list"}


async def test_filters_of_a_stream_are_those_of_its_list(client: AmiliClient, sandbox: Sandbox) -> None:
    ids = sandbox.organization_ids[:1]
    await client.batches.stream(ids, state="FAILED", page_size=5).collect()
    assert sandbox.requests.last().query.items() >= {"State": "FAILED", "PageSize": "5"}.items()
    await client.invoices.stream(ids, status="OPEN", customer_number=7).collect()
    assert sandbox.requests.last().query.items() >= {"Status": "OPEN", "CustomerNumber": "7"}.items()
    await client.cases.stream(ids, search_term="x", from_created_at="2024-01-15").collect()
    assert sandbox.requests.last().query.items() >= {"SearchTerm": "x", "FromCreatedAt": "2024-01-15"}.items()
    await client.settlements.stream(ids, from_date="2024-01-15", page_size=5).collect()
    assert sandbox.requests.last().query.items() >= {"fromDate": "2024-01-15", "pageSize": "5"}.items()


def test_what_is_wrong_with_a_filter_is_told_when_the_stream_is_made(client: AmiliClient) -> None:
    with pytest.raises(InvalidArgumentError, match='did you mean "PARTIAL"'):
        client.batches.stream(["o"], state="PARTIALLY")
    with pytest.raises(ConfigurationError, match="on_invalid must be"):
        client.invoices.stream(["o"], on_invalid="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # what it refuses
    with pytest.warns(UnusualValueWarning, match="status is no value") as caught:
        client.cases.stream(["o"] * 9, status="UNDER_REVIEW")
    assert [warning.filename for warning in caught] == [__file__]


async def test_awaiting_says_what_to_do_instead(client: AmiliClient) -> None:
    streams: dict[str, Any] = {
        "batches.stream": client.batches.stream([]),
        "invoices.stream": client.invoices.stream([]),
        "batches.watch": client.batches.watch("b"),
        "batches.wait_all": client.batches.wait_all([]),
        "invoices.create_all": client.invoices.create_all("o", []),
        "payments.create_all": client.payments.create_all("o", []),
        "corrections.create_all": client.corrections.create_all("o", []),
    }
    for name, stream in streams.items():
        with pytest.raises(ConfigurationError, match=f"{name} yields results as they come and cannot be awaited: use"):
            await stream
        assert repr(stream) in {f"Stream({name})", f"BulkWrite({name})"}
        await stream.aclose()


async def test_a_plain_for_is_told_what_to_use(client: AmiliClient) -> None:
    streams: list[Any] = [client.batches.stream(["o"]), client.batches.list("o"), client.batches.watch("b")]
    for stream in streams:
        with pytest.raises(ConfigurationError, match=r"^batches\.\w+ is iterated with `async for`, not with `for`$"):
            for _ in stream:
                pass


async def test_a_stream_is_iterated_once(client: AmiliClient, sandbox: Sandbox) -> None:
    stream = client.batches.stream(sandbox.organization_ids)
    assert await stream.collect()
    with pytest.raises(ConfigurationError, match=r"batches\.stream is iterated once, and this one was; call it again"):
        await stream.collect()


async def test_closing_a_stream_that_another_task_waits_for_says_so(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(LIST, "hang"))
    stream = client.batches.stream(sandbox.organization_ids)
    waiting = asyncio.create_task(anext(stream))
    await until(lambda: sandbox.requests.count(LIST))
    with pytest.raises(ConfigurationError, match=r"batches\.stream is waited for by another task: cancel that task"):
        await stream.aclose()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert running() == []


@pytest.mark.parametrize("ids", ["5579c111-9c50-47e2-af92-f16d52e63189", UUID(int=7), 7, None])
async def test_one_id_is_not_several(client: AmiliClient, ids: Any) -> None:
    with pytest.raises(ConfigurationError, match="organization_ids must be several ids"):
        client.batches.stream(ids)


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "8"])
async def test_a_concurrency_is_a_whole_number_above_zero(client: AmiliClient, concurrency: Any) -> None:
    with pytest.raises(ConfigurationError, match="concurrency must be a whole number of at least 1"):
        client.batches.stream([], concurrency=concurrency)


@pytest.mark.parametrize("given", ["", "..", 7])
async def test_an_id_that_cannot_be_is_an_error_of_the_stream(
    client: AmiliClient, sandbox: Sandbox, given: Any
) -> None:
    async def ids() -> AsyncIterator[Any]:
        yield given

    for several in ([given], ids()):
        with pytest.raises(ConfigurationError, match="organization_ids must be"):
            await by_organization(client.batches.stream(several))
    assert sandbox.requests.total == 0
