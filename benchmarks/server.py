"""The server of the benchmarks: a process of its own that writes pages rendered beforehand, and does little else.

Whoever asks gets the same bytes, drawn like real ones by `benchmarks.pages`, where the shares of types, states,
failures and the rest are written down: of 100 batches 55 are INVOICE, 62 SUCCESS, in a third something failed.
It speaks as much HTTP/1.1 as a GET with keep-alive needs, writes each page at once, and has a core of its own: the
cheaper the server, the more a difference between two clients shows. Run by `serving`; by hand:
``python -m benchmarks.server '{}'``.
"""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from benchmarks import pages
from benchmarks.measuring import ROOT, use_core

if TYPE_CHECKING:
    from collections.abc import Generator

Packing = Literal["identity", "gzip", "br", "zstd"]

TOKEN = "benchmark"  # noqa: S105  # a word that nobody checks
"""The bearer token that every peer sends."""

WARM_UP_PAGES = 10
WARM_UP_ROWS = 100
_PREFIX = "/collection/v1"
_TOO_MANY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"
_RENDERED = 200 * 2**20
"""Up to so many bytes each response is kept whole; past it the rows are kept, and the envelope is put around them."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The lists that a server has: how many, how long, and what a row holds."""

    organizations: int = 1
    pages: int = 200
    rows: int = 100
    """Batches a page."""
    entries: int = 2
    """Succeeded entries a batch, on average. 100 rows of 2 make a page of some 60 kB, of 25 one of some 450 kB."""
    unknown_members: int = 0
    """Members on every row that no model names."""
    flattering: bool = False
    """Whether every batch is final, of one type, with the same number of entries, and none of them failed."""
    distinct: int = 0
    """Serve so many different pages in turn (their batch ids repeat); 0 makes every page its own."""
    latency: float = 0.0
    """Seconds before each answer."""
    rate: float = 0.0
    """Requests a second that are answered, with a burst of as many; the rest get a 429 and no more. 0 is no limit."""
    packing: Packing = "identity"
    """The Content-Encoding of every answer, whatever the client accepts."""

    def of(self, organization: int) -> Listing:
        """Return what one organization has: the one past the last is for warming up, short and of small pages."""
        if organization < self.organizations:
            return self
        return msgspec.structs.replace(self, pages=min(WARM_UP_PAGES, self.pages), rows=min(WARM_UP_ROWS, self.rows))


class Server(NamedTuple):
    """A server that runs."""

    base_url: str
    organization_ids: list[str]
    warm_up_id: str
    """One organization more, with a few pages: walked before the clock starts."""
    listing: Listing
    page_bytes: int
    """The size of the first page's body, as it is on the wire."""
    entries: dict[str, int]
    """How many succeeded entries a walk over each organization meets."""


def organization_id(number: int) -> str:
    """Return the id of the n-th organization."""
    return f"7bc05553-4b68-44e8-b7bc-{number:012x}"


def render_rows(listing: Listing, organization: int, page: int) -> bytes:
    """Return the JSON array of one page's batches, the same for the same arguments."""
    mix = pages.Mix(
        rows=listing.rows,
        entries=listing.entries,
        unknown_members=listing.unknown_members,
        flattering=listing.flattering,
    )
    return pages.render_rows(mix, f"{organization}/{page}", owner=organization_id(organization))


def entries_in(rows: bytes) -> int:
    """Return how many succeeded entries a page holds: each of them, and nothing else, has a ``$type``."""
    return rows.count(b'"$type"')


def page_token(organization: int, page: int) -> str:
    """Return the token of a page: one word, as long as such tokens are."""
    return f"eyJvcmciOiI3YmMwNTU1MyIsInBhZ2UiOjEyMzQ1Njc4OTB9{organization:06d}{page:06d}"


def pack(body: bytes, packing: Packing) -> bytes:
    """Return a body as servers pack it while a client waits: quickly rather than tightly."""
    match packing:
        case "gzip":
            return gzip.compress(body, 6, mtime=0)
        case "br":
            import brotli  # type: ignore[import-untyped]  # noqa: PLC0415  # of the `speedups` extra, untyped

            return bytes(brotli.compress(body, quality=4))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]  # untyped
        case "zstd":
            from backports import zstd  # noqa: PLC0415  # of the `speedups` extra

            return zstd.compress(body, 3)
        case "identity":
            return body


