"""`VirtualLoop` on uvloop: its own sockets, handles and turns, and timers on which waiting takes no time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
import socket
from typing import TYPE_CHECKING, Any

import uvloop

from amili_async.sandbox import VirtualClock
from tests.support.virtual_time import START, UNIX_START

if TYPE_CHECKING:
    from contextvars import Context


QUIET = 0.001
"""Real seconds between two looks."""

LOOKS = 10
"""Looks in a row that find nothing asked for, before time jumps: a new connection and an answer take five or six."""


class VirtualUVLoop(uvloop.Loop):
    """Jumps to the next timer once nothing happens any more.

    uvloop's selector is out of reach, so idleness is seen from beside: between two looks nobody has asked for a turn.
    A look sends a byte through the machine's own network and ends with its arrival. On one processor packets arrive in
    the order in which they were sent, so however busy the machine is, what was sent before has arrived too. A loop that
    has no socket and no thread has none to wait for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock(auto=False, start=START, unix_time=UNIX_START)
        self._due: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self._asked = self._seen = self._quiet = 0
        self._threads = 0
        """Calls in threads that have not come back."""
        self._probe: tuple[socket.socket, socket.socket] | None = None
        """Both ends of a connection, from when on anything goes over the network."""
        self._processors = os.sched_getaffinity(0)
        """Those that this thread may run on but for this loop."""
        super().call_soon(self._look)

    def close(self) -> None:
        ends, self._probe = self._probe, None
        os.sched_setaffinity(0, self._processors)
        super().close()
        for end in ends or ():
            end.close()

    def time(self) -> float:
        return self.clock.monotonic()

    def call_soon(self, callback: Any, *arguments: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]  # typeshed ties callback and arguments together
        self._asked += 1
        return super().call_soon(callback, *arguments, context=context)

    def call_soon_threadsafe(self, callback: Any, *arguments: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]  # the same
        self._asked += 1
        return super().call_soon_threadsafe(callback, *arguments, context=context)

    def call_later(self, delay: float, callback: Any, *arguments: Any, context: Context | None = None) -> Any:  # type: ignore[override]  # the same
        return self.call_at(self.time() + delay, callback, *arguments, context=context)

    def call_at(self, when: float, callback: Any, *arguments: Any, context: Context | None = None) -> Any:  # type: ignore[override]  # the same
        if when - self.time() < 0.0005:  # what uvloop itself makes of the shortest delays: a handle without `when()`
            return self.call_soon(callback, *arguments, context=context)
        handle = asyncio.TimerHandle(when, callback, arguments, self, context)
        heapq.heappush(self._due, (when, next(self._numbers), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: it stays until its time comes."""

    # What others than this loop have a part in

    async def create_connection(self, *arguments: Any, **options: Any) -> Any:
        self._use_network()
        return await super().create_connection(*arguments, **options)

    async def create_server(self, *arguments: Any, **options: Any) -> Any:
        self._use_network()
        return await super().create_server(*arguments, **options)

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        self._use_network()
        await super().sock_connect(sock, address)

    def run_in_executor(self, executor: Any, func: Any, *arguments: Any) -> Any:  # type: ignore[override]  # typeshed ties function and arguments together
        self._threads += 1
        future: Any = super().run_in_executor(executor, func, *arguments)
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, _: object) -> None:
        self._threads -= 1

    def _use_network(self) -> None:
        if self._probe is not None:
            return
        with socket.create_server(("127.0.0.1", 0)) as listener:
            near = socket.create_connection(listener.getsockname())
            far, _ = listener.accept()
        far.settimeout(0)
        self._probe = near, far
        os.sched_setaffinity(0, {sorted(self._processors)[os.getpid() % len(self._processors)]})
        super().add_reader(far.fileno(), self._arrived)

    # Looks

    def _look(self) -> None:
        if self._probe is not None:
            self._probe[0].send(b"?")
        else:
            self._note()

    def _arrived(self) -> None:
        if self._probe is not None:
            self._probe[1].recv(1)
            self._note()

    def _note(self) -> None:
        """End a look, and have the next one follow."""
        networked = self._probe is not None or self._threads > 0
        self._quiet = self._quiet + 1 if self._seen == self._asked and not self._threads else 0
        self._seen = self._asked
        if self._quiet == (LOOKS if networked else 1):
            self._quiet = 0
            networked = self._jump() or networked
        if networked:
            super().call_later(QUIET, self._look)
        else:
            super().call_soon(self._look)

    def _jump(self) -> bool:
        """Move the clock on to what comes first, a timer or a sleeper; return whether there was nothing."""
        while self._due and self._due[0][2].cancelled():
            heapq.heappop(self._due)
        first = min(self._due[0][0] if self._due else float("inf"), self.clock.next_due)
        if first < float("inf"):
            self.clock.advance(max(0.0, first - self.time()))
        while self._due and self._due[0][0] <= self.time():
            _, _, handle = heapq.heappop(self._due)
            if not handle.cancelled():
                self.call_soon(handle._run)
        return first == float("inf")
