"""What a client offers: a class for each resource of the API, a method for each row of the route table.

(D) marks what is documented on a page of docs.amili.dev, (I) what is inferred from a documented sibling, (U) what is
unknown but for a name. G1, G2 and G3 are the API's generations of 2025, late 2025 and 2026.

Read `_operation_client` first: it makes every call. `_base` holds what reading and writing resources share, then one
module for each resource; `_polling`, `_streaming` and `_bulk` are what goes beyond one call.
"""

from msgspec import Struct

from amili_async.resources._autocollect import AutoCollect
from amili_async.resources._batches import Batches, SortDirection
from amili_async.resources._bulk import BulkWrite, ChunkOutcome
from amili_async.resources._cases import Cases
from amili_async.resources._invoices import Invoices
from amili_async.resources._outcome_search import NotSeen, TookEffect, WriteOutcome
from amili_async.resources._payments import Corrections, Payments
from amili_async.resources._settlements import Settlements
from amili_async.resources._streaming import Stream
from amili_async.resources._unconfirmed import Banqsoft, Organizations, Status

__all__ = [
    "AutoCollect",
    "Banqsoft",
    "Batches",
    "BulkWrite",
    "Cases",
    "ChunkOutcome",
    "Corrections",
    "Invoices",
    "NotSeen",
    "Organizations",
    "Payments",
    "Settlements",
    "SortDirection",
    "Status",
    "Stream",
    "TookEffect",
    "WriteOutcome",
]

# Where users find them; but for structs, whose annotations are read in the module that wrote them.
for _public in map(globals().__getitem__, __all__):
    if isinstance(_public, type) and not issubclass(_public, Struct):
        _public.__module__ = __name__