class Responses:
    """Every response, rendered when the server starts."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.rows: dict[int, list[bytes]] = {}
        self.whole: dict[tuple[bytes, bytes], bytes] = {}
        self.pieces: dict[tuple[bytes, bytes], tuple[int, int]] = {}
        self.entries: list[int] = []
        total = 0
        for organization in range(listing.organizations + 1):
            mine = listing.of(organization)
            distinct = min(mine.distinct or mine.pages, mine.pages)
            self.rows[organization] = [render_rows(mine, organization, page) for page in range(distinct)]
            total += mine.pages * len(self.rows[organization][0])
            counts = [entries_in(rows) for rows in self.rows[organization]]
            self.entries.append(sum(counts[page % distinct] for page in range(mine.pages)))
        for organization in range(listing.organizations + 1):
            owner = organization_id(organization).encode()
            for page in range(listing.of(organization).pages):
                key = (owner, page_token(organization, page).encode() if page else b"")
                if total <= _RENDERED:
                    self.whole[key] = self._render(organization, page)
                else:
                    self.pieces[key] = (organization, page)
        if self.whole:
            self.rows.clear()

    def _render(self, organization: int, page: int) -> bytes:
        rows = self.rows[organization][page % len(self.rows[organization])]
        following = page + 1
        token = ""
        if following < self.listing.of(organization).pages:
            token = f',"nextPageToken":"{page_token(organization, following)}"'
        start = f'{{"summary":{{"status":"SUCCESS"{token}}},"data":'.encode()
        pieces, encoding = [start, rows, b"}"], ""
        if self.listing.packing != "identity":
            pieces = [pack(b"".join(pieces), self.listing.packing)]
            encoding = f"Content-Encoding: {self.listing.packing}\r\n"
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n{encoding}"
            f"Content-Length: {sum(map(len, pieces))}\r\nX-Request-Id: {organization:08x}{page:08x}\r\n\r\n"
        ).encode()
        return b"".join((head, *pieces))

    def find(self, request: bytes) -> bytes:
        """Return the response to one request, read from its first line alone."""
        target = request[4 : request.index(b" ", 4)]
        path, _, query = target.partition(b"?")
        token = b""
        for part in query.split(b"&"):
            if part.startswith(b"PageToken="):
                token = part[10:]
        start = path.find(b"/orgs/") + 6
        key = (path[start : start + 36], token)
        whole = self.whole.get(key)
        if whole is not None:
            return whole
        pieces = self.pieces.get(key)
        if pieces is None or not path.endswith(b"/batches"):
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        return self._render(*pieces)


class Limit:
    """Says whether a request comes too soon, as nginx's ``limit_req`` with ``nodelay`` does."""

    def __init__(self, rate: float) -> None:
        self._rate = self._level = rate
        self._since = time.monotonic()

    def takes(self) -> bool:
        """Return whether one more is answered."""
        now = time.monotonic()
        self._level, self._since = min(self._rate, self._level + (now - self._since) * self._rate), now
        if self._rate and self._level < 1:
            return False
        self._level -= 1
        return True


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self, responses: Responses, limit: Limit, loop: asyncio.AbstractEventLoop) -> None:
        self.responses = responses
        self.limit = limit
        self.loop = loop
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # a TCP server makes no other
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            request, self.received = self.received[:end], self.received[end + 4 :]
            response = self.responses.find(request) if self.limit.takes() else _TOO_MANY
            if self.responses.listing.latency:
                self.loop.call_later(self.responses.listing.latency, self.transport.write, response)
            else:
                self.transport.write(response)


async def serve(listing: Listing) -> None:
    """Serve until killed; print the port and the size of a page once the pages are rendered."""
    use_core(1)
    loop = asyncio.get_running_loop()
    responses = Responses(listing)
    limit = Limit(listing.rate)
    server = await loop.create_server(lambda: Connection(responses, limit, loop), "127.0.0.1", 0, backlog=512)
    first = responses.find(f"GET {_PREFIX}/orgs/{organization_id(0)}/batches HTTP/1.1".encode())
    size = len(first) - first.index(b"\r\n\r\n") - 4
    print(server.sockets[0].getsockname()[1], size, *responses.entries, flush=True)
    await server.serve_forever()


@contextmanager
def serving(listing: Listing) -> Generator[Server, None, None]:
    """Run a server in a process of its own while the block runs."""
    command = [sys.executable, "-m", "benchmarks.server", msgspec.json.encode(listing).decode()]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own
        try:
            assert process.stdout is not None  # noqa: S101  # a pipe was asked for
            port, size, *entries = process.stdout.readline().split()
            organizations = [organization_id(number) for number in range(listing.organizations + 1)]
            yield Server(
                base_url=f"http://127.0.0.1:{port}{_PREFIX}",
                organization_ids=organizations[:-1],
                warm_up_id=organizations[-1],
                listing=listing,
                page_bytes=int(size),
                entries=dict(zip(organizations, map(int, entries), strict=True)),
            )
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(serve(msgspec.json.decode(sys.argv[1], type=Listing)))
