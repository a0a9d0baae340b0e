"""Opens the client that the environment describes, and tells at the end what drift it met."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from amili_async.cli.drift import DriftNotes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from amili_async import AmiliClient
    from amili_async.client import ClientSettings
    from amili_async.sandbox import Sandbox


@asynccontextmanager
async def opened(
    server: Sandbox | None = None, *, hooks: Sequence[object] = (), concurrency: int = 16
) -> AsyncGenerator[AmiliClient, None]:
    """Yield a client of a sandbox, or with the credentials and the server that the ``AMILI_*`` variables name.

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
