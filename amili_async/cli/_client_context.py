"""Opens the client that the environment describes, and tells at the end what drift it met."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from amili_async.cli._console import say
from amili_async.cli._drift import DriftNotes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from amili_async import AmiliClient
    from amili_async._client import ClientSettings
    from amili_async.events import GateClosed, RetryPlanned
    from amili_async.sandbox import Sandbox


class Waits:
    """A hook that tells why a command takes its time."""

    def on_retry(self, record: RetryPlanned) -> None:
        """Tell that a request will be repeated."""
        say(f"{record.operation}: {record.reason}, trying again in {record.wait:.1f} s")

    def on_gate(self, record: GateClosed) -> None:
        """Tell that the server asked to wait."""
        say(f"{record.operation}: rate limited, waiting {record.seconds:.1f} s")


@asynccontextmanager
async def opened(
    server: Sandbox | None = None, *, hooks: Sequence[object] = (Waits(),), concurrency: int = 16
) -> AsyncGenerator[AmiliClient, None]:
    """Yield a client of a sandbox, or with the credentials and the server that the ``AMILI_*`` variables name.

    Unless it is given other hooks, it tells what it waits for.

    Raises:
        ConfigurationError: a variable is missing or cannot be right; it is named.
    """
    from amili_async import AmiliClient, ClientCredentials  # noqa: PLC0415  # what calls nothing starts without it

    notes = DriftNotes()
    settings: ClientSettings = {"hooks": (notes, *hooks), "concurrency": concurrency, "on_invalid": "skip"}
    if server is None:
        client = AmiliClient.from_env(**settings)
    else:
        settings |= {"base_url": server.base_url, "token_url": server.token_url}
        client = AmiliClient(ClientCredentials(*server.credentials), **settings)
    async with client as amili:
        try:
            yield amili
        finally:
            notes.tell()
