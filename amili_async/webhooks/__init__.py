"""Webhooks: verify the signature of an event's bytes, then read the event. Pure functions on bytes and headers.

(D) marks what is documented on a page of docs.amili.dev, (I) what is inferred: how Amili signs is not public.
"""

from amili_async.webhooks._events import (
    AnyEvent,
    BatchCompleted,
    CaseCreated,
    CaseUpdated,
    Event,
    SettlementCreated,
    UnknownEvent,
    parse_event,
)
from amili_async.webhooks._verification import Algorithm, Encoding, Signed, UnverifiedWebhooks, WebhookVerifier

__all__ = [
    "Algorithm",
    "AnyEvent",
    "BatchCompleted",
    "CaseCreated",
    "CaseUpdated",
    "Encoding",
    "Event",
    "SettlementCreated",
    "Signed",
    "UnknownEvent",
    "UnverifiedWebhooks",
    "WebhookVerifier",
    "parse_event",
]

# Pickles and tracebacks name the public module, and so outlive every move between the modules behind it.
for _public in map(globals().__getitem__, __all__):
    if isinstance(_public, type):
        _public.__module__ = __name__
