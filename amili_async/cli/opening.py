"""Opens the client that the environment describes, and tells at the end what drift it met."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from amili_async.cli.drift import DriftNotes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from amili_async import AmiliClient


@asynccontextmanager
async def opened(*hooks: object) -> AsyncGenerator[AmiliClient, None]:
    """Yield a client with the credentials and the server that the ``AMILI_*`` variables name, and these hooks besides.

    Raises:
        ConfigurationError: a variable is missing or cannot be right; it is named.
    """
    from amili_async import AmiliClient  # noqa: PLC0415  # a command that calls nothing starts without it

    notes = DriftNotes()
    async with AmiliClient.from_env(hooks=(notes, *hooks), on_invalid="skip") as amili:
        try:
            yield amili
        finally:
            notes.tell()
