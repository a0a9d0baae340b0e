"""``amili token``: checks the credentials without ever showing a token."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from amili_async.cli._client_context import Waits, opened
from amili_async.cli._running import DONE, run
from amili_async.cli._sync_output import duration

if TYPE_CHECKING:
    from amili_async.events import TokenRequested


class _Grants(Waits):
    """A hook that keeps for how long the last token is good."""

    lifetime: float | None = None

    def on_token(self, record: TokenRequested) -> None:
        self.lifetime = record.lifetime


def token() -> None:
    """Check the credentials: ask the token endpoint for a token, and say how long it is good for."""

    async def work() -> int:
        grants = _Grants()
        async with opened(hooks=(grants,)) as amili:
            await amili.authenticate()
        if os.environ.get("AMILI_TOKEN"):
            typer.echo("AMILI_TOKEN is taken as it is; whether it is good, only a call can tell.")
        else:
            good = "" if grants.lifetime is None else f", good for {duration(grants.lifetime)}"
            typer.echo(f"The token endpoint accepts AMILI_CLIENT_ID and AMILI_CLIENT_SECRET: it gave a token{good}.")
        return DONE

    run(work)
