"""An asyncio client for the Amili Collection API: streaming pagination, honest errors, bulk sync."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amili_async import webhooks
    from amili_async._call.auth import ClientCredentials, TokenProvider
    from amili_async._client import AmiliClient
    from amili_async._cursor import Cursor
    from amili_async._lists.pager import Page, Pager
    from amili_async._protocol.options import Timeout
    from amili_async._protocol.retry import RetryPolicy
    from amili_async.errors import (
        AmiliError,
        AmiliWarning,
        APIError,
        BadRequestError,
        ClientClosedError,
        ClusterError,
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
    from amili_async.models._accepted import Accepted
    from amili_async.models._autocollect import (
        AutoCollectBatch,
        AutoCollectCase,
        AutoCollectContact,
        AutoCollectCreditor,
        AutoCollectEvent,
        AutoCollectPaymentDetails,
        AutoCollectSettlement,
    )
    from amili_async.models._batches import Batch, BatchState, BatchType
    from amili_async.models._cases import Case, CaseInvoice, CaseStatus, CaseSubStatus, Debtor, DebtorType
    from amili_async.models._corrections import NewCorrection
    from amili_async.models._encoding import encode
    from amili_async.models._entries import FailedEntry, InvoiceSuccess, SucceededEntry, UnknownEntry
    from amili_async.models._envelope import Summary
    from amili_async.models._invoices import Creditor, Invoice, InvoiceStatus, InvoiceType, NewInvoice
    from amili_async.models._legacy_status import LegacyError, LegacyResponse, LegacyStatus
    from amili_async.models._open_enum import OpenEnum
    from amili_async.models._payments import NewPayment, PaymentType
    from amili_async.models._raw_value import RawValue
    from amili_async.models._settlements import CollectionType, Settlement
    from amili_async.resources import ChunkOutcome

__all__ = [
    "APIError",
    "Accepted",
    "AmiliClient",
    "AmiliError",
    "AmiliWarning",
    "AutoCollectBatch",
    "AutoCollectCase",
    "AutoCollectContact",
    "AutoCollectCreditor",
    "AutoCollectEvent",
    "AutoCollectPaymentDetails",
    "AutoCollectSettlement",
    "BadRequestError",
    "Batch",
    "BatchState",
    "BatchType",
    "Case",
    "CaseInvoice",
    "CaseStatus",
    "CaseSubStatus",
    "ChunkOutcome",
    "ClientClosedError",
    "ClientCredentials",
    "ClusterError",
    "CollectionType",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "Creditor",
    "Cursor",
    "DeadlineExceededError",
    "Debtor",
    "DebtorType",
    "DecodeError",
    "Drift",
    "FailedEntry",
    "ForbiddenError",
    "Invoice",
    "InvoiceStatus",
    "InvoiceSuccess",
    "InvoiceType",
    "LegacyError",
    "LegacyResponse",
    "LegacyStatus",
    "LockedError",
    "NewCorrection",
    "NewInvoice",
    "NewPayment",
    "NotFoundError",
    "OpenEnum",
    "OutcomeUnknownError",
    "Page",
    "Pager",
    "PaginationLoopError",
    "PaymentType",
    "QuarantinedRow",
    "RateLimitedError",
    "RawValue",
    "RetryPolicy",
    "ServerError",
    "Settlement",
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
    "_call.auth": ("ClientCredentials", "TokenProvider"),
    "_client": ("AmiliClient",),
    "_cursor": ("Cursor",),
    "events": ("Drift", "QuarantinedRow"),
    "models._accepted": ("Accepted",),
    "models._autocollect": (
        "AutoCollectBatch",
        "AutoCollectCase",
        "AutoCollectContact",
        "AutoCollectCreditor",
        "AutoCollectEvent",
        "AutoCollectPaymentDetails",
        "AutoCollectSettlement",
    ),
    "models._batches": ("Batch", "BatchState", "BatchType"),
    "models._cases": ("Case", "CaseInvoice", "CaseStatus", "CaseSubStatus", "Debtor", "DebtorType"),
    "models._corrections": ("NewCorrection",),
    "models._encoding": ("encode",),
    "models._entries": ("FailedEntry", "InvoiceSuccess", "SucceededEntry", "UnknownEntry"),
    "models._envelope": ("Summary",),
    "models._invoices": ("Creditor", "Invoice", "InvoiceStatus", "InvoiceType", "NewInvoice"),
    "models._legacy_status": ("LegacyError", "LegacyResponse", "LegacyStatus"),
    "models._open_enum": ("OpenEnum",),
    "models._raw_value": ("RawValue",),
    "models._payments": ("NewPayment", "PaymentType"),
    "models._settlements": ("CollectionType", "Settlement"),
    "_protocol.options": ("Timeout",),
    "_lists.pager": ("Page", "Pager"),
    "resources": ("ChunkOutcome",),
    "_protocol.retry": ("RetryPolicy",),
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
