"""Sandbox: a whole Amili server in this process."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self

from amili_async.sandbox.access import AccessTokens, Credentials
from amili_async.sandbox.application import Application
from amili_async.sandbox.armed import Faults
from amili_async.sandbox.listener import Listener
from amili_async.sandbox.log import RequestLog
from amili_async.sandbox.pages import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, Pages
from amili_async.sandbox.paging import PageTokens
from amili_async.sandbox.population import Population
from amili_async.sandbox.reads import BatchReads
from amili_async.sandbox.routing import API_ROOT, AUTOCOLLECT_ROOT, TOKEN_PATH, Router
from amili_async.sandbox.shapes import GENERATIONS
from amili_async.sandbox.wire import Server
from amili_async.sandbox.world import World, check_size

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from amili_async.sandbox.faults import Fault
    from amili_async.sandbox.shapes import Generation, LastPage
    from amili_async.sandbox.world import Order


class Sandbox:
    """A server of the Collection API with made-up data: ``async with`` serves in this loop, ``with`` in a thread.

    ``organizations`` × ``batches`` are seeded, each batch with 1 to 2 × ``entries`` entries; the same ``seed`` gives the
    same data. ``latency`` (seconds) comes before every answer. Lists are newest first unless ``order`` says otherwise.
    """

    def __init__(
        self,
        *,
        organizations: int = 20,
        batches: int = 500,
        entries: int = 12,
        seed: int = 1,
        generation: Generation = "G3",
        latency: float = 0.0,
        host: str = "127.0.0.1",
        port: int = 0,
        page_size: int = DEFAULT_PAGE_SIZE,
        max_page_size: int = MAX_PAGE_SIZE,
        last_page: LastPage = "absent",
        order: Order = "newest",
        heeds_sort: bool = True,
        page_token_lifetime: float | None = None,
        token_lifetime: float = 3600,
        token_members: Mapping[str, object] | None = None,
        routes: Mapping[str, str] | None = None,
        log_limit: int | None = None,
        keep_bytes: int = 64 * 2**20,
        clock: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        check_size(organizations, batches, entries)
        if generation not in GENERATIONS:
            raise ValueError(f"generation must be one of {', '.join(GENERATIONS)}, not {generation!r}")
        self.generation: Generation = generation
        self.credentials = Credentials(f"sandbox-{seed}", f"sandbox-secret-{seed}")
        self.requests = RequestLog(log_limit)
        self.faults = Faults(seed, self._refuse)
        self._host = host
        population = Population(seed=seed, organizations=organizations, batches=batches, entries=entries)
        self._world = World(population, order=order, clock=clock)
        self.organization_ids = [organization.id for organization in self._world.organizations]
        """The ids of all organizations."""
        self._access = AccessTokens(
            self.credentials, seed=seed, lifetime=token_lifetime, members=token_members or {}, clock=clock
        )
        self._page_tokens = PageTokens(seed=seed, lifetime=page_token_lifetime)
        pages = Pages(
            self._page_tokens,
            page_size=page_size,
            max_page_size=max_page_size,
            generation=generation,
            last_page=last_page,
        )
        batch_reads = BatchReads(
            self._world, pages, generation=generation, heeds_sort=heeds_sort, newest_first=order != "oldest"
        )
        application = Application(
            world=self._world,
            access=self._access,
            router=Router(generation, routes),
            handlers={
                "batches.list": batch_reads.list,
                "batches.list_all": batch_reads.list_all,
                "batches.get": batch_reads.get,
                "batches.get_by_id": batch_reads.get_by_id,
            },
            log=self.requests,
            faults=self.faults,
            page_tokens=self._page_tokens,
            clock=clock,
            latency=latency,
            keep=0 if self._page_tokens.mortal else keep_bytes,
        )
        self._listener = Listener(Server(application), host=host, port=port, tls=tls)
        self._scheme = "http" if tls is None else "https"
        self._ended: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    # Where it is

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._listener.port

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{self._scheme}://{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """The API root, as the client's ``base_url`` takes it."""
        return self.origin + API_ROOT

    @property
    def token_url(self) -> str:
        """The token endpoint, as the client's ``token_url`` takes it."""
        return self.origin + TOKEN_PATH

    @property
    def autocollect_url(self) -> str:
        """The root of AutoCollect, as the client's ``autocollect_url`` takes it."""
        return self.origin + AUTOCOLLECT_ROOT

    # Running

    async def start(self) -> None:
        """Listen in the running loop."""
        await self._listener.start()
        for fault in self.faults:
            if fault.kind == "refuse":
                self._refuse(fault)

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        await self._listener.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        ready: Future[asyncio.AbstractEventLoop] = Future()

        async def serve() -> None:
            self._ended = asyncio.Event()
            try:
                await self.start()
            except BaseException as error:  # noqa: BLE001  # handed to the thread that waits for it
                ready.set_exception(error)
                return
            ready.set_result(asyncio.get_running_loop())
            await self._ended.wait()
            await self.stop()

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), name="amili sandbox", daemon=True)
        self._thread.start()
        self._loop = ready.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._thread is not None and self._ended is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join()
            self._thread = None

    def _refuse(self, fault: Fault | None) -> None:
        """Refuse connections from here on; with ``None``, take them again."""
        if fault is None:
            self._listener.accept()
            return
        self._listener.refuse()
        if fault.seconds is not None:
            self._listener.later(fault.seconds, lambda: self.faults.remove(fault))

    # Acting on it

    def issue_token(self) -> str:
        """Return a token that is in force, for clients that have no use for the token endpoint."""
        return self._access.issue()

    def revoke_tokens(self) -> None:
        """Refuse every token given out so far."""
        self._access.revoke()

    def expire_page_tokens(self) -> None:
        """Refuse every page token written so far."""
        self._page_tokens.expire()
        self._world.touch()
