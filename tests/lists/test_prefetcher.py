from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from amili_async._lists.prefetcher import Prefetcher
from amili_async._upstream.aiohttp import RequestSentSignal
from amili_async.errors import DeadlineExceededError
from tests.support.turns import running, turns


class Pages:
    """Stands in for a listing: pages that arrive when they are let, and who asked for them."""

    def __init__(self, *, last: str = "never") -> None:
        self.last = last
        self.requested: list[str | None] = []
        self.by: list[asyncio.Task[Any] | None] = []
        self.may_arrive = asyncio.Semaphore(0)
        self.error: BaseException | None = None

    async def fetch(self, token: str | None, sent_signal: RequestSentSignal | None = None) -> str:
        self.requested.append(token)
        self.by.append(asyncio.current_task())
        if sent_signal is not None:
            sent_signal.done = True
        await self.may_arrive.acquire()
        if self.error is not None:
            raise self.error
        return token or "first"

    def sent_signal(self) -> RequestSentSignal:
        return RequestSentSignal(8)

    def follow(self, page: str) -> str | None:
        return None if page == self.last else f"{page}+"


def ahead_of(pages: Pages) -> Any:
    """Return what fetches these pages; untyped, since they are words and no pages."""
    listing: Any = pages
    follow: Any = pages.follow
    return Prefetcher[Any](listing, follow)


async def test_a_caller_that_waits_for_each_page_costs_one_task_for_all_of_them() -> None:
    pages = Pages()
    ahead = ahead_of(pages)
    token: str | None = None
    for _ in range(5):
        pages.may_arrive.release()
        token = pages.follow(await ahead.page(token))
    assert len(pages.requested) == 6
    assert len(set(pages.by)) == 1
    await ahead.stop()


async def test_the_next_request_is_out_before_the_caller_that_waited_has_its_turn() -> None:
    pages = Pages()
    ahead = ahead_of(pages)
    waiting = asyncio.create_task(ahead.page(None))
    seen: list[int] = []
    waiting.add_done_callback(lambda _: seen.append(len(pages.requested)))
    await turns(5)
    pages.may_arrive.release()
    await waiting
    await turns(1)
    assert seen == [2]
    await ahead.stop()


async def test_a_caller_at_work_finds_its_page_ready_and_the_next_is_asked_for_when_it_takes_it() -> None:
    pages = Pages()
    ahead = ahead_of(pages)
    pages.may_arrive.release()
    pages.may_arrive.release()
    assert await ahead.page(None) == "first"
    await turns(20)
    assert pages.requested == [None, "first+"]
    assert running() == []
    assert await ahead.page("first+") == "first+"
    assert pages.requested == [None, "first+", "first++"]
    await ahead.stop()


async def test_where_nothing_follows_nothing_is_asked_for_until_the_caller_does() -> None:
    pages = Pages(last="first")
    ahead = ahead_of(pages)
    pages.may_arrive.release()
    assert await ahead.page(None) == "first"
    await turns(5)
    assert (pages.requested, running()) == ([None], [])
    pages.may_arrive.release()
    assert await ahead.page("other") == "other"
    assert pages.requested == [None, "other", "other+"]
    await ahead.stop()


@pytest.mark.parametrize("waiting", [True, False])
async def test_an_error_reaches_the_caller_whether_it_waits_or_not(*, waiting: bool) -> None:
    pages = Pages()
    ahead = ahead_of(pages)
    pages.may_arrive.release()
    await ahead.page(None)
    pages.error = OSError("gone")
    if not waiting:
        pages.may_arrive.release()
        await turns(5)
    asking = asyncio.create_task(ahead.page("first+"))
    await turns(2)
    pages.may_arrive.release()
    with pytest.raises(OSError, match="gone"):
        await asking
    await ahead.stop()


async def test_whoever_ends_the_request_ends_the_wait_for_it_too() -> None:
    pages = Pages()
    ahead = ahead_of(pages)
    asking = asyncio.create_task(ahead.page(None))
    await turns(3)
    (request,) = pages.by
    assert request is not None
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert request.cancelled()


