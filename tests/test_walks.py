"""Client and sandbox together: whatever goes wrong and whoever stops, every row comes once, in order, or a typed error.

An error's cursor, or a stopped pager's, leads to exactly the rest. What is tried is drawn by hypothesis: how much data,
how it is paged, what fails how often, and how the consumer behaves.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, currently_in_test_context, event, given, settings
from hypothesis import strategies as st

from amili_async import AmiliClient, AmiliError, Batch, ClientCredentials, Cursor, PaginationLoopError
from amili_async import _clock as clock_module
from amili_async.sandbox import Fault, Sandbox, VirtualClock
from amili_async.sandbox._shapes import Generation, LastPage
from amili_async.sandbox._state import Order
from tests.support.turns import until
from tests.support.virtual_time import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amili_async import Pager

PATIENCE = 5
"""Errors and stops after which the server heals, so that every walk ends."""

FAULTS = (
    "batches.list:close",
    "batches.list:reset",
    "batches.list:hang",
    "batches.list:close-after-headers",
    "batches.list:close-in-body",
    "batches.list:reset-in-body",
    "batches.list:cut-chunks",
    "batches.list:cut-unmarked",
    "batches.list:cut-gzip",
    "batches.list:slow-body,seconds=5",
    "batches.list:slow-body,seconds=100",
    "batches.list:close-idle",
    "batches.list:close-reused",
    "batches.list:truncate",
    "batches.list:corrupt",
    "batches.list:empty",
    "batches.list:html",
    "batches.list:html,status=502",
    "batches.list:wrong-schema",
    "batches.list:wrong-content-type",
    "batches.list:oversize,size=300000",
    "batches.list:bomb,size=300000",
    "batches.list:repeat-token",
    "batches.list:expire-token",
    "batches.list:last-absent",
    "batches.list:last-null",
    "batches.list:last-empty",
    "batches.list:bad-row",
    "batches.list:bad-row,row=0",
    "batches.list:lenient-row",
    "batches.list:unknown-type",
    "batches.list:unknown-value",
    "batches.list:unknown-member",
    "batches.list:revoke",
    "batches.list:status=401",
    "batches.list:status=403",
    "batches.list:status=408",
    "batches.list:status=429",
    "batches.list:status=429,retry_after=5",
    "batches.list:status=429,retry_after=500",
    "batches.list:status=500",
    "batches.list:status=503,retry_after=2.5",
    "batches.list:status=302,location='https://elsewhere.example/'",
    "*:latency=1s,spread=3s",
    "*:refuse,seconds=3",
    "token:status=503",
    "token:status=400",
    "token:reset",
    "token:wrong-schema",
    "token:html",
    "token:latency=45s",
)


EMPTY_PAGE = "batches.list:empty-page,count=3"
"""Without a count the list would have no end. A page that is empty when it is asked for a second time, and was not the
first time, is more than a cursor can make good: it is tried with walks that do not stop inside a page."""

CYCLE = "batches.list:cycle-tokens"
"""A walk that is stopped and gone on from would meet rows again before it could notice: it is tried alone."""


class Consumer(NamedTuple):
    """How a walk is consumed until its end or until it is stopped."""

    stop: str = "never"
    """How it is stopped: by a bare ``break``, by ``async with``, by cancelling its task, or never."""
    after: int = 0
    """After how many items; for a cancelled task, turns of the event loop."""
    by_page: bool = False
    pause: float = 0.0
    """Seconds (of the virtual clock) spent on each item or page."""


class Walk(NamedTuple):
    """One thing to try."""

    batches: int
    served: int
    """Rows a page, as far as the server decides."""
    asked: int | None
    """Rows a page, where the client asks for so many."""
    generation: Generation
    order: Order
    last_page: LastPage
    prefetch: bool
    whole: bool
    """Whether pages are small enough to be decoded in one piece."""
    growing: bool
    """Whether rows come behind the last one, in a list that is oldest first, whenever the walk is interrupted."""
    faults: tuple[str, ...]
    consumers: tuple[Consumer, ...]


generations: st.SearchStrategy[Generation] = st.sampled_from(("G1", "G2", "G3"))
orders: st.SearchStrategy[Order] = st.sampled_from(("newest", "oldest", "shuffled"))
last_pages: st.SearchStrategy[LastPage] = st.sampled_from(("absent", "null", "empty"))


def worded(text: str, count: int, skip: int) -> str:
    return f"{text},skip={skip}{f',count={count}' if count and 'count=' not in text else ''}"


def some_of(texts: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    fault = st.builds(worded, st.sampled_from(texts), st.integers(0, 4), st.integers(0, 4))
    return st.lists(fault, max_size=3).map(lambda drawn: tuple(drawn))  # noqa: PLW0108  # a bare `tuple` loses the type


consumers = st.builds(
    Consumer,
    stop=st.sampled_from(("never", "break", "close", "cancel")),
    after=st.integers(0, 15),
    by_page=st.booleans(),
    pause=st.sampled_from((0.0, 0.0, 0.5)),
)

walks = st.builds(
    Walk,
    batches=st.integers(0, 30),
    served=st.integers(1, 12),
    asked=st.none() | st.integers(1, 12),
    generation=generations,
    order=orders,
    last_page=last_pages,
    prefetch=st.booleans(),
    whole=st.booleans(),
    growing=st.booleans(),
    faults=some_of(FAULTS),
    consumers=st.lists(consumers, max_size=4).map(lambda drawn: tuple(drawn)),  # noqa: PLW0108  # the same
)


def unstopped(walk: Walk, faults: tuple[str, ...], *, by_page: bool) -> Walk:
    return walk._replace(faults=faults, consumers=(Consumer(by_page=by_page),))


unstopped_walks = st.builds(
    unstopped,
    walks,
    some_of([*(text for text in FAULTS if "bad-row" not in text), EMPTY_PAGE]),
    by_page=st.booleans(),
)


async def consume(pager: Pager[Batch], consumer: Consumer, taken: list[str]) -> bool:
    """Take items as the consumer does; return whether the list came to its end."""
    if consumer.stop == "cancel":
        task = asyncio.create_task(take(pager, consumer, taken, most=None))
        for _ in range(consumer.after):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            return await task
        return False
    most = None if consumer.stop == "never" else consumer.after
    if consumer.stop == "close":
        async with pager:
            return await take(pager, consumer, taken, most=most)
    return await take(pager, consumer, taken, most=most)


async def take(pager: Pager[Batch], consumer: Consumer, taken: list[str], *, most: int | None) -> bool:
    left = most
    if consumer.by_page:
        async with aclosing(pager.pages()) as pages:
            async for page in pages:
                taken += [batch.batch_id for batch in page.items]
                left = None if left is None else left - len(page.items)
                if left is not None and left <= 0:
                    return False
                await asyncio.sleep(consumer.pause)
        return True
    if left == 0:
        return False
    async for batch in pager:
        taken.append(batch.batch_id)
        left = None if left is None else left - 1
        if left == 0:
            return False
        if consumer.pause:
            await asyncio.sleep(consumer.pause)
    return True


async def walk_through(walk: Walk, clock: VirtualClock) -> None:
    with clock_module.installed(clock):
        async with Sandbox(
            organizations=2,
            batches=walk.batches,
            entries=2,
            page_size=walk.served,
            generation=walk.generation,
            order=walk.order,
            last_page=walk.last_page,
            clock=clock.time,
        ) as sandbox:
            others = asyncio.all_tasks()
            sandbox.faults.add(*walk.faults)
            async with AmiliClient(
                ClientCredentials(*sandbox.credentials),
                base_url=sandbox.base_url,
                token_url=sandbox.token_url,
                trust_env=False,
            ) as client:
                taken = await taken_in_turns(client, sandbox, walk)
            assert taken == sandbox.batch_ids(listed=True)
            await until(lambda: asyncio.all_tasks() == others)


async def taken_in_turns(client: AmiliClient, sandbox: Sandbox, walk: Walk) -> list[str]:
    """Walk to the end, going on from a cursor after every error and every stop."""
    organization = sandbox.organization_ids[0]
    taken: list[str] = []
    cursor: Cursor | None = None
    waiting = list(walk.consumers)
    for interruption in range(PATIENCE + len(waiting) + 1):
        if interruption == PATIENCE:
            sandbox.faults.clear()
            waiting.clear()
            await asyncio.sleep(1000)  # long enough for every gate and every pause to have passed
        consumer = waiting.pop(0) if waiting else Consumer()
        pager = client.batches.list(organization, page_size=walk.asked, cursor=cursor, prefetch=walk.prefetch)
        try:
            if await consume(pager, consumer, taken):
                return taken
            cursor = pager.cursor
            note(f"stopped by {consumer.stop}")
        except AmiliError as error:
            note(type(error).__name__)
            cursor = cursor_of(error)
            if isinstance(error, PaginationLoopError):
                # A new pager cannot know the tokens of the one before, so it would go round once more.
                sandbox.faults.clear()
        cursor = Cursor.decode(cursor.encode())
        await asyncio.sleep(1)
        if walk.growing and walk.order == "oldest":
            sandbox.add_batch(entries=1)
    raise AssertionError("the walk did not end though the server was well")


def cursor_of(error: AmiliError) -> Cursor:
    assert error.cursor is not None, error
    assert error.operation == "batches.list"
    return error.cursor


def note(what: str) -> None:
    """Count what happened, for ``--hypothesis-show-statistics``."""
    if currently_in_test_context():
        event(what)


def check(walk: Walk) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Client and server share a loop, so what one sends is there for the other at once.
        patch.setattr("tests.support.virtual_time.IN_THE_KERNEL", 0.001)
        if not walk.whole:
            patch.setattr("amili_async._lists.page_fetcher.LARGE", 100)
        run(lambda clock: walk_through(walk, clock))


@given(walks | unstopped_walks)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_row_comes_once_and_in_order_or_an_error_leads_to_the_rest(walk: Walk) -> None:
    check(walk)


@pytest.mark.fuzz
@given(walks | unstopped_walks)
@settings(max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_many_more_walks(walk: Walk) -> None:
    check(walk)


@pytest.mark.parametrize("fault", [*FAULTS, EMPTY_PAGE, CYCLE])
def test_each_fault_alone_costs_no_row(fault: str) -> None:
    check(
        Walk(
            batches=17,
            served=4,
            asked=None,
            generation="G3",
            order="newest",
            last_page="absent",
            prefetch=True,
            whole=True,
            growing=False,
            faults=(f"{fault},skip=1",),
            consumers=(),
        )
    )


def test_every_kind_of_fault_is_tried() -> None:
    from amili_async.sandbox._faults import KINDS  # noqa: PLC0415  # the table itself

    assert {Fault.parse(text).kind for text in (*FAULTS, EMPTY_PAGE, CYCLE)} - {None} == KINDS - {"duplicate-row"}
