"""Prefetcher: fetches the pages of one walk, each requested while the caller still works on the one before it.

A caller that is faster than the server waits for every page. There, one task goes on from page to page: in the step in
which it hands a page over it sends the request for the next, so that costs no task and no turn of the event loop. A
caller that is slower finds its page ready, and the next one is requested by a task of its own. Where nothing is to be
requested ahead the caller's own task fetches each page.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import Context, copy_context
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from amili_async.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Callable

    from amili_async._lists.page_fetcher import DecodeWindow, FetchedPage, PageFetcher

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """The requests of one walk: never more than one at a time, and at most one page ahead."""

    def __init__(self, listing: PageFetcher[T], follow: Callable[[FetchedPage[T]], str | None]) -> None:
        self._listing = listing
        self._follow = follow
        """Says which page to request while the caller works on this one; ``None`` for none."""
        self.window: DecodeWindow | None = None
        """What a page enters before it is read where nothing is requested ahead: one that many walks share."""
        self._handover = listing.sent_signal()
        self._task: asyncio.Task[FetchedPage[T] | None] | None = None
        self._asked: asyncio.Future[FetchedPage[T] | None] | None = None
        """Where a caller waits for the page that is due."""
        self._context = Context()
        """What that caller had set in its context when it asked."""
        self._generation = 0
        """Of the task that may answer it: one that was stopped ends a turn later, when another may wait already."""
        self._caller: asyncio.Task[Any] | None = None
        """The one that fetches a page itself."""
        self._left: asyncio.Future[None] | None = None
        """Where whoever stops it waits until it has let go of its request."""
        self._closed = False
        self._ending: asyncio.Task[FetchedPage[T] | None] | None = None
        """What was stopped last: it takes some turns to end."""

    async def page(self, token: str | None, *, ahead: bool = True) -> FetchedPage[T] | None:
        """Return the page of this token, with the request for the next one on the wire; ``None`` once stopped.

        Without ``ahead`` nothing is requested for the page behind it.

        Raises:
            AmiliError: whatever the page's own request ended with.
        """
        if self._closed:
            return None
        task, loaded = self._task, None
        if task is not None and task.done():
            self._task = None
            # The time that passed while the caller worked counts for no deadline: such a page is asked for again.
            with suppress(DeadlineExceededError):
                loaded = task.result()
        if loaded is None:
            if not ahead and self._task is None:
                return await self._fetch_here(token)
            loaded = await self._arrival(token)
        elif (following := self._follow(loaded)) is not None:
            self._start(following)
        await self._on_the_wire()
        return loaded

    async def close(self) -> None:
        """Stop for good."""
        self._closed = True
        await self.stop()

    async def stop(self) -> None:
        """End the request under way, and the wait for it."""
        asked, task, self._task = self._asked, self._task, None
        self._generation += 1
        if asked is not None and not asked.done():
            asked.set_result(None)
        if self._caller is not None and self._left is None:
            self._left = self._loop.create_future()
            self._caller.cancel()
        if task is not None:
            # Before the wait, which may be cancelled itself.
            task.add_done_callback(_look_at)
            task.cancel()
            self._ending = task
        if self._left is not None:
            await asyncio.wait({self._left})
        if self._ending is not None:  # maybe since another has stopped it, or who did so was cancelled
            await asyncio.wait({self._ending})
            self._ending = None

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """The loop of this walk, asked for once: in CPython 3.11 that is a system call."""
        return asyncio.get_running_loop()

    def _start(self, token: str | None) -> None:
        self._handover.done = False
        self._generation += 1
        self._task = asyncio.create_task(self._fetch(token, self._generation), name="amili page")

    async def _arrival(self, token: str | None) -> FetchedPage[T] | None:
        self._context = copy_context()
        asked: asyncio.Future[FetchedPage[T] | None] = self._loop.create_future()
        self._asked = asked
        if self._task is None:
            self._start(token)  # after there is one who asks: an eager task may end here and now
        try:
            return await asked
        finally:
            self._asked = None
            if asked.done():
                _look_at(asked)

    async def _fetch_here(self, token: str | None) -> FetchedPage[T] | None:
        """Fetch a page in the caller's own task; ``None`` where it was stopped meanwhile."""
        caller = asyncio.current_task(self._loop)
        before = 0 if caller is None else caller.cancelling()
        self._caller = caller
        try:
            if self.window is not None:
                return await self._listing.fetch_within(token, self.window)
            return await self._listing.fetch(token)
        except asyncio.CancelledError:
            # One that is cancelled by somebody else too is cancelled, not stopped.
            if self._left is None or caller is None or caller.uncancel() > before:
                raise
            return None
        finally:
            self._caller = None
            if self._left is not None:
                self._left.set_result(None)
                self._left = None

    async def _fetch(self, token: str | None, generation: int) -> FetchedPage[T] | None:
        """Fetch pages as long as a caller waits for them; return one that nobody waits for."""
        while True:
            try:
                loaded = await self._listing.fetch(token, self._handover)
            except BaseException as error:
                asked = self._waiting(generation)
                if asked is None:
                    raise
                if not isinstance(error, Exception):
                    asked.cancel()
                    raise
                asked.set_exception(error)
                return None
            asked = self._waiting(generation)
            if asked is None:
                return loaded
            token = self._follow(loaded)
            asked.set_result(loaded)
            # A page is the caller's alone from here on: it is let go when the caller lets it go.
            self._asked = None
            del loaded, asked
            if token is None:
                return None
            self._handover.done = False
            self._take_context()

    def _waiting(self, generation: int) -> asyncio.Future[FetchedPage[T] | None] | None:
        """Return where a caller waits for what this task has fetched."""
        asked = self._asked
        return None if asked is None or asked.done() or generation != self._generation else asked

    def _take_context(self) -> None:
        """See what the caller has set: a page is requested when the one before it is handed out."""
        for variable, value in self._context.items():
            variable.set(value)

    async def _on_the_wire(self) -> None:
        """Let the event loop run until the request ahead is on the wire.

        A task has not run when it is made. One turn puts its request on a warm connection, a cold one takes some more;
        a caller that never awaits between two pages would otherwise have no overlap at all.
        """
        sent_signal, task = self._handover, self._task
        for _ in range(sent_signal.turns):
            if sent_signal.done or task is None or task.done():
                break
            await asyncio.sleep(0)


def _look_at(ended: asyncio.Future[Any]) -> None:
    """Look at an error that nobody waits for any more, or asyncio reports it as never retrieved."""
    if not ended.cancelled():
        ended.exception()
