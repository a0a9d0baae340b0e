"""What Amili sends and takes: frozen structs, open enums. A module a noun; every public name is here.

(D) marks what is documented on a page of docs.amili.dev, (I) what is inferred from a documented sibling, (U) what is
unknown but for a name. G1, G2 and G3 are the API's generations of 2025, late 2025 and 2026.

Read `_base` first (what all models share), then `_open_enum`, then a noun, such as `_batches`.
"""

from amili_async.models._autocollect import (
    AutoCollectBatch,
    AutoCollectCase,
    AutoCollectContact,
    AutoCollectCreditor,
    AutoCollectEvent,
    AutoCollectPaymentDetails,
    AutoCollectSettlement,
    OpenValue,
)
from amili_async.models._base import Model, encode
from amili_async.models._batches import (
    Batch,
    BatchState,
    BatchType,
    FailedEntry,
    InvoiceSuccess,
    LegacyError,
    LegacyResponse,
    LegacyStatus,
    SucceededEntry,
    UnknownEntry,
)
from amili_async.models._cases import Case, CaseInvoice, CaseStatus, CaseSubStatus, Debtor, DebtorType
from amili_async.models._envelope import Accepted, RawValue, Summary
from amili_async.models._extra import Extra
from amili_async.models._inputs import DateLike
from amili_async.models._invoices import Creditor, Currency, Invoice, InvoiceStatus, InvoiceType, NewInvoice
from amili_async.models._open_enum import OpenEnum
from amili_async.models._payments import CollectionType, NewCorrection, NewPayment, PaymentType, Settlement
from amili_async.models._received import Received

__all__ = [
    "Accepted",
    "AutoCollectBatch",
    "AutoCollectCase",
    "AutoCollectContact",
    "AutoCollectCreditor",
    "AutoCollectEvent",
    "AutoCollectPaymentDetails",
    "AutoCollectSettlement",
    "Batch",
    "BatchState",
    "BatchType",
    "Case",
    "CaseInvoice",
    "CaseStatus",
    "CaseSubStatus",
    "CollectionType",
    "Creditor",
    "Currency",
    "DateLike",
    "Debtor",
    "DebtorType",
    "Extra",
    "FailedEntry",
    "Invoice",
    "InvoiceStatus",
    "InvoiceSuccess",
    "InvoiceType",
    "LegacyError",
    "LegacyResponse",
    "LegacyStatus",
    "Model",
    "NewCorrection",
    "NewInvoice",
    "NewPayment",
    "OpenEnum",
    "OpenValue",
    "PaymentType",
    "RawValue",
    "Received",
    "Settlement",
    "SucceededEntry",
    "Summary",
    "UnknownEntry",
    "encode",
]

# Pickles and tracebacks name the public module, and so outlive every move between the modules behind it.
for _public in map(globals().__getitem__, __all__):
    if isinstance(_public, type) and _public is not object:  # what `OpenValue` is when the program runs
        _public.__module__ = __name__
