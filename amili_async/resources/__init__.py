"""What a client offers: a class for each resource of the API, a method for each row of the route table.

Read `_operation_client` first: it makes every call. `_base` holds what reading and writing resources share, then one
module for each resource; `_polling`, `_streaming` and `_bulk` are what goes beyond one call.
"""

from amili_async.resources._autocollect import AutoCollect
from amili_async.resources._batches import Batches, SortDirection
from amili_async.resources._bulk import BulkWrite, ChunkOutcome
from amili_async.resources._cases import Cases
from amili_async.resources._invoices import Invoices
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
    "Organizations",
    "Payments",
    "Settlements",
    "SortDirection",
    "Status",
    "Stream",
]

for _name in __all__:
    # Where users find them; but for the struct, whose annotations are read in the module that wrote them.
    if _name != "ChunkOutcome":
        globals()[_name].__module__ = __name__
