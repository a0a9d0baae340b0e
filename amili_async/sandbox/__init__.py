"""An Amili server in this process, for tests and trials: real HTTP, made-up data, faults on demand, a log of requests.

It shares nothing with the client but the route table: its JSON is written by hand from the public documentation.
"""

from amili_async.sandbox.access import Credentials
from amili_async.sandbox.armed import Faults
from amili_async.sandbox.faults import Fault
from amili_async.sandbox.log import LoggedRequest, RequestLog
from amili_async.sandbox.sandbox import Sandbox

__all__ = ["Credentials", "Fault", "Faults", "LoggedRequest", "RequestLog", "Sandbox"]
