"""The upstream as tests hold it: told what to do, killed and started again, and asked what reached it."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, Unpack

from tests.outside.collection_server import batch_id
from tests.outside.programs import PATIENCE, Program, python_program, temporary_folder, wait_for
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Generator


class Rule(TypedDict, total=False):
    """What to do to a call; the first rule that fits is taken."""

    method: str
    path: str
    """A regular expression that is looked for in the path."""
    skip: int
    """Calls that fit and are left alone before it begins."""
    times: int
    """Calls it is done to; without it to all."""
    delay: float
    """Seconds before the answer."""
    status: int
    headers: dict[str, str]
    body: str
    cut: int
    """End the connection after so many bytes of the body that was announced."""
    drop: str
    """End the connection in place of an answer: ``close`` or ``reset``."""


class Seen(NamedTuple):
    """A request that reached the upstream."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: str
    connection: str
    """The other end's address: one connection has one."""
    at: float
    """Seconds on the machine's monotonic clock."""
    status: int | None
    """``None`` without an answer."""
    rows: tuple[str, ...]
    """The ids of the batches in the answer."""
    sent: bool | None
    """Whether the whole answer was written; ``None`` while it is under way, and where the server was killed."""


class Upstream(Program):
    """A server of the API, in a process of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        port = free_port()
        self.log_path = folder / "log"
        self.batches: int = settings["batches"]
        program = Path(__file__).with_name("collection_server.py")
        command = python_program(str(program), str(port), str(self.log_path), json.dumps(settings))
        super().__init__(command, folder, port)

    @property
    def url(self) -> str:
        """Where it is reached with nothing in front."""
        return f"http://{self.address}"

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def batch_ids(self, organization: str) -> list[str]:
        """Return the ids of all batches of an organization, in the order of its list."""
        return [batch_id(organization, number) for number in range(self.batches)]

    def rules(self, *rules: Rule) -> None:
        """Do this to the calls that follow, and nothing else any more."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("PUT", "/-/rules", json.dumps(rules))
        assert connection.getresponse().status == 204
        connection.close()

    def seen(self, method: str | None = None, path: str = "") -> list[Seen]:
        """Return the requests that reached it, in order, those under way too; without those for tokens."""
        arrived: dict[str, dict[str, Any]] = {}
        with self.log_path.open(encoding="utf-8") as log:
            for text in log:
                if not text.endswith("\n"):
                    break  # it is being written
                line = json.loads(text)
                arrived.setdefault(line["number"], {"status": None, "rows": [], "sent": None}).update(line)
        return [
            Seen(**{name: line[name] for name in Seen._fields if name != "rows"}, rows=tuple(line["rows"]))
            for line in arrived.values()
            if line["path"] != "/token" and method in (None, line["method"]) and path in line["path"]
        ]

    def rows_sent(self) -> Counter[str]:
        """Return how often each batch left it in an answer that was written whole, once nothing is under way."""
        # The answer may be read before its end is in the log.
        wait_for(lambda: all(request.sent is not None for request in self.seen()), "the upstream's answers")
        return Counter(row for request in self.seen("GET") if request.sent for row in request.rows)

    def tokens(self) -> int:
        """Return how many tokens were asked for."""
        return sum('"path": "/token"' in line for line in self.log_path.read_text("utf-8").splitlines())


class UpstreamSettings(TypedDict, total=False):
    """What an upstream serves."""

    batches: int
    """Of each organization, whatever its id."""
    entries: int
    """Succeeded entries a batch."""
    page_size: int


@contextmanager
def running_upstream(**settings: Unpack[UpstreamSettings]) -> Generator[Upstream]:
    """Run an upstream while the block runs."""
    with temporary_folder("upstream") as folder:
        upstream = Upstream(folder, **{"batches": 100, "entries": 1, "page_size": 10, **settings})
        upstream.start()
        try:
            yield upstream
        finally:
            upstream.stop()
