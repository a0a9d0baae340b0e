"""An upstream that shares no code with the sandbox: Python's own threaded HTTP server, and a log in a file.

Started by `upstream.py` as ``python collection_server.py PORT LOG SETTINGS``. Every organization has the same number of
batches, whose rows follow from their number alone. What it is told over ``PUT /-/rules`` it does to the calls that
follow. Each line of the log is one JSON object: a request that arrived, or how its answer ended.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import struct
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit

PREFIX = "/collection/v1"


def batch_id(organization: str, number: int) -> str:
    """Return the id of an organization's n-th batch."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{organization}/{number}"))


def batch(organization: str, number: int, entries: int) -> dict[str, Any]:
    """Return an organization's n-th batch; the newest has the number 0."""
    own = batch_id(organization, number)
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_741_530_600 - 60 * number))
    return {
        "batchId": own,
        "type": "INVOICE",
        "status": "SUCCESS",
        "createdAt": moment,
        "finishedAt": moment,
        "organizationId": organization,
        "createdBy": "8a1b2c3d-4e5f-6789-abcd-ef0123456789",
        "succeeded": [
            {
                "$type": "invoiceSuccess",
                "invoiceId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{own}/{entry}")),
                "invoiceNumber": f"INV-{number}-{entry}",
                "caseId": None,
            }
            for entry in range(entries)
        ],
        "failed": [],
    }


class Rules:
    """What is to be done to which calls, each so many times."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[dict[str, Any]] = []

    def set(self, rules: list[dict[str, Any]]) -> None:
        """Replace all rules."""
        with self._lock:
            self._rules = rules

    def take(self, method: str, path: str) -> dict[str, Any]:
        """Return the rule for this call, used once more; an empty one where there is none."""
        with self._lock:
            for rule in self._rules:
                if rule.get("method") not in (None, method) or not re.search(rule.get("path") or "", path):
                    continue
                if rule.get("skip"):
                    rule["skip"] -= 1
                    continue
                if rule.get("times") is None:
                    return rule
                if rule["times"] > 0:
                    rule["times"] -= 1
                    return rule
        return {}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = 120
    disable_nagle_algorithm = True

    log_file: IO[str]
    log_lock = threading.Lock()
    count = 0
    rules = Rules()
    batches = 0
    entries = 0
    page_size = 0

    def note(self, line: dict[str, Any]) -> str:
        """Append a line to the log and return its number, which no server that was started before has given."""
        cls = type(self)
        with cls.log_lock:
            cls.count += 1
            number = str(line.setdefault("number", f"{os.getpid()}-{cls.count}"))
            self.log_file.write(json.dumps(line) + "\n")
            self.log_file.flush()
            return number

    def do_GET(self) -> None:
        """Serve a read."""
        self.serve()

    def do_POST(self) -> None:
        """Serve a write, or a token."""
        self.serve()

    def do_PUT(self) -> None:
        """Take new rules."""
        self.rules.set(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(204, b"", {})

    def serve(self) -> None:
        """Answer a call as the rules say."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        rule = self.rules.take(self.command, parts.path)
        number = self.note(
            {
                "method": self.command,
                "path": parts.path,
                "query": {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()},
                "headers": dict(self.headers.items()),
                "body": body.decode("utf-8", "replace"),
                "connection": "{}:{}".format(*self.client_address),
                "at": time.monotonic(),
            }
        )
        time.sleep(rule.get("delay") or 0)
        if rule.get("drop"):
            self.drop(reset=rule["drop"] == "reset")
            self.note({"number": number, "sent": False})
            return
        status, payload, rows = self.result(parts.path, parse_qs(parts.query), body)
        headers: dict[str, str] = {"Content-Type": "application/json", **(rule.get("headers") or {})}
        status = rule.get("status") or status
        if rule.get("body") is not None:
            payload, rows = rule["body"].encode(), []
        cut = rule.get("cut")
        try:
            self.answer(status, payload, headers, cut=cut)
        except OSError:
            self.close_connection = True
            self.note({"number": number, "status": status, "rows": rows, "sent": False})
            return
        self.note({"number": number, "status": status, "rows": rows, "sent": cut is None})

    def answer(self, status: int, body: bytes, headers: dict[str, str], *, cut: int | None = None) -> None:
        """Send an answer, or its head and so many bytes of its body."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.drop()

    def drop(self, *, reset: bool = False) -> None:
        """End the connection, politely or with a reset."""
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.connection.shutdown(socket.SHUT_RDWR)

    def result(self, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, bytes, list[str]]:
        """Return status and body of what a call asks for, and the ids of the rows in it."""
        if path == "/token":
            return 200, json.dumps({"access_token": "outside", "token_type": "Bearer", "expires_in": 3600}).encode(), []
        if self.headers.get("Authorization") != "Bearer outside":
            return 401, b"", []
        _, _, rest = path.partition(f"{PREFIX}/orgs/")
        organization, _, what = rest.partition("/")
        if self.command == "POST":
            accepted = {"batchId": str(uuid.uuid5(uuid.NAMESPACE_URL, body.decode())), "batchUrl": None}
            return 202, json.dumps({"summary": {"status": "SUCCESS"}, "data": accepted}).encode(), []
        if what == "batches":
            return self.page(organization, query)
        _, _, wanted = what.partition("batches/")
        for number in range(self.batches):
            if wanted == batch_id(organization, number):
                found = batch(organization, number, self.entries)
                return 200, json.dumps({"summary": {"status": "SUCCESS"}, "data": found}).encode(), [wanted]
        return 404, b'{"message":"no such thing"}', []

    def page(self, organization: str, query: dict[str, list[str]]) -> tuple[int, bytes, list[str]]:
        """Return one page of batches; its token holds where the next one begins."""
        token = query.get("PageToken", [""])[0]
        start = int(base64.urlsafe_b64decode(token).decode().partition(":")[2]) if token else 0
        size = int(query.get("PageSize", [str(self.page_size)])[0])
        end = min(start + size, self.batches)
        following = base64.urlsafe_b64encode(f"{organization}:{end}".encode()).decode() if end < self.batches else None
        rows = [batch(organization, number, self.entries) for number in range(start, end)]
        envelope = {"summary": {"status": "SUCCESS", "nextPageToken": following}, "data": rows}
        return 200, json.dumps(envelope).encode(), [row["batchId"] for row in rows]

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing to the terminal."""


class Server(ThreadingHTTPServer):
    """The server, with room for those who come all at once."""

    request_queue_size = 1024

    def shutdown_request(self, request: Any) -> None:
        """Close a connection and no more: a shutdown before it would turn a reset into an orderly end."""
        self.close_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that break off: that is what the tests are about."""


def main() -> None:
    """Serve until the one who started this is gone."""
    port, log, settings = sys.argv[1:]
    for name, value in json.loads(settings).items():
        setattr(Handler, name, value)
    with Path(log).open("a", encoding="utf-8") as Handler.log_file:
        Server(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
