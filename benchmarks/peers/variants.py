"""This client with one layer turned off or on: what the layers are measured with."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from amili_async import AmiliClient
from benchmarks.peers.ours import PaymentSuccess
from benchmarks.server import TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from amili_async.events import (
        AttemptEnded,
        CallEnded,
        CallStarted,
        Drift,
        GateClosed,
        QuarantinedRow,
        RetryPlanned,
        TokenRequested,
    )
    from benchmarks.peers.peer import Walk


class Listener:
    """A hook that wants to know everything and does nothing with it."""

    def on_call_start(self, record: CallStarted) -> None: ...

    def on_attempt(self, record: AttemptEnded) -> None: ...

    def on_retry(self, record: RetryPlanned) -> None: ...

    def on_gate(self, record: GateClosed) -> None: ...

    def on_token(self, record: TokenRequested) -> None: ...

    def on_call(self, record: CallEnded) -> None: ...

    def on_drift(self, record: Drift) -> None: ...

    def on_quarantine(self, record: QuarantinedRow) -> None: ...


class CallListener:
    """A hook for metrics: one record a call."""

    def on_call(self, record: CallEnded) -> None: ...


def _items(amili: AmiliClient, *, prefetch: bool = True) -> Walk:
    async def walk(organization_ids: Sequence[str], _concurrency: int) -> int:
        entries = 0
        for organization_id in organization_ids:
            async for batch in amili.batches.list(organization_id, prefetch=prefetch):
                entries += len(batch.succeeded)
        return entries

    return walk


def _pages(amili: AmiliClient, *, prefetch: bool) -> Walk:
    async def walk(organization_ids: Sequence[str], _concurrency: int) -> int:
        entries = 0
        for organization_id in organization_ids:
            async for page in amili.batches.list(organization_id, prefetch=prefetch).pages():
                for batch in page.items:
                    entries += len(batch.succeeded)
        return entries

    return walk


def _client(base_url: str, *hooks: object) -> AmiliClient:
    return AmiliClient(TOKEN, base_url=base_url, entry_types=(PaymentSuccess,), hooks=hooks)


@asynccontextmanager
async def items(base_url: str) -> AsyncGenerator[Walk, None]:
    """Everything as it comes."""
    async with _client(base_url) as amili:
        yield _items(amili)


@asynccontextmanager
async def without_prefetch(base_url: str) -> AsyncGenerator[Walk, None]:
    """Each page is asked for when it is due."""
    async with _client(base_url) as amili:
        yield _items(amili, prefetch=False)


@asynccontextmanager
async def pages(base_url: str) -> AsyncGenerator[Walk, None]:
    """Pages in place of items."""
    async with _client(base_url) as amili:
        yield _pages(amili, prefetch=True)


@asynccontextmanager
async def pages_without_prefetch(base_url: str) -> AsyncGenerator[Walk, None]:
    """The least that the public API does for a list."""
    async with _client(base_url) as amili:
        yield _pages(amili, prefetch=False)


@asynccontextmanager
async def without_deadline(base_url: str) -> AsyncGenerator[Walk, None]:
    """No deadline over the attempts; each attempt keeps its own timeout."""
    async with _client(base_url) as amili:
        yield _items(amili.with_options(deadline=None))


class _NoLimits:
    """A gate that nothing closes, no pace, and slots that never run out."""

    def take(self) -> bool:
        return True

    def release(self) -> None: ...

    def accepted(self, sent: float, headers: object) -> None: ...


class _NoScope:
    """A wait that no timer ends."""

    expired = stalled = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def reschedule(self, seconds: float | None) -> None: ...


class _NoTimers:
    """Timers that never go off."""

    def scope(self, _seconds: float | None) -> _NoScope:
        return _NoScope()

    def cancel_all(self) -> None: ...

    def __len__(self) -> int:
        return 0


@asynccontextmanager
async def without_gate(base_url: str) -> AsyncGenerator[Walk, None]:
    """No gate and no limit of requests in flight."""
    async with _client(base_url) as amili:
        transport: Any = amili._caller.transport  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # no user can take a layer out
        transport.limits = _NoLimits()
        yield _items(amili)


@asynccontextmanager
async def without_timers(base_url: str) -> AsyncGenerator[Walk, None]:
    """Neither a deadline nor a timeout of attempts."""
    async with _client(base_url) as amili:
        transport: Any = amili._caller.transport  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # no user can take a layer out
        transport._timeouts = _NoTimers()  # noqa: SLF001  # the same
        yield _items(amili)


@asynccontextmanager
async def call_hook(base_url: str) -> AsyncGenerator[Walk, None]:
    """One hook that gets a record of each call."""
    async with _client(base_url, CallListener()) as amili:
        yield _items(amili)


@asynccontextmanager
async def every_hook(base_url: str) -> AsyncGenerator[Walk, None]:
    """One hook that gets every record, drift included."""
    async with _client(base_url, Listener()) as amili:
        yield _items(amili)


@asynccontextmanager
async def debug_log(base_url: str) -> AsyncGenerator[Walk, None]:
    """The log at DEBUG, into nothing."""
    logger = logging.getLogger("amili_async")
    logger.addHandler(logging.NullHandler())
    logger.setLevel(logging.DEBUG)
    async with _client(base_url) as amili:
        yield _items(amili)


@asynccontextmanager
async def traced(base_url: str) -> AsyncGenerator[Walk, None]:
    """The OpenTelemetry hook, with a tracer that records and exports nowhere."""
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  # of the `dev` extra

    from amili_async.integrations.opentelemetry import OpenTelemetryHook  # noqa: PLC0415  # of the `otel` extra

    async with _client(base_url, OpenTelemetryHook(tracer_provider=TracerProvider())) as amili:
        yield _items(amili)
