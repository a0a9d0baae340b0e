"""An Amili server in this process, for tests and trials: real HTTP, made-up data, faults on demand, a log of requests.

It shares nothing with the client but the route table: its JSON is written by hand from the public documentation.
"""

from amili_async.sandbox._access import Credentials
from amili_async.sandbox._fault_injector import Faults
from amili_async.sandbox._faults import Fault
from amili_async.sandbox._log import LoggedRequest, RequestLog
from amili_async.sandbox._sandbox import Sandbox
from amili_async.sandbox._virtual_clock import VirtualClock

__all__ = ["Credentials", "Fault", "Faults", "LoggedRequest", "RequestLog", "Sandbox", "VirtualClock"]

# Pickles and tracebacks name the public module, and so outlive every move between the modules behind it.
for _public in map(globals().__getitem__, __all__):
    _public.__module__ = __name__
