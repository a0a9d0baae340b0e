"""An Amili server in this process, for tests and trials: real HTTP, made-up data, faults on demand, a log of requests.

It shares nothing with the client but the route table: its JSON is written by hand from the public documentation.
"""

from amili_async.sandbox._access import Credentials
from amili_async.sandbox._fault_injector import Faults
from amili_async.sandbox._faults import Fault, Kind
from amili_async.sandbox._log import LoggedRequest, RequestLog
from amili_async.sandbox._sandbox import Sandbox
from amili_async.sandbox._shapes import Generation, LastPage
from amili_async.sandbox._state import Order
from amili_async.sandbox._virtual_clock import VirtualClock
from amili_async.sandbox._webhooks import Delivery, Webhooks

__all__ = [
    "Credentials",
    "Delivery",
    "Fault",
    "Faults",
    "Generation",
    "Kind",
    "LastPage",
    "LoggedRequest",
    "Order",
    "RequestLog",
    "Sandbox",
    "VirtualClock",
    "Webhooks",
]

# Pickles and tracebacks name the public module, and so outlive every move between the modules behind it.
for _public in map(globals().__getitem__, __all__):
    if isinstance(_public, type):
        _public.__module__ = __name__
