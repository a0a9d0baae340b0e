"""Sandbox: a whole Amili server in this process."""

from __future__ import annotations

import asyncio
import re
import threading
import time
import warnings
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self, get_args

from amili_async.sandbox._access import AccessTokens, Credentials
from amili_async.sandbox._application import Application
from amili_async.sandbox._autocollect import AutoCollect
from amili_async.sandbox._collection import Collection
from amili_async.sandbox._fault_injector import FaultInjector, Faults
from amili_async.sandbox._handlers import handlers
from amili_async.sandbox._http_server import Server
from amili_async.sandbox._listener import Listener
from amili_async.sandbox._log import RequestLog
from amili_async.sandbox._pages import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, Pages, PageTokens
from amili_async.sandbox._reads import BatchReads, CollectionReads
from amili_async.sandbox._recorded import Recording
from amili_async.sandbox._requests import API_ROOT, AUTOCOLLECT_ROOT, TOKEN_PATH, Router
from amili_async.sandbox._seed_data import FailedItem, Organization, SeedData
from amili_async.sandbox._shapes import GENERATIONS, Dialect, LastPage
from amili_async.sandbox._state import Order, State, check_size
from amili_async.sandbox._webhooks import Webhooks, hmac_sha256
from amili_async.sandbox._writes import Writes

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from amili_async.sandbox._faults import Fault
    from amili_async.sandbox._shapes import Generation


