"""An asyncio client for the Amili Collection API: streaming pagination, honest errors, bulk sync."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amili_async import webhooks
    from amili_async.auth import ClientCredentials, TokenProvider
    from amili_async.client import AmiliClient
    from amili_async.cursor import Cursor
    from amili_async.errors import (
        AmiliError,
        AmiliWarning,
        APIError,
        BadRequestError,
        ClientClosedError,
        ConfigurationError,
        ConflictError,
        ConnectError,
        DeadlineExceededError,
        DecodeError,
        ForbiddenError,
        LockedError,
        NotFoundError,
        OutcomeUnknownError,
        PaginationLoopError,
        RateLimitedError,
        ServerError,
        StoreError,
        TokenError,
        TransportError,
        UnauthorizedError,
        UnconfirmedRouteWarning,
        UnprocessableError,
        WebhookVerificationError,
        WrongLoopError,
    )
    from amili_async.events import Drift, QuarantinedRow
    from amili_async.models.accepted import Accepted
    from amili_async.models.batches import Batch, BatchState, BatchType
    from amili_async.models.encoding import encode
    from amili_async.models.entries import FailedEntry, InvoiceSuccess, SucceededEntry, UnknownEntry
    from amili_async.models.envelope import Summary
    from amili_async.options import Timeout
    from amili_async.pagination import Page, Pager
    from amili_async.retry import RetryPolicy

__all__ = [
    "APIError",
    "Accepted",
    "AmiliClient",
    "AmiliError",
    "AmiliWarning",
    "BadRequestError",
    "Batch",
    "BatchState",
    "BatchType",
    "ClientClosedError",
    "ClientCredentials",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "Cursor",
    "DeadlineExceededError",
    "DecodeError",
    "Drift",
    "FailedEntry",
    "ForbiddenError",
    "InvoiceSuccess",
    "LockedError",
    "NotFoundError",
    "OutcomeUnknownError",
    "Page",
    "Pager",
    "PaginationLoopError",
    "QuarantinedRow",
    "RateLimitedError",
    "RetryPolicy",
    "ServerError",
    "StoreError",
    "SucceededEntry",
    "Summary",
    "Timeout",
    "TokenError",
    "TokenProvider",
    "TransportError",
    "UnauthorizedError",
    "UnconfirmedRouteWarning",
    "UnknownEntry",
    "UnprocessableError",
    "WebhookVerificationError",
    "WrongLoopError",
    "encode",
    "webhooks",
]

_HOMES = {
    "auth": ("ClientCredentials", "TokenProvider"),
    "client": ("AmiliClient",),
    "cursor": ("Cursor",),
    "events": ("Drift", "QuarantinedRow"),
    "models.accepted": ("Accepted",),
    "models.batches": ("Batch", "BatchState", "BatchType"),
    "models.encoding": ("encode",),
    "models.entries": ("FailedEntry", "InvoiceSuccess", "SucceededEntry", "UnknownEntry"),
    "models.envelope": ("Summary",),
    "options": ("Timeout",),
    "pagination": ("Page", "Pager"),
    "retry": ("RetryPolicy",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: importing the package costs next to nothing."""
    if name == "webhooks":
        return import_module("amili_async.webhooks")
    if name not in __all__:
        raise AttributeError(f"module 'amili_async' has no attribute {name!r}")
    value: object = getattr(import_module(f"amili_async.{_HOME.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