async def test_a_caller_cancelled_as_its_page_arrives_loses_nothing_but_the_page() -> None:
    pages = Pages()
    ahead = ahead_of(pages)
    asking = asyncio.create_task(ahead.page(None))
    await turns(3)
    pages.may_arrive.release()
    await turns(1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await ahead.stop()
    assert running() == []


async def test_an_error_that_a_cancelled_caller_never_sees_is_not_reported_as_forgotten() -> None:
    pages = Pages()
    pages.error = OSError("gone")
    ahead = ahead_of(pages)
    asking = asyncio.create_task(ahead.page(None))
    await turns(3)
    pages.may_arrive.release()
    await turns(1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await ahead.stop()


async def test_stopping_gives_a_waiting_caller_nothing_and_leaves_nothing() -> None:
    pages = Pages()
    ahead = ahead_of(pages)
    await ahead.stop()
    asking = asyncio.create_task(ahead.page(None))
    await turns(3)
    await ahead.stop()
    assert await asking is None
    assert running() == []


async def test_where_nothing_is_asked_for_ahead_the_caller_fetches_its_page_itself() -> None:
    pages = Pages()
    ahead = ahead_of(pages)
    for _ in range(2):
        pages.may_arrive.release()
    assert await ahead.page(None, ahead=False) == "first"
    assert await ahead.page("first+", ahead=False) == "first+"
    assert pages.requested == [None, "first+"]
    assert pages.by == [asyncio.current_task()] * 2


async def test_stopping_ends_the_request_of_a_caller_that_fetches_itself_and_not_the_caller() -> None:
    pages = Pages()
    ahead = ahead_of(pages)
    asking = asyncio.create_task(ahead.page(None, ahead=False))
    await turns(3)
    await asyncio.gather(ahead.stop(), ahead.stop())
    assert await asking is None
    assert not asking.cancelling()
    pages.may_arrive.release()
    assert await ahead.page("again", ahead=False) == "again"


async def test_a_caller_that_fetches_itself_and_is_cancelled_too_is_cancelled() -> None:
    pages = Pages()
    ahead = ahead_of(pages)
    for stopped in (False, True):
        asking = asyncio.create_task(ahead.page(None, ahead=False))
        await turns(3)
        asking.cancel()
        if stopped:
            await ahead.stop()
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_a_deadline_that_passed_while_the_caller_worked_does_not_count() -> None:
    pages = Pages()
    ahead = ahead_of(pages)
    pages.may_arrive.release()
    assert await ahead.page(None) == "first"
    pages.error = DeadlineExceededError("passed")
    pages.may_arrive.release()
    await turns(20)
    pages.error = None
    pages.may_arrive.release()
    assert await ahead.page("first+") == "first+"
    assert pages.requested[:3] == [None, "first+", "first+"]
    await ahead.stop()


async def test_whoever_stops_it_again_waits_too_until_the_request_has_ended() -> None:
    class Lingering(Pages):
        ended = 0

        async def fetch(self, token: str | None, sent_signal: RequestSentSignal | None = None) -> str:
            try:
                return await super().fetch(token, sent_signal)
            finally:
                await turns(5)
                self.ended += 1

    pages = Lingering()
    ahead = ahead_of(pages)
    waiting = asyncio.create_task(ahead.page(None))
    await turns(3)
    first = asyncio.create_task(ahead.stop())
    await turns(2)
    first.cancel()
    await ahead.close()
    assert pages.ended == 1
    assert await waiting is None


async def test_a_request_that_was_stopped_does_not_end_the_wait_of_one_who_asks_before_it_has_ended() -> None:
    pages = Pages()
    ahead = ahead_of(pages)
    pages.may_arrive.release()
    assert await ahead.page(None) == "first"
    stopping = asyncio.create_task(ahead.stop())
    asking = asyncio.create_task(ahead.page("other"))
    await turns(3)
    pages.may_arrive.release()
    assert await asking == "other"
    await stopping
    await ahead.stop()
    assert running() == []


async def test_whoever_asks_after_it_was_closed_gets_nothing_and_requests_nothing() -> None:
    pages = Pages()
    ahead = ahead_of(pages)
    pages.may_arrive.release()
    assert await ahead.page(None) == "first"
    closing = asyncio.create_task(ahead.close())
    asking = asyncio.create_task(ahead.page("first+"))
    assert await asking is None
    await closing
    assert pages.requested == [None, "first+"]
    assert running() == []


if sys.version_info >= (3, 12):

    async def test_a_request_that_fails_where_its_task_is_made_reaches_the_caller() -> None:
        class Refused(Pages):
            async def fetch(self, token: str | None, sent_signal: RequestSentSignal) -> str:  # noqa: ARG002  # refused whatever it is
                raise ValueError("at once")

        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        try:
            with pytest.raises(ValueError, match="at once"):
                await ahead_of(Refused()).page(None)
        finally:
            asyncio.get_running_loop().set_task_factory(None)