class Sandbox:
    """A server of the Collection API with made-up data: ``async with`` serves in this loop, ``with`` in a thread.

    It says what the public pages document, and what is inferred from them, and nothing else: a client that knows them
    meets no drift. ``undocumented`` adds members, values and types behind the places where the pages break off, made up
    every one, to see that they are carried. ``strict`` answers 400 to query names that do not exist and to values that
    cannot be, also where no page prints that; else such a name or value is as if it were not there.

    Data: ``organizations`` with ``batches`` each, each batch with 1 to twice ``entries`` entries, the same for the same
    ``seed``. Lists are newest first unless ``order`` says otherwise; ``heeds_sort=False`` makes a server that ignores
    ``SortDirection``. ``last_page`` is how a list's end is marked.

    Time, in seconds: ``latency`` before every answer; ``token_lifetime``; ``page_token_lifetime`` (``None``: for ever);
    ``finish_after`` is how long a written batch stays queued (``None``: until `finish`), ``finish_polls`` ends it after
    so many looks at it instead. ``clock`` tells the Unix time.

    ``token_members`` are put into the token endpoint's answer over its own; ``None`` leaves a member out. ``routes``
    gives operations other paths. ``heeds_idempotency_key`` answers a repeated write with the first one's batch. Events
    go to ``webhook_url``, signed with ``webhook_secret`` or by ``webhook_sign``, which is given the body and returns
    headers. ``recorded`` is a folder that ``amili probe --record`` wrote: its answers are served in place of made-up
    data, so that a server's real shapes come into your tests. ``log_limit`` bounds the request log, ``keep_bytes`` what
    rendered pages may take.
    """

    def __init__(
        self,
        *,
        organizations: int = 20,
        batches: int = 500,
        entries: int = 12,
        seed: int = 1,
        generation: Generation = "G3",
        undocumented: bool = False,
        strict: bool = False,
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
        finish_after: float | None = 0.5,
        finish_polls: int | None = None,
        heeds_idempotency_key: bool = False,
        webhook_url: str | None = None,
        webhook_secret: str | bytes = "sandbox webhook secret",  # noqa: S107  # the sandbox is not secret
        webhook_sign: Callable[[bytes], Mapping[str, str]] | None = None,
        log_limit: int | None = None,
        keep_bytes: int = 64 * 2**20,
        clock: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
        recorded: str | os.PathLike[str] | None = None,
    ) -> None:
        check_size(organizations, batches, entries)
        for name, value, least in (
            ("seed", seed, -(2**63)),
            ("page_size", page_size, 1),
            ("max_page_size", max_page_size, 1),
            ("port", port, 0),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
                raise ValueError(
                    f"{name} must be a whole number{f' of at least {least}' if least >= 0 else ''}, not {value!r}"
                )
        if isinstance(latency, bool) or not isinstance(latency, int | float) or latency < 0:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
            raise ValueError(f"latency must be a number of seconds, such as 0.02, not {latency!r}")
        for name, chosen, choices in (("last_page", last_page, get_args(LastPage)), ("order", order, get_args(Order))):
            if chosen not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, not {chosen!r}")
        if webhook_url is not None and not re.match(r"https?://[^/]", webhook_url):
            raise ValueError(
                f"webhook_url must be a URL such as http://127.0.0.1:8000/amili/webhooks, not {webhook_url!r}"
            )
        if not webhook_secret:
            raise ValueError("webhook_secret must not be empty")
        if generation not in GENERATIONS:
            raise ValueError(f"generation must be one of {', '.join(GENERATIONS)}, not {generation!r}")
        if host not in {"localhost", "::1"} and not host.startswith("127."):
            warnings.warn(
                f"the sandbox listens at {host}: whoever reaches this machine gets its tokens and may change what it "
                "serves; host='127.0.0.1' keeps it to this machine",
                stacklevel=2,
            )
        self.generation: Generation = generation
        dialect = Dialect(generation, undocumented)
        self.credentials: Credentials = Credentials(f"sandbox-{seed}", f"sandbox-secret-{seed}")
        self.requests: RequestLog = RequestLog(log_limit)
        """What was asked, in order."""
        self.faults: Faults = Faults(seed, self._refuse)
        """What goes wrong."""
        seed_data = SeedData(seed=seed, organizations=organizations, batches=batches, entries=entries)
        self._newest_first = order != "oldest"
        self._state = state = State(seed_data, order=order, clock=clock)
        recording = None if recorded is None else Recording(recorded)
        self.organization_ids: list[str] = (
            [organization.id for organization in state.organizations]
            if recording is None
            else recording.organization_ids
        )
        """The ids of all organizations."""
        self.webhooks: Webhooks = Webhooks(
            webhook_url,
            sign=webhook_sign or hmac_sha256(webhook_secret),
            identifiers=seed_data.identifiers,
            dialect=dialect,
            clock=clock,
        )
        """The events: those sent, and how they were taken."""
        self._access = AccessTokens(
            self.credentials, seed=seed, lifetime=token_lifetime, members=token_members or {}, clock=clock
        )
        self._page_tokens = PageTokens(seed=seed, lifetime=page_token_lifetime)
        collection = Collection(state, undocumented=undocumented)
        pages = Pages(
            self._page_tokens,
            page_size=page_size,
            max_page_size=max_page_size,
            dialect=dialect,
            last_page=last_page,
        )
        application = Application(
            state=state,
            access=self._access,
            router=Router(generation, routes),
            handlers=recording.handlers()
            if recording is not None
            else handlers(
                state,
                dialect=dialect,
                batches=BatchReads(
                    state, pages, dialect=dialect, heeds_sort=heeds_sort, newest_first=self._newest_first
                ),
                collection=CollectionReads(state, collection, pages, dialect=dialect),
                writes=Writes(
                    state,
                    collection,
                    generation=generation,
                    api_root=lambda: self.base_url,
                    heeds_idempotency_key=heeds_idempotency_key,
                    finish_after=finish_after,
                    finish_polls=finish_polls,
                    on_case=self.webhooks.case,
                    on_settlement=self.webhooks.settlement_created,
                ),
                autocollect=AutoCollect(state, collection, undocumented=undocumented),
            ),
            log=self.requests,
            fault_injector=FaultInjector(self.faults, access=self._access, page_tokens=self._page_tokens, clock=clock),
            clock=clock,
            latency=latency,
            strict=strict,
            keep=0 if self._page_tokens.mortal else keep_bytes,
        )
        self._scheme = "http" if tls is None else "https"
        self._host = host
        self._listener = Listener(Server(application), host=host, port=port, tls=tls)
        self._thread: threading.Thread | None = None
        self._end: Callable[[], object] | None = None
        state.on_finished = self.webhooks.batch_completed
        # Events of finished batches are to go out even if nobody asks for anything meanwhile.
        state.on_due = lambda instant: self._listener.later(max(0.0, instant - clock()), state.finish_due)

    def __repr__(self) -> str:
        return f"<Sandbox {self.base_url} {self.requests!r}>"

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
        """Serve in the running loop.

        Raises:
            RuntimeError: it is being served already.
            OSError: the port is taken.
        """
        await self._listener.start()
        self.webhooks.start()
        for fault in self.faults:
            if fault.kind == "refuse":
                self._refuse(fault)

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        await self.webhooks.stop()
        await self._listener.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        running: Future[Callable[[], object]] = Future()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(running)), name="amili sandbox", daemon=True)
        thread.start()
        self._end = running.result()
        self._thread = thread
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._thread is not None and self._end is not None:
            self._end()
            self._thread.join()
            self._thread = self._end = None

    async def _serve(self, running: Future[Callable[[], object]]) -> None:
        """Serve in a thread of its own until told to end."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        try:
            await self.start()
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits for it
            running.set_exception(error)
            return
        running.set_result(lambda: loop.call_soon_threadsafe(ended.set))
        await ended.wait()
        await self.stop()

    def _refuse(self, fault: Fault | None) -> None:
        """Refuse connections from here on; with ``None``, take them again."""
        if fault is None:
            self._listener.accept()
            return
        self._listener.refuse()
        if fault.seconds is not None:
            self._listener.later(fault.seconds, lambda: self.faults.remove(fault))

    # Acting on it, from any thread

    def issue_token(self) -> str:
        """Return a token that is in force, for clients that have no use for the token endpoint."""
        return self._access.issue()

    def limited_credentials(self, organization_ids: Iterable[str]) -> Credentials:
        """Return credentials of one creditor among several: they reach these organizations, and get 403 for others."""
        return self._access.limit(organization_ids)

    def revoke_tokens(self) -> None:
        """Refuse every access token given out so far."""
        self._access.revoke()

    def expire_page_tokens(self) -> None:
        """Refuse every page token written so far."""
        self._page_tokens.expire()
        self._state.touch()

    def batch_ids(self, organization_id: str | None = None, *, listed: bool = False) -> list[str]:
        """Return the ids of an organization's batches (by default the first one's), in the order of their making.

        With ``listed``, in the order in which a list without ``SortDirection`` gives them.
        """
        organization = self._organization(organization_id)
        numbers = range(self._state.length(organization))
        in_order = self._state.sequences(organization, descending=self._newest_first, after=None) if listed else numbers
        return [self._state.batch(organization, number).id for number in in_order]

    def add_batch(
        self,
        organization_id: str | None = None,
        *,
        type: str = "INVOICE",
        state: str | None = None,
        entries: int = 1,
        failures: int = 0,
        idempotency_key: str | None = None,
        created_at: float | None = None,
    ) -> str:
        """Add a batch after all others of an organization (by default the first) and return its id.

        ``state`` is what entries and failures make it, or ``QUEUED`` for one that waits for `finish`; ``created_at`` is
        in Unix seconds, now by default.
        """
        organization = self._organization(organization_id)
        with self._state.lock:
            batch = self._state.add_batch(
                organization,
                type=type,
                state=state,
                succeeded=[
                    self._state.invoice_success(organization, self._state.length(organization), entry)
                    for entry in range(entries)
                ],
                failed=[FailedItem(entries + number, f"F-{number}", "refused") for number in range(failures)],
                idempotency_key=idempotency_key,
                created_at=None if created_at is None else int(created_at * 1000),
            )
        return batch.id

    def finish(self, batch_id: str, state: str | None = None) -> None:
        """End a queued batch: with what becomes of its entries, or in the state given.

        Raises:
            LookupError: there is no such batch.
        """
        batch = self._state.find_batch(batch_id)
        if batch is None:
            raise LookupError(f"no batch {batch_id} in this sandbox")
        self._state.finish(batch, state)

    def _organization(self, organization_id: str | None) -> Organization:
        if organization_id is None:
            return self._state.organizations[0]
        organization = self._state.organization(organization_id)
        if organization is None:
            raise LookupError(f"no organization {organization_id} in this sandbox")
        return organization
